"""The job of `lookreel evaluate run`: from a shop's log and a snapshot to an `Evaluation` and its report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.evaluation.before import Before
from labelcraft.evaluation.contestants import Contestant, make_contestants
from labelcraft.evaluation.counted import Counted, Odd, counted
from labelcraft.evaluation.feeds import Floats
from labelcraft.evaluation.gating import gate_verdicts
from labelcraft.evaluation.headline import headline_of
from labelcraft.evaluation.lists import LISTED_USERS, Content, Lists, make_lists
from labelcraft.evaluation.measuring import Measured, measure
from labelcraft.evaluation.policies import policy_values
from labelcraft.evaluation.ranked import point_figures, rank_figures
from labelcraft.evaluation.results import About, Evaluation, Spread, System, WeightFigures
from labelcraft.evaluation.setting import LOG_FILE, Setting, make_setting
from labelcraft.evaluation.shown import Quantities, norm_figures, quantities_of, shown_figures, spread_of
from labelcraft.evaluation.split_time import find_split
from retrieval.config import load_config
from retrieval.errors import ConfigError, StoreError
from retrieval.gate import read_gate
from retrieval.log import from_us
from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import CLIP, Compared, Measure
from retrieval.metrics.weights import Weights
from retrieval.ragged import Ints
from retrieval.snapshot import open_snapshot
from retrieval.systems import SystemKind

BASELINE = SystemKind.RECENCY.value
DEFAULT_SYSTEMS = ("random", "recency", "popularity", "multimodal")
OpenContent = Callable[[str], Content]
Update = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked, as on the command line; paths that are None come from lookreel.toml.

    *truth* has feed_id, position and label: what would have been watched had the slot been examined.
    """

    tables: Path | None = None
    snapshot: Path | None = None
    systems: Sequence[str] = DEFAULT_SYSTEMS
    runs: Mapping[str, Path] = field(default_factory=dict)
    scores: Path | None = None
    propensities: Path | None = None
    content: str | None = None
    grades: Path | None = None
    baseline: str = BASELINE
    test_days: float | None = None
    split: str | None = None
    k: int = 10
    clip: float = CLIP
    policy_value: bool = False
    gate: Path | None = None
    listed_users: int = LISTED_USERS
    n_resamples: int = 1000
    seed: int = 0
    truth: pl.LazyFrame | None = None


def evaluate(
    request: EvaluationRequest,
    open_content: OpenContent | None = None,
    update: Update = lambda stage, done, total: None,
) -> Evaluation:
    """Compare systems on the feeds shown after the split.

    Args:
        open_content: opens a store of content embeddings by its place, for visual coherence.
        update: told what is being done, and how far it is.

    Raises:
        UserFacingError: an option, table, snapshot, run or file cannot be used.
    """
    gate = read_gate(request.gate) if request.gate else None
    setting = _setting(request)
    content = _content(request, setting, open_content)
    contestants = make_contestants(setting, request.systems, request.runs, request.scores)
    _require_baseline(request.baseline, contestants)
    measured = measure(
        setting.feeds, contestants, request.k, request.clip, lambda done, total: update("test feeds", done, total)
    )
    lists = make_lists(
        setting, contestants, request.k, request.listed_users, request.seed,
        lambda done, total: update("lists at the split", done, total),
    )  # fmt: skip
    found = _Found(request, setting, contestants, measured, lists, content)
    evaluation = found.evaluation()
    return evaluation if gate is None else gate_verdicts(evaluation, setting, contestants, lists, gate)


def _setting(request: EvaluationRequest) -> Setting:
    config = load_config()
    tables = config.path("tables", request.tables)
    split = find_split(tables / LOG_FILE, test_days=request.test_days, at=request.split)
    snapshot = open_snapshot(config.path("snapshot", request.snapshot))
    return make_setting(tables, snapshot, config, split, request.propensities, request.truth)


def _content(request: EvaluationRequest, setting: Setting, open_content: OpenContent | None) -> Content | None:
    if request.content is None:
        return None
    if open_content is None:
        raise ValueError("content embeddings need open_content")
    content = open_content(request.content)
    if content.fingerprint == setting.snapshot.space.fingerprint:
        raise StoreError(
            f"{content.place} was made by the encoder that also ranks: it would grade itself.",
            "Embed the products with --model content.",
        )
    return content


def _require_baseline(name: str, contestants: Sequence[Contestant]) -> None:
    names = [one.name for one in contestants]
    if name not in names:
        raise ConfigError(f"The baseline {name} is not among the systems.", f"Choose one of {', '.join(names)}.")


@dataclass(frozen=True)
class _Found:
    """Everything that was counted, to be told as figures."""

    request: EvaluationRequest
    setting: Setting
    contestants: tuple[Contestant, ...]
    measured: Measured
    lists: Lists
    content: Content | None

    def evaluation(self) -> Evaluation:
        """All figures, the verdict first."""
        request, setting, measured = self.request, self.setting, self.measured
        bootstrap = Bootstrap(request.n_resamples, request.seed)
        ranked, truth, compared = rank_figures(measured, request.baseline, bootstrap)
        points = point_figures(measured, self.contestants, request.baseline, bootstrap)
        quantities = quantities_of(setting.feeds.videos.duration_s, setting.before)
        shown = shown_figures(setting, self.lists, quantities, request.k, self.content, request.grades, request.seed)
        policies = policy_values(setting, self.contestants, request.k, bootstrap) if request.policy_value else {}
        systems = tuple(
            System(
                one.name,
                one.kind,
                measured.unscored(one.name),
                ranked[one.name],
                truth[one.name],
                points[one.name],
                shown.get(one.name),
                policies.get(one.name),
            )
            for one in self.contestants
        )
        about, weights = self._about(compared), _weights(measured.weights, request.clip)
        by_name = {one.name: one for one in self.contestants}
        norms = norm_figures(setting, by_name, self.lists, quantities.duration_s, request.k)
        return Evaluation(
            headline_of(systems, about, weights), about, systems, weights, self._odd(), setting.feeds.faults,
            tuple(quantities.duration_edges.tolist()), tuple(quantities.watch_edges.tolist()),
            *_of_log(quantities, setting.before), norms, (),
        )  # fmt: skip

    def _about(self, compared: Compared) -> About:
        setting, measured, request = self.setting, self.measured, self.request
        label = measured.reached.label
        return About(
            tables=str(setting.tables),
            snapshot=setting.snapshot.version,
            split=from_us(setting.split.at_us),
            last=from_us(setting.split.last_us),
            k=request.k,
            baseline=request.baseline,
            examination=setting.examination,
            n_users=measured.n_users,
            n_feeds=measured.n_feeds,
            n_slots=measured.n_slots,
            n_reached=len(label),
            n_with_positive=compared.n_feeds(Measure.NDCG),
            n_mixed=compared.n_feeds(Measure.NDCG_MIXED),
            watched_share=float(label.mean()) if len(label) else float("nan"),
            n_listed=len(self.lists.user_ids),
            n_eligible=int(self.lists.eligible.sum()),
            seed=request.seed,
            n_resamples=request.n_resamples,
        )

    def _odd(self) -> tuple[Counted, ...]:
        """What was odd in the log, then in each system's scores."""
        found = list(counted(self.measured.counts))
        for one in self.contestants:
            own = one.odd(self.measured.scored[one.name])
            found += counted({**own, Odd.UNSCORED: self.measured.unscored(one.name)}, one.name)
        return tuple(found)


def _weights(weights: Weights, clip: float) -> WeightFigures:
    return WeightFigures(weights.n, weights.effective_sample_size, weights.largest, weights.share_clipped, clip)


def _of_log(quantities: Quantities, before: Before) -> tuple[Spread, Spread]:
    """The durations and watch times of what was shown before the split."""

    def spread(values: Floats, edges: Floats, shown: Ints) -> Spread:
        return spread_of(values, shown, edges)

    return (
        spread(quantities.duration_s, quantities.duration_edges, before.shown),
        spread(quantities.watch_s, quantities.watch_edges, np.asarray(before.shown)),
    )
