"""Tables that change while they are watched."""

from itertools import islice

import polars as pl
import pytest

from indexing.embed import EmbedOptions
from indexing.sync import SyncPaths, SyncRound, sync_once, watch
from retrieval.snapshot import open_snapshot
from retrieval.tables import Columns as C
from tests import shop
from tests.encoders import MeanColourEncoder

TWO = EmbedOptions(frames=2, workers=1)


@pytest.fixture(name="paths")
def _paths(tmp_path):
    folder = shop.write_shop(tmp_path / "shop")
    return SyncPaths(folder, str(tmp_path / "videos"), str(tmp_path / "products"), tmp_path / "snapshot")


def with_video(paths, video_id, uri):
    """Add a row to videos.parquet."""
    videos = pl.read_parquet(paths.tables / "videos.parquet")
    row = videos.head(1).with_columns(pl.lit(video_id).alias(C.VIDEO_ID), pl.lit(uri).alias(C.URI))
    pl.concat([videos, row]).write_parquet(paths.tables / "videos.parquet")


def test_the_first_round_builds_and_later_ones_publish_what_changed(paths):
    first = sync_once(paths, MeanColourEncoder(), TWO)
    shop.write_clip(paths.tables / "clips/new.mp4", [shop.COLOURS["red"]] * 10)
    with_video(paths, "v-new", "clips/new.mp4")

    second = sync_once(paths, MeanColourEncoder(), TWO)
    third = sync_once(paths, MeanColourEncoder(), TWO)

    snapshot = open_snapshot(paths.snapshot)
    assert (first.n_new, second.n_new, third) == (8, 1, SyncRound(seconds=third.seconds))
    assert snapshot.version == second.version
    assert snapshot.video_ids.ids[-1] == "v-new"
    assert {video.video_id for video in snapshot.similar("v-red", k=1).videos} == {"v-new"}


def test_watching_waits_for_a_change_and_tells_what_failed(paths):
    changes = iter([
        lambda: None,
        lambda: (paths.tables / "videos.parquet").write_bytes(b"half an expo"),
        lambda: shop.write_tables(paths.tables),
    ])  # fmt: skip

    rounds = list(islice(watch(paths, MeanColourEncoder(), TWO, 30.0, sleep=lambda _: next(changes)()), 3))

    assert [bool(done.version) for done in rounds] == [True, False, False]
    assert "cannot be read as parquet" in rounds[1].problem
    assert rounds[2].problem == ""


def test_a_row_that_comes_before_its_file_is_published_when_the_file_is_there(paths):
    with_video(paths, "v-late", "clips/late.mp4")
    arrivals = iter([lambda: shop.write_clip(paths.tables / "clips/late.mp4", [shop.COLOURS["blue"]] * 10)])

    first, second = islice(watch(paths, MeanColourEncoder(), TWO, 30.0, sleep=lambda _: next(arrivals)()), 2)

    assert (first.n_quarantined, second.n_quarantined, second.n_new) == (1, 0, 1)
    assert "v-late" in open_snapshot(paths.snapshot).video_ids


def test_what_could_not_be_read_is_tried_again_after_a_while_though_nothing_changed(paths, monkeypatch):
    monkeypatch.setattr("indexing.sync.RETRY_S", -1.0)
    asked = []
    monkeypatch.setattr(
        "indexing.sync.sync_once", lambda _, __, options, ___: asked.append(options.retry) or SyncRound(0, 1)
    )

    list(islice(watch(paths, MeanColourEncoder(), TWO, 30.0, sleep=lambda _: None), 2))

    assert asked == [False, True]  # at first nothing is known to have failed
