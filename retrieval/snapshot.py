"""What is published and served: an immutable folder of vectors, attributes and a manifest that binds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.encoder import Encoder, open_encoder
from retrieval.errors import SnapshotError, UnknownItemError
from retrieval.feed import Feed, RankedVideo, Results, moments_of, ranked, reasons_of
from retrieval.ids import IdMap
from retrieval.index import default_index_kind
from retrieval.index.protocol import Mask, Neighbours
from retrieval.log import Statistics, from_us, make_events, to_us
from retrieval.posters import Posters
from retrieval.ragged import Ragged
from retrieval.snapshot_files import CLIP_SPACE, SnapshotManifest, live_version, read_manifest
from retrieval.spaces import Space
from retrieval.systems import Answer, Audience, System, SystemConfig, make_system
from retrieval.tables import Columns as C
from retrieval.version_files import open_version
from retrieval.where import Where, matching, where_of


@dataclass(frozen=True)
class HistoryEvent:
    """One touch of a product in the catalogue. *event* is one of `retrieval.tables.EVENTS`."""

    product_id: str
    occurred_at: datetime
    event: str = "view"


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot. Rows of *videos* and *products* are the rows of every vector and count."""

    path: Path
    version: str
    videos: pl.DataFrame
    products: pl.DataFrame
    statistics: Statistics
    spaces: Mapping[str, Space]
    manifest: SnapshotManifest = field(repr=False, compare=False)
    posters: Posters = field(repr=False, compare=False)
    _encoders: dict[str, Encoder] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def video_ids(self) -> IdMap:
        return IdMap(self.videos[C.VIDEO_ID].to_list())

    @cached_property
    def product_ids(self) -> IdMap:
        return IdMap(self.products[C.PRODUCT_ID].to_list())

    @cached_property
    def published_us(self) -> NDArray[np.int64]:
        return self.videos[C.PUBLISHED_AT].dt.timestamp("us").to_numpy()

    @property
    def space(self) -> Space:
        return self.spaces[CLIP_SPACE]

    def eligible(self, at_us: int, where: Where) -> Mask:
        """True `(n_videos,)` for the videos published by *at_us* that pass *where*."""
        passing = self.videos.select(matching(self.videos, where)).to_series().to_numpy()
        return passing & (self.published_us <= at_us)

    def system(self, config: SystemConfig, at_us: int, statistics: Statistics | None = None) -> System:
        """The system that *config* describes, as of *at_us*.

        Args:
            statistics: what was popular by then; the snapshot's own by default.
        """
        return make_system(config, self.space, self.published_us, statistics or self.statistics, at_us)

    def feed(
        self,
        history: Sequence[HistoryEvent],
        k: int = 10,
        *,
        at: datetime | None = None,
        system: SystemConfig | None = None,
        where: Where | Mapping[str, str | Sequence[str]] = (),
        seen: Sequence[str] = (),
        user_id: str = "",
        market: str | None = None,
    ) -> Feed:
        """The *k* best videos for somebody with this *history* of the catalogue.

        Args:
            at: the time of asking, by default that of the snapshot and not before it, since what was popular is
                counted up to there; later events and videos do not count. An update carries that time over, so by
                default videos published since the last count are missing, though it added them: serve with at=now.
            where: filters beside those of *system*.
            seen: videos to leave out.
            market: whose global vector speaks when the history says nothing.

        Raises:
            UnknownItemError: *where* names no attribute.
            ValueError: *k* is below 1, a time has no zone, *at* lies before the snapshot, or an event has no such kind.
        """
        config = system or SystemConfig()
        at_us = self._time_of_asking(at)
        audience, n_unknown = self._audience_of(history, config, at_us, seen, user_id, market)
        (feed,) = self.feeds(audience, k, config, where=where_of(where))
        return replace(feed, unknown_products=n_unknown)

    def feeds(
        self,
        audience: Audience,
        k: int,
        config: SystemConfig,
        *,
        where: Where = (),
        statistics: Statistics | None = None,
        name: str = "",
    ) -> list[Feed]:
        """The feed of everybody in *audience*, with reasons; *name* is that of the system, by default its kind."""
        eligible = self.eligible(audience.at_us, config.where + where)
        k = min(require_count(k), max(1, len(self.video_ids)))
        answer = self.system(config, audience.at_us, statistics).rank(audience, k, eligible)
        feeds = [self._feed_of(audience, user, answer, config, eligible) for user in range(len(audience))]
        return [replace(feed, system=name or feed.system) for feed in feeds]

    def search(self, text: str, k: int = 10, *, where: Where | Mapping[str, str | Sequence[str]] = ()) -> Results:
        """The *k* videos nearest to a text, each with its best moment.

        Raises:
            SnapshotError: the encoder at hand is not the one that built the snapshot.
            UnknownItemError: there is no text, or *where* names no attribute.
        """
        if not text.strip():
            raise UnknownItemError("There is nothing to search for.", 'Name what you look for, such as "a red dress".')
        query = self.encoder().encode_texts([text])[0]
        return self._results(query, k, where_of(where), without=-1)

    def similar(self, video_id: str, k: int = 10, *, where: Where | Mapping[str, str | Sequence[str]] = ()) -> Results:
        """The *k* videos nearest to a video, without itself.

        Raises:
            UnknownItemError: the snapshot holds no such video.
        """
        row = self._row_of(video_id)
        return self._results(self.space.video_vectors[row].astype(np.float32), k, where_of(where), without=row)

    def poster(self, video_id: str) -> bytes | None:
        """The JPEG of a video's middle frame, None where it has none.

        Raises:
            UnknownItemError: the snapshot holds no such video.
            SnapshotError: the file that holds it is damaged.
        """
        return self.posters.of_row(self._row_of(video_id))

    def encoder(self) -> Encoder:
        """The encoder that built the snapshot, opened once.

        Raises:
            SnapshotError: the weights at hand give other vectors.
        """
        name = self.space.encoder
        if name not in self._encoders:
            encoder = open_encoder(name)
            require_encoder(encoder, name, self.space.fingerprint, str(self.path))
            self._encoders[name] = encoder
        return self._encoders[name]

    def _time_of_asking(self, at: datetime | None) -> int:
        at_us = self.statistics.as_of_us if at is None else to_us(at)
        if at_us < self.statistics.as_of_us:
            raise ValueError(f"at is {at}, before the snapshot's own time {from_us(self.statistics.as_of_us)}")
        return at_us

    def _results(self, query: NDArray[np.float32], k: int, where: Where, *, without: int) -> Results:
        eligible = self.eligible(np.iinfo(np.int64).max, where)
        if without >= 0:
            eligible[without] = False
        found = self.space.index.search(query[None], min(require_count(k), max(1, len(self.video_ids))), eligible)
        videos = self._ranked_with_moments(found, query)
        return Results(videos, len(videos), int(eligible.sum()), self.space.index.exact, self.version)

    def _ranked_with_moments(self, found: Neighbours, query: NDArray[np.float32]) -> tuple[RankedVideo, ...]:
        rows = found.rows[0][found.rows[0] >= 0]
        moments = moments_of(query, self.space.frame_vectors[rows], self.space.frame_times_s[rows])
        return ranked(found, 0, self.video_ids.ids, moments)

    def _row_of(self, video_id: str) -> int:
        row = self.video_ids.row(video_id)
        if row is None:
            raise UnknownItemError(
                f"The snapshot {self.path} holds no video {video_id}.", "Check the id, or index the video first."
            )
        return row

    def _feed_of(self, audience: Audience, user: int, answer: Answer, config: SystemConfig, eligible: Mask) -> Feed:
        rows = answer.neighbours.rows[user]
        rows = rows[rows >= 0]
        events = audience.events.of_user(user)
        moments, reasons = None, None
        if answer.vectors is not None:
            space = self.space
            moments = moments_of(answer.vectors[user], space.frame_vectors[rows], space.frame_times_s[rows])
            reasons = reasons_of(
                events, config.half_life_s, space.product_vectors, space.video_vectors[rows], self.product_ids.ids
            )
        return Feed(
            audience.user_ids[user],
            ranked(answer.neighbours, user, self.video_ids.ids, moments, reasons),
            returned=len(rows),
            eligible=int(eligible.sum() - eligible[np.unique(audience.seen[user])].sum()),
            exact=answer.vectors is None or self.space.index.exact,  # who has no vectors compares everything
            system=config.kind.value,
            system_hash=config.hash,
            snapshot=self.version,
            known=len(events.product_rows) > 0,
            personal=answer.vectors is not None,
        )

    def _audience_of(
        self,
        history: Sequence[HistoryEvent],
        config: SystemConfig,
        at_us: int,
        seen: Sequence[str],
        user_id: str,
        market: str | None,
    ) -> tuple[Audience, int]:
        """An audience of one, and how many events named products that the snapshot lacks."""
        if unknown := {event.event for event in history} - set(config.event_weights):
            raise ValueError(f"{min(unknown)} is none of the events {', '.join(config.event_weights)}")
        rows = self.product_ids.rows(event.product_id for event in history)
        weights = [config.event_weights[event.event] for event in history]
        used = [
            (int(row), to_us(event.occurred_at), weight)
            for row, event, weight in zip(rows, history, weights, strict=True)
            if row >= 0 and weight > 0 and to_us(event.occurred_at) < at_us
        ]
        newest = sorted(used, key=lambda event: event[1])[-config.max_events :]
        events = make_events(*(zip(*newest, strict=True) if newest else ((), (), ())))
        seen_rows = self.video_ids.rows(seen)
        seen_rows = seen_rows[seen_rows >= 0]
        seen_list = Ragged(seen_rows, np.array([0, len(seen_rows)]))
        return Audience([user_id], events, seen_list, at_us, [market]), int((rows < 0).sum())


def require_encoder(encoder: Encoder, name: str, fingerprint: str, where: str) -> None:
    """Refuse an encoder that is not the one *where* was built with.

    Raises:
        SnapshotError: naming both.
    """
    if encoder.fingerprint != fingerprint:
        raise SnapshotError(
            f"{where} was built with {name} ({fingerprint}), but the model at hand is {encoder.name} "
            f"({encoder.fingerprint}).",
            "Use the model that built it, or embed and build again with this one.",
        )


def open_snapshot(
    path: Path | str,
    *,
    version: str | None = None,
    known: Snapshot | None = None,
    index: str | None = None,
    verify: bool = True,
) -> Snapshot:
    """Open a version of a snapshot and check it against its manifest.

    Args:
        version: by default the live one.
        known: one opened before: what this version shares with it is taken over, neither read nor checked again.
        index: the kind of index, by default FAISS where it is installed.
        verify: compute the checksums of all other files.

    Raises:
        SnapshotError: it is absent, of another format, or differs from its manifest.
    """
    path = Path(path)
    name = version or live_version(path)
    try:
        opened = open_version(path, read_manifest(path, name), index or default_index_kind(), known, verify=verify)
        posters = Posters(path, opened.manifest.segments, opened.spaces[CLIP_SPACE].video_vectors)
    except SnapshotError:
        if version or live_version(path) == name:
            raise
        # Replaced and pruned while we were reading: the version that is live now is whole.
        return open_snapshot(path, known=known, index=index, verify=verify)
    return Snapshot(
        path, name, opened.videos, opened.products, opened.statistics, opened.spaces, opened.manifest, posters
    )


def require_count(k: int) -> int:
    """*k*, if so many can be asked for."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return k
