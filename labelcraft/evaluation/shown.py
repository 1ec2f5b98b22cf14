"""What the lists at the split show: how unevenly, how popular, how long, how coherent, and how grades fall."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.evaluation.before import Before
from labelcraft.evaluation.contestants import Contestant
from labelcraft.evaluation.feeds import Bools, Floats
from labelcraft.evaluation.lists import Content, Listed, Lists, coherence
from labelcraft.evaluation.results import Norms, Shown, Spread
from labelcraft.evaluation.setting import Setting
from retrieval.errors import TableError
from retrieval.half import wide
from retrieval.index.protocol import take_best
from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.skew import average_popularity, exposure_measures, exposure_of, gini, skewness, with_intervals
from retrieval.metrics.stats import Estimate, bootstrap_mean
from retrieval.ragged import Ints
from retrieval.schemas import NUMBER, TEXT
from retrieval.systems import MultimodalSystem
from retrieval.tables import Columns as C

N_BINS = 20
SKEW_RESAMPLES = 200  # each is a sort of the catalogue
TOPS = (10, 100)
TOGETHER = "_together"
EXPECTED, GRADE = "expected", "grade"


@dataclass(frozen=True)
class Quantities:
    """Bins of the log's durations and of videos' mean watch times; both by video `(n_videos,)`, NaN where unknown."""

    duration_s: Floats
    watch_s: Floats
    duration_edges: Floats
    watch_edges: Floats


def quantities_of(duration_s: Floats, before: Before) -> Quantities:
    """The bins reach to the 99th percentile of the videos; what is longer counts in the last."""
    with np.errstate(invalid="ignore", divide="ignore"):
        watch_s = np.where(before.reached > 0, before.watch_s / before.reached, np.nan)
    return Quantities(duration_s, watch_s, _edges(duration_s), _edges(watch_s))


def _edges(values: Floats) -> Floats:
    top = float(np.quantile(known, 0.99)) if len(known := values[np.isfinite(values)]) else 0.0
    return np.linspace(0.0, top or 1.0, N_BINS + 1)  # where nobody watched for a second, bins must still have a width


def spread_of(values: Floats, weights: Ints, edges: Floats) -> Spread:
    """How *values* `(n_videos,)` are spread when each counts *weights* times.

    >>> spread_of(np.array([1.0, 3.0]), np.array([3, 1]), np.array([0.0, 2.0, 4.0]))
    Spread(shares=(0.75, 0.25), median=1.0)
    """
    counted = np.isfinite(values) & (weights > 0)
    values, weights = values[counted], weights[counted]
    if not len(values):
        return Spread((0.0,) * (len(edges) - 1), float("nan"))
    inside = np.clip(values, edges[0], edges[-1])
    shares = np.histogram(inside, edges, weights=weights)[0] / weights.sum()
    order = np.argsort(values)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return Spread(tuple(shares.tolist()), float(values[order][middle]))


def shown_figures(
    setting: Setting, lists: Lists, quantities: Quantities, k: int, content: Content | None, grades: Path | None,
    seed: int,
) -> dict[str, Shown]:  # fmt: skip
    """The figures of every system that makes lists."""
    looks = {top: coherence(setting, lists, content, top) for top in TOPS} if content else {}
    graded = load_grades(grades) if grades else None
    rng = np.random.default_rng(seed)
    return {
        name: Shown(
            _exposure(setting, lists, one, k, seed),
            spread_of(quantities.duration_s, _counts(one, k, lists), quantities.duration_edges),
            spread_of(quantities.watch_s, _counts(one, k, lists), quantities.watch_edges),
            float(one.fallback.mean()) if len(one.fallback) else float("nan"),
            {top: bootstrap_mean(values[name], rng) for top, values in looks.items()},
            {} if graded is None else {top: _graded(setting, lists, one, graded, top, rng) for top in TOPS},
        )
        for name, one in lists.by_system.items()
    }


def _counts(one: Listed, k: int, lists: Lists) -> Ints:
    return exposure_of(one.rows[:, :k], len(lists.eligible))


def _exposure(setting: Setting, lists: Lists, one: Listed, k: int, seed: int) -> dict[str, Estimate]:
    """Over the videos that may be shown, those that nobody is shown among them."""
    places = np.cumsum(lists.eligible) - 1
    rows = one.rows[:, :k]
    within = np.where(rows >= 0, places[rows], -1)
    watched = setting.before.watched[lists.eligible].astype(np.float64)
    together = setting.before.together[lists.eligible].astype(np.float64)
    measures = exposure_measures(watched) | {
        f"average_popularity{TOGETHER}": lambda exposure: average_popularity(exposure, together),
        f"popularity_skewness{TOGETHER}": lambda exposure: skewness(together[exposure > 0]),
    }
    return with_intervals(within, int(lists.eligible.sum()), measures, Bootstrap(SKEW_RESAMPLES, seed))


def load_grades(file: Path) -> pl.DataFrame:
    """The grades of user and video, the mean where several judges or rubrics gave one.

    Raises:
        TableError: the file cannot be read, lacks a column or has one of another type.
    """
    try:
        table = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{file} cannot be read as parquet: {error}.", "Make it: lookreel judge report") from error
    column = EXPECTED if EXPECTED in table.columns else GRADE
    missing = [name for name in (C.USER_ID, C.VIDEO_ID, column) if name not in table.columns]
    if missing:
        raise TableError(f"{file} has no column {missing[0]}; it has {', '.join(table.columns)}.", "Add it.")
    for name, wanted in {C.USER_ID: TEXT, C.VIDEO_ID: TEXT, column: NUMBER}.items():
        if not wanted.accepts(table.schema[name]) and table.schema[name] != pl.Null:
            raise TableError(
                f"{file}: column {name} is {table.schema[name]}, not {wanted.words}.",
                f"Before writing it, {wanted.cure}.",
            )
    grade = pl.col(column).cast(pl.Float64).mean().alias(GRADE)
    return table.drop_nulls(column).group_by(C.USER_ID, C.VIDEO_ID).agg(grade)


def _graded(
    setting: Setting, lists: Lists, one: Listed, grades: pl.DataFrame, top: int, rng: np.random.Generator
) -> Estimate:
    """The mean grade of each user's top videos that have one."""
    rows = one.rows[:, :top]
    user, place = np.nonzero(rows >= 0)
    shown = pl.DataFrame({"user": user, "row": rows[user, place]})
    known = grades.with_columns(
        user=pl.Series(_places(lists.user_ids, grades[C.USER_ID].to_list()), dtype=pl.Int64),
        row=pl.Series(setting.snapshot.video_ids.rows(grades[C.VIDEO_ID]), dtype=pl.Int64),
    ).filter((pl.col("user") >= 0) & (pl.col("row") >= 0))
    means = shown.join(known, on=["user", "row"]).group_by("user").agg(pl.col(GRADE).mean())
    values = np.full(len(lists.user_ids), np.nan)
    values[means["user"].to_numpy()] = means[GRADE].to_numpy()
    return bootstrap_mean(values, rng)


def _places(known: list[str], wanted: list[str]) -> list[int]:
    place_of = {name: place for place, name in enumerate(known)}
    return [place_of.get(name, -1) for name in wanted]


def norm_figures(
    setting: Setting, contestants: Mapping[str, Contestant], lists: Lists, duration_s: Floats, k: int
) -> Norms | None:
    """How vector lengths go with duration, for the first multimodal system; None without one or without durations."""
    name = next((name for name, one in contestants.items() if isinstance(one.system, MultimodalSystem)), None)
    known = np.isfinite(duration_s)
    if name is None or len(np.unique(duration_s[known])) < 3:
        return None  # one length for all has no correlation with anything
    system, config = contestants[name].system, contestants[name].config
    if not isinstance(system, MultimodalSystem) or config is None:
        return None
    vectors = wide(np.asarray(setting.snapshot.space.video_vectors[np.arange(len(duration_s))]))
    lengths = np.linalg.norm(vectors, axis=1)
    users = contestants[name].scorer
    as_is = _by_vectors(setting, users, lists, vectors, k)
    unit = _by_vectors(setting, users, lists, vectors / np.maximum(lengths, 1e-12)[:, None], k)
    figures = [_of_rows(rows, duration_s, lists.eligible) for rows in (as_is, unit)]
    return Norms(
        name, _spearman(lengths[known], duration_s[known]), int(known.sum()),
        figures[0][0], figures[1][0], figures[0][1], figures[1][1],
    )  # fmt: skip


def _by_vectors(setting: Setting, scorer: object, lists: Lists, vectors: Floats, k: int) -> Ints:
    """The top *k* of each listed user by dot product, without rules and whatever they have seen."""
    from labelcraft.evaluation.scoring import MultimodalScorer

    if not isinstance(scorer, MultimodalScorer):
        raise TypeError("only a multimodal system has users' vectors")
    rows = scorer.log.users.rows(lists.user_ids)
    users = scorer.user_vectors(rows, np.full(len(rows), setting.split.at_us, np.int64))
    best = []
    for first in range(0, len(users), 256):
        scores = (users[first : first + 256].astype(np.float64) @ vectors.T).astype(np.float32)
        scores[:, ~lists.eligible] = -np.inf
        best.append(take_best(np.broadcast_to(np.arange(len(vectors)), scores.shape), scores, k).rows)
    return np.concatenate(best)


def _of_rows(rows: Ints, duration_s: Floats, eligible: Bools) -> tuple[float, float]:
    exposure = exposure_of(rows, len(eligible))
    return spread_of(duration_s, exposure, np.array([0.0, 1.0])).median, gini(exposure[eligible])


def _spearman(one: Floats, other: Floats) -> float:
    """The correlation of ranks; NaN where one of the two is constant."""
    ranks = [pl.Series(values).rank().to_numpy() for values in (one, other)]
    if any(np.ptp(values) == 0 for values in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
