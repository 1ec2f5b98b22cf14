"""From the rows that users are shown to their feeds: ids, the moments that match best, and the reasons."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from retrieval.feed import Feed, moments_of, ranked, reasons_of
from retrieval.ids import IdMap
from retrieval.index.protocol import Mask
from retrieval.ranking import Lists
from retrieval.spaces import Space
from retrieval.systems import Audience, SystemConfig


class Catalogue(Protocol):
    """Whose rows are meant."""

    @property
    def version(self) -> str: ...
    @property
    def video_ids(self) -> IdMap: ...
    @property
    def product_ids(self) -> IdMap: ...
    @property
    def space(self) -> Space: ...


@dataclass(frozen=True)
class Explained:
    """The lists of an audience, and what their feeds are told with. *name* is that of the system, "" for its kind."""

    catalogue: Catalogue
    audience: Audience
    lists: Lists
    config: SystemConfig
    eligible: Mask
    name: str
    explain: bool

    def feed(self, user: int) -> Feed:
        """The feed of one user of the audience."""
        lists, space, ids = self.lists, self.catalogue.space, self.catalogue.video_ids.ids
        events = self.audience.events.of_user(user)
        rows = lists.neighbours.rows[user]
        rows = rows[rows >= 0]
        moments, reasons, answer = None, None, lists.answer
        if answer.vectors is not None:
            moments = moments_of(answer.vectors[user], space.frame_vectors[rows], space.frame_times_s[rows])
        if self.explain and answer.touched is not None:
            own = answer.touched.of(slice(*self.audience.events.offsets[user : user + 2]))
            product_ids = self.catalogue.product_ids.ids
            reasons = reasons_of(events.product_rows, own, space.video_vectors[rows], product_ids)
        return Feed(
            self.audience.user_ids[user],
            ranked(lists.neighbours, user, ids, moments, reasons, lists.propensities[user]),
            returned=len(rows),
            eligible=self._eligible(user),
            exact=answer.exact,
            system=self.name or self.config.kind.value,
            system_hash=self.config.hash,
            snapshot=self.catalogue.version,
            known=len(events.product_rows) > 0 if answer.known is None else bool(answer.known[user]),
            personal=answer.known is not None,
        )

    def _eligible(self, user: int) -> int:
        seen = np.unique(self.audience.seen[user])
        return int(np.count_nonzero(self.eligible) - np.count_nonzero(self.eligible[seen]))
