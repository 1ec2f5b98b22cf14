"""Takes rows out of a parquet file a row group at a time, and leaves the others and their types as they were."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from retrieval.schemas import Columns as C
from serving.erasure import TIMES, Forgotten, keep_mask


def row_masks(source: Path | BinaryIO, who: Forgotten) -> list[pl.Series]:
    """For each row group true for the rows that stay; no masks where the table has no user_id."""
    with pq.ParquetFile(source) as table:
        names = table.schema_arrow.names
        if C.USER_ID not in names:
            return []
        columns = [C.USER_ID, *(name for name in TIMES if name in names)]
        groups = (table.read_row_group(number, columns=columns) for number in range(table.num_row_groups))
        return [keep_mask(cast(pl.DataFrame, pl.from_arrow(group)), who) for group in groups]


def count_gone(masks: Iterable[pl.Series]) -> int:
    """How many rows the masks take out."""
    return sum(len(mask) - int(mask.sum()) for mask in masks)


def copy_kept(source: Path | BinaryIO, masks: Iterable[pl.Series], sink: Path | BinaryIO) -> None:
    """Write the rows for which the masks, one for each row group, are true."""
    with pq.ParquetFile(source) as table, pq.ParquetWriter(sink, table.schema_arrow, compression="zstd") as writer:
        for number, mask in enumerate(masks):
            writer.write_table(table.read_row_group(number).filter(pa.array(mask.to_list(), pa.bool_())))
