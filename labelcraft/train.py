"""The training loop that all labels share: epochs, the one stopping criterion, the best kept, and resuming."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from labelcraft.batches import iter_batches
from labelcraft.evaluate import Candidates, Criterion, candidates, measure, score
from labelcraft.learners import Learner, Numbers
from labelcraft.options import TrainOptions
from labelcraft.splits import Split
from retrieval.errors import ConfigError, ModelError
from retrieval.folders import sha256_of, writing

TENSORS, CURVE = "checkpoint.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class Epoch:
    """One line of the curve: the stopping users' means after epoch *number* (from 1), and what the steps saw."""

    number: int
    criterion: float
    nwtg: float
    ds: float
    neg: float
    may_be_best: bool
    seconds: float
    noted: Numbers


def best_of(epochs: Sequence[Epoch]) -> Epoch | None:
    """The sound one of the highest criterion, the first of equals; None where all collapsed."""
    sound = [epoch for epoch in epochs if epoch.may_be_best]
    return max(sound, key=lambda epoch: epoch.criterion, default=None)


@dataclass
class State:
    """How far a training is."""

    epochs: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_epoch(self) -> Epoch | None:
        return best_of(self.epochs)

    def is_over(self, options: TrainOptions) -> bool:
        """Whether nothing better came for long enough, or the last epoch has been."""
        n = len(self.epochs)
        return n >= options.max_epochs or n - _last_rise(self.epochs, options.min_gain) >= options.patience


def _last_rise(epochs: list[Epoch], min_gain: float) -> int:
    """The last epoch that was better than every one before by *min_gain*."""
    last, high = 0, -float("inf")
    for epoch in epochs:
        if epoch.may_be_best and epoch.criterion > high + min_gain:
            last, high = epoch.number, epoch.criterion
    return last


def train(
    split: Split,
    learner: Learner,
    options: TrainOptions,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train *learner* to its end and leave it at its best epoch; the curve.

    Args:
        checkpoint: a folder that remembers each epoch. A training that was killed goes on from there, and ends with the
            weights that it would have had.
        on_epoch: told of each epoch; what it raises ends the training.

    Raises:
        ConfigError: no stopping user has more than k rows.
        ModelError: the checkpoint is damaged, or of another training.
    """
    asked = candidates(split, split.stop, options.k)
    if not len(asked.users):
        raise ConfigError(
            f"No stopping user has more than {options.k} rows.", "Give more validation days, or a smaller k."
        )
    criterion, state = Criterion.of(asked), State()
    if checkpoint and (checkpoint / CURVE).exists():
        state = _resume(checkpoint, learner, options)
    while not state.is_over(options):
        _run_epoch(learner, options, state, asked, criterion)
        if checkpoint:
            _save(checkpoint, learner, options, state)
        on_epoch(state.epochs[-1])
    _take(learner, state.best)
    return state.epochs


def _run_epoch(learner: Learner, options: TrainOptions, state: State, asked: Candidates, criterion: Criterion) -> None:
    started, number = time.perf_counter(), len(state.epochs)
    batches = list(iter_batches(learner.rows, options.batch_size, options.seed, number))
    noted = [learner.step(rows, number * len(batches) + i) for i, rows in enumerate(batches)]
    sound, more = learner.end_epoch()
    measures = measure(asked, score(learner.model, asked, learner.weights))
    means = {name: sum(record[name] for record in noted) / len(noted) for name in noted[0]}
    seconds = time.perf_counter() - started
    epoch = Epoch(number + 1, criterion(measures), *measures.means, sound, seconds, {**means, **more})
    best = state.best_epoch
    state.epochs.append(epoch)
    if sound and (best is None or epoch.criterion > best.criterion):
        state.best = _weights(learner)


def _weights(learner: Learner) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value.detach().clone()
        for name, module in learner.modules.items()
        for key, value in module.state_dict().items()
    }


def _take(learner: Learner, weights: dict[str, Tensor]) -> None:
    for name, module in learner.modules.items():
        prefix = f"{name}/"
        found = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        if found:
            module.load_state_dict(found)


def _save(folder: Path, learner: Learner, options: TrainOptions, state: State) -> None:
    """Write the tensors, then the curve that names their checksum: a kill in between leaves the epoch before."""
    folder.mkdir(parents=True, exist_ok=True)
    now = {f"now/{key}": value for key, value in _weights(learner).items()}
    moments = {
        f"optimizer/{name}/{key}": value
        for name, optimizer in learner.optimizers.items()
        for key, value in optimizer.state().items()
    }
    best = {f"best/{key}": value for key, value in state.best.items()}
    name = f"{len(state.epochs)}-{TENSORS}"
    with writing(folder / name) as draft:
        save_file({**now, **moments, **best}, draft)
    about = {
        "options": asdict(options),
        "choices": dict(learner.choices),
        "tensors": name,
        "sha256": sha256_of(folder / name),
    }
    with writing(folder / CURVE) as draft:
        draft.write_text(json.dumps({**about, "epochs": [asdict(epoch) for epoch in state.epochs]}) + "\n")
    for old in folder.glob(f"*-{TENSORS}"):
        if old.name != name:
            old.unlink()


def _resume(folder: Path, learner: Learner, options: TrainOptions) -> State:
    about = json.loads((folder / CURVE).read_text())
    asked = json.loads(json.dumps({"options": asdict(options), "choices": dict(learner.choices)}))
    if any(about.get(key) != value for key, value in asked.items()):
        raise ModelError(f"{folder} holds a training with other options.", "Give another folder, or remove this one.")
    file = folder / about["tensors"]
    if not file.exists() or sha256_of(file) != about["sha256"]:
        raise ModelError(f"{file} is missing or damaged.", "Remove the folder and train again.")
    tensors = load_file(file)
    _take(learner, _under("now/", tensors))
    for name, optimizer in learner.optimizers.items():
        optimizer.take(_under(f"optimizer/{name}/", tensors))
    return State([Epoch(**epoch) for epoch in about["epochs"]], _under("best/", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
