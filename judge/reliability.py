"""How far to trust a judge, measured from its answers to `trials`. Pure."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from judge.agreement import Interval, alpha_of_rows, auc, of_two, paired_auc
from judge.canary_results import Canary, Status, answers_to, over_users, read_canaries
from judge.columns import J
from judge.raters import PAIR, Agreement, table_interval
from judge.trials import EXPERIMENT, VARIANT, Experiment
from retrieval.metrics.stats import Estimate
from retrieval.tables import Columns as C

_PLAIN = "__plain"


@dataclass(frozen=True)
class Stability:
    """How the expected score moves when what should not matter changes.

    *moved* is the mean over users of |changed − plain|, *drift* for each variant that of changed − plain; *same_grade*
    the share that keeps its grade; *alpha* Krippendorff's, of the grades of plain and all variants; *largest* the
    furthest that any score moved; *unscored* counts answers without a grade.
    """

    n_variants: int
    moved: Estimate
    drift: tuple[Estimate, ...]
    same_grade: Estimate
    alpha: Interval
    largest: float
    unscored: int


@dataclass(frozen=True)
class Preference:
    """Whether a user's videos are graded higher against the own history than against a stranger's.

    *auc* of all against all, *paired* of each video against itself, *gain* the mean difference over users.
    """

    auc: Interval
    paired: Interval
    gain: Estimate


@dataclass(frozen=True)
class Reliability:
    """All that was measured of one judge; None where an experiment was not made."""

    judge: str
    fingerprint: str
    rubric: str
    n_users: int
    n_videos: int
    n_answers: int
    n_unscored: int
    seed: int
    repeats: Stability | None
    rubric_orders: Stability | None
    history_orders: Stability | None
    stranger: Preference | None
    canaries: tuple[Canary, ...]
    agreements: tuple[Agreement, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the canaries that failed."""
        return tuple(canary.name for canary in self.canaries if canary.status is Status.FAILED)


@dataclass(frozen=True)
class Judged:
    """Who answered: the judge's name and fingerprint, the rubric's name, and the seed of the trials."""

    judge: str
    fingerprint: str
    rubric: str
    seed: int


def measure(answers: pl.DataFrame, of: Judged, agreements: tuple[Agreement, ...] = ()) -> Reliability:
    """All figures from the answers to trials.

    Args:
        answers: as from `judge.trials.table_of`.
    """
    rng = np.random.default_rng(of.seed)
    plain = answers_to(answers, Experiment.PLAIN)
    return Reliability(
        of.judge,
        of.fingerprint,
        of.rubric,
        plain[C.USER_ID].n_unique(),
        plain.height,
        answers.height,
        int(answers[J.EXPECTED].null_count()),
        of.seed,
        stability(answers, Experiment.REPEAT, rng),
        stability(answers, Experiment.RUBRIC_ORDER, rng),
        stability(answers, Experiment.HISTORY_ORDER, rng),
        preference(answers, rng),
        read_canaries(answers, rng),
        agreements,
    )


def _beside_plain(answers: pl.DataFrame, experiment: Experiment) -> pl.DataFrame:
    plain = answers_to(answers, Experiment.PLAIN).select(
        *PAIR, pl.col(J.EXPECTED).alias(_PLAIN), pl.col(J.GRADE).alias("plain_grade")
    )
    return answers_to(answers, experiment).join(plain, on=PAIR)


def stability(answers: pl.DataFrame, experiment: Experiment, rng: np.random.Generator) -> Stability | None:
    """How the scores move in one experiment; None where it was not made."""
    both = _beside_plain(answers, experiment).with_columns(
        (pl.col(J.EXPECTED) - pl.col(_PLAIN)).alias("moved"),
        (pl.col(J.GRADE) == pl.col("plain_grade")).cast(pl.Float64).alias("same"),
    )
    if both.is_empty():
        return None
    variants = both[VARIANT].unique().sort().to_list()
    furthest = both["moved"].abs().max()
    return Stability(
        len(variants),
        over_users(both, pl.col("moved").abs(), rng),
        tuple(over_users(both.filter(pl.col(VARIANT) == v), pl.col("moved"), rng) for v in variants),
        over_users(both, pl.col("same"), rng),
        _alpha_of_variants(both, rng),
        np.nan if furthest is None else float(furthest),  # type: ignore[arg-type]
        int(both[J.EXPECTED].null_count()),
    )


def _alpha_of_variants(both: pl.DataFrame, rng: np.random.Generator) -> Interval:
    plain = both.select(*PAIR, pl.lit(-1, pl.Int64).alias(VARIANT), pl.col("plain_grade").alias(J.GRADE)).unique()
    long = pl.concat([plain, both.select(*PAIR, VARIANT, J.GRADE)])
    wide = long.pivot(VARIANT, index=PAIR, values=J.GRADE).sort(PAIR)
    return table_interval(alpha_of_rows, wide, [name for name in wide.columns if name not in PAIR], rng)


def preference(answers: pl.DataFrame, rng: np.random.Generator) -> Preference | None:
    """Own history against a stranger's; None where it was not tried."""
    both = _beside_plain(answers, Experiment.STRANGER).sort(PAIR)
    if both.is_empty():
        return None
    columns = [_PLAIN, J.EXPECTED]
    return Preference(
        table_interval(of_two(auc), both, columns, rng),
        table_interval(of_two(paired_auc), both, columns, rng),
        over_users(both, pl.col(_PLAIN) - pl.col(J.EXPECTED), rng),
    )


def adjusted_scores(answers: pl.DataFrame) -> pl.DataFrame:
    """The expected score averaged over all turns of the rubric, in which each category stands once in every place.

    Returns:
        user_id, video_id, adjusted; null where the judge gave no grade in one of the turns, for then the average is
        no longer balanced. Only videos that were tried in all turns.
    """
    turned = answers.filter(pl.col(EXPERIMENT).is_in([Experiment.PLAIN.value, Experiment.RUBRIC_ORDER.value]))
    n_turns = turned.select(EXPERIMENT, VARIANT).n_unique()
    whole = pl.col(J.EXPECTED).is_not_null().all()
    return (
        turned.group_by(PAIR, maintain_order=True)
        .agg(pl.when(whole).then(pl.col(J.EXPECTED).mean()).alias(J.ADJUSTED), pl.len().alias("turns"))
        .filter((pl.col("turns") == n_turns) & (n_turns > 1))
        .select(*PAIR, J.ADJUSTED)
    )
