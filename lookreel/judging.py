"""The frames of an embedding store, as the judge takes them: the judge knows nothing of stores."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from indexing.manifest import read_state
from indexing.places import open_place, sha256_at
from indexing.store import S, Store, current, open_store
from judge.pictures import VideoFrames
from retrieval.errors import StoreError

COLUMNS = [S.ITEM_ID, S.PART, S.TIME_S, S.JPEG]


@dataclass(frozen=True)
class StoreFrames:
    """The frames of a store of videos. A shard is checked against the manifest when it is read, and only then."""

    store: Store

    @cached_property
    def _shards(self) -> dict[str, int]:
        """The shard of each video."""
        living = current(self.store.contents, self.store.quarantine_rows)
        return dict(zip(living[S.ITEM_ID], living[S.SHARD], strict=True))

    @cached_property
    def _checksums(self) -> dict[int, str]:
        shards = self.store.manifest.shards
        return {shard.number: shard.files[_parts(shard.number)] for shard in shards if shard.files}

    def signatures(self, video_ids: Collection[str]) -> Mapping[str, str]:
        """What changes when a video's stored frames do; videos that the store lacks are left out."""
        shards = {video_id: self._shards[video_id] for video_id in video_ids if video_id in self._shards}
        return {video_id: self._checksums[shard] for video_id, shard in shards.items()}

    def iter_frames(self, video_ids: Collection[str]) -> Iterator[VideoFrames]:
        """The frames of each of these videos that the store has, shard by shard."""
        wanted: dict[int, list[str]] = {}
        for video_id in dict.fromkeys(video_ids):
            if video_id in self._shards:
                wanted.setdefault(self._shards[video_id], []).append(video_id)
        for shard, members in sorted(wanted.items()):
            yield from self._frames_of(shard, members)

    def _frames_of(self, shard: int, video_ids: list[str]) -> Iterator[VideoFrames]:
        name = _parts(shard)
        if sha256_at(self.store.place, name) != self._checksums[shard]:
            raise StoreError(
                f"{self.store.place}/{name} is missing or differs from the manifest.", "Embed again with --overwrite."
            )
        rows = self._read(name, video_ids)
        for (video_id,), parts in rows.group_by(S.ITEM_ID, maintain_order=True):
            yield VideoFrames(str(video_id), tuple(parts[S.JPEG].to_list()), tuple(parts[S.TIME_S].to_list()))

    def _read(self, name: str, video_ids: list[str]) -> pl.DataFrame:
        opened = self.store.place.open(name)
        if isinstance(opened, Path):
            table = pl.scan_parquet(opened)
        else:
            with opened as file:
                table = pl.read_parquet(file.read(), columns=COLUMNS).lazy()
        chosen = table.select(COLUMNS).filter(pl.col(S.ITEM_ID).is_in(video_ids), pl.col(S.JPEG).is_not_null())
        return chosen.collect().sort(S.ITEM_ID, S.PART)


def _parts(shard: int) -> str:
    return f"parts-{shard:05d}.parquet"


def open_frames(path: str) -> StoreFrames:
    """The frames of the store of videos at *path*, a folder or an fsspec URL.

    Raises:
        StoreError: it is absent, damaged, empty, or of products.
    """
    state = read_state(open_place(path))
    # All shards count as known: a run that has all its judgments reads none of them.
    return StoreFrames(open_store(path, "videos", known=Store(path, state).shard_ids))
