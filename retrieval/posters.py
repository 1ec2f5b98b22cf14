"""The JPEG of each video's middle frame, read from a snapshot's segments one row group at a time."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from retrieval.errors import SnapshotError
from retrieval.snapshot_files import AGAIN, F, SegmentFiles, object_path
from retrieval.stacked import Placement, Rows, Stacked, whole

JPEG = "jpeg"


class Posters:
    """The poster of every video of an opened version, for any number of threads.

    Files are mapped at once, which reads nothing, so that a version that is pruned keeps its posters; their directories
    are read when the first poster is asked for, and the posters never but one row group at a time.
    """

    def __init__(self, path: Path, segments: Sequence[SegmentFiles], videos: Rows) -> None:
        """Map the posters of *segments* of the snapshot at *path*, whose *videos* are arrays over the same rows.

        Raises:
            SnapshotError: a file is missing.
        """
        self._placement = _placement_of(videos)
        self._files = [_PosterFile(object_path(path, F.POSTERS, one.files[F.POSTERS])) for one in segments]

    def of_row(self, row: int) -> bytes | None:
        """The JPEG of the video in this row, None where it has none.

        Raises:
            SnapshotError: the file is damaged.
        """
        return self._files[int(self._placement.segment[row])].read(int(self._placement.local[row]))


def _placement_of(videos: Rows) -> Placement:
    return videos.placement if isinstance(videos, Stacked) else whole(len(videos))


class _PosterFile:
    """One segment's `posters.parquet`: mapped, opened when it is first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()  # a ParquetFile serves one thread at a time
        self._opened: Any = None
        try:
            self._map = pa.memory_map(str(path))
        except OSError as error:
            raise SnapshotError(f"{path} cannot be read: {error}.", AGAIN) from error

    def read(self, row: int) -> bytes | None:
        try:
            with self._lock:
                return self._read(row)
        except (OSError, pa.ArrowException, LookupError) as error:
            raise SnapshotError(f"{self._path} cannot be read: {error}.", AGAIN) from error

    def _read(self, row: int) -> bytes | None:
        if self._opened is None:
            self._opened = pq.ParquetFile(self._map)
            sizes = [self._opened.metadata.row_group(i).num_rows for i in range(self._opened.num_row_groups)]
            self._starts = np.cumsum([0, *sizes])
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        table = self._opened.read_row_group(group, columns=[JPEG], use_threads=False)
        jpeg: bytes | None = table.column(JPEG)[row - int(self._starts[group])].as_py()
        return jpeg
