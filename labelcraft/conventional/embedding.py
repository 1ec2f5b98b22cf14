"""The job of `lookreel users embed`: from a shop's tables to a file of user vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labelcraft.conventional.user_vectors import (
    AlsOptions,
    UserVectors,
    als_vectors,
    clip_vectors,
    load_interactions,
    save_user_vectors,
)
from labelcraft.evaluation.split_time import find_split
from retrieval.errors import ConfigError
from retrieval.log import from_us
from retrieval.recommend import log_of, parse_at
from retrieval.snapshot import open_snapshot
from retrieval.systems import SystemConfig
from retrieval.tables import load_tables


@dataclass(frozen=True)
class EmbedRequest:
    """All choices of `lookreel users embed`; *snapshot* is of the method clip alone, *factors* and *seed* of als."""

    tables: Path
    out: Path
    method: str = "als"
    snapshot: Path | None = None
    before: str | None = None
    test_days: float | None = None
    factors: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Embedded:
    """What was written: vectors of *users*, and how many users of the tables are *without* one."""

    out: str
    method: str
    before: str
    users: int
    without: int
    dim: int


def embed(request: EmbedRequest) -> Embedded:
    """Make and write the users' vectors.

    Raises:
        ConfigError: there is no such method, or clip has no snapshot.
        TableError: a table cannot be used, or nothing happened before the time.
    """
    if request.method not in METHODS:
        raise ConfigError(f"--method is {request.method!r}.", f"Choose one of {', '.join(METHODS)}.")
    before_us = _time_of(request)
    made, n_users = METHODS[request.method](request, before_us)
    save_user_vectors(request.out, made)
    without = n_users - len(made.ids)
    before = from_us(before_us).isoformat()
    return Embedded(str(request.out), request.method, before, len(made.ids), without, made.vectors.shape[1])


def _time_of(request: EmbedRequest) -> int:
    """A time that is given needs no impressions: users can be embedded before there is a feed."""
    if request.before is not None and request.test_days is None:
        before_us = parse_at(request.before)
        assert before_us is not None  # it is None for no text alone
        return before_us
    impressions = request.tables / "impressions.parquet"
    return find_split(impressions, test_days=request.test_days, at=request.before).at_us


def _als(request: EmbedRequest, before_us: int) -> tuple[UserVectors, int]:
    interactions = load_interactions(request.tables)
    options = AlsOptions(factors=request.factors, seed=request.seed)
    return als_vectors(interactions, before_us, options), interactions["user_id"].n_unique()


def _clip(request: EmbedRequest, before_us: int) -> tuple[UserVectors, int]:
    if request.snapshot is None:
        raise ConfigError("The method clip needs a snapshot's products.", "Add --snapshot FOLDER, or --method als.")
    snapshot, config = open_snapshot(request.snapshot), SystemConfig()
    log = log_of(snapshot, load_tables(request.tables), config)
    return clip_vectors(snapshot, log, before_us, config), len(log.users)


METHODS: Mapping[str, Callable[[EmbedRequest, int], tuple[UserVectors, int]]] = {"als": _als, "clip": _clip}
