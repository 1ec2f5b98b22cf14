"""Takes videos out for good: of the store, of every version that a snapshot keeps, and of judgments, with a receipt.

The places are done one after the other, the snapshot last, since its tables are what tells whose videos these are. A
purge that is killed leaves places that open; the same command again goes on where it was.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from indexing.places import Place, alone, open_place
from indexing.purge_store import HeldByStore, held_by_store, purge_store
from indexing.purge_versions import HeldByVersions, held_by_versions, kept_versions, purge_versions
from indexing.traces import Traces, purge_judgments, traces_in, traces_in_judgments
from indexing.versions import Publisher, publishing, remove_others
from retrieval.errors import TableError, UnknownItemError, UserFacingError
from retrieval.folders import writing
from retrieval.snapshot_files import OBJECTS, VERSIONS, F, object_path
from retrieval.tables import Columns as C


@dataclass(frozen=True)
class Asked:
    """Whose videos go: these *videos*, and those of the *creators* and *brands*."""

    videos: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()

    @property
    def by_column(self) -> dict[str, tuple[str, ...]]:
        return {C.CREATOR_ID: self.creators, C.BRAND: self.brands}


@dataclass(frozen=True)
class PurgePlaces:
    """Where videos are taken out; *tables*, the shop's own, are only read, to know whose videos these are."""

    snapshot: Path
    videos: Path | str
    judgments: tuple[Path, ...] = ()
    tables: Path | None = None


@dataclass(frozen=True)
class Held:
    """What the places hold of the videos *ids*."""

    ids: tuple[str, ...]
    store: HeldByStore
    versions: HeldByVersions
    judgments: Traces

    @property
    def known(self) -> frozenset[str]:
        """Those of *ids* that any place knows."""
        return self.store.ids | self.versions.ids | set(self.judgments.videos)


@dataclass(frozen=True)
class Receipt:
    """What a purge was asked, what it found and took out, and that nothing is left.

    *not_found* are the ids and names that no place knows. *held* is what there was; of a purge that was *continued*
    after it had been killed, what there was when it first began. *versions* maps the old names of the versions that
    this run wrote anew to the new ones. *left* is what all files of the places were searched for afterwards.
    *still_named* are the videos that the shop's tables name, so that the next `embed` reads them again.
    """

    state: str
    asked: Asked
    places: PurgePlaces
    began: str
    videos: tuple[str, ...]
    not_found: tuple[str, ...]
    held: Mapping[str, Any]
    still_named: tuple[str, ...] = ()
    continued: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    ended: str = ""
    left: Traces | None = None


BEGUN, DONE, PLANNED = "begun", "done", "planned"


def plan_purge(asked: Asked, places: PurgePlaces, now: datetime) -> Receipt:
    """What a purge would take out; nothing is changed.

    Raises:
        UnknownItemError: no place holds anything of what is asked for.
        StoreError, SnapshotError: a place is damaged, or would be left without a video.
    """
    held = _find(asked, places)
    if not held.known:
        raise _nothing_held(asked, places)
    return _receipt(PLANNED, asked, places, held, now)


def purge(asked: Asked, places: PurgePlaces, receipt: Path, now: datetime) -> Receipt:
    """Take videos out of all places and write what was done to the file *receipt*, first that it is under way.

    Where a receipt of the same purge, begun and never ended, stands there already, that one is continued.

    Raises:
        UnknownItemError: no place holds anything of what is asked for.
        StoreError, SnapshotError: a place is damaged, in use, or would be left without a video; nothing is changed.
    """
    before = read_begun(receipt, asked, places)
    with _alone_in(places) as (place, publisher):
        held = _find(asked, places, before.videos if before else ())
        if not (held.known or before):
            _tidy(place, publisher, held)
            raise _nothing_held(asked, places)
        begun = replace(before, continued=True) if before else _receipt(BEGUN, asked, places, held, now)
        _write(receipt, begun)
        renamed = _apply(place, publisher, held)
        left = _left(places, place, held.ids)
    done = replace(begun, state=DONE, versions=renamed, ended=datetime.now(now.tzinfo).isoformat(), left=left)
    _write(receipt, done)
    return done


def read_begun(file: Path, asked: Asked, places: PurgePlaces) -> Receipt | None:
    """The receipt in *file*, if it is of this purge and says that it never ended."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = all(fields.get(name) == _plain(value) for name, value in (("asked", asked), ("places", places)))
    if not same or fields.get("state") != BEGUN:
        return None
    videos, not_found, still_named = (tuple(fields[name]) for name in ("videos", "not_found", "still_named"))
    return Receipt(BEGUN, asked, places, fields["began"], videos, not_found, fields["held"], still_named)


@contextmanager
def _alone_in(places: PurgePlaces) -> Iterator[tuple[Place, Publisher]]:
    """Keep embedding and publishing out until all is done."""
    place = open_place(places.videos)
    held_by_store(place, ())  # so that no lock is made where there is no store
    with alone(place), publishing(places.snapshot) as publisher:
        yield place, publisher


def _find(asked: Asked, places: PurgePlaces, more: Collection[str] = ()) -> Held:
    ids = sorted({*asked.videos, *more, *_videos_of(asked, places)})
    return Held(
        tuple(ids),
        held_by_store(open_place(places.videos), ids),
        held_by_versions(places.snapshot, ids),
        traces_in_judgments(_folders(places), ids),
    )


def _folders(places: PurgePlaces) -> Sequence[Path]:
    for folder in places.judgments:
        if not folder.is_dir():
            raise UserFacingError(f"There is no folder {folder}.", "Name the judgments' folder with --judgments.")
    return places.judgments


def _videos_of(asked: Asked, places: PurgePlaces) -> set[str]:
    """The videos of these creators and brands, in any version and in the shop's tables."""
    wanted = {column: values for column, values in asked.by_column.items() if values}
    if not wanted:
        return set()
    tables = _video_tables(places)
    return {video for table in tables for video in _matching(table, wanted)[C.VIDEO_ID].to_list()}


def _matching(table: pl.DataFrame, wanted: Mapping[str, Collection[str]]) -> pl.DataFrame:
    present = [pl.col(name).is_in(list(values)) for name, values in wanted.items() if name in table.columns]
    return table.filter(pl.any_horizontal(present).fill_null(False)) if present else table.clear()


def _video_tables(places: PurgePlaces) -> Iterator[pl.DataFrame]:
    for one in kept_versions(places.snapshot):
        yield pl.read_parquet(object_path(places.snapshot, F.VIDEOS, one.files[F.VIDEOS]))
    if places.tables is not None:
        yield _shop_videos(places.tables)


def _shop_videos(tables: Path) -> pl.DataFrame:
    file = tables / F.VIDEOS
    try:
        return pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{file} cannot be read as parquet: {error}.", "Mend it, or leave out --tables.") from error


def _receipt(state: str, asked: Asked, places: PurgePlaces, held: Held, now: datetime) -> Receipt:
    going = sorted(held.known)
    still = _shop_videos(places.tables)[C.VIDEO_ID].to_list() if places.tables else []
    return Receipt(
        state, asked, places, now.isoformat(), tuple(going), _not_found(asked, places, held),
        {"store": _counts(held.store), "versions": _counts(held.versions), "judgments": held.judgments.found},
        tuple(sorted(set(going) & set(still))),
    )  # fmt: skip


def _counts(held: HeldByStore | HeldByVersions) -> dict[str, Any]:
    return {name: value for name, value in asdict(held).items() if name != "ids"}


def _not_found(asked: Asked, places: PurgePlaces, held: Held) -> tuple[str, ...]:
    """The videos that no place knows, and the creators and brands of which no table names a video."""
    missing = [video for video in asked.videos if video not in held.known]
    for column, values in asked.by_column.items():
        missing += [value for value in values if not _videos_of(_only(column, value), places)]
    return tuple(missing)


def _only(column: str, value: str) -> Asked:
    return Asked(creators=(value,)) if column == C.CREATOR_ID else Asked(brands=(value,))


def _nothing_held(asked: Asked, places: PurgePlaces) -> UnknownItemError:
    words = {"video": asked.videos, "creator": asked.creators, "brand": asked.brands}
    named = ", ".join(f"{word} {value}" for word, values in words.items() for value in values)
    return UnknownItemError(
        f"Neither {places.videos} nor {places.snapshot} holds anything of {named}.",
        "Check the name. If it was purged before, the receipt says so.",
    )


def _apply(place: Place, publisher: Publisher, held: Held) -> dict[str, str]:
    purge_judgments(held.judgments, held.ids)
    gone_shards = purge_store(place, held.store)
    if held.versions.any:
        return purge_versions(publisher, held.versions, gone_shards)
    _tidy(place, publisher, held)
    return {}


def _tidy(place: Place, publisher: Publisher, held: Held) -> None:
    """Remove what a killed purge left behind and nothing names any more."""
    purge_store(place, held.store)
    remove_others(publisher.folder, kept_versions(publisher.folder))


def _left(places: PurgePlaces, place: Place, ids: Collection[str]) -> Traces:
    """What still names one of the videos, in any file of the places, whether something names that file or not."""
    found = [
        traces_in(place, ids),
        *(traces_in(open_place(places.snapshot / folder), ids) for folder in (OBJECTS, VERSIONS)),
        traces_in_judgments(places.judgments, ids),
    ]
    return Traces(sum(one.files for one in found), {name: n for one in found for name, n in one.found.items()})


def _write(file: Path, receipt: Receipt) -> None:
    with writing(file) as draft:
        draft.write_text(json.dumps(_plain(receipt), indent=1), encoding="utf-8")


def _plain(value: Any) -> Any:
    """A dataclass as JSON reads it back."""
    return json.loads(json.dumps(asdict(value), default=_text))


def _text(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else str(value)
