"""Users as given vectors: factors of what they touched in the catalogue (ALS), or the CLIP user tower.

The only module that imports `implicit`. What is made says, in the file's metadata, how and of what time: a training
refuses users that know what came after its split.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from labelcraft.feedback import Floats
from retrieval.errors import ConfigError, TableError, import_extra
from retrieval.folders import writing
from retrieval.log import Log, from_us, full_weights
from retrieval.recommend import USERS_AT_ONCE, parse_at
from retrieval.schemas import INTERACTIONS
from retrieval.snapshot import Snapshot
from retrieval.systems import SystemConfig, event_weights
from retrieval.tables import Columns as C
from retrieval.tables import load_table
from retrieval.towers.user import user_vectors

logger = logging.getLogger(__name__)

VECTOR = "vector"
ABOUT = b"lookreel"  # the key of the file's metadata
DAY_S = 86_400.0


@dataclass(frozen=True)
class AlsOptions:
    """Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), on the events of weight above 0.

    A user's confidence in a product is 1 + *alpha* times the summed weights of their events, which halve every
    *half_life_days* before the cut, 0 for never: tastes drift.
    """

    factors: int = 64
    regularization: float = 1.0
    alpha: float = 10.0
    iterations: int = 15
    half_life_days: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class UserVectors:
    """Vectors `(n_users, dim)` of users, float32, made of events before *before_us*; *about* says how."""

    ids: list[str]
    vectors: np.ndarray
    before_us: int
    about: Mapping[str, Any]


def als_vectors(interactions: pl.DataFrame, before_us: int, options: AlsOptions) -> UserVectors:
    """The users' factors of *interactions* `(user_id, product_id, event, occurred_at)` before *before_us*.

    The same seed gives the same bits: the work is done on one thread, and ids are sorted before they are numbered.

    Raises:
        TableError: nothing happened before that time.
        MissingExtraError: `implicit` is not installed.
    """
    counted = confidences(interactions, before_us, options.half_life_days)
    if counted.is_empty():
        raise TableError(
            f"No product was touched before {from_us(before_us).isoformat()}.", "Choose a later time, or a longer log."
        )
    users, products = (counted[column].unique().sort() for column in (C.USER_ID, C.PRODUCT_ID))
    factors = _factorise(
        counted[C.USER_ID].cast(pl.Enum(users)).to_physical().to_numpy(),
        counted[C.PRODUCT_ID].cast(pl.Enum(products)).to_physical().to_numpy(),
        counted["confidence"].to_numpy(),
        (len(users), len(products)),
        options,
    )
    return UserVectors(users.to_list(), factors, before_us, {"method": "als", **asdict(options)})


def confidences(interactions: pl.DataFrame, before_us: int, half_life_days: float = 0.0) -> pl.DataFrame:
    """(user_id, product_id, confidence): the summed weights of each pair's events before *before_us*."""
    time_us = pl.col(C.OCCURRED_AT).dt.timestamp("us")
    weight = pl.col(C.EVENT).replace_strict(full_weights({}), return_dtype=pl.Float64)
    if half_life_days:
        weight = weight * (2.0 ** ((time_us - before_us) / (half_life_days * DAY_S * 1e6)))
    known = interactions.filter(time_us < before_us).with_columns(weight.alias("confidence"))
    pairs = known.filter(pl.col("confidence") > 0).group_by(C.USER_ID, C.PRODUCT_ID).agg(pl.col("confidence").sum())
    return pairs.sort(C.USER_ID, C.PRODUCT_ID)


def _factorise(
    users: np.ndarray, products: np.ndarray, confidence: Floats, shape: tuple[int, int], options: AlsOptions
) -> np.ndarray:
    als = import_extra("implicit.cpu.als", "train")
    sparse, threads = import_extra("scipy.sparse", "train"), import_extra("threadpoolctl", "train")
    # Its own loops solve one small system a user; a thread pool of BLAS inside them costs ten times the work itself.
    with threads.threadpool_limits(1, "blas"):
        model = als.AlternatingLeastSquares(
            options.factors, options.regularization, options.alpha, iterations=options.iterations, num_threads=1,
            random_state=options.seed,
        )  # fmt: skip
        rows = sparse.csr_matrix((confidence.astype(np.float32), (users, products)), shape)
        model.fit(rows, show_progress=False)
    return np.asarray(model.user_factors, np.float32)


def clip_vectors(snapshot: Snapshot, log: Log, before_us: int, config: SystemConfig) -> UserVectors:
    """The CLIP user tower's vectors at *before_us*, of the users that touched a product by then.

    Raises:
        TableError: nobody did.
    """
    ids: list[str] = []
    parts = []
    for first in range(0, len(log.users), USERS_AT_ONCE):
        rows = np.arange(first, min(first + USERS_AT_ONCE, len(log.users)))
        events = log.events(rows, before_us, config.max_events)
        known = np.flatnonzero(events.lengths > 0)
        if len(known):
            offsets = np.append(events.offsets[known], events.offsets[-1])
            products = np.asarray(snapshot.space.product_vectors[events.product_rows])
            parts.append(user_vectors(products, event_weights(events, config.half_life_s), offsets).astype(np.float32))
            ids += [log.users.ids[row] for row in rows[known]]
    if not parts:
        raise TableError(
            f"No product of the snapshot was touched before {from_us(before_us).isoformat()}.", "Choose a later time."
        )
    about = {"method": "clip", "half_life_s": config.half_life_s, "encoder": snapshot.space.fingerprint}
    return UserVectors(ids, np.concatenate(parts), before_us, about)


def save_user_vectors(file: Path, made: UserVectors) -> None:
    """Write `user_vectors.parquet`: user_id and vector, and in its metadata how and of what time they are."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(made.vectors.ravel()), made.vectors.shape[1])
    table = pa.table({C.USER_ID: pa.array(made.ids, pa.string()), VECTOR: lists.cast(pa.list_(pa.float32()))})
    about = {"before": from_us(made.before_us).isoformat(), **made.about}
    with writing(file) as draft:
        pq.write_table(table.replace_schema_metadata({ABOUT: json.dumps(about)}), draft, compression="zstd")


def about_user_vectors(file: Path) -> dict[str, Any]:
    """What the metadata of a file of user vectors says; empty for one that others made."""
    said = (pq.read_schema(file).metadata or {}).get(ABOUT)
    return dict(json.loads(said)) if said else {}


def refuse_later(file: Path, split_us: int) -> None:
    """Refuse user vectors that say they know what came after *split_us*.

    Raises:
        ConfigError: with both times.
    """
    before = about_user_vectors(file).get("before")
    if before is not None and to_us_of(before) > split_us:
        raise ConfigError(
            f"{file} was made of events up to {before}, after the split at {from_us(split_us).isoformat()}.",
            f"Make it of what was known then: lookreel users embed --before {from_us(split_us).isoformat()}",
        )


def to_us_of(text: str) -> int:
    """The microseconds of a time that `from_us` wrote."""
    time_us = parse_at(text)
    assert time_us is not None  # it is None for no text alone
    return time_us


def load_interactions(folder: Path) -> pl.DataFrame:
    """The usable interactions of a shop's folder."""
    return load_table(folder / "interactions.parquet", INTERACTIONS).frame
