"""From a table's media to a store: vectors worked out by hand, and what becomes of files that cannot be read."""

import io
import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.media import PhotosTask, VideoTask, read_task
from indexing.store import S, open_store
from retrieval.content import ContentEncoder
from retrieval.errors import StoreError, TableError, UserFacingError
from retrieval.tables import Columns as C
from retrieval.towers.product import FusionWeights
from tests import shop
from tests.encoders import MeanColourEncoder

FEW = EmbedOptions(frames=4, workers=1, shard_size=3)
NOT_ALLOWED = "https://x.test is not a place that media.allowed in lookreel.toml lets media come from"
TOLD = (S.ITEM_ID, S.URI, S.REASON)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return shop.write_shop(tmp_path_factory.mktemp("shop") / "shop")


def with_products(folder, path, **columns):
    """The products with some columns changed, beside the photos."""
    table = folder / path
    shop.products_frame().with_columns(**columns).write_parquet(table)
    return table


def test_a_video_is_the_mean_of_its_frames_which_are_kept_with_their_times(folder, tmp_path):
    # Two seconds of red, then two of blue: half the frames each.
    red, blue = shop.COLOURS["red"], shop.COLOURS["blue"]
    shop.write_clip(folder / "clips/red.mp4", [red] * 20 + [blue] * 20)

    exact = EmbedOptions(frames=4, workers=1, accuracy="exact")
    summary = embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), exact)
    store = open_store(tmp_path / "store", "videos")

    assert (summary.n_items, summary.n_quarantined) == (4, 0)
    assert store.ids == ["v-red", "v-green", "v-blue", "v-white"]
    frames = store.parts([S.ITEM_ID, S.TIME_S, S.VECTOR, S.JPEG]).filter(pl.col(S.ITEM_ID) == "v-red")
    assert frames[S.TIME_S].to_list() == pytest.approx([0.5, 1.5, 2.5, 3.5])
    expected = np.array([red, red, blue, blue], float) / np.linalg.norm(red)
    np.testing.assert_allclose(frames[S.VECTOR].to_numpy(), expected, atol=0.06)
    np.testing.assert_allclose(store.vectors[0], frames[S.VECTOR].to_numpy().mean(axis=0), atol=1e-6)
    with Image.open(io.BytesIO(frames[S.JPEG][0])) as picture:
        assert picture.size == (48, 64)


def test_the_mean_can_be_brought_to_length_one(folder, tmp_path):
    options = EmbedOptions(frames=2, workers=1, unit=True)

    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), options)

    np.testing.assert_allclose(np.linalg.norm(open_store(tmp_path / "store", "videos").vectors, axis=1), 1, rtol=1e-6)


def test_a_product_fuses_its_photo_and_its_text(folder, tmp_path):
    options = EmbedOptions(workers=1, fusion=FusionWeights(photo=3.0, text=4.0))
    # The white product is called red: photo (1,1,1)/√3, text (1,0,0).
    titles = pl.Series(C.TITLE, ["A red dress", "A green dress", "A blue dress", "A red dress"])
    table = with_products(folder, "titled.parquet", title=titles, color=pl.lit(None, pl.String))

    embed_products(table, tmp_path / "store", MeanColourEncoder(), options)

    expected = 3.0 * np.ones(3) / np.sqrt(3) + 4.0 * np.array([1.0, 0.0, 0.0])
    fused = open_store(tmp_path / "store", "products").vectors[3]
    np.testing.assert_allclose(fused, expected / np.linalg.norm(expected), atol=1e-3)


def test_a_product_without_a_photo_uses_its_text_moved_by_the_mean_shift(folder, tmp_path):
    uris = pl.Series(C.IMAGE_URIS, [["photos/red.png"], [], [], None], dtype=pl.List(pl.String))
    table = with_products(folder, "photoless.parquet", image_uris=uris)

    embed_products(table, tmp_path / "store", MeanColourEncoder(), EmbedOptions(workers=1))
    store = open_store(tmp_path / "store", "products")

    # Only red has both, and its photo (200, 20, 20) is not quite its text (1, 0, 0): that difference is the shift.
    photo = np.array([200, 20, 20]) / np.linalg.norm([200, 20, 20])
    shift = photo - np.array([1, 0, 0])
    np.testing.assert_allclose(store.manifest.options["modality_shift"], shift, atol=1e-6)
    moved = np.array([0.0, 1.0, 0.0]) + shift
    expected = moved / np.linalg.norm(moved) + np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(store.vectors[1], expected / np.linalg.norm(expected), atol=1e-6)


def test_a_product_without_a_text_uses_its_photos_moved_the_other_way(folder, tmp_path):
    titles = pl.Series(C.TITLE, ["A red dress", "", "", ""])
    table = with_products(folder, "untitled.parquet", title=titles, color=pl.lit(None, pl.String))

    embed_products(table, tmp_path / "store", MeanColourEncoder(), EmbedOptions(workers=1))

    # The shift is red's photo minus its text; green's missing text is its photo less that shift.
    unit = lambda vector: np.asarray(vector) / np.linalg.norm(vector)  # noqa: E731
    shift = unit([200, 20, 20]) - np.array([1.0, 0.0, 0.0])
    photo = unit([20, 160, 20])
    expected = unit(photo + unit(photo - shift))  # both parts count with length 1
    np.testing.assert_allclose(open_store(tmp_path / "store", "products").vectors[1], expected, atol=1e-6)


def test_unreadable_media_are_quarantined_with_reasons_and_the_rest_goes_on(folder, tmp_path):
    (folder / "photos/not-a-photo.jpg").write_text("<html>404</html>")
    (folder / "clips/empty.mp4").write_bytes(b"")
    uris = [["photos/not-a-photo.jpg"], ["photos/green.png", "photos/absent.png"], ["https://x.test/a.jpg"], []]
    products = with_products(folder, "broken.parquet", image_uris=pl.Series(uris, dtype=pl.List(pl.String)))
    clips = ["clips/empty.mp4", "clips/green.mp4", "clips/absent.mp4", "photos/red.png.txt"]
    shop.videos_frame().with_columns(pl.Series(C.URI, clips)).write_parquet(folder / "broken-videos.parquet")

    product_summary = embed_products(products, tmp_path / "products", MeanColourEncoder(), FEW)
    video_summary = embed_videos(folder / "broken-videos.parquet", tmp_path / "videos", MeanColourEncoder(), FEW)

    assert (product_summary.n_items, product_summary.n_quarantined) == (4, 3)
    assert open_store(tmp_path / "products", "products").quarantine.select(*TOLD).rows() == [
        ("p-red", str(folder / "photos/not-a-photo.jpg"), "the file is not a picture that can be read"),
        ("p-green", str(folder / "photos/absent.png"), "there is no such file"),
        ("p-blue", "https://x.test/a.jpg", NOT_ALLOWED),
    ]
    assert (video_summary.n_items, video_summary.n_quarantined) == (1, 3)
    assert open_store(tmp_path / "videos", "videos").quarantine[S.REASON].to_list() == [
        "the file is empty (0 bytes)", "there is no such file", "there is no such file",
    ]  # fmt: skip


def test_odd_photos_are_read_as_people_see_them_or_quarantined(folder):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(8, axis=0)
    Image.fromarray(ramp).save(folder / "deep.png")
    Image.fromarray(ramp.astype(np.float32)).save(folder / "float.tiff")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(folder / "print.jpg")
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(folder / "clear.png")
    names = ("deep.png", "float.tiff", "print.jpg", "clear.png")

    read = [read_task(PhotosTask((str(folder / name),), "", 448)) for name in names]

    deep, _, printed, clear = (item.pictures[0].pixels.mean(axis=(0, 1)) if item.pictures else None for item in read)
    np.testing.assert_allclose(deep, [127.5] * 3, atol=2)
    assert read[1].failures[0][1] == "its pixels are floating-point numbers"
    np.testing.assert_allclose(printed, [255, 0, 0], atol=12)
    np.testing.assert_allclose(clear, [255] * 3)


def test_a_photo_is_turned_as_its_camera_says(folder):
    # Stored lying on its side: red on the left. Orientation 6 says to turn it clockwise, so red belongs on top.
    stored = Image.new("RGB", (64, 32), "blue")
    stored.paste("red", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[274] = 6
    stored.save(folder / "turned.png", exif=exif)

    pixels = read_task(PhotosTask((str(folder / "turned.png"),), "", 448)).pictures[0].pixels

    assert pixels.shape == (64, 32, 3)
    assert pixels[0, 16].tolist() == [255, 0, 0]
    assert pixels[-1, 16].tolist() == [0, 0, 255]


@pytest.mark.parametrize("task", [VideoTask("x" * 3000, 4, 448), PhotosTask(("x" * 3000,), "", 448)])
def test_a_path_that_no_file_can_have_is_a_reason_not_the_end(task):
    assert "File name too long" in read_task(task).failures[0][1]


def test_whatever_a_decoder_raises_is_a_reason_not_the_end():
    class Odd(VideoTask):
        def read(self, reader=None):
            raise NotImplementedError("a codec of the future")  # what Pillow says of some DDS files

    reason = "NotImplementedError: a codec of the future"  # the library's own word, told in the quarantine
    assert read_task(Odd("clip.mp4", 4, 448)).failures == (("clip.mp4", reason),)


def test_a_store_of_nothing_but_quarantined_items_is_refused_when_opened(folder, tmp_path):
    shop.videos_frame().with_columns(pl.lit("clips/none.mp4").alias(C.URI)).write_parquet(folder / "none.parquet")
    embed_videos(folder / "none.parquet", tmp_path / "store", MeanColourEncoder(), FEW)

    with pytest.raises(StoreError, match="holds no videos: all were quarantined"):
        open_store(tmp_path / "store", "videos")


def test_content_descriptors_tell_colours_apart_and_see_no_text(folder, tmp_path):
    embed_products(folder / "products.parquet", tmp_path / "store", ContentEncoder(), EmbedOptions(workers=1))

    vectors = open_store(tmp_path / "store", "products").vectors

    # Plain pictures share one outline (the frame itself), which is half of the length; their colours do not overlap.
    np.testing.assert_allclose(vectors @ vectors.T, np.full((4, 4), 0.5) + 0.5 * np.eye(4), atol=1e-5)


def test_a_failed_job_leaves_a_store_that_says_that_it_is_not_finished(folder, tmp_path):
    class Broken(MeanColourEncoder):
        def encode_images(self, images):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", Broken(), FEW)

    with pytest.raises(StoreError, match="is not finished and holds nothing yet"):
        open_store(tmp_path / "store", "videos")


def test_a_folder_of_something_else_is_refused_before_any_work(folder, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/other").write_text("somebody's")

    with pytest.raises(UserFacingError, match="holds something else than a store"):
        embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), FEW, overwrite=True)

    assert (tmp_path / "store/other").read_text() == "somebody's"


def test_rows_of_the_table_that_cannot_be_used_are_told_in_the_store(folder, tmp_path):
    videos = pl.concat([shop.videos_frame().with_columns(pl.col(C.VIDEO_ID) + f"-{n}") for n in range(6)])
    times = [None, *videos[C.PUBLISHED_AT][1:]]
    videos.with_columns(pl.Series(C.PUBLISHED_AT, times)).write_parquet(folder / "timeless.parquet")

    summary = embed_videos(folder / "timeless.parquet", tmp_path / "store", MeanColourEncoder(), FEW)

    assert (summary.n_items, summary.n_rejected) == (23, 1)
    assert pl.read_parquet(tmp_path / "store/rejected.parquet").rows() == [("videos", 0, "published_at is null")]


def test_progress_counts_what_is_committed(folder, tmp_path):
    heard = []

    embed_videos(
        folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), FEW, progress=lambda *at: heard.append(at)
    )

    assert heard == [(0, 4), (3, 4), (4, 4)]


def test_a_table_without_uris_is_refused(folder, tmp_path):
    shop.videos_frame().drop(C.URI).write_parquet(folder / "no-uri.parquet")

    with pytest.raises(TableError, match="has no column uri"):
        embed_videos(folder / "no-uri.parquet", tmp_path / "store", MeanColourEncoder(), FEW)


def test_a_damaged_store_is_refused(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), FEW)
    shard = tmp_path / "store/items-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")

    with pytest.raises(StoreError, match="differs from the manifest"):
        open_store(tmp_path / "store", "videos")


@pytest.mark.parametrize("change", [{"shards": []}, {"shards": 3}, {"dim": 7}, {"n_items": 9}, {"format": 0}])
def test_a_store_whose_manifest_was_changed_is_refused(folder, tmp_path, change):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), FEW)
    manifest = tmp_path / "store/manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))

    with pytest.raises(StoreError):
        open_store(tmp_path / "store", "videos")


def test_a_store_of_the_other_kind_is_refused(folder, tmp_path):
    embed_videos(folder / "videos.parquet", tmp_path / "store", MeanColourEncoder(), FEW)

    with pytest.raises(StoreError, match="is a store of videos, not of products"):
        open_store(tmp_path / "store", "products")
