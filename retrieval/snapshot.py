"""What is published and served: an immutable folder of vectors, attributes and a manifest that binds them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.asking import Touch, ask
from retrieval.background import Background, make_system
from retrieval.conventional import GivenSpace
from retrieval.encoder import Encoder, open_encoder
from retrieval.errors import SnapshotError, UnknownItemError
from retrieval.explaining import Explained
from retrieval.feed import Feed, RankedVideo, Results, moments_of, ranked
from retrieval.ids import IdMap
from retrieval.index import default_index_kind
from retrieval.index.protocol import Half, Mask, Neighbours
from retrieval.log import Statistics, from_us, to_us
from retrieval.posters import Posters
from retrieval.ragged import Ints
from retrieval.ranking import rank_lists
from retrieval.snapshot_files import CLIP_SPACE, SnapshotManifest, live_version, read_manifest
from retrieval.spaces import Space
from retrieval.systems import Audience, System, SystemConfig, SystemKind
from retrieval.tables import Columns as C
from retrieval.version_files import open_version
from retrieval.where import Where, matching, where_of

MASKS = 64  # filters whose answer is kept: a byte for each video


@dataclass(frozen=True)
class HistoryEvent:
    """One touch of a product in the catalogue. *event* is one of `retrieval.tables.EVENTS`."""

    product_id: str
    occurred_at: datetime
    event: str = "view"


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot. Rows of *videos* and *products* are the rows of every vector and count.

    *conventional* holds the vectors of a training, None where no such was published.
    """

    path: Path
    version: str
    videos: pl.DataFrame
    products: pl.DataFrame
    statistics: Statistics
    spaces: Mapping[str, Space]
    manifest: SnapshotManifest = field(repr=False, compare=False)
    posters: Posters = field(repr=False, compare=False)
    conventional: GivenSpace | None = field(default=None, repr=False, compare=False)
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

    @property
    def kinds(self) -> tuple[SystemKind, ...]:
        """The kinds of system that it can answer by."""
        return tuple(kind for kind in SystemKind if kind is not SystemKind.CONVENTIONAL or self.conventional)

    @cached_property
    def creator_codes(self) -> Ints:
        return _codes(self.videos, C.CREATOR_ID)

    @cached_property
    def brand_codes(self) -> Ints:
        return _codes(self.videos, C.BRAND)

    @cached_property
    def background(self) -> Background:
        return Background(self.space, self.published_us, self.statistics, self.conventional)

    @cached_property
    def _passing(self) -> Callable[[Where], Mask]:
        # Not a method of this object: a cycle would keep it, and all of its files, after the last who used it let go.
        return lru_cache(MASKS)(partial(_match, self.videos))

    @cached_property
    def _newest_us(self) -> int:
        return int(self.published_us.max(initial=np.iinfo(np.int64).min))

    def vectors(self, rows: Ints) -> Half:
        """The vectors `(len(rows), dim)` of these videos."""
        return np.asarray(self.space.video_vectors[rows])

    def eligible(self, at_us: int, where: Where) -> Mask:
        """True `(n_videos,)` for the videos published by *at_us* that pass *where*; not to be written to."""
        passing = self._passing(where)
        return passing if at_us >= self._newest_us else passing & (self.published_us <= at_us)

    def system(self, config: SystemConfig, at_us: int, statistics: Statistics | None = None) -> System:
        """The system that *config* describes, as of *at_us*.

        Args:
            statistics: what was popular by then; the snapshot's own by default.

        Raises:
            SnapshotError: the snapshot has no vectors for it.
        """
        known = replace(self.background, statistics=statistics) if statistics else self.background
        return make_system(config, known, at_us)

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
            SnapshotError: the snapshot has no vectors for *system*.
            ValueError: *k* is below 1, a time has no zone, *at* lies before the snapshot, or an event has no such kind.
        """
        config = system or SystemConfig()
        touches = [Touch(event.product_id, event.event, to_us(event.occurred_at)) for event in history]
        seen_rows = self.video_ids.rows(seen)
        asker = ask(self, touches, config, self._time_of_asking(at), seen_rows, user_id, market)
        (feed,) = self.feeds(asker.audience, k, config, where=where_of(where))
        return replace(feed, unknown_products=asker.unknown_products)

    def feeds(
        self,
        audience: Audience,
        k: int,
        config: SystemConfig,
        *,
        where: Where = (),
        statistics: Statistics | None = None,
        name: str = "",
        allowed: Mask | None = None,
        uniforms: Sequence[float] | None = None,
        explain: bool = True,
    ) -> list[Feed]:
        """The feed of everybody in *audience*; *name* is that of the system, by default its kind.

        Args:
            allowed: `(n_videos,)`, false where a video must not be shown, whatever its attributes.
            uniforms: draw the slot that explores, as in `rank_lists`.
            explain: give the reasons of each video.
        """
        eligible = self.eligible(audience.at_us, config.where + where)
        eligible = eligible if allowed is None else eligible & allowed
        k = min(require_count(k), max(1, len(self.video_ids)))
        system = self.system(config, audience.at_us, statistics)
        eligible = eligible if system.has is None else eligible & system.has
        lists = rank_lists(self, system, audience, k, config, eligible, uniforms)
        explained = Explained(self, audience, lists, config, eligible, name, explain)
        return [explained.feed(user) for user in range(len(audience))]

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        where: Where | Mapping[str, str | Sequence[str]] = (),
        allowed: Mask | None = None,
    ) -> Results:
        """The *k* videos nearest to a text that are *allowed*, each with its best moment.

        Raises:
            SnapshotError: the encoder at hand is not the one that built the snapshot.
            UnknownItemError: there is no text, or *where* names no attribute.
        """
        if not text.strip():
            raise UnknownItemError("There is nothing to search for.", 'Name what you look for, such as "a red dress".')
        query = self.encoder().encode_texts([text])[0]
        return self.nearest(query, k, where_of(where), allowed=allowed)

    def similar(
        self,
        video_id: str,
        k: int = 10,
        *,
        where: Where | Mapping[str, str | Sequence[str]] = (),
        allowed: Mask | None = None,
    ) -> Results:
        """The *k* videos nearest to a video that are *allowed*, without itself.

        Raises:
            UnknownItemError: the snapshot holds no such video.
        """
        row = self._row_of(video_id)
        query = self.space.video_vectors[row].astype(np.float32)
        return self.nearest(query, k, where_of(where), without=row, allowed=allowed)

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
            self._encoders[name] = open_encoder(name)
        require_encoder(self._encoders[name], name, self.space.fingerprint, str(self.path))
        return self._encoders[name]

    def _time_of_asking(self, at: datetime | None) -> int:
        at_us = self.statistics.as_of_us if at is None else to_us(at)
        if at_us < self.statistics.as_of_us:
            raise ValueError(f"at is {at}, before the snapshot's own time {from_us(self.statistics.as_of_us)}")
        return at_us

    def nearest(
        self, query: NDArray[np.float32], k: int, where: Where = (), *, without: int = -1, allowed: Mask | None = None
    ) -> Results:
        """The *k* videos nearest to a vector `(dim,)`, but for the row *without* and those not *allowed*."""
        eligible = self.eligible(np.iinfo(np.int64).max, where)
        eligible = eligible.copy() if allowed is None else eligible & allowed
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


def _match(videos: pl.DataFrame, where: Where) -> Mask:
    """True `(n_videos,)` for the videos that pass *where*."""
    passing = videos.select(matching(videos, where)).to_series().to_numpy().copy()
    passing.flags.writeable = False  # it is kept, and given to many
    return passing


def _codes(frame: pl.DataFrame, column: str) -> Ints:
    """Equal numbers for equal values `(n_rows,)`, −1 where there is none."""
    if column not in frame.columns:
        return np.full(frame.height, -1, np.int64)
    return frame[column].rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()


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
        known: one opened before: what this version shares with it is taken over, neither read nor checked again; so is
            the encoder that it opened.
        index: the kind of index, by default FAISS where it is installed.
        verify: compute the checksums of all other files.

    Raises:
        SnapshotError: it is absent, of another format, or differs from its manifest.
    """
    path = Path(path)
    name = version or live_version(path)
    try:
        return open_described(path, read_manifest(path, name), known=known, index=index, verify=verify)
    except SnapshotError:
        if version or live_version(path) == name:
            raise
        # Replaced and pruned while we were reading: the version that is live now is whole.
        return open_snapshot(path, known=known, index=index, verify=verify)


def open_described(
    path: Path, manifest: SnapshotManifest, *, known: Snapshot | None, index: str | None, verify: bool
) -> Snapshot:
    """Open what *manifest* describes, be it published yet or not; arguments as in `open_snapshot`.

    Raises:
        SnapshotError: a file is missing, or differs from the manifest.
    """
    opened = open_version(path, manifest, index or default_index_kind(), known, verify=verify)
    posters = Posters(path, manifest.segments, opened.spaces[CLIP_SPACE].video_vectors)
    return Snapshot(
        path, manifest.version, opened.videos, opened.products, opened.statistics, opened.spaces, manifest, posters,
        opened.conventional, known._encoders if known else {},
    )  # fmt: skip


def require_count(k: int) -> int:
    """*k*, if so many can be asked for."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return k
