"""Ids outside, rows inside: the one place that converts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IdMap:
    """Row numbers of ids, in the order given.

    >>> ids = IdMap(("a", "b"))
    >>> ids.row("b"), ids.row("z")
    (1, None)
    >>> ids.rows(["b", "z", "a"]).tolist()
    [1, -1, 0]
    """

    ids: Sequence[str]
    _row_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row_of", {item_id: row for row, item_id in enumerate(self.ids)})

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._row_of

    def row(self, item_id: str) -> int | None:
        return self._row_of.get(item_id)

    def rows(self, item_ids: Iterable[str]) -> NDArray[np.int64]:
        """Rows of *item_ids*, −1 for the unknown ones."""
        return np.array(list(map(self._row_of.get, item_ids, repeat(-1))), np.int64)
