"""Embedding stores: folders of parquet shards and a manifest that says what made them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.errors import StoreError
from retrieval.folders import MANIFEST, building, sha256_of

FORMAT = 1
QUARANTINE = "quarantine.parquet"
REJECTED = "rejected.parquet"


class S:
    """Columns of a store. An item is a video or a product; a part is one of its frames or photos."""

    ITEM_ID = "item_id"
    CONTENT_HASH = "content_hash"
    VECTOR = "vector"
    TEXT_VECTOR = "text_vector"
    N_PARTS = "n_parts"
    PART = "part"
    TIME_S = "time_s"
    URI = "uri"
    JPEG = "jpeg"
    REASON = "reason"
    DURATION_S = "duration_s"
    WIDTH = "width"
    HEIGHT = "height"
    PARTIAL = "partial"


@dataclass(frozen=True)
class StoreManifest:
    """What made a store.

    *kind* is videos or products; each shard, and the other *files*, are listed with their checksums.
    """

    kind: str
    encoder: str
    fingerprint: str
    dim: int
    options: Mapping[str, Any]
    n_items: int
    n_quarantined: int
    created: str
    shards: Sequence[Mapping[str, str]]
    files: Mapping[str, str]
    format: int = FORMAT


@dataclass
class StoreWriter:
    """Adds shards to a store being built in *folder*."""

    folder: Path
    _shards: list[dict[str, str]] = field(default_factory=list)
    _quarantine: list[dict[str, str]] = field(default_factory=list)
    _n_items: int = 0

    def add(self, items: pl.DataFrame, parts: pl.DataFrame) -> None:
        """Write one shard: a row for each item, and one for each of their frames or photos, in the same order."""
        names = {name: f"{name}-{len(self._shards):05d}.parquet" for name in ("items", "parts")}
        items.write_parquet(self.folder / names["items"])
        parts.write_parquet(self.folder / names["parts"])
        self._shards.append({file: sha256_of(self.folder / file) for file in names.values()})
        self._n_items += items.height

    def revise_items(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Rewrite the items of every shard, for what is known only after the last one."""
        for number, shard in enumerate(self._shards):
            file = f"items-{number:05d}.parquet"
            change(pl.read_parquet(self.folder / file)).write_parquet(self.folder / file)
            shard[file] = sha256_of(self.folder / file)

    def quarantine(self, item_id: str, uri: str, reason: str) -> None:
        """Set aside what could not be read."""
        self._quarantine.append({S.ITEM_ID: item_id, S.URI: uri, S.REASON: reason})

    def finish(self, rejected: pl.DataFrame, **about: Any) -> StoreManifest:
        """Write the quarantine, the table's *rejected* rows and the manifest, which makes the folder a store."""
        rejected.write_parquet(self.folder / REJECTED)
        schema = dict.fromkeys((S.ITEM_ID, S.URI, S.REASON), pl.String)
        pl.DataFrame(self._quarantine, schema=schema).write_parquet(self.folder / QUARANTINE)
        manifest = StoreManifest(
            **about,
            n_items=self._n_items,
            n_quarantined=len(self._quarantine),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            shards=self._shards,
            files={name: sha256_of(self.folder / name) for name in (QUARANTINE, REJECTED)},
        )
        (self.folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
        return manifest


@contextmanager
def writing_store(path: Path, kind: str, *, overwrite: bool) -> Iterator[StoreWriter]:
    """Yield a writer whose store takes its place at *path* when the block ends well, and only then.

    Raises:
        UserFacingError: *path* exists and *overwrite* is false.
    """
    with building(path, replaces=kind if overwrite else "") as folder:
        yield StoreWriter(folder)


@dataclass(frozen=True)
class Store:
    """An opened embedding store."""

    path: Path
    manifest: StoreManifest
    known: frozenset[str] = frozenset()

    @property
    def shard_ids(self) -> list[str]:
        """What names each shard's content: the checksum of its items."""
        return [_shard_id(shard) for shard in self.manifest.shards]

    @cached_property
    def items(self) -> pl.DataFrame:
        return self._read("items")

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        return pl.read_parquet(self.path / QUARANTINE)

    @property
    def ids(self) -> list[str]:
        ids: list[str] = self.items[S.ITEM_ID].to_list()
        return ids

    @property
    def vectors(self) -> NDArray[np.float32]:
        """`(n_items, dim)`: the videos' means or the fused products."""
        return self.items[S.VECTOR].to_numpy()

    def parts(self, columns: list[str]) -> pl.DataFrame:
        """The frames or photos, item after item, with these columns."""
        return self._read("parts", columns)

    def _read(self, table: str, columns: list[str] | None = None) -> pl.DataFrame:
        new = [shard for shard in self.manifest.shards if _shard_id(shard) not in self.known]
        files = [file for shard in new for file in shard if file.startswith(table)]
        return pl.concat([pl.read_parquet(self.path / file, columns=columns) for file in files])


def open_store(path: Path, kind: str) -> Store:
    """Open the store at *path* and check it against its manifest.

    Args:
        kind: `videos` or `products`.

    Raises:
        StoreError: it is absent, damaged, empty, or of the other kind.
    """
    manifest = _read_manifest(path)
    if manifest.kind != kind:
        raise StoreError(f"{path} is a store of {manifest.kind}, not of {kind}.", f"Name the store of {kind}.")
    if manifest.n_items == 0:
        raise StoreError(f"{path} holds no {kind}: all were quarantined.", f"See {path / QUARANTINE} for the reasons.")
    store = Store(path, manifest)
    for name, checksum in {**manifest.files, **{k: v for shard in manifest.shards for k, v in shard.items()}}.items():
        if not (path / name).is_file() or sha256_of(path / name) != checksum:
            raise StoreError(f"{path / name} is missing or differs from the manifest.", "Embed again.")
    if store.items.height != manifest.n_items or store.vectors.shape[1] != manifest.dim:
        raise StoreError(f"{path / MANIFEST} does not describe the shards beside it.", "Embed again.")
    return store


def _read_manifest(path: Path) -> StoreManifest:
    file = path / MANIFEST
    if not file.exists():
        raise StoreError(f"{path} is not an embedding store: it has no {MANIFEST}.", "Make one: lookreel embed --help")
    try:
        fields = json.loads(file.read_text())
        if fields["format"] != FORMAT:
            raise StoreError(f"{path} has format {fields['format']}, this version reads {FORMAT}.", "Embed again.")
        manifest = StoreManifest(**fields)
        if not all(shard.keys() for shard in manifest.shards) or bool(manifest.shards) != (manifest.n_items > 0):
            raise ValueError("its shards are not those of its items")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file} is damaged: {error}.", "Embed again.") from error


def _shard_id(shard: Mapping[str, str]) -> str:
    return next(checksum for file, checksum in shard.items() if file.startswith("items"))
