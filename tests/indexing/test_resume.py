"""The embed job over time: stopped and resumed, run again over changed tables, in parts, into other file systems."""

import errno
import shutil

import numpy as np
import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.job import Part
from indexing.merge import merge_parts
from indexing.places import LocalPlace, alone, open_place
from indexing.store import S, Store, open_store
from retrieval.errors import StoreError, UserFacingError
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
