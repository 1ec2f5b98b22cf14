"""What is to be judged: lists of recommendations, read and checked or made, and of whom and how much of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from judge.histories import last_products
from retrieval.config import load_config
from retrieval.errors import UserFacingError
from retrieval.recommend import log_of, recommend_all
from retrieval.schemas import NUMBER, TEXT, TIME, WHOLE, Fault, Schema
from retrieval.snapshot import open_snapshot
from retrieval.tables import Columns as C
from retrieval.tables import Tables, load_table

Progress = Callable[[int, int], None]
_COLUMNS = {
    C.SYSTEM: TEXT, C.USER_ID: TEXT, C.VIDEO_ID: TEXT, C.RANK: WHOLE, C.SCORE: NUMBER, C.RECOMMENDED_AT: TIME,
    C.SNAPSHOT: TEXT,
}  # fmt: skip
RECOMMENDATIONS = Schema(
    "recommendations",
    key=(C.SYSTEM, C.USER_ID, C.VIDEO_ID),
    required=_COLUMNS,
    optional={},
    faults=(
        *(
            Fault(f"{name} is null", lambda _, name=name: pl.col(name).is_null())  # type: ignore[misc]
            for name in _COLUMNS
            if name != C.SCORE
        ),
        Fault("rank is below 1", lambda _: pl.col(C.RANK) < 1),
    ),
)


def load_recommendations(path: Path, snapshot: str) -> pl.DataFrame:
    """The recommendations of a file, all made from the version *snapshot*.

    Raises:
        UserFacingError: the file cannot be used, or is of another snapshot.
    """
    table = load_table(path, RECOMMENDATIONS).frame
    others = table.filter(pl.col(C.SNAPSHOT) != snapshot)
    if not others.is_empty():
        raise UserFacingError(
            f"{path} is of version {others[C.SNAPSHOT][0]} of a snapshot, and --snapshot is version {snapshot}.",
            "Recommend again: lookreel recommend --all, or name the snapshot it was made from.",
        )
    return table


def make_recommendations(
    snapshot: Path, tables: Tables, systems: Sequence[str], k: int, progress: Progress = lambda done, total: None
) -> pl.DataFrame:
    """The recommendations of each of *systems* to all users at the end of the log.

    Raises:
        UserFacingError: there is no such snapshot or system.
    """
    config = load_config()
    chosen = {name: config.system(name) for name in dict.fromkeys(systems)}
    opened = open_snapshot(snapshot)
    parts = []
    for name, system in chosen.items():
        log = log_of(opened, tables, system)
        parts.append(recommend_all(opened, log, k, name, system, log.end_us, system.where, progress))
    return pl.concat(parts)


@dataclass(frozen=True)
class Selection:
    """The lists to judge.

    *lists* are the rows of the recommendations that are asked for; *histories* hold user_id, recommended_at and
    product_ids of each shopper in them. *n_candidates* counts the users whom all systems recommend to and who looked
    at something before; *without_history* those who did not.
    """

    lists: pl.DataFrame
    histories: pl.DataFrame
    n_candidates: int
    without_history: int

    @property
    def n_users(self) -> int:
        return self.lists[C.USER_ID].n_unique()


def select_lists(
    recommendations: pl.DataFrame, interactions: pl.DataFrame, k: int, n_users: int | None, seed: int
) -> Selection:
    """The top *k* of each system for the same users: *n_users* of them, drawn by *seed*.

    Drawn are users whom every system recommends to and who looked at something before. None means all users of any
    system, those without a history too.

    Raises:
        UserFacingError: there is no user to draw.
    """
    who = [C.USER_ID, C.RECOMMENDED_AT]
    top = recommendations.filter(pl.col(C.RANK) <= k)
    histories = last_products(interactions, top.select(who).unique(maintain_order=True))
    known = histories.group_by(C.USER_ID).agg(pl.col(C.PRODUCT_IDS).list.len().min().alias("least"))
    systems = top.group_by(C.USER_ID).agg(pl.col(C.SYSTEM).n_unique().alias("systems"))
    n_systems = top[C.SYSTEM].n_unique()
    in_all = systems.filter(pl.col("systems") == n_systems).join(known, on=C.USER_ID)
    candidates = in_all.filter(pl.col("least") > 0)[C.USER_ID].sort()
    if n_users is not None:
        if candidates.is_empty():
            raise UserFacingError(
                "No user whom all systems recommend to had looked at a product before.",
                "Check that --tables are those that the recommendations were made from.",
            )
        drawn = np.random.default_rng(seed).permutation(len(candidates))[:n_users]
        users = candidates[drawn.tolist()].implode()
        top = top.filter(pl.col(C.USER_ID).is_in(users))
        histories = histories.filter(pl.col(C.USER_ID).is_in(users))
    return Selection(top, histories, len(candidates), in_all.height - len(candidates))
