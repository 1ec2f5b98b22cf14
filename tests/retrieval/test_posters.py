"""The posters of a snapshot: of every segment, row by row, kept by whoever has the version open."""

from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow.parquet as pq
import pytest

from indexing.publish import build_snapshot
from indexing.update import compact_snapshot, update_snapshot
from indexing.versions import Keep
from retrieval.errors import SnapshotError, UnknownItemError
from retrieval.posters import Posters
from retrieval.snapshot import open_snapshot
from retrieval.snapshot_files import F, object_path, read_manifest
from tests.stores import HandStore, poster_of, write_catalogue

MANY = [f"v{number}" for number in range(1, 101)]


class Shop:
    """Videos of two frames each: the poster is the later one."""

    def __init__(self, root, ids):
        self.root, self.snapshot = root, root / "snapshot"
        self.sources = root / "videos", root / "products", root / "shop"
        self.videos = HandStore("videos", root / "videos").write(dict.fromkeys(ids, 0))
        HandStore("products", root / "products").write({"p1": 0})
        write_catalogue(root / "shop", ids, ["p1"])
        build_snapshot(*self.sources, self.snapshot)

    def update(self, ids, **how):
        write_catalogue(self.root / "shop", ids, ["p1"])
        update_snapshot(self.snapshot, *self.sources, **how)

    def posters_file(self):
        files = read_manifest(self.snapshot).segments[0].files
        return object_path(self.snapshot, F.POSTERS, files[F.POSTERS])


@pytest.fixture(name="shop")
def _shop(tmp_path):
    return Shop(tmp_path, MANY)


def test_every_video_has_its_middle_frame(shop):
    snapshot = open_snapshot(shop.snapshot)

    posters = [snapshot.poster(video) for video in MANY]

    assert posters == [poster_of(video, 0, 1) for video in MANY]


def test_a_replaced_video_has_its_new_poster_and_a_deleted_one_none(shop):
    shop.videos.write({"v2": 7, "v200": 0})
    shop.update([*MANY[1:], "v200"])
    snapshot = open_snapshot(shop.snapshot)

    assert len(snapshot.manifest.segments) == 2
    assert snapshot.poster("v2") == poster_of("v2", 7, 1)
    assert snapshot.poster("v3") == poster_of("v3", 0, 1)
    assert snapshot.poster("v200") == poster_of("v200", 0, 1)
    with pytest.raises(UnknownItemError, match="holds no video v1"):
        snapshot.poster("v1")


def test_an_unknown_video_is_refused(shop):
    with pytest.raises(UnknownItemError, match=r"holds no video v0[\s\S]*Check the id"):
        open_snapshot(shop.snapshot).poster("v0")


def test_a_video_without_a_frame_has_no_poster(tmp_path):
    posters = pl.DataFrame({"video_id": ["v1", "v2"], "jpeg": [None, b"a frame"]})
    segment = type("Segment", (), {"files": {F.POSTERS: "0" * 64}})
    (tmp_path / "objects").mkdir()
    posters.write_parquet(object_path(tmp_path, F.POSTERS, "0" * 64))

    opened = Posters(tmp_path, [segment], posters.to_numpy())

    assert (opened.of_row(0), opened.of_row(1)) == (None, b"a frame")


def test_who_has_a_version_open_keeps_its_posters_though_it_be_pruned(shop):
    old = open_snapshot(shop.snapshot)
    file = shop.posters_file()
    shop.update(MANY[1:])

    compact_snapshot(shop.snapshot, keep=Keep(versions=1, days=0))

    assert not file.exists()
    assert old.poster("v1") == poster_of("v1", 0, 1)


def test_many_threads_read_their_own_poster(shop):
    snapshot = open_snapshot(shop.snapshot)
    asked = MANY * 5

    with ThreadPoolExecutor(8) as pool:
        posters = list(pool.map(snapshot.poster, asked))

    assert posters == [poster_of(video, 0, 1) for video in asked]


def test_posters_are_read_a_few_at_a_time(shop):
    groups = pq.ParquetFile(shop.posters_file()).metadata

    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [32, 32, 32, 4]


def test_a_file_of_one_large_group_is_read_too(shop):
    file = shop.posters_file()
    pl.read_parquet(file).write_parquet(file)

    snapshot = open_snapshot(shop.snapshot, verify=False)

    assert pq.ParquetFile(file).num_row_groups == 1
    assert snapshot.poster("v77") == poster_of("v77", 0, 1)


def test_a_missing_file_is_told_when_the_version_is_opened(shop):
    shop.posters_file().unlink()

    with pytest.raises(SnapshotError, match="cannot be read"):
        open_snapshot(shop.snapshot, verify=False)


def test_a_damaged_file_is_told_when_a_poster_is_asked_for(shop):
    shop.posters_file().write_bytes(b"no parquet")

    with pytest.raises(SnapshotError, match=r"cannot be read[\s\S]*Build the snapshot again"):
        open_snapshot(shop.snapshot, verify=False).poster("v1")
