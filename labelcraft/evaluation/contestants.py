"""The systems that are compared: those of the snapshot, trained runs, outside scores, and the order as delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.evaluation.counted import Odd
from labelcraft.evaluation.feeds import Floats, Part
from labelcraft.evaluation.scoring import (
    FileScorer,
    GivenScorer,
    MultimodalScorer,
    RandomScorer,
    Scorer,
    StaticScorer,
)
from labelcraft.evaluation.setting import Setting
from retrieval.conventional import GivenSpace, open_vectors
from retrieval.errors import ConfigError, TableError
from retrieval.log import from_us
from retrieval.schemas import NUMBER, TEXT
from retrieval.systems import (
    ConventionalSystem,
    MultimodalSystem,
    RandomSystem,
    StaticSystem,
    System,
    SystemConfig,
    SystemKind,
)
from retrieval.tables import Columns as C

DELIVERED = "as delivered"
OUTSIDE = "outside"


@dataclass(frozen=True)
class ScoreRows:
    """What a file of scores holds of one system: *usable* rows, *bad* ones, and those that stand *twice*."""

    usable: int
    bad: int
    twice: int


@dataclass(frozen=True)
class Contestant:
    """A way to rank by its *name*. *system* and *config* make lists; None where only scores are known.

    *rows* tells of the file of an outside system.
    """

    name: str
    kind: str
    scorer: Scorer
    system: System | None = None
    config: SystemConfig | None = None
    rows: ScoreRows | None = None

    def odd(self, n_scored: int) -> dict[Odd, int]:
        """What was odd in its scores, of which *n_scored* slots have one."""
        if self.rows is None:
            return {}
        others = max(0, self.rows.usable - n_scored)
        return {Odd.OTHER_FEEDS: others, Odd.BAD_SCORE: self.rows.bad, Odd.SCORED_TWICE: self.rows.twice}


@dataclass(frozen=True)
class DeliveredScorer:
    """The logged order itself: what naive figures favour."""

    probabilities: bool = False

    def score(self, part: Part) -> Floats:
        return -part.positions.astype(np.float64)


def make_contestants(
    setting: Setting, systems: Sequence[str], runs: Mapping[str, Path], scores: Path | None
) -> tuple[Contestant, ...]:
    """Everything to compare, each name once; the order as delivered comes last.

    Raises:
        ConfigError: a name stands twice, or a training saw what came after the split.
        UserFacingError: a system, run or file of scores cannot be used.
    """
    made = [_of_config(setting, name, setting.config.system(name)) for name in systems]
    made += [_of_run(setting, name, folder) for name, folder in runs.items()]
    made += _of_file(setting, scores) if scores else []
    names = [one.name for one in made]
    again = next((name for name in names if names.count(name) > 1 or name == DELIVERED), None)
    if again is not None:
        raise ConfigError(
            f"There are two systems called {again}.",
            f"Give each its own name: by --runs NAME=RUN, or in the column {C.SYSTEM} of --scores.",
        )
    return (*made, Contestant(DELIVERED, DELIVERED, DeliveredScorer()))


def _of_config(setting: Setting, name: str, config: SystemConfig) -> Contestant:
    given = setting.snapshot.conventional
    if config.kind is SystemKind.CONVENTIONAL and given is not None:
        _require_trained_before(setting, name, given)
    system = setting.snapshot.system(config, setting.split.at_us, setting.statistics_of(config))
    return Contestant(name, config.kind.value, _scorer(setting, system, config), system, config)


def _scorer(setting: Setting, system: System, config: SystemConfig) -> Scorer:
    match system:
        case StaticSystem():
            return StaticScorer(system.scores)
        case RandomSystem():
            return RandomScorer(system, system.keys(setting.feeds.users.ids))
        case MultimodalSystem():
            log = setting.log_of(config)
            rows = log.users.rows(setting.feeds.users.ids)
            return MultimodalScorer(system, log, rows, setting.snapshot.space.video_vectors, config.max_events)
        case ConventionalSystem():
            return GivenScorer(system.given, system.given.of_users(setting.feeds.users.ids).vectors)
    raise TypeError(f"{type(system).__name__} cannot be scored")


def _of_run(setting: Setting, name: str, folder: Path) -> Contestant:
    space = GivenSpace.of(open_vectors(folder), setting.snapshot.video_ids.ids)
    _require_trained_before(setting, name, space)
    config = replace(SystemConfig(), kind=SystemKind.CONVENTIONAL)
    system = ConventionalSystem(space)
    return Contestant(name, config.kind.value, _scorer(setting, system, config), system, config)


def _require_trained_before(setting: Setting, name: str, space: GivenSpace) -> None:
    if space.trained_before_us > setting.split.at_us:
        raise ConfigError(
            f"{name} was trained on what came before {from_us(space.trained_before_us).isoformat()}, but the test "
            f"begins at {setting.split.words}: it has seen answers.",
            f"Train it with --before {setting.split.words}, or split later.",
        )


def _of_file(setting: Setting, file: Path) -> list[Contestant]:
    """The systems of a file of scores.

    Raises:
        TableError: it cannot be read, lacks a column or has one of another type, or has no row of a system.
    """
    if not file.is_file():
        raise TableError(f"There is no file of scores {file}.", "Write system, feed_id, video_id and score as parquet.")
    scan = pl.scan_parquet(file)
    try:
        _require_columns(file, scan.collect_schema())
        ids = pl.col(C.SYSTEM, C.FEED_ID, C.VIDEO_ID).cast(pl.String)  # nulls alone have no type
        scan = scan.with_columns(ids)
        systems = scan.select(pl.col(C.SYSTEM).drop_nulls().unique()).collect()[C.SYSTEM].sort().to_list()
        if not systems:
            raise TableError(f"{file} has no scores of any system.", "Write system, feed_id, video_id and score.")
        return [_of_scores(setting, scan, name) for name in systems]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{file} cannot be read as parquet: {error}.", "Write it again as a parquet file.") from error


def _require_columns(file: Path, types: pl.Schema) -> None:
    missing = [name for name in (C.SYSTEM, C.FEED_ID, C.VIDEO_ID, C.SCORE) if name not in types]
    if missing:
        raise TableError(f"{file} has no column {missing[0]}; it has {', '.join(types)}.", "Add it.")
    for name, wanted in {C.SYSTEM: TEXT, C.FEED_ID: TEXT, C.VIDEO_ID: TEXT, C.SCORE: NUMBER}.items():
        if not wanted.accepts(types[name]) and types[name] != pl.Null:
            raise TableError(
                f"{file}: column {name} is {types[name]}, not {wanted.words}.", f"Before writing it, {wanted.cure}."
            )


def _of_scores(setting: Setting, scan: pl.LazyFrame, system: str) -> Contestant:
    """One system of a file: of its finite scores the first of each feed and video."""
    score = pl.col(C.SCORE).cast(pl.Float64, strict=False)
    own = scan.filter(pl.col(C.SYSTEM) == system).with_columns(score)
    finite = own.filter(score.is_finite())
    once = finite.unique([C.FEED_ID, C.VIDEO_ID], keep="first", maintain_order=True)
    n, n_finite, n_once = (int(rows.select(pl.len()).collect().item()) for rows in (own, finite, once))
    rows = ScoreRows(n_once, n - n_finite, n_finite - n_once)
    return Contestant(system, OUTSIDE, FileScorer(once, setting.snapshot.video_ids), rows=rows)
