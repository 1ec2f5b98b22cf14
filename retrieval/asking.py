"""Somebody who asks with their history at hand, instead of being looked up in a log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.ids import IdMap
from retrieval.log import Events
from retrieval.ragged import Ints, Ragged
from retrieval.systems import Audience, SystemConfig

# Getters run outside of Python's own loop, where fifty events are a good part of a feed's time.
PRODUCT_ID, EVENT, OCCURRED_US = attrgetter("product_id"), attrgetter("event"), attrgetter("occurred_us")


class Touch(NamedTuple):
    """A product that was touched, how, and when in microseconds since 1970."""

    product_id: str
    event: str
    occurred_us: int


@dataclass(frozen=True)
class Asker:
    """An audience of one. *unknown_products* counts the events whose products the catalogue lacks.

    *future_events* counts those at or after the time of asking; neither takes part.
    """

    audience: Audience
    unknown_products: int
    future_events: int


class Catalogue(Protocol):
    """Whose rows are meant."""

    @property
    def product_ids(self) -> IdMap: ...


class Touched(Protocol):
    """What is read of a touch: that of `Touch`, whoever keeps it."""

    @property
    def product_id(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def occurred_us(self) -> int: ...


def ask(
    catalogue: Catalogue,
    history: Sequence[Touched],
    config: SystemConfig,
    at_us: int,
    seen_rows: Ints,
    user_id: str = "",
    market: str | None = None,
    forgotten: Collection[str] = (),
) -> Asker:
    """An audience of one from their touches, in any order.

    Args:
        seen_rows: rows of the videos to leave out, −1 where there is none.
        forgotten: as in `Audience`.

    Raises:
        ValueError: an event has no such kind.
    """
    rows = catalogue.product_ids.rows(map(PRODUCT_ID, history))
    times_us = np.array(list(map(OCCURRED_US, history)), np.int64)
    weights = _weights(history, config)
    past = times_us < at_us
    used = np.flatnonzero((rows >= 0) & past & (weights > 0))
    used = used[np.argsort(times_us[used], kind="stable")][-config.max_events :]
    events = Events(rows[used], times_us[used], weights[used], np.array([0, len(used)]))
    seen = seen_rows[seen_rows >= 0]
    audience = Audience([user_id], events, Ragged(seen, np.array([0, len(seen)])), at_us, [market], forgotten)
    return Asker(audience, int((rows < 0).sum()), int((~past & (rows >= 0)).sum()))


def _weights(history: Sequence[Touched], config: SystemConfig) -> NDArray[np.float64]:
    weight_of = config.event_weights
    try:
        return np.array(list(map(weight_of.__getitem__, map(EVENT, history))), np.float64)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is none of the events {', '.join(weight_of)}") from None
