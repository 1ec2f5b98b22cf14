"""What an evaluation stands on: the snapshot, the test feeds, and what was known before the split."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.adapters.impressions import scan_log
from labelcraft.evaluation.before import Before, count_before
from labelcraft.evaluation.feeds import TestLog, Videos, open_feeds
from labelcraft.evaluation.propensities import open_propensities
from labelcraft.evaluation.slot_counts import count_slots
from labelcraft.evaluation.split_time import Split
from retrieval.config import Config
from retrieval.errors import ConfigError, TableError
from retrieval.log import Log, Statistics, from_us, make_log
from retrieval.metrics.propensity import METHODS, Curve, Method, estimate
from retrieval.schemas import IMPRESSIONS, INTERACTIONS, USERS
from retrieval.snapshot import Snapshot
from retrieval.systems import SystemConfig
from retrieval.tables import Columns as C
from retrieval.tables import load_catalogue, load_table

LOG_FILE = "impressions.parquet"


@dataclass(frozen=True)
class Setting:
    """*feeds* are the test feeds over the rows of *snapshot*, *before* what was shown earlier.

    *interactions* and *users* are the shop's tables; *examination* says in words where its probabilities are from.
    """

    tables: Path
    snapshot: Snapshot
    config: Config
    split: Split
    feeds: TestLog
    before: Before
    interactions: pl.DataFrame
    users: pl.DataFrame | None
    examination: str

    @cached_property
    def _logs(self) -> dict[str, Log]:
        return {}

    def log_of(self, config: SystemConfig) -> Log:
        """The catalogue's log with the events weighted as *config* says; no impressions are in it."""
        key = str(sorted(config.event_weights.items()))
        if key not in self._logs:
            self._logs[key] = make_log(
                self.interactions, None, self.users, videos=self.snapshot.videos, products=self.snapshot.products,
                event_weights=config.event_weights,
            )  # fmt: skip
        return self._logs[key]

    def statistics_of(self, config: SystemConfig) -> Statistics:
        """What was popular before the split; before any watch, videos are as popular as their products."""
        counted = self.log_of(config).statistics(self.split.at_us)
        if not self.before.watched.any():
            return counted
        return replace(counted, video_popularity=self.before.watched.astype(np.float32))


def make_setting(
    tables: Path,
    snapshot: Snapshot,
    config: Config,
    split: Split,
    propensities: Path | None = None,
    truth: pl.LazyFrame | None = None,
) -> Setting:
    """The setting of an evaluation.

    Args:
        propensities: a file of `lookreel evaluate propensities`; without it the log's own column is taken, and where
            there is none, a curve is estimated from what was shown before the split.
        truth: as of `open_feeds`.

    Raises:
        UserFacingError: a table cannot be used.
    """
    catalogue = load_catalogue(tables)
    videos = _videos(snapshot, catalogue.videos)
    known = {C.PRODUCT_ID: catalogue.products[C.PRODUCT_ID]}
    interactions = load_table(tables / "interactions.parquet", INTERACTIONS, known).frame
    users_file = tables / "users.parquet"
    users = load_table(users_file, USERS).frame if users_file.exists() else None
    file = tables / LOG_FILE
    curve, words = _examination(tables, split, propensities)
    feeds = open_feeds(file, split, videos, curve=curve, truth=truth)
    before = count_before(file, split.at_us, videos)
    return Setting(tables, snapshot, config, split, feeds, before, interactions, users, words)


def _examination(tables: Path, split: Split, given: Path | None) -> tuple[Curve | None, str]:
    """The curve to weight by, None for the log's own column, and where it is from."""
    if given is not None:
        opened = open_propensities(given)
        if opened.before_us > split.at_us:
            raise ConfigError(
                f"{given} was estimated from what was shown before {from_us(opened.before_us).isoformat()}, but the "
                f"test begins at {split.words}.",
                f"Estimate it again with --before {split.words}.",
            )
        return opened.curve, f"the curve {opened.curve.name} of {given.name}"
    column = {C.EXAMINATION_PROPENSITY: IMPRESSIONS.optional[C.EXAMINATION_PROPENSITY]}
    if C.EXAMINATION_PROPENSITY in scan_log(tables / LOG_FILE, column).collect_schema().names():
        return None, "the log's own column"
    method = Method.IMMERSIVE
    try:
        curve = estimate(method, count_slots(tables, split.at_us).counts)
    except ValueError as error:
        raise TableError(
            f"{tables / LOG_FILE} has no column {C.EXAMINATION_PROPENSITY}, and none can be estimated: {error}.",
            "Export a longer log, or give a curve with --propensities.",
        ) from error
    return curve, f"estimated before the split by the method {method}, which assumes that {METHODS[method].assumes}"


def _videos(snapshot: Snapshot, catalogue: pl.DataFrame) -> Videos:
    """By the snapshot's rows; a length that is null, 0 or endless is not known."""
    ids = snapshot.video_ids
    durations = np.full(len(ids), np.nan)
    if C.DURATION_S in catalogue.columns:
        rows = ids.rows(catalogue[C.VIDEO_ID])
        values = catalogue[C.DURATION_S].cast(pl.Float64).fill_null(np.nan).to_numpy()
        durations[rows[rows >= 0]] = np.where((values > 0) & np.isfinite(values), values, np.nan)[rows >= 0]
    return Videos(ids, durations, snapshot.published_us, catalogue[C.VIDEO_ID])
