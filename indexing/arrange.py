"""Which segments a version is made of: base and deltas, the deltas folded when they are many, or all in one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexing.segments import SegmentData, gather, read_segment, save_segment
from indexing.versions import Publisher
from retrieval.snapshot_files import SegmentFiles, SnapshotManifest
from retrieval.stacked import Placement, whole

MAX_DELTAS = 8
DUE_SHARE = 0.2  # of the base: what deltas and dead rows may come to before a compaction is worth its time


@dataclass(frozen=True)
class Arranged:
    """The segments of a version, and where the rows of its *videos* and *products* lie in them."""

    segments: tuple[SegmentFiles, ...]
    videos: Placement
    products: Placement
    folded: bool = False

    @property
    def dead(self) -> tuple[int, int]:
        """Rows of videos, and of products, that the segments hold and that live no more."""
        n_videos, n_products = (sum(s.n_videos for s in self.segments), sum(s.n_products for s in self.segments))
        return n_videos - len(self.videos), n_products - len(self.products)

    @property
    def compact_due(self) -> bool:
        """Whether deltas and dead rows exceed `DUE_SHARE` of the base, in videos or in products."""
        base = self.segments[0]
        moved = (int((self.videos.segment > 0).sum()), int((self.products.segment > 0).sum()))
        of_base = (base.n_videos, base.n_products)
        return any(m + d > DUE_SHARE * n for m, d, n in zip(moved, self.dead, of_base, strict=True))


def arrange(
    publisher: Publisher, live: SnapshotManifest, fresh: SegmentData, videos: Placement, products: Placement
) -> Arranged:
    """Write *fresh*, the segment behind those of *live*, and fold the deltas where they are too many.

    Segments of which no row lives are left out; the first of the others is the base.

    Raises:
        SnapshotError: a delta that is to be folded is damaged.
    """
    n = len(live.segments)
    used = np.flatnonzero(videos.counts(n + 1) + products.counts(n + 1)).tolist()
    if len(used) - 1 > MAX_DELTAS:
        deltas = [fresh if i == n else read_segment(publisher.folder, live.segments[i]) for i in used[1:]]
        return _folded(publisher, live.segments[used[0]], deltas, renumbered(videos, used), renumbered(products, used))
    segments = tuple(save_segment(publisher, fresh) if i == n else live.segments[i] for i in used)
    return Arranged(segments, renumbered(videos, used), renumbered(products, used))


def _folded(
    publisher: Publisher, base: SegmentFiles, deltas: Sequence[SegmentData], videos: Placement, products: Placement
) -> Arranged:
    data = gather(deltas, _of_deltas(videos), _of_deltas(products))
    segments = (base, save_segment(publisher, data))
    return Arranged(segments, _in_one_delta(videos), _in_one_delta(products), folded=True)


def _of_deltas(placement: Placement) -> Placement:
    """The rows that do not lie in the base, by deltas counted from 0."""
    moved = placement[placement.segment > 0]
    return Placement(moved.segment - 1, moved.local)


def _in_one_delta(placement: Placement) -> Placement:
    """The same rows, all deltas having become one in the order of the rows."""
    moved = placement.segment > 0
    local = np.where(moved, np.cumsum(moved) - 1, placement.local)
    return Placement(moved.astype(np.int32), local.astype(np.int32))


def renumbered(placement: Placement, used: Sequence[int]) -> Placement:
    """The same rows where of the segments only those *used* are left, in this order."""
    number_of = np.zeros(max(used) + 1, np.int32)
    number_of[list(used)] = np.arange(len(used))
    return Placement(number_of[placement.segment], placement.local)


def in_one_segment(publisher: Publisher, live: SnapshotManifest, videos: Placement, products: Placement) -> Arranged:
    """All living rows written as one segment, in their order.

    Raises:
        SnapshotError: a segment is damaged.
    """
    data = gather([read_segment(publisher.folder, segment) for segment in live.segments], videos, products)
    return Arranged((save_segment(publisher, data),), whole(len(videos)), whole(len(products)))
