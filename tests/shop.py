"""A tiny shop written by hand: what the tests of tables, logs, stores and commands stand on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import polars as pl
from PIL import Image

from retrieval.tables import Columns as C

START = datetime(2026, 1, 1, tzinfo=UTC)
COLOURS = {"red": (200, 20, 20), "green": (20, 160, 20), "blue": (20, 20, 200), "white": (245, 245, 245)}


def at(hours: float) -> datetime:
    """So many hours after the shop opened."""
    return START + timedelta(hours=hours)


def products_frame() -> pl.DataFrame:
    """Four products, one of each colour, each with a photo."""
    return pl.DataFrame(
        {
            C.PRODUCT_ID: [f"p-{colour}" for colour in COLOURS],
            C.TITLE: [f"A {colour} dress" for colour in COLOURS],
            C.COLOR: list(COLOURS),
            C.IMAGE_URIS: [[f"photos/{colour}.png"] for colour in COLOURS],
        }
    )


def videos_frame() -> pl.DataFrame:
    """Four clips, one of each colour, an hour apart; the first two of them for Germany."""
    return pl.DataFrame(
        {
            C.VIDEO_ID: [f"v-{colour}" for colour in COLOURS],
            C.URI: [f"clips/{colour}.mp4" for colour in COLOURS],
            C.PUBLISHED_AT: [at(hour) for hour in range(4)],
            C.DURATION_S: [10.0] * 4,
            C.PRODUCT_IDS: [[f"p-{colour}"] for colour in COLOURS],
            C.MARKETS: [["de", "fr"], ["de"], ["fr"], ["pl"]],
        }
    )


def interactions_frame() -> pl.DataFrame:
    """Ann looks at red, then (half a day later) at blue; Bob at green only, and is shown white."""
    rows = [
        ("ann", "p-red", "view", at(10), "de"),
        ("ann", "p-blue", "view", at(22), "de"),
        ("bob", "p-green", "purchase", at(12), "fr"),
        ("bob", "p-white", "shown", at(13), "fr"),
    ]
    return pl.DataFrame(rows, schema=[C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT, C.MARKET], orient="row")


def impressions_frame() -> pl.DataFrame:
    """Ann saw red to its end and did not reach green; Bob left blue early."""
    return pl.DataFrame(
        {
            C.FEED_ID: ["f1", "f1", "f2"],
            C.USER_ID: ["ann", "ann", "bob"],
            C.VIDEO_ID: ["v-red", "v-green", "v-blue"],
            C.POSITION: [1, 2, 1],
            C.SHOWN_AT: [at(20), at(20), at(21)],
            C.REACHED: [True, False, True],
            C.WATCH_TIME_S: [10.0, None, 1.0],
        }
    )


def write_tables(folder: Path, *, impressions: bool = True) -> Path:
    """Write the tables, without media, into *folder* and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    products_frame().write_parquet(folder / "products.parquet")
    videos_frame().write_parquet(folder / "videos.parquet")
    interactions_frame().write_parquet(folder / "interactions.parquet")
    if impressions:
        impressions_frame().write_parquet(folder / "impressions.parquet")
    return folder


def write_shop(folder: Path) -> Path:
    """Write the tables with real photos and H.264 clips of one colour each."""
    write_tables(folder)
    (folder / "photos").mkdir()
    (folder / "clips").mkdir()
    for colour, rgb in COLOURS.items():
        Image.new("RGB", (48, 64), rgb).save(folder / f"photos/{colour}.png")
        write_clip(folder / f"clips/{colour}.mp4", [rgb] * 20)
    return folder


def write_dress_shop(folder: Path) -> Path:
    """Write the tables with photos and clips of drawn dresses, for encoders that know clothes."""
    from sample_shop.garments import product_photo
    from sample_shop.vocabulary import Garment

    write_shop(folder)
    for number, colour in enumerate(COLOURS):
        photo = product_photo(Garment("dress", colour, cut=number), number)
        photo.save(folder / f"photos/{colour}.png")
        frames = [np.asarray(photo.resize((144, 192)))] * 20
        write_frames(folder / f"clips/{colour}.mp4", frames)
    return folder


def write_clip(
    path: Path, colours: list[tuple[int, int, int]], fps: int = 10, size: tuple[int, int] = (48, 64)
) -> None:
    """Write an H.264 clip whose frames are of one colour each."""
    write_frames(path, [np.full((size[1], size[0], 3), colour, np.uint8) for colour in colours], fps)


def write_frames(path: Path, frames: list[np.ndarray], fps: int = 10) -> None:
    """Write an H.264 clip of RGB frames `(height, width, 3)`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width, _ = frames[0].shape
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
