"""The embed job over time: stopped and resumed, run again over changed tables, in parts, into other file systems."""

import errno
import json
import shutil
from contextlib import suppress
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.engine import LocalEngine
from indexing.job import Part
from indexing.lanes import Batcher, open_lanes
from indexing.merge import merge_parts
from indexing.places import LocalPlace, alone, open_place
from indexing.store import S, Store, open_store
from retrieval.errors import StoreError, UserFacingError
from retrieval.preparation import Preparation
from retrieval.tables import Columns as C
from tests import shop
from tests.encoders import MeanColourEncoder

TWO = EmbedOptions(frames=2, workers=1, shard_size=2)


class CountingEncoder(MeanColourEncoder):
    """Remembers how many pictures it was given, and stops where it is told to."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.n_images, self.stop_after = 0, stop_after

    def encode_images(self, images):
        if self.stop_after is not None and self.n_images >= self.stop_after:
            raise KeyboardInterrupt
        self.n_images += len(images)
        return super().encode_images(images)


@pytest.fixture(name="folder")
def _folder(tmp_path):
    return shop.write_shop(tmp_path / "shop")


def table_of(folder, video_ids, uris):
    """videos.parquet with these rows only."""
    like = shop.videos_frame().head(1)
    rows = [
        like.with_columns(pl.lit(v).alias(C.VIDEO_ID), pl.lit(u).alias(C.URI))
        for v, u in zip(video_ids, uris, strict=True)
    ]
    pl.concat(rows).write_parquet(folder / "videos.parquet")
    return folder / "videos.parquet"


def contents(folder):
    """Every file of a store but the manifest, which holds the time."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name not in ("manifest.json", ".lock")}


def test_a_stopped_job_goes_on_and_ends_with_the_store_of_an_undisturbed_run(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "calm", MeanColourEncoder(), TWO)
    stopped, resumed = CountingEncoder(stop_after=4), CountingEncoder()

    with pytest.raises(KeyboardInterrupt):
        embed_videos(folder / "videos.parquet", tmp_path / "store", stopped, TWO)
    half = open_store(tmp_path / "store", "videos")
    summary = embed_videos(folder / "videos.parquet", tmp_path / "store", resumed, TWO)

    assert (half.ids, half.manifest.complete) == (["v-red", "v-green"], False)
    assert (resumed.n_images, summary.n_new, summary.n_items) == (4, 2, 4)  # two clips of two frames were left
    assert contents(tmp_path / "store") == contents(tmp_path / "calm")


def test_the_same_command_again_embeds_nothing(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    before, again = contents(tmp_path / "store"), CountingEncoder()

    summary = embed_videos(folder / "videos.parquet", tmp_path / "store", again, TWO)

    assert (again.n_images, summary.n_new, summary.n_items) == (0, 0, 4)
    assert contents(tmp_path / "store") == before


def test_only_what_is_new_or_changed_is_embedded_and_the_last_vector_holds(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    shop.write_clip(folder / "clips/red.mp4", [shop.COLOURS["blue"]] * 11)
    shop.write_clip(folder / "clips/new.mp4", [shop.COLOURS["green"]] * 12)
    names, uris = ["v-red", "v-green", "v-new"], ["clips/red.mp4", "clips/green.mp4", "clips/new.mp4"]
    encoder = CountingEncoder()

    embed_videos(table_of(folder, names, uris), tmp_path / "store", encoder, TWO)

    store = open_store(tmp_path / "store", "videos")
    assert encoder.n_images == 4
    assert sorted(store.ids) == ["v-blue", "v-green", "v-new", "v-red", "v-white"]
    vector = dict(zip(store.ids, store.vectors, strict=True))
    np.testing.assert_allclose(vector["v-red"], vector["v-blue"], atol=0.02)
    frames = store.parts([S.ITEM_ID, S.VECTOR]).filter(pl.col(S.ITEM_ID) == "v-red")
    assert frames.height == 2
    np.testing.assert_allclose(frames[S.VECTOR].to_numpy().mean(axis=0), vector["v-red"], atol=1e-6)


def test_a_file_that_was_only_touched_or_renamed_is_not_embedded_again(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    (folder / "clips/red.mp4").touch()
    shutil.copy(folder / "clips/green.mp4", folder / "clips/moved.mp4")
    names, uris = ["v-red", "v-moved"], ["clips/red.mp4", "clips/moved.mp4"]
    encoder = CountingEncoder()

    summary = embed_videos(table_of(folder, names, uris), tmp_path / "store", encoder, TWO)

    store = open_store(tmp_path / "store", "videos")
    vector = dict(zip(store.ids, store.vectors, strict=True))
    assert (encoder.n_images, summary.n_new, summary.n_copied) == (0, 0, 1)
    np.testing.assert_array_equal(vector["v-moved"], vector["v-green"])
    assert store.parts([S.ITEM_ID]).filter(pl.col(S.ITEM_ID) == "v-moved").height == 2


def test_what_was_set_aside_is_tried_again_when_its_file_changes_or_when_asked(folder, tmp_path):
    table = table_of(folder, ["v-red", "v-late"], ["clips/red.mp4", "clips/late.mp4"])
    heard, retry = [], EmbedOptions(frames=2, workers=1, shard_size=2, retry=True)
    first = embed_videos(table, tmp_path / "store", MeanColourEncoder(), TWO)
    again = embed_videos(table, tmp_path / "store", MeanColourEncoder(), TWO, progress=lambda *at: heard.append(at))
    asked = embed_videos(table, tmp_path / "store", MeanColourEncoder(), retry, progress=lambda *at: heard.append(at))
    shop.write_clip(folder / "clips/late.mp4", [shop.COLOURS["blue"]] * 10)

    came = embed_videos(table, tmp_path / "store", MeanColourEncoder(), TWO)

    assert [(s.n_items, s.n_new, s.n_quarantined) for s in (first, again, asked, came)] == [
        (1, 1, 1), (1, 0, 1), (1, 0, 1), (2, 1, 0),
    ]  # fmt: skip
    assert heard == [(0, 0), (0, 1), (1, 1)]  # nothing to do, then the one that was set aside
    assert open_store(tmp_path / "store", "videos").quarantine.is_empty()


def test_a_file_that_became_unreadable_leaves_the_store(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    (folder / "clips/red.mp4").write_bytes(b"no video at all")

    summary = embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    assert (summary.n_items, summary.n_quarantined) == (3, 1)
    assert "v-red" not in open_store(tmp_path / "store", "videos").ids


def test_a_stopped_job_whose_table_changed_keeps_what_it_had_and_does_the_rest(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        embed_videos(folder / "videos.parquet", tmp_path / "store", CountingEncoder(stop_after=4), TWO)
    table = table_of(folder, ["v-white", "v-red"], ["clips/white.mp4", "clips/red.mp4"])
    encoder = CountingEncoder()

    summary = embed_videos(table, tmp_path / "store", encoder, TWO)

    assert (encoder.n_images, summary.n_items) == (2, 3)
    assert open_store(tmp_path / "store", "videos").ids == ["v-red", "v-green", "v-white"]


def test_products_keep_the_modality_shift_of_their_first_run(folder, tmp_path):
    embed_products(folder / "products.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    before = open_store(tmp_path / "store", "products")
    titles = pl.Series(C.TITLE, ["A red dress", "A green dress", "A blue dress", "A green dress"])
    shop.products_frame().with_columns(titles).write_parquet(folder / "products.parquet")

    summary = embed_products(folder / "products.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    after = open_store(tmp_path / "store", "products")
    changed = dict(zip(before.ids, before.vectors, strict=True))
    assert summary.n_new < 4
    assert after.manifest.options["modality_shift"] == before.manifest.options["modality_shift"]
    assert any(shop_shift != 0 for shop_shift in before.manifest.options["modality_shift"])
    kept = [row for row, name in enumerate(after.ids) if name == "p-blue"]
    np.testing.assert_array_equal(after.vectors[kept[0]], changed["p-blue"])


def test_a_store_made_otherwise_is_refused_or_replaced_when_asked(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    other = EmbedOptions(frames=3, workers=1)

    with pytest.raises(StoreError, match="was made with frames 2, not 3"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), other)
    with pytest.raises(StoreError, match="was made with fingerprint mean-colour-1, not mean-colour-2"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder("mean-colour-2"), TWO)
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), other, overwrite=True)

    assert open_store(tmp_path / "store", "videos").parts([S.PART])[S.PART].max() == 2


def test_a_store_of_products_is_not_overwritten_by_videos(folder, tmp_path):
    embed_products(folder / "products.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    with pytest.raises(StoreError, match="was made with kind products, not videos"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO, overwrite=True)

    assert open_store(tmp_path / "store", "products").manifest.n_items == 4


def test_two_jobs_never_write_to_one_store(folder, tmp_path):
    with alone(open_place(tmp_path / "store")), pytest.raises(UserFacingError, match="Another job is writing to"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)


def test_a_full_disk_ends_the_job_and_leaves_a_store_that_opens_and_goes_on(folder, tmp_path, monkeypatch):
    write = LocalPlace.write

    def full(self, name, content):
        if name == "parts-00001.parquet":
            raise OSError(errno.ENOSPC, "No space left on device", name)
        write(self, name, content)

    monkeypatch.setattr(LocalPlace, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    monkeypatch.undo()
    assert open_store(tmp_path / "store", "videos").ids == ["v-red", "v-green"]
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    assert open_store(tmp_path / "store", "videos").manifest.n_items == 4


def test_parts_joined_are_the_store_of_an_undivided_run(folder, tmp_path):
    table, parts = folder / "products.parquet", [tmp_path / "part-1", tmp_path / "part-2"]
    embed_products(table, tmp_path / "whole", MeanColourEncoder(), EmbedOptions(workers=1, shard_size=1))
    for number, part in enumerate(parts, start=1):
        embed_products(table, part, MeanColourEncoder(), EmbedOptions(workers=1, shard_size=1), part=Part(number, 2))

    merge_parts(parts[::-1], tmp_path / "joined")

    whole, joined = open_store(tmp_path / "whole", "products"), open_store(tmp_path / "joined", "products")
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")
    assert joined.manifest.options == whole.manifest.options
    np.testing.assert_array_equal(joined.vectors, whole.vectors)
    assert open_store(parts[0], "products").ids == ["p-red", "p-blue"]


def test_parts_that_are_missing_unfinished_or_of_other_tables_are_refused(folder, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    embed_videos(folder / "videos.parquet", one, MeanColourEncoder(), TWO, part=Part(1, 2))
    with pytest.raises(StoreError, match="The part 2/2 is missing"):
        merge_parts([one], tmp_path / "joined")
    table = table_of(folder, ["v-red"], ["clips/red.mp4"])
    with pytest.raises(StoreError, match="the table or its media changed since"):
        embed_videos(table, one, MeanColourEncoder(), TWO, part=Part(1, 2))
    embed_videos(table, other, MeanColourEncoder(), TWO, part=Part(2, 2))
    with pytest.raises(StoreError, match="are not of one job"):
        merge_parts([one, other], tmp_path / "joined")


def test_a_store_can_live_in_any_file_system_that_fsspec_knows(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "local", MeanColourEncoder(), TWO)
    target = "memory://shop/stores/videos"

    embed_videos(folder / "videos.parquet", target, MeanColourEncoder(), TWO)
    again = embed_videos(folder / "videos.parquet", target, MeanColourEncoder(), TWO)

    remote = open_store(target, "videos")
    assert again.n_new == 0
    assert remote.ids == open_store(tmp_path / "local", "videos").ids
    np.testing.assert_array_equal(remote.vectors, open_store(tmp_path / "local", "videos").vectors)


def test_an_unknown_file_system_is_refused_in_words():
    with pytest.raises(UserFacingError, match="cannot be opened"):
        open_place("nowhere://bucket/store")


def test_known_shards_are_neither_checked_nor_read(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    known = open_store(tmp_path / "store", "videos").shard_ids[:1]
    (tmp_path / "store/items-00000.parquet").write_bytes(b"gone")

    rest: Store = open_store(tmp_path / "store", "videos", known=known)

    assert rest.ids == ["v-blue", "v-white"]
    assert rest.parts([S.ITEM_ID])[S.ITEM_ID].unique(maintain_order=True).to_list() == ["v-blue", "v-white"]


def test_a_folder_of_other_files_is_refused_and_left_alone(folder, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/items-2024.csv").write_text("somebody's")

    with pytest.raises(StoreError, match="holds something else than a store"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO, overwrite=True)

    assert (tmp_path / "store/items-2024.csv").read_text() == "somebody's"


class Stopped(Exception):
    """What ends a job in these tests."""


@pytest.mark.parametrize("parts", [None, Part(1, 2)])
@pytest.mark.parametrize("stop_at", range(16))
def test_a_job_that_is_stopped_at_any_write_ends_as_if_it_had_not_been(folder, tmp_path, monkeypatch, parts, stop_at):
    table = table_of(
        folder, ["v-red", "v-none", "v-blue", "v-white"], [f"clips/{n}.mp4" for n in ("red", "x", "blue", "white")]
    )
    part, one = parts or Part(), EmbedOptions(frames=2, workers=1, shard_size=1)
    embed_videos(table, tmp_path / "calm", MeanColourEncoder(), one, part=part)
    write, calls = LocalPlace.write, iter(range(100))

    def stopped(self, name, content):
        if next(calls) == stop_at:
            raise Stopped
        write(self, name, content)

    with monkeypatch.context() as patched, suppress(Stopped):
        patched.setattr(LocalPlace, "write", stopped)
        embed_videos(table, tmp_path / "store", MeanColourEncoder(), one, part=part)
    embed_videos(table, tmp_path / "store", MeanColourEncoder(), one, part=part)
    again = embed_videos(table, tmp_path / "store", MeanColourEncoder(), one, part=part)

    assert contents(tmp_path / "store") == contents(tmp_path / "calm")
    assert again.n_new == 0


def test_an_overwriting_that_was_stopped_goes_on_and_leaves_nothing_of_the_old_store(folder, tmp_path, monkeypatch):
    three = EmbedOptions(frames=3, workers=1, shard_size=4)
    embed_videos(folder / "videos.parquet", tmp_path / "calm", MeanColourEncoder(), three)
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    remove, calls = LocalPlace.remove, iter(range(100))

    def stopped(self, name):
        if next(calls) == 2:
            raise Stopped
        remove(self, name)

    with monkeypatch.context() as patched, suppress(Stopped):
        patched.setattr(LocalPlace, "remove", stopped)
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), three, overwrite=True)
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), three, overwrite=True)

    assert contents(tmp_path / "store") == contents(tmp_path / "calm")


def test_overwriting_a_whole_or_damaged_store_embeds_it_anew(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    (tmp_path / "store/parts-00000.parquet").write_bytes(b"damaged")
    anew, again = CountingEncoder(), CountingEncoder()

    embed_videos(folder / "videos.parquet", tmp_path / "store", anew, TWO, overwrite=True)
    (tmp_path / "store/manifest.json").write_text("{")
    embed_videos(folder / "videos.parquet", tmp_path / "store", again, TWO, overwrite=True)

    assert (anew.n_images, again.n_images) == (8, 8)
    assert len(open_store(tmp_path / "store", "videos").parts([S.PART])) == 8


def test_files_that_are_away_for_a_night_keep_their_vectors_and_cost_nothing_when_they_return(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    (folder / "clips/red.mp4").rename(folder / "clips/away.mp4")
    encoder = CountingEncoder()

    away = embed_videos(folder / "videos.parquet", tmp_path / "store", encoder, TWO)
    (folder / "clips/away.mp4").rename(folder / "clips/red.mp4")
    back = embed_videos(folder / "videos.parquet", tmp_path / "store", encoder, TWO)

    assert [(s.n_items, s.n_new, s.n_absent, s.n_quarantined) for s in (away, back)] == [(4, 0, 1, 0), (4, 0, 0, 0)]
    assert encoder.n_images == 0


def test_a_touched_file_is_hashed_once(folder, tmp_path, monkeypatch):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    (folder / "clips/red.mp4").touch()
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    monkeypatch.setattr("indexing.job.ReaderPool", None)  # nobody may be asked for a hash

    again = embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    assert (again.n_items, again.n_new) == (4, 0)


def test_a_product_whose_photo_is_missing_still_follows_its_title(folder, tmp_path):
    uris = pl.Series(C.IMAGE_URIS, [["photos/none.png"]] * 4)
    frame = shop.products_frame().with_columns(uris, pl.lit(None, pl.String).alias(C.COLOR))
    frame.write_parquet(folder / "products.parquet")
    embed_products(folder / "products.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    frame.with_columns(pl.lit("A blue dress").alias(C.TITLE)).write_parquet(folder / "products.parquet")

    embed_products(folder / "products.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    store = open_store(tmp_path / "store", "products")
    np.testing.assert_allclose(store.vectors, [[0.0, 0.0, 1.0]] * 4, atol=1e-6)


def test_the_quarantine_forgets_what_left_the_table(folder, tmp_path):
    names, uris = ["v-red", "v-none"], ["clips/red.mp4", "clips/none.mp4"]
    before = embed_videos(table_of(folder, names, uris), tmp_path / "store", MeanColourEncoder(), TWO)

    after = embed_videos(table_of(folder, names[:1], uris[:1]), tmp_path / "store", MeanColourEncoder(), TWO)

    assert (before.n_quarantined, after.n_quarantined) == (1, 0)


def test_parts_of_other_options_are_not_joined_and_joining_again_changes_nothing(folder, tmp_path):
    three = EmbedOptions(frames=3, workers=1, shard_size=2)
    for name, number, options in (("one", 1, TWO), ("two", 2, TWO), ("other", 2, three)):
        embed_videos(folder / "videos.parquet", tmp_path / name, MeanColourEncoder(), options, part=Part(number, 2))

    with pytest.raises(StoreError, match="the table, the model or the options differ"):
        merge_parts([tmp_path / "one", tmp_path / "other"], tmp_path / "joined")
    merge_parts([tmp_path / "one", tmp_path / "two"], tmp_path / "joined")
    before = contents(tmp_path / "joined")
    merge_parts([tmp_path / "one", tmp_path / "two"], tmp_path / "joined")

    assert contents(tmp_path / "joined") == before


def test_batches_have_one_shape_whatever_could_be_read(folder, tmp_path):
    class Shapes(MeanColourEncoder):
        preparation = Preparation((8, 8), crop=False)
        seen = ()

        def encode_prepared(self, pixels):
            self.seen = (*self.seen, pixels.shape)
            return self.encode_images(pixels)

    whole, encoder = Shapes(), Shapes()
    embed_videos(folder / "videos.parquet", tmp_path / "whole", whole, EmbedOptions(frames=3, workers=1, batch=4))
    (folder / "clips/green.mp4").write_bytes(b"broken")

    embed_videos(folder / "videos.parquet", tmp_path / "store", encoder, EmbedOptions(frames=3, workers=1, batch=4))

    full = open_store(tmp_path / "whole", "videos")
    broken = open_store(tmp_path / "store", "videos")
    assert set(whole.seen) == set(encoder.seen) == {(4, 8, 8, 3)}
    assert (len(whole.seen), len(encoder.seen)) == (3, 3)  # twelve pictures, then nine and three that fill up
    np.testing.assert_array_equal(broken.vectors, full.vectors[[0, 2, 3]])


def test_a_node_that_writes_elsewhere_never_makes_a_store_look_complete(folder, tmp_path):
    class Elsewhere(LocalEngine):
        """A cluster whose nodes do not share the folder."""

        def run(self, station, encoder, shards):
            return super().run(replace(station, target=str(tmp_path / "elsewhere")), encoder, shards)

    with pytest.raises(StoreError, match="2 shards were embedded but are not in"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO, engine=Elsewhere())

    with pytest.raises(StoreError, match="is not finished"):
        open_store(tmp_path / "store", "videos")


def test_a_complete_store_that_another_program_wrote_is_gone_on_with(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)
    manifest = tmp_path / "store/manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "job": ""}))
    encoder = CountingEncoder()

    summary = embed_videos(folder / "videos.parquet", tmp_path / "store", encoder, TWO)

    assert (encoder.n_images, summary.n_items) == (0, 4)


def test_a_damaged_part_is_not_joined(folder, tmp_path):
    for number in (1, 2):
        part = tmp_path / f"part-{number}"
        embed_videos(folder / "videos.parquet", part, MeanColourEncoder(), TWO, part=Part(number, 2))
    (tmp_path / "part-1/parts-00000.parquet").write_bytes(b"damaged")

    with pytest.raises(StoreError, match="differs from the manifest"):
        merge_parts([tmp_path / "part-1", tmp_path / "part-2"], tmp_path / "joined")


def test_no_more_batches_wait_than_the_lanes_can_soon_take():
    with open_lanes(MeanColourEncoder(), size=2) as lanes:
        batcher = Batcher(lanes)
        batcher.add([np.full((4, 4, 3), 9, np.uint8)] * 20)

        assert len(batcher._sent) <= lanes.count + 1
        assert batcher.vectors().shape == (20, 3)


def test_drafts_of_killed_writers_are_removed_and_those_of_others_are_not(folder, tmp_path):
    (tmp_path / "store").mkdir()
    ours = tmp_path / f"store/.items-00000.parquet.{'0' * 32}.partial"
    theirs = tmp_path / "store/.report.partial"
    for draft in (ours, theirs):
        draft.write_text("half")

    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), TWO)

    assert (ours.exists(), theirs.exists()) == (False, True)
