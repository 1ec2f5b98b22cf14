"""Versions of a snapshot: updated, folded, compacted, rolled back, pruned, killed and read meanwhile."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from indexing.publish import build_snapshot
from indexing.segments import read_segment
from indexing.survey import describe_snapshot, verify_snapshot
from indexing.update import compact_snapshot, update_snapshot
from indexing.versions import Keep, prune, publishing, readable, retained, rollback_snapshot
from retrieval.errors import SnapshotError, StoreError, UserFacingError
from retrieval.snapshot import open_snapshot
from retrieval.snapshot_files import object_path, read_manifest
from retrieval.tables import Columns as C
from tests.indexing.shop_over_time import QUERIES, ShopOverTime, require_equal
from tests.stores import START, HandStore, poster_of, vector_of, write_catalogue

VIDEOS, PRODUCTS = ["v1", "v2", "v3", "v4"], ["p1", "p2", "p3"]


class Small:
    """Four videos and three products, published."""

    def __init__(self, root):
        self.root, self.snapshot = root, root / "snapshot"
        self.videos = HandStore("videos", root / "videos").write(dict.fromkeys(VIDEOS, 0))
        self.products = HandStore("products", root / "products").write(dict.fromkeys(PRODUCTS, 0))
        self.tables()
        self.first = build_snapshot(root / "videos", root / "products", root / "shop", self.snapshot).version

    def tables(self, videos=VIDEOS, products=PRODUCTS, **more):
        write_catalogue(self.root / "shop", videos, products, **more)
        return self

    def update(self, **how):
        return update_snapshot(self.snapshot, self.root / "videos", self.root / "products", self.root / "shop", **how)

    def opened(self, **how):
        return open_snapshot(self.snapshot, **how)

    def ids(self):
        return self.opened().videos[C.VIDEO_ID].to_list()

    def objects(self):
        return {file.name for file in (self.snapshot / "objects").iterdir()}

    def versions(self):
        return {file.stem for file in (self.snapshot / "versions").iterdir()}

    def video_vectors_file(self, segment=0):
        files = read_manifest(self.snapshot).segments[segment].files
        return object_path(self.snapshot, "a.npy", files["spaces/clip/video_vectors.npy"])


@pytest.fixture(name="small")
def _small(tmp_path):
    return Small(tmp_path)


def counts(changes):
    return changes.added, changes.replaced, changes.deleted, changes.attributes, changes.unchanged, changes.left_out


def test_added_replaced_deleted_changed_and_unchanged_videos_are_told_apart(small):
    small.videos.write({"v9": 0, "v3": 1})
    small.tables(["v1", "v2", "v3", "v9", "v8"], titles={"v1": "another"})

    summary = small.update()

    # v9 is new, v3 has new content, v4 is gone, v1 has another title, v2 is as it was, v8 has no vector.
    assert counts(summary.videos) == (1, 1, 1, 1, 1, 1)
    assert counts(summary.products) == (0, 0, 0, 0, 3, 0)
    assert (summary.published, summary.n_segments, summary.folded) == (True, 2, False)


def test_what_stays_keeps_its_place_and_new_videos_follow_in_the_tables_order(small):
    small.videos.write({"v8": 0, "v2": 1, "v9": 0})
    small.tables(["v9", "v4", "v3", "v2", "v8"])

    small.update()

    assert small.ids() == ["v2", "v3", "v4", "v9", "v8"]


def test_a_replaced_video_has_its_new_vector_frames_and_poster(small):
    small.videos.write({"v2": 1})

    small.update()

    space, new = small.opened().space, vector_of("v2", 1, 3)
    np.testing.assert_array_equal(space.video_vectors[1], new[0])
    np.testing.assert_array_equal(space.frame_vectors[1], new[1:])
    np.testing.assert_allclose(space.frame_times_s[1], [0.01, 1.01], rtol=1e-6)
    np.testing.assert_array_equal(space.video_vectors[np.array([0, 2])], [vector_of(v, 0)[0] for v in ("v1", "v3")])
    delta = read_segment(small.snapshot, read_manifest(small.snapshot).segments[1])
    assert delta.posters.rows() == [("v2", poster_of("v2", 1, 1))]


def test_a_video_of_which_only_the_last_frame_could_be_read_has_that_frame(small):
    small.videos.present = (1,)
    small.videos.write({"v2": 1})

    small.update()

    space = small.opened().space
    np.testing.assert_array_equal(space.frame_vectors[1], [[0] * 8, vector_of("v2", 1, 3)[2]])
    np.testing.assert_allclose(space.frame_times_s[1], [np.nan, 1.01], rtol=1e-6)
    delta = read_segment(small.snapshot, read_manifest(small.snapshot).segments[1])
    assert delta.posters.rows() == [("v2", poster_of("v2", 1, 1))]


def test_an_update_without_a_change_publishes_nothing(small):
    before = small.objects()

    summary = small.update()

    assert (summary.published, summary.version) == (False, small.first)
    assert small.objects() == before


def test_another_order_of_the_table_is_no_change(small):
    assert not small.tables(VIDEOS[::-1], PRODUCTS[::-1]).update().published


def test_an_attribute_alone_shares_every_segment(small):
    before = read_manifest(small.snapshot).segments

    summary = small.tables(titles={"v2": "a new title"}).update()

    assert counts(summary.videos) == (0, 0, 0, 1, 3, 0)
    assert read_manifest(small.snapshot).segments == before
    assert small.opened().videos[C.TITLE].to_list() == ["v1", "a new title", "v3", "v4"]


def test_a_list_that_changed_is_a_changed_attribute(small):
    table = pl.read_parquet(small.root / "shop/videos.parquet")
    tags = pl.Series(C.HASHTAGS, [["v1"], ["v2", "new"], None, ["v4"]])
    table.with_columns(tags).write_parquet(small.root / "shop/videos.parquet")

    assert counts(small.update().videos) == (0, 0, 0, 2, 2, 0)


def test_a_new_column_changes_every_row(small):
    table = pl.read_parquet(small.root / "shop/videos.parquet")
    table.with_columns(pl.lit("calm").alias("mood")).write_parquet(small.root / "shop/videos.parquet")

    assert counts(small.update().videos) == (0, 0, 0, 4, 0, 0)
    assert len(small.opened().feed([], 9, where={"mood": "calm"}).videos) == 4


def test_a_video_that_was_deleted_comes_back_from_a_shard_read_long_ago(small):
    small.tables(["v1", "v2", "v4"]).update()

    summary = small.tables(["v1", "v2", "v3", "v4"]).update()

    assert counts(summary.videos) == (1, 0, 0, 0, 3, 0)
    assert small.ids() == ["v1", "v2", "v4", "v3"]
    np.testing.assert_array_equal(small.opened().space.video_vectors[3], vector_of("v3", 0)[0])


def test_a_video_that_no_table_named_at_first_is_found_when_one_does(small):
    small.videos.write({"v7": 0})
    small.update()
    small.tables(titles={"v1": "so that the shard of v7 is known"}).update()

    small.tables([*VIDEOS, "v7"]).update()

    assert small.ids() == [*VIDEOS, "v7"]


def test_a_video_that_a_later_shard_set_aside_is_left_out_until_it_is_mended(small):
    small.videos.write({"v5": 0}, set_aside=["v2"])
    summary = small.tables([*VIDEOS, "v5"]).update()

    assert counts(summary.videos) == (1, 0, 1, 0, 3, 1)
    assert small.ids() == ["v1", "v3", "v4", "v5"]
    assert not small.update().published

    small.videos.write({"v2": 1})
    small.update()
    assert small.ids() == ["v1", "v3", "v4", "v5", "v2"]


def test_a_store_embedded_anew_with_the_same_content_changes_nothing_but_what_it_lacks(small, tmp_path):
    other = HandStore("videos", tmp_path / "other").write({"v1": 0, "v2": 0}, {"v4": 0})

    summary = update_snapshot(small.snapshot, other.path, small.products.path, small.root / "shop")

    assert counts(summary.videos) == (0, 0, 1, 0, 3, 1)
    assert small.ids() == ["v1", "v2", "v4"]


def test_a_store_embedded_with_other_options_replaces_every_vector(small, tmp_path):
    other = HandStore("videos", tmp_path / "other", {"frames": 3}).write(dict.fromkeys(VIDEOS, 0))

    summary = update_snapshot(small.snapshot, other.path, small.products.path, small.root / "shop")

    assert counts(summary.videos) == (0, 4, 0, 0, 0, 0)
    # The products live in the base still, of which no video does: a compaction is due.
    assert (summary.n_segments, summary.compact_due) == (2, True)


def test_another_encoder_is_refused(small, tmp_path):
    other = HandStore("videos", tmp_path / "other", fingerprint="by-hand-2").write(dict.fromkeys(VIDEOS, 0))

    with pytest.raises(StoreError, match=r"by-hand-2[\s\S]*by-hand-1"):
        update_snapshot(small.snapshot, other.path, small.products.path, small.root / "shop")

    assert small.opened().version == small.first


def test_tables_of_which_no_vector_is_left_are_refused(small):
    with pytest.raises(StoreError, match="holds none of the videos"):
        small.tables(["v8"]).update()


def test_products_are_added_replaced_and_deleted_too(small):
    small.products.write({"p2": 1, "p9": 0})

    summary = small.tables(products=["p2", "p3", "p9"]).update()

    assert counts(summary.products) == (1, 1, 1, 0, 1, 0)
    assert small.opened().product_ids.ids == ["p2", "p3", "p9"]
    photo = vector_of("p2", 1)[0]  # photo and text are the same: their fused vector is it, brought to length 1
    np.testing.assert_allclose(small.opened().space.product_vectors[0], photo / np.linalg.norm(photo), atol=1e-3)


def test_what_was_counted_is_carried_over_and_new_items_have_not_been_counted(small):
    small.products.write({"p9": 0})
    small.videos.write({"v9": 0})

    small.tables(["v2", "v1", "v9"], ["p1", "p3", "p9"]).update()

    # Ann looked at p1, and no impression was logged.
    assert small.opened().statistics.product_popularity.tolist() == [[1.0, 0.0, 0.0]]
    assert small.opened().statistics.video_popularity.tolist() == [0.0, 0.0, 0.0]


def test_how_often_a_video_was_watched_is_carried_over(small):
    videos = pl.read_parquet(small.root / "shop/videos.parquet").with_columns(pl.lit(10.0).alias(C.DURATION_S))
    videos.write_parquet(small.root / "shop/videos.parquet")
    watched = [("f1", "ann", "v1", 1, True, 9.0), ("f2", "bob", "v1", 1, True, 9.0), ("f3", "bob", "v3", 1, True, 9.0)]
    names = [C.FEED_ID, C.USER_ID, C.VIDEO_ID, C.POSITION, C.REACHED, C.WATCH_TIME_S]
    log = pl.DataFrame(watched, schema=names, orient="row").with_columns(pl.lit(START).alias(C.SHOWN_AT))
    log.write_parquet(small.root / "shop/impressions.parquet")
    small.update(recount=True)
    small.videos.write({"v9": 0})

    small.tables(["v1", "v3", "v9"]).update()

    assert small.opened().statistics.video_popularity.tolist() == [2.0, 1.0, 0.0]


def test_where_nothing_was_counted_the_tables_own_popularity_stands_for_new_products_too(tmp_path):
    small = Small(tmp_path)
    small.tables(popularity={"p1": 5, "p2": 3, "p3": 0})
    build_snapshot(small.videos.path, small.products.path, small.root / "shop", small.snapshot, at_us=0)
    small.products.write({"p9": 0})

    small.tables(products=["p2", "p3", "p9"], popularity={"p2": 4, "p3": 0, "p9": 7}).update()

    assert small.opened().statistics.product_popularity.tolist() == [[4.0, 0.0, 7.0]]


def test_recounting_reads_the_log_again(small):
    log = pl.read_parquet(small.root / "shop/interactions.parquet")
    pl.concat([log, log.with_columns(pl.lit("p3").alias(C.PRODUCT_ID))]).write_parquet(
        small.root / "shop/interactions.parquet"
    )

    assert not small.update().published
    summary = small.update(recount=True)

    assert summary.published
    assert small.opened().statistics.product_popularity.tolist() == [[1.0, 0.0, 1.0]]
    assert not small.update(recount=True).published


def test_more_than_eight_deltas_are_folded_into_one(small):
    summaries = []
    for number in range(9):
        small.videos.write({"v2": number + 1})
        summaries.append(small.update())

    # The base and up to eight deltas, of which all but the last hold nothing that lives: they are left out.
    assert [summary.n_segments for summary in summaries] == [2] * 9

    for number in range(9):
        small.videos.write({f"v{10 + number}": 0})
        summaries.append(small.tables([*VIDEOS, *(f"v{10 + i}" for i in range(number + 1))]).update())

    # One delta holds v2; with the ninth there is one for each of v2 and v10 to v17.
    assert [summary.n_segments for summary in summaries[9:]] == [3, 4, 5, 6, 7, 8, 9, 2, 3]
    assert [summary.folded for summary in summaries[9:]] == [False] * 7 + [True, False]
    assert small.ids() == [*VIDEOS, *(f"v{10 + i}" for i in range(9))]


def test_compaction_leaves_one_segment_with_the_same_rows_and_answers(small):
    small.videos.write({"v2": 1, "v9": 0})
    small.tables(["v1", "v2", "v4", "v9"], ["p1", "p3"]).update()
    before = small.opened()

    summary = compact_snapshot(small.snapshot)

    # v2 as it was, v3 and p2 had died in the base.
    assert (summary.n_segments, summary.n_dead) == (2, 3)
    assert [s.n_videos for s in read_manifest(small.snapshot).segments] == [4]
    require_equal(small.opened(), before)
    again = compact_snapshot(small.snapshot)
    assert (again.version, again.n_segments, again.n_dead) == (summary.version, 1, 0)


def test_compaction_pads_videos_of_fewer_frames(small):
    small.videos.present = (0,)
    small.videos.write({"v2": 1})
    small.update()

    compact_snapshot(small.snapshot)

    times = small.opened().space.frame_times_s
    np.testing.assert_allclose(times[:2], [[0.0, 1.0], [0.01, np.nan]], rtol=1e-6)


def test_a_compaction_is_due_when_a_fifth_of_the_base_has_moved_or_died(tmp_path):
    shop = ShopOverTime(tmp_path, seed=0, n=10)
    shop.build()
    first, second, third = shop.videos.living[:3]
    shop.videos.living.remove(first)
    shop.write()
    assert not shop.update().compact_due  # one of ten is dead

    shop.videos.living.remove(second)
    shop.write()
    assert not shop.update().compact_due  # two of ten are a fifth, not more

    shop.videos.living.remove(third)
    shop.write()
    assert shop.update().compact_due


@pytest.mark.parametrize("damaged", [0, 1])
def test_what_is_damaged_is_not_compacted_under_new_checksums(small, damaged):
    small.videos.write({"v2": 1})
    small.update()
    file = small.video_vectors_file(damaged)
    np.save(file, np.load(file) + 1)

    with pytest.raises(SnapshotError, match=r"video_vectors\.npy\) is missing or differs"):
        compact_snapshot(small.snapshot)


def test_a_damaged_table_is_not_updated(small):
    file = object_path(small.snapshot, "a.parquet", read_manifest(small.snapshot).files["videos.parquet"])
    pl.read_parquet(file).reverse().write_parquet(file)
    small.videos.write({"v2": 1})

    with pytest.raises(SnapshotError, match=r"videos\.parquet\) is missing or differs"):
        small.update()


def test_rolling_back_serves_the_version_before_and_an_update_goes_on_from_there(small):
    small.videos.write({"v2": 1})
    second = small.update().version

    assert rollback_snapshot(small.snapshot) == small.first
    assert small.opened().version == small.first
    np.testing.assert_array_equal(small.opened().space.video_vectors[1], vector_of("v2", 0)[0])

    assert small.update().version == second
    assert rollback_snapshot(small.snapshot) == small.first


def test_the_version_before_is_the_one_that_was_live_before_not_the_one_published_before(small):
    small.tables(titles={"v1": "second"}).update()
    rollback_snapshot(small.snapshot)
    small.tables(titles={"v1": "third"}).update()

    assert rollback_snapshot(small.snapshot) == small.first


def titled(small, title, **how):
    """The version of v1 under this *title*, published."""
    return small.tables(titles={"v1": title}).update(**how).version


def test_rolling_back_never_falls_to_another_version_than_the_one_before(small):
    bad = titled(small, "bad")
    rollback_snapshot(small.snapshot)
    good = titled(small, "good")
    (small.snapshot / f"versions/{small.first}.json").unlink()

    with pytest.raises(SnapshotError, match=r"not the one that was live before it[\s\S]*--to"):
        rollback_snapshot(small.snapshot)

    assert small.opened().version == good
    assert bad in small.versions()


def test_what_was_changed_and_changed_back_is_rolled_back_step_by_step_and_to_an_end(small):
    second = titled(small, "second")
    assert titled(small, "v1") == small.first

    assert rollback_snapshot(small.snapshot) == second
    assert rollback_snapshot(small.snapshot) == small.first
    with pytest.raises(SnapshotError, match="keeps no version before"):
        rollback_snapshot(small.snapshot)


def test_publishing_the_same_again_leaves_its_manifest_as_it_was(small):
    before = read_manifest(small.snapshot)
    titled(small, "second")
    titled(small, "v1")

    assert read_manifest(small.snapshot) == before


def test_the_version_before_is_kept_however_old_its_number(small):
    keep = Keep(versions=2, days=0)
    second = titled(small, "second", keep=keep)
    titled(small, "third", keep=keep)
    rollback_snapshot(small.snapshot, second)
    titled(small, "fourth", keep=keep)

    assert rollback_snapshot(small.snapshot) == second


def test_a_snapshot_whose_pointer_tells_no_more_than_its_version_can_be_rolled_back(small):
    second = titled(small, "second")
    pointer = {"kind": "snapshot", "format": 2, "version": second}
    (small.snapshot / "manifest.json").write_text(json.dumps(pointer))

    assert rollback_snapshot(small.snapshot) == small.first
    assert rollback_snapshot(small.snapshot, second) == second


def test_rolling_back_to_a_version_by_name(small):
    for number in (1, 2, 3):
        small.tables(titles={"v1": f"title {number}"}).update()

    assert rollback_snapshot(small.snapshot, small.first) == small.first
    assert small.opened().videos[C.TITLE][0] == "v1"


def test_there_is_nothing_before_the_first_version(small):
    with pytest.raises(SnapshotError, match="keeps no version before"):
        rollback_snapshot(small.snapshot)


def test_a_version_that_has_lost_a_file_is_not_made_live(small):
    small.videos.write({"v2": 1})
    second = small.tables(titles={"v2": "its second"}).update().version
    lost = read_manifest(small.snapshot, small.first).files["videos.parquet"]
    small.tables(titles={"v1": "another"}).update()
    object_path(small.snapshot, "a.parquet", lost).unlink()

    with pytest.raises(SnapshotError, match=r"videos\.parquet\) is missing"):
        rollback_snapshot(small.snapshot, small.first)

    assert rollback_snapshot(small.snapshot) == second


def test_versions_beyond_the_count_go_with_what_only_they_held(small):
    for number in range(3):
        small.videos.write({"v2": number + 1})
        small.update(keep=Keep(versions=2, days=0))

    assert len(small.versions()) == 2
    assert small.first not in small.versions()
    named = [one for version in small.versions() for one in read_manifest(small.snapshot, version).objects()]
    assert small.objects() == {object_path(small.snapshot, *one).name for one in named}


def test_the_last_version_of_each_day_outlives_the_count(small):
    today = datetime(2026, 3, 10, 12, tzinfo=UTC)
    manifest = read_manifest(small.snapshot)
    hours_ago = {"a": 1, "b": 2, "c": 3, "d": 24, "e": 25, "f": 24 * 6, "g": 24 * 7}
    versions = [
        type(manifest)(
            **{**vars(manifest), "version": name, "number": -hours, "created": today - timedelta(hours=hours)}
        )
        for name, hours in hours_ago.items()
    ]

    # Days are those of the calendar: d is yesterday's last, f that of six days ago; g is older than seven days.
    assert retained(versions, "c", Keep(versions=2, days=7), today) == {"a", "b", "c", "d", "f"}
    assert retained(versions, "g", Keep(versions=1, days=0), today) == {"a", "g"}
    assert retained(versions, "a", Keep(versions=1, days=2), today) == {"a", "d"}


def test_left_overs_of_a_killed_publisher_go_with_the_next_publication(small):
    (small.snapshot / "objects/posters.parquet.partial").write_bytes(b"half")
    (small.snapshot / "objects" / f"{'0' * 64}.npy").write_bytes(b"orphan")
    (small.snapshot / "versions/.0123456789ab.json.partial").write_bytes(b"{")

    small.tables(titles={"v1": "another"}).update()

    assert "posters.parquet.partial" not in small.objects()
    assert f"{'0' * 64}.npy" not in small.objects()
    assert len(small.versions()) == 2


def test_a_build_that_never_ended_can_be_begun_again(small, tmp_path):
    begun = tmp_path / "begun"
    (begun / "objects").mkdir(parents=True)
    (begun / "objects/videos.parquet.partial").write_bytes(b"half")

    build_snapshot(small.videos.path, small.products.path, small.root / "shop", begun)

    assert open_snapshot(begun).version == small.first
    assert not (begun / "objects/videos.parquet.partial").exists()


def test_a_first_publication_killed_at_its_pointer_can_be_begun_again(small, tmp_path):
    begun = tmp_path / "begun"
    (begun / "objects").mkdir(parents=True)
    (begun / ".manifest.json.partial").write_bytes(b"{")

    build_snapshot(small.videos.path, small.products.path, small.root / "shop", begun)
    (begun / ".manifest.json.partial").write_bytes(b"{")
    build_snapshot(small.videos.path, small.products.path, small.root / "shop", begun)

    assert open_snapshot(begun).version == small.first
    assert not (begun / ".manifest.json.partial").exists()


def test_a_version_that_never_was_live_goes_with_the_next_publisher(small):
    pointer = (small.snapshot / "manifest.json").read_bytes()
    killed = titled(small, "second")
    (small.snapshot / "manifest.json").write_bytes(pointer)  # as if the publisher had been killed before it pointed

    third = titled(small, "third")

    assert small.versions() == {small.first, third}
    assert killed not in small.versions()
    assert rollback_snapshot(small.snapshot) == small.first


def test_a_version_that_was_rolled_back_from_stays(small):
    second = titled(small, "second")
    rollback_snapshot(small.snapshot)

    third = titled(small, "third")

    assert small.versions() == {small.first, second, third}


@pytest.mark.parametrize("name", ["videos.parquet", "video_placement.npy"])
def test_a_full_disk_is_told_as_such_and_leaves_no_draft(small, name):
    draft = small.snapshot / "objects" / f"{name}.partial"
    draft.symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left on device"):
        titled(small, "second")

    assert not draft.is_symlink()
    assert small.opened().version == small.first


@pytest.mark.parametrize("which", ["live", "old"])
def test_nothing_is_pruned_while_a_manifest_cannot_be_read(small, monkeypatch, which):
    second = titled(small, "second")
    objects, unread = small.objects(), {"live": second, "old": small.first}[which]
    read_text = type(small.snapshot).read_text
    monkeypatch.setattr(
        type(small.snapshot), "read_text", lambda file: broken(file) if file.stem == unread else read_text(file)
    )

    prune(small.snapshot, Keep(versions=1, days=0), datetime.now(UTC))

    assert small.objects() == objects
    assert small.versions() == {small.first, second}


def broken(file):
    raise OSError(5, "Input/output error", str(file))


def test_nothing_is_pruned_while_the_live_version_is_damaged(small):
    objects = small.objects()
    (small.snapshot / f"versions/{small.first}.json").write_text("{")

    prune(small.snapshot, Keep(), datetime.now(UTC))

    assert small.objects() == objects


@pytest.mark.parametrize("damage", ["", "{}", '{"kind": "snapshot", "format": 1}'])
@pytest.mark.parametrize("what", ["manifest.json", "versions/{first}.json"])
def test_a_damaged_snapshot_can_be_built_again_as_its_error_says(small, damage, what):
    (small.snapshot / what.format(first=small.first)).write_text(damage)
    with pytest.raises(SnapshotError, match="Build the snapshot again"):
        small.update()

    build_snapshot(small.videos.path, small.products.path, small.root / "shop", small.snapshot)

    assert small.opened().version == small.first
    verify_snapshot(small.snapshot, every=True)


def test_a_damaged_file_is_mended_by_building_again(small):
    small.video_vectors_file().write_bytes(b"")

    build_snapshot(small.videos.path, small.products.path, small.root / "shop", small.snapshot)

    assert small.opened().version == small.first


def test_two_publishers_exclude_each_other(small):
    with publishing(small.snapshot), pytest.raises(SnapshotError, match=r"Another process is publishing[\s\S]*again"):
        small.update()

    assert not small.update().published


@pytest.mark.parametrize("job", [compact_snapshot, rollback_snapshot, describe_snapshot, verify_snapshot])
def test_a_folder_that_is_no_snapshot_is_refused_and_left_alone(tmp_path, job):
    with pytest.raises(SnapshotError, match="is not a snapshot"):
        job(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_a_place_for_a_snapshot(small):
    with pytest.raises(UserFacingError, match="is a file"):
        build_snapshot(small.videos.path, small.products.path, small.root / "shop", small.video_vectors_file())


def test_opening_takes_over_what_a_known_version_shares(small):
    old = small.opened()
    small.videos.write({"v2": 1})
    small.update()
    damaged = small.video_vectors_file()
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")

    new = small.opened(known=old)

    # What is shared is not read again, so that its damage goes unnoticed; alone, the version is refused.
    assert new.space.segments[0] is old.space.segments[0]
    assert new.products is old.products
    assert new.videos is old.videos
    assert old.space.video_vectors[1].tolist() == vector_of("v2", 0)[0].tolist()
    assert new.space.video_vectors[1].tolist() == vector_of("v2", 1)[0].tolist()
    with pytest.raises(SnapshotError, match="differs"):
        small.opened()


def test_a_known_version_does_not_spare_new_files_their_check(small):
    old = small.opened()
    small.videos.write({"v2": 1})
    small.update()
    damaged = small.video_vectors_file(segment=1)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")

    with pytest.raises(SnapshotError, match="differs"):
        small.opened(known=old)


def test_another_kind_of_index_is_built_anew(small):
    old = small.opened(index="exact")

    new = small.opened(known=old, index="faiss-fp16")

    assert type(new.space.index) is not type(old.space.index)


def test_info_tells_of_versions_segments_and_what_compaction_would_save(small):
    small.videos.write({"v2": 1})
    second = small.tables(["v1", "v2", "v3"]).update().version

    info = describe_snapshot(small.snapshot)

    assert [(v.version, v.live, v.n_videos, v.n_segments) for v in info.versions] == [
        (second, True, 3, 2),
        (small.first, False, 4, 1),
    ]
    base, delta = info.segments
    assert [(s.n_videos, s.dead_videos, s.n_products, s.dead_products) for s in (base, delta)] == [
        (4, 2, 3, 0),
        (1, 0, 0, 0),
    ]
    assert info.compact_saves_bytes == base.n_bytes * 2 // 7
    assert info.encoder == "by-hand"
    assert info.n_bytes == sum(file.stat().st_size for file in (small.snapshot / "objects").iterdir())


def test_verifying_counts_what_it_checked_and_names_what_is_damaged_in_any_version(small):
    small.videos.write({"v2": 1})
    small.update()
    report = verify_snapshot(small.snapshot, every=True)
    assert (len(report.versions), report.n_files, report.n_searches) == (2, len(small.objects()), 10)

    lost = read_manifest(small.snapshot, small.first).files["video_placement.npy"]
    object_path(small.snapshot, "a.npy", lost).unlink()

    assert len(verify_snapshot(small.snapshot).versions) == 1
    with pytest.raises(SnapshotError, match=r"video_placement\.npy\) is missing"):
        verify_snapshot(small.snapshot, every=True)


def test_verifying_all_names_an_old_manifest_that_is_damaged(small):
    titled(small, "second")
    (small.snapshot / f"versions/{small.first}.json").write_text("{")

    assert len(verify_snapshot(small.snapshot).versions) == 1
    with pytest.raises(SnapshotError, match=rf"{small.first}\.json is damaged[\s\S]*do not roll back to {small.first}"):
        verify_snapshot(small.snapshot, every=True)


def test_what_is_pruned_while_all_is_verified_is_passed_over(small, monkeypatch):
    second = titled(small, "second")
    monkeypatch.setattr("indexing.survey.version_names", lambda folder: pruning(folder, [small.first, second]))

    assert verify_snapshot(small.snapshot, every=True).versions == (second,)


def pruning(folder, names):
    """The *names* of the versions that there were, of which all but the live one are pruned as they are told."""
    prune(folder, Keep(versions=1, days=0), datetime.now(UTC))
    return names


def test_what_is_pruned_while_the_folder_is_described_is_passed_over(small, monkeypatch):
    small.videos.write({"v2": 1})  # so that it lies elsewhere, and each version has a placement of its own
    second = small.update().version
    kept = readable(small.snapshot)
    monkeypatch.setattr("indexing.survey.readable", lambda folder: pruning(folder, kept))

    info = describe_snapshot(small.snapshot)

    assert [version.version for version in info.versions] == [second]
    assert info.n_bytes == sum(file.stat().st_size for file in (small.snapshot / "objects").iterdir())


@pytest.mark.parametrize(
    "job", [lambda folder: describe_snapshot(folder).live, lambda folder: verify_snapshot(folder).versions[0]]
)
def test_a_live_version_that_is_replaced_and_pruned_meanwhile_is_looked_for_again(small, monkeypatch, job):
    reads = iter([lambda: titled(small, "second", keep=Keep(versions=1, days=0))])
    monkeypatch.setattr(
        "indexing.survey.read_manifest", lambda *args: (next(reads, lambda: None)(), read_manifest(*args))[1]
    )

    assert job(small.snapshot) == read_manifest(small.snapshot).version != small.first


def test_an_old_version_that_is_damaged_is_left_out_of_the_description(small, caplog):
    small.videos.write({"v2": 1})
    second = small.update().version
    file = object_path(small.snapshot, "a.npy", read_manifest(small.snapshot, small.first).files["video_placement.npy"])
    file.write_bytes(b"")

    assert [version.version for version in describe_snapshot(small.snapshot).versions] == [second]
    assert f"version {small.first} cannot be read" in caplog.text


def test_verifying_notices_an_index_that_finds_others(small, monkeypatch):
    monkeypatch.setattr(
        "retrieval.index.segmented.SegmentedIndex.search",
        lambda self, queries, k, eligible=None: self._parts[1].search(queries, k, eligible),
    )
    small.videos.write({"v2": 1})
    small.update()

    with pytest.raises(SnapshotError, match="finds other videos than brute force"):
        verify_snapshot(small.snapshot)


def test_a_placement_that_names_rows_twice_is_refused(small):
    with publishing(small.snapshot) as publisher:
        live = publisher.require_live()
        twice = publisher.save("video_placement.npy", np.array([[0, 0, 0, 0], [0, 1, 1, 2]], np.int32))
        publisher.publish({**live.content, "files": {**live.files, "video_placement.npy": twice}}, Keep())

    with pytest.raises(SnapshotError, match="out of order"):
        small.opened()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_a_shop_its_snapshot_is_the_one_built_from_nothing(tmp_path, seed):
    shop = ShopOverTime(tmp_path, seed)
    shop.build()
    folded = 0
    for round_ in range(16):
        shop.change()
        folded += shop.update(recount=round_ % 5 == 0).folded
        if round_ == 11:
            compact_snapshot(shop.snapshot)
        if round_ in (3, 10, 12):
            rollback_snapshot(shop.snapshot)
            shop.update()
        require_equal(open_snapshot(shop.snapshot), shop.built_anew())

    assert folded
    verify_snapshot(shop.snapshot, every=True)


def test_a_reader_of_an_old_version_goes_on_while_it_is_pruned_away(tmp_path):
    shop = ShopOverTime(tmp_path, seed=5)
    shop.build()
    old = open_snapshot(shop.snapshot)
    rows = np.arange(len(old.videos))
    expected = old.space.index.search(QUERIES, 9), old.space.frame_vectors[rows].copy(), old.feed([], 9).videos

    for _ in range(3):
        shop.change()
        shop.update(keep=Keep(versions=1, days=0))
        compact_snapshot(shop.snapshot, keep=Keep(versions=1, days=0))

    assert not any(object_path(shop.snapshot, *one).exists() for one in old.manifest.segments[0].files.items())
    np.testing.assert_array_equal(old.space.index.search(QUERIES, 9).rows, expected[0].rows)
    np.testing.assert_array_equal(old.space.frame_vectors[rows], expected[1])
    assert old.feed([], 9).videos == expected[2]


class Reader(threading.Thread):
    """Opens the live version again and again, knowing the one before, and searches it."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.seen, self.failures, self.stop = folder, [], [], threading.Event()

    def run(self):
        known = None
        while not self.stop.is_set():
            try:
                known = open_snapshot(self.folder, known=known)
                assert (known.space.index.search(QUERIES, 5).rows >= 0).all()
                self.seen.append(known.version)
            except Exception as error:
                self.failures.append(error)


def test_readers_that_follow_the_live_version_never_meet_half_of_one(tmp_path):
    shop = ShopOverTime(tmp_path, seed=6)
    shop.build()
    reader = Reader(shop.snapshot)
    reader.start()

    for _ in range(8):
        shop.change()
        shop.update(keep=Keep(versions=1, days=0))
        compact_snapshot(shop.snapshot, keep=Keep(versions=1, days=0))
    reader.stop.set()
    reader.join()

    assert reader.failures == []
    assert len(set(reader.seen)) > 3


PUBLISHING = """
import sys
from pathlib import Path
from indexing.update import compact_snapshot
from indexing.versions import Keep
from tests.indexing.shop_over_time import ShopOverTime
shop = ShopOverTime(Path(sys.argv[1]), seed=int(sys.argv[2]))
shop.build()
print("ready", flush=True)
while True:
    shop.change()
    shop.update(keep=Keep(versions=2, days=0))
    compact_snapshot(shop.snapshot, keep=Keep(versions=2, days=0))
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_publisher_killed_at_any_instant_leaves_a_live_version_that_is_whole(tmp_path, seed):
    arguments = [sys.executable, "-c", PUBLISHING, str(tmp_path), str(seed)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}) as job:
        assert job.stdout.readline() == b"ready\n"
        time.sleep(np.random.default_rng(seed).uniform(0.02, 0.6))
        job.send_signal(signal.SIGKILL)
        job.wait()

    snapshot = tmp_path / "snapshot"
    before = open_snapshot(snapshot)
    verify_snapshot(snapshot, every=True)
    with publishing(snapshot) as publisher:
        name = publisher.publish(publisher.require_live().content, Keep())
    assert name == before.version
    named = [one for file in (snapshot / "versions").iterdir() for one in read_manifest(snapshot, file.stem).objects()]
    kept = {object_path(snapshot, *one) for one in named}
    assert kept == set((snapshot / "objects").iterdir())
    assert json.loads((snapshot / "manifest.json").read_text())["version"] == name
