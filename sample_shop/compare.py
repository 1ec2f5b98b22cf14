"""The systems side by side on a built shop, measured with what only its generator knows.

For the held-out shoppers (every second one; what is popular is counted on the others) each system recommends the ten
best unseen videos at the end of the log. Measured are the true interest on the last day, the overlap with the history
in kind, colour and brand, visual coherence by content embeddings, and the share of the catalogue that is shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.store import S, Store
from retrieval.errors import StoreError
from retrieval.index.protocol import take_best
from retrieval.log import Log
from retrieval.metrics.coherence import attribute_overlap, mean_present, mean_rows, visual_coherence
from retrieval.metrics.stats import Estimate, bootstrap_mean
from retrieval.ragged import Ragged, group
from retrieval.recommend import audience_of, log_of
from retrieval.snapshot import Snapshot
from retrieval.systems import Audience, SystemConfig, SystemKind
from retrieval.tables import Columns as C
from retrieval.tables import Tables
from sample_shop.truth import DAY, INTEREST

BASELINE = SystemKind.RECENCY.value
ORACLE = "oracle"
OVERLAP = "attribute overlap"
TRUE_INTEREST = "true interest"
COHERENCE = "visual coherence"
ATTRIBUTES = (C.CATEGORY, C.COLOR, C.BRAND)


@dataclass(frozen=True)
class Measured:
    """One system by one measure: over users, and the paired difference to recency."""

    system: str
    measure: str
    value: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Comparison:
    """All systems by all measures. *coverage* is the share of eligible videos in anybody's list, by system."""

    measured: tuple[Measured, ...]
    coverage: Mapping[str, float]
    n_users: int
    k: int

    def of(self, system: str, measure: str) -> Measured:
        """What was measured of one system."""
        return next(m for m in self.measured if (m.system, m.measure) == (system, measure))


@dataclass(frozen=True)
class Setting:
    """Whom and what is compared on: *interest* `(n_users, n_videos)` is true, *eligible* `(n_videos,)`."""

    snapshot: Snapshot
    log: Log
    audience: Audience
    interest: NDArray[np.float64]
    eligible: NDArray[np.bool_]


def compare(setting: Setting, content: Store, k: int = 10, seed: int = 0) -> Comparison:
    """Measure every system, and the oracle that ranks by true interest.

    Args:
        content: a store of the products' content embeddings, of another encoder than the snapshot's.
        seed: of the bootstrap.

    Raises:
        StoreError: *content* was made by the snapshot's own encoder, so that the ranker would grade itself.
    """
    if content.manifest.fingerprint == setting.snapshot.space.fingerprint:
        raise StoreError(
            f"{content.path} was made by {content.manifest.encoder}, which also ranks: it would grade itself.",
            "Embed the products with --model content.",
        )
    lists = rank_all(setting, k)
    measures = _measures(setting, content)
    per_user = {(name, what): measure(rows) for name, rows in lists.items() for what, measure in measures.items()}
    rng = np.random.default_rng(seed)
    measured = tuple(
        Measured(name, what, bootstrap_mean(values, rng), bootstrap_mean(values - per_user[BASELINE, what], rng))
        for (name, what), values in per_user.items()
    )
    n_eligible = int(setting.eligible.sum())
    coverage = {name: len(np.unique(rows[rows >= 0])) / n_eligible for name, rows in lists.items()}
    return Comparison(measured, coverage, len(setting.audience), k)


def make_setting(shop: Path, tables: Tables, snapshot: Snapshot) -> Setting:
    """The held-out shoppers at the end of the log."""
    config = SystemConfig()
    log = log_of(snapshot, tables, config)
    held_out = np.arange(1, len(log.users), 2)
    audience = audience_of(log, held_out, log.end_us, config)
    return Setting(snapshot, log, audience, _true_interest(shop, snapshot, audience), snapshot.eligible(log.end_us, ()))


def rank_all(setting: Setting, k: int) -> dict[str, NDArray[np.int64]]:
    """The rows `(n_users, k)` that each system and the oracle recommend."""
    statistics = setting.log.statistics(
        setting.log.end_us, without_users=setting.log.users.rows(setting.audience.user_ids)
    )
    lists = {}
    for kind in setting.snapshot.kinds:
        system = setting.snapshot.system(SystemConfig(kind=kind), setting.log.end_us, statistics)
        lists[kind.value] = system.rank(setting.audience, k, setting.eligible).neighbours.rows
    return lists | {ORACLE: _oracle(setting, k)}


def _oracle(setting: Setting, k: int) -> NDArray[np.int64]:
    interest = np.where(setting.eligible, setting.interest, -np.inf).astype(np.float32)
    seen = setting.audience.seen
    interest[np.repeat(np.arange(len(seen)), seen.lengths), seen.values] = -np.inf
    return take_best(np.broadcast_to(np.arange(interest.shape[1]), interest.shape), interest, k).rows


def _true_interest(shop: Path, snapshot: Snapshot, audience: Audience) -> NDArray[np.float64]:
    """`(n_users, n_videos)` on the last day of the log."""
    truth = pl.scan_parquet(shop / "truth.parquet").filter(
        (pl.col(DAY) == pl.col(DAY).max()) & pl.col(C.USER_ID).is_in(list(audience.user_ids))
    )
    table = truth.select(C.USER_ID, C.VIDEO_ID, INTEREST).collect()
    users = {user_id: row for row, user_id in enumerate(audience.user_ids)}
    rows = table[C.USER_ID].replace_strict(users, return_dtype=pl.Int64).to_numpy()
    columns = snapshot.video_ids.rows(table[C.VIDEO_ID])
    interest = np.full((len(audience), len(snapshot.video_ids)), np.nan)
    interest[rows[columns >= 0], columns[columns >= 0]] = table[INTEREST].to_numpy()[columns >= 0]
    return interest


Measure = Callable[[NDArray[np.int64]], NDArray[np.float64]]


def _measures(setting: Setting, content: Store) -> dict[str, Measure]:
    """What is measured of lists `(n_users, k)`, each as one value per user."""
    events = setting.audience.events
    histories = Ragged(events.product_rows, events.offsets)
    videos = _products_shown(setting.snapshot)
    vectors = _content_vectors(setting.snapshot, content)
    looks = mean_rows(vectors, histories), mean_rows(vectors, videos)
    codes = [_codes(setting.snapshot.products[name]) for name in ATTRIBUTES]

    def interest(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        taken = np.take_along_axis(setting.interest, np.maximum(rows, 0), 1)
        return mean_present(np.where(rows >= 0, taken, np.nan))

    def overlap(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.mean([attribute_overlap(code, histories, videos, rows) for code in codes], axis=0))

    return {TRUE_INTEREST: interest, OVERLAP: overlap, COHERENCE: lambda rows: visual_coherence(*looks, rows)}


def _products_shown(snapshot: Snapshot) -> Ragged:
    lists = snapshot.videos[C.PRODUCT_IDS]
    rows = snapshot.product_ids.rows(lists.explode(empty_as_null=False))
    owners = np.repeat(np.arange(len(lists)), lists.list.len().to_numpy())
    return group(owners[rows >= 0], rows[rows >= 0], len(lists))


def _content_vectors(snapshot: Snapshot, content: Store) -> NDArray[np.float64]:
    """In the order of the snapshot's products; a product without a picture has the mean of the others."""
    rows = snapshot.product_ids.rows(content.items[S.ITEM_ID])
    vectors = np.full((len(snapshot.product_ids), content.manifest.dim), np.nan)
    vectors[rows[rows >= 0]] = content.vectors[rows >= 0]
    return np.where(np.isnan(vectors), np.nanmean(vectors, axis=0), vectors)


def _codes(column: pl.Series) -> NDArray[np.int64]:
    return column.fill_null("").rank("dense").cast(pl.Int64).to_numpy() - 1
