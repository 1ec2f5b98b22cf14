"""The comparison of labels: every label with every seed on one split, each run in a process of its own.

Runs that are there are not made again, and a run that was killed goes on from its last epoch, so that a comparison can
be stopped at any time and taken up by the same command.
"""

import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

import torch

from labelcraft.datasets import load_dataset
from labelcraft.options import Ablation, CraftOptions, TrainOptions
from labelcraft.runs import RUN, Run, Variant, load_run, run_references, run_variant
from labelcraft.splits import Split, SplitOptions, split_dataset
from retrieval.errors import ConfigError
from retrieval.folders import writing

logger = logging.getLogger(__name__)
RUNS, COMPARISON = "runs", "comparison.json"
ALL_LABELS = ("WT", "EF", "PC", "PCR", "D2Q", "DVR", "WT+EF", "D2Q+EF", "DVR+EF", "LabelCraft")
LEARNED = "LabelCraft"


@dataclass(frozen=True)
class CompareRequest:
    """All choices of a comparison.

    A label is a name, or NAME=FOLDER of a saved one. *options_of* are the options of single variants, where a search
    chose them; *processes* of 0 is one a core.
    """

    data: str
    path: Path
    out: Path
    labels: tuple[str, ...] = ALL_LABELS
    seeds: int = 5
    ablations: bool = False
    taus: tuple[float, ...] = ()
    split: SplitOptions = field(default_factory=SplitOptions)
    options: TrainOptions = field(default_factory=TrainOptions)
    craft: CraftOptions = field(default_factory=CraftOptions)
    options_of: dict[str, TrainOptions] = field(default_factory=dict)
    processes: int = 0

    @property
    def variants(self) -> list[Variant]:
        """What is trained: the labels, and LabelCraft's ablations and temperatures."""
        made = [_variant(label, self.craft) for label in self.labels]
        if self.ablations:
            made += [
                Variant(f"{LEARNED} w/o {part}", LEARNED, replace(self.craft, ablation=part))
                for part in Ablation
                if part
            ]
        return made + [Variant(f"{LEARNED} τ={tau:g}", LEARNED, replace(self.craft, tau=tau)) for tau in self.taus]

    def options_for(self, variant: Variant, seed: int) -> TrainOptions:
        """The options of a variant with a seed; ablations and temperatures have LabelCraft's."""
        return replace(self.options_of.get(variant.name, self.options_of.get(variant.spec, self.options)), seed=seed)


def _variant(label: str, craft: CraftOptions) -> Variant:
    """A label by its name, or a saved one as NAME=FOLDER."""
    name, _, folder = label.partition("=")
    return Variant(name, folder or name, craft)


def compare(request: CompareRequest, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Make the runs that are missing; the folder that holds all of them.

    Raises:
        ConfigError: the folder holds another comparison, or the data allows none.
    """
    split = split_of(request.data, request.path, request.split)
    _write_about(request, split)
    run_references(split, request.options.k, request.out / RUNS)
    missing = list(_missing(request))
    total = len(request.variants) * request.seeds
    progress(total - len(missing), total)
    with _pool(request, len(missing)) as pool:
        futures = [pool.submit(_run, request, variant, seed) for variant, seed in missing]
        for done, future in enumerate(_finished(futures, pool), total - len(missing) + 1):
            logger.info("%s is trained", future)
            progress(done, total)
    return request.out


def load_runs(out: Path) -> list[Run]:
    """The finished runs of a comparison, references among them.

    Raises:
        ConfigError: there are none.
    """
    runs = [load_run(file.parent) for file in sorted((out / RUNS).rglob(RUN))]
    if not runs:
        raise ConfigError(f"{out} holds no finished run.", "Make some: lookreel labels compare --help")
    return runs


@cache
def split_of(data: str, path: Path, options: SplitOptions) -> Split:
    """The split of a data set, read once in each process."""
    return split_dataset(load_dataset(data, path), options)


def _missing(request: CompareRequest) -> Iterator[tuple[Variant, int]]:
    """The longest first, so that no core waits for a long one at the end."""
    pairs = [(variant, seed) for variant in request.variants for seed in range(request.seeds)]
    for variant, seed in sorted(pairs, key=lambda pair: not pair[0].is_learned):
        if not (_folder(request, variant, seed) / RUN).exists():
            yield variant, seed


def _folder(request: CompareRequest, variant: Variant, seed: int) -> Path:
    return request.out / RUNS / variant.name.replace("/", "∕") / str(seed)  # "w/o" is no folder in another


def _run(request: CompareRequest, variant: Variant, seed: int) -> str:
    split = split_of(request.data, request.path, request.split)
    run_variant(split, variant, request.options_for(variant, seed), _folder(request, variant, seed))
    return f"{variant.name}, seed {seed}"


def _pool(request: CompareRequest, n_runs: int) -> ProcessPoolExecutor:
    """Processes with a core each: two steps side by side are faster than one on two threads."""
    n = max(1, min(request.processes or os.cpu_count() or 1, n_runs))
    return ProcessPoolExecutor(n, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))


def _finished(futures: Sequence["Future[str]"], pool: ProcessPoolExecutor) -> Iterator[str]:
    """What each run says as it ends; at the first failure no other is begun."""
    try:
        for future in as_completed(futures):
            yield future.result()
    except BaseException:  # a failed run or a stop by hand: what waits must not run on
        pool.shutdown(cancel_futures=True)
        raise


def _write_about(request: CompareRequest, split: Split) -> None:
    """What is compared, which a folder keeps: runs of other data or options are never mixed."""
    kept = {
        "data": request.data,
        "path": str(request.path),
        "split": asdict(request.split),
        "options": asdict(request.options),
        "craft": asdict(request.craft),
        "options_of": {name: asdict(options) for name, options in request.options_of.items()},
    }
    file = request.out / COMPARISON
    known = json.loads(json.dumps(kept))
    if file.exists() and any(json.loads(file.read_text()).get(key) != value for key, value in known.items()):
        raise ConfigError(f"{request.out} holds a comparison of other data or options.", "Name another --out.")
    parts = {name: len(getattr(split, name)) for name in ("train", "holdout", "stop", "test")}
    about = {**known, "labels": list(request.labels), "seeds": request.seeds, "rows": parts, "users": split.n_users}
    request.out.mkdir(parents=True, exist_ok=True)
    with writing(file) as draft:
        draft.write_text(json.dumps(about, indent=1) + "\n")
