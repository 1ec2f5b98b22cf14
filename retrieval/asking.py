"""Somebody who asks with their history at hand, instead of being looked up in a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from retrieval.ids import IdMap
from retrieval.log import make_events
from retrieval.ragged import Ints, Ragged
from retrieval.systems import Audience, SystemConfig


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


def ask(
    catalogue: Catalogue,
    history: Sequence[Touch],
    config: SystemConfig,
    at_us: int,
    seen_rows: Ints,
    user_id: str = "",
    market: str | None = None,
) -> Asker:
    """An audience of one from their touches, in any order.

    Args:
        seen_rows: rows of the videos to leave out, −1 where there is none.

    Raises:
        ValueError: an event has no such kind.
    """
    if unknown := {touch.event for touch in history} - set(config.event_weights):
        raise ValueError(f"{min(unknown)} is none of the events {', '.join(config.event_weights)}")
    row_of, weight_of = catalogue.product_ids.row, config.event_weights
    known = [(row, touch) for touch in history if (row := row_of(touch.product_id)) is not None]
    past = [(row, touch.occurred_us, weight_of[touch.event]) for row, touch in known if touch.occurred_us < at_us]
    weighted = sorted((one for one in past if one[2] > 0), key=lambda one: one[1])[-config.max_events :]
    events = make_events(*(zip(*weighted, strict=True) if weighted else ((), (), ())))
    seen = seen_rows[seen_rows >= 0]
    audience = Audience([user_id], events, Ragged(seen, np.array([0, len(seen)])), at_us, [market])
    return Asker(audience, len(history) - len(known), len(known) - len(past))
