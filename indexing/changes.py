"""What differs between a version and the tables and stores of now: pure functions over ids and content hashes."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.stacked import Placement

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """How a table's items differ from those of the version before.

    *attributes* counts the items of which only the row changed, *left_out* the rows without a vector.
    """

    added: int
    replaced: int
    deleted: int
    attributes: int
    unchanged: int
    left_out: int

    @property
    def any(self) -> bool:
        return bool(self.added or self.replaced or self.deleted or self.attributes)


@dataclass(frozen=True)
class NextRows:
    """The rows of the next version, in its order: those that stay keep theirs, new ones follow in the table's.

    *table_rows* `(n,)` are rows of the table; *old_rows* those of the version before, −1 for new items; *fresh* is true
    where the store has another content than the version before.
    """

    table_rows: Ints
    old_rows: Ints
    fresh: NDArray[np.bool_]


def next_rows(
    table_ids: pl.Series, old: pl.DataFrame, stored: pl.DataFrame, *, whole: bool, gone: pl.Series, anew: bool = False
) -> NextRows:
    """The rows of the table's items that have a vector, be it in the version before or in the store.

    Args:
        old: `id` and `hash` of the version before, in its order.
        stored: `id` and `hash` of what the store holds, by its latest shard.
        whole: *stored* is all that the store holds; else what the version before holds is in the store too.
        gone: ids that a later shard set aside.
        anew: every vector has changed, whatever the hashes say.
    """
    rows = (
        pl.DataFrame({"id": table_ids})
        .with_row_index("table")
        .join(old.with_row_index("old"), on="id", how="left", maintain_order="left")
        .join(stored.select("id", now="hash"), on="id", how="left", maintain_order="left")
    )
    in_store = pl.col("now").is_not_null()
    lives = in_store if whole else in_store | (pl.col("old").is_not_null() & ~pl.col("id").is_in(gone.implode()))
    differs = pl.lit(anew) | pl.col("old").is_null() | (pl.col("now") != pl.col("hash"))
    rows = rows.filter(lives).with_columns(fresh=in_store & differs).sort("old", nulls_last=True, maintain_order=True)
    old_rows = rows["old"].cast(pl.Int64).fill_null(-1).to_numpy()
    return NextRows(rows["table"].cast(pl.Int64).to_numpy(), old_rows, rows["fresh"].to_numpy())


def count_changes(rows: NextRows, table: pl.DataFrame, old: pl.DataFrame) -> Changes:
    """How many items of each kind of change *rows* bring from the table *old* to *table*."""
    stays = rows.old_rows >= 0
    same_content = stays & ~rows.fresh
    differs = _rows_differ(table[rows.table_rows[same_content]], old[rows.old_rows[same_content]])
    return Changes(
        added=int((~stays).sum()),
        replaced=int((stays & rows.fresh).sum()),
        deleted=old.height - int(stays.sum()),
        attributes=int(differs.sum()),
        unchanged=int(same_content.sum() - differs.sum()),
        left_out=table.height - len(rows.table_rows),
    )


def _rows_differ(new: pl.DataFrame, old: pl.DataFrame) -> NDArray[np.bool_]:
    """True where a row of one table is not that of the other; everywhere where the columns are not the same."""
    if new.schema != old.schema:
        return np.ones(new.height, bool)
    differ = np.zeros(new.height, bool)
    for name in new.columns:
        differ |= new[name].ne_missing(old[name]).to_numpy()
    return differ


def next_placement(rows: NextRows, old: Placement, segment: int) -> Placement:
    """Where the rows of the next version lie: as before, the fresh ones one after the other in a new *segment*."""
    kept = np.maximum(rows.old_rows, 0)
    segments = np.where(rows.fresh, segment, old.segment[kept]) if len(old) else np.full(len(kept), segment)
    local = np.where(rows.fresh, np.cumsum(rows.fresh) - 1, old.local[kept] if len(old) else 0)
    return Placement(segments.astype(np.int32), local.astype(np.int32))


def carried_popularity(
    old: NDArray[np.float32], rows: NextRows, old_prior: NDArray[np.float32], prior: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What was counted of products, for the rows of the next version; new products have not been counted yet.

    Where nothing was counted the table's own popularity stood for all products, and all for a market: so it does still.

    Args:
        old: `(1 + n_markets, n_old)`, as in `Statistics`.
        old_prior: the popularity that the table gave the old products `(n_old,)`; *prior* the new rows' `(n,)`.
    """
    counts = np.where(rows.old_rows >= 0, old[:, np.maximum(rows.old_rows, 0)], np.float32(0))
    overall = prior if np.array_equal(old[0], old_prior) or not counts[0].any() else counts[0]
    told = [overall if np.array_equal(o, old[0]) or not row.any() else row for o, row in zip(old, counts, strict=True)]
    return np.stack([overall, *told[1:]]).astype(np.float32)
