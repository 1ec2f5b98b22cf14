"""Impressions, as evaluation and training read them: what was served, joined with what clients told of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from retrieval.schemas import Columns as C
from serving.erasure import forgotten, rows_to_keep
from serving.events.protocol import Erasure
from serving.served_files import SCORE, SERVED_SCHEMA, SYSTEM_HASH, ServedPart
from serving.watch_files import FLAGS

DAY_US = 86_400_000_000
COLUMNS = (
    C.FEED_ID, C.USER_ID, C.VIDEO_ID, C.POSITION, C.SHOWN_AT, C.REACHED, C.WATCH_TIME_S, *FLAGS, C.SYSTEM, C.SNAPSHOT,
    C.REQUEST_ID, C.BUCKET, C.EXPERIMENT, C.SELECTION_PROPENSITY, SCORE, SYSTEM_HASH,
)  # fmt: skip
_SLOT, _SEEN = [C.FEED_ID, C.POSITION], [C.FEED_ID, C.VIDEO_ID]


@dataclass(frozen=True)
class Span:
    """Which impressions to export: those shown in [*from_us*, *to_us*).

    A watch may come up to *lag_us* after its slot was shown: watches are read so much longer than the span, and slots
    so much earlier, lest one across its edge be taken for lost.
    """

    from_us: int
    to_us: int
    lag_us: int = DAY_US

    @property
    def slots_us(self) -> tuple[int, int]:
        """The time of the slots to read, [from, to)."""
        return self.from_us - self.lag_us, self.to_us

    @property
    def watches_us(self) -> tuple[int, int]:
        """The time of the watches to read, [from, to)."""
        return self.from_us, self.to_us + self.lag_us


@dataclass(frozen=True)
class Export:
    """Impressions, with the columns of `COLUMNS`, and what did not add up.

    *served_never_seen*: slots without a watch, which are in *frame* with reached = false. *seen_never_served*: watches
    of the span whose feed and video were not served. *erased_rows*: slots of users who were forgotten.
    *repeated_rows*: slots that were delivered again, such as a page that was asked for twice. *torn_lines*: lines of
    the log that could not be read.
    """

    frame: pl.DataFrame
    served_never_seen: int
    seen_never_served: int
    erased_rows: int
    repeated_rows: int
    torn_lines: int


def export_impressions(
    served: Iterable[ServedPart], watches: pl.LazyFrame, erased: Sequence[Erasure], hash_of: Callable[[str], str],
    span: Span,
) -> Export:  # fmt: skip
    """Join the slots of a span with the watches of it.

    Args:
        served: slots of `span.slots_us`.
        watches: of `span.watches_us`, with the columns of `WATCH_SCHEMA`, each event once.
        erased: the erasure list: what was shown to these users before they were forgotten is left out.
        hash_of: the keyed hash of a user, by which settled entries of the list are recognised.
    """
    who, kept, torn, erased_rows = forgotten(erased, hash_of), [pl.DataFrame(schema=SERVED_SCHEMA)], 0, 0
    for part in served:
        kept.append(rows_to_keep(part.frame, who))
        torn += part.torn_lines
        erased_rows += part.frame.filter(_is_within(span)).height - kept[-1].filter(_is_within(span)).height
    slots = pl.concat([frame.lazy() for frame in kept])
    seen = rows_to_keep(watches.collect(engine="streaming"), who).lazy()
    lost = seen.filter(_is_within(span, C.OCCURRED_AT)).join(slots, on=_SEEN, how="anti")
    delivered = slots.filter(_is_within(span))
    frame = _impressions(delivered, seen).collect(engine="streaming")
    never_seen = frame.height - int(frame[C.REACHED].sum())
    return Export(frame, never_seen, _count(lost), erased_rows, _count(delivered) - frame.height, torn)


def _impressions(slots: pl.LazyFrame, watches: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each feed and position: of a slot that was delivered twice the one that was seen, else the first."""
    joined = slots.join(_longest(watches), on=_SEEN, how="left").with_columns(
        pl.col(C.WATCH_TIME_S).is_not_null().alias(C.REACHED)
    )
    ordered = joined.sort(C.FEED_ID, C.POSITION, ~pl.col(C.REACHED), C.SHOWN_AT)
    return ordered.unique(_SLOT, keep="first", maintain_order=True).select(COLUMNS)


def _longest(watches: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each feed and video: the longest watch, and each flag true where any watch says so."""
    return watches.group_by(_SEEN).agg(pl.col(C.WATCH_TIME_S).max(), pl.col(FLAGS).any())


def _is_within(span: Span, column: str = C.SHOWN_AT) -> pl.Expr:
    at_us = pl.col(column).dt.timestamp("us")
    return (at_us >= span.from_us) & (at_us < span.to_us)


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
