"""Pictures to train the small judge on: the photos and clips of whole shops, small, with what each of them shows.

    python -m sample_shop.judge_pictures --first 1000 --count 20 --out FOLDER

One safetensors file a shop, drawn by one process a core. Seeds from 1000 are for training alone: no shop that a user,
a test or a figure looks at has one.
"""

import argparse
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

from sample_shop.catalogue import Catalogue, clips, garment, make_catalogue
from sample_shop.film import iter_clip
from sample_shop.filming.looks import draw_look
from sample_shop.filming.planes import to_rgb
from sample_shop.filming.shots import count_frames, plan_shots
from sample_shop.photo import product_photo
from sample_shop.vocabulary import Clip

logger = logging.getLogger(__name__)

FIRST_SEED = 1000
PHOTO_SIZE, FRAME_SIZE = (96, 128), (96, 160)  # width, height: a seventh more than the judge sees, room to crop
FRAMES = 16  # of a clip: two sets of eight, half a step apart
PRODUCTS, VIDEOS = 600, 300
Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ShopPictures:
    """A shop's pictures.

    *photos* `(n_products, 128, 96, 3)` and *frames* `(n_videos, 16, 160, 96, 3)` are RGB; *shown* `(n_videos, 16, 4)`
    are the rows of the products in each frame, −1 where there is none.
    """

    photos: Bytes
    frames: Bytes
    shown: Rows

    def save(self, path: Path) -> None:
        """Write to *path*, whole or not at all."""
        draft = path.with_suffix(".part")
        save_file({"photos": self.photos, "frames": self.frames, "shown": self.shown}, draft)
        draft.replace(path)


def shop_catalogue(seed: int) -> Catalogue:
    """The shop that `draw_shop` draws."""
    return make_catalogue(seed, PRODUCTS, VIDEOS)


def pictures_file(folder: Path, seed: int) -> Path:
    return folder / f"shop-{seed}.safetensors"


def load_pictures(folder: Path, seed: int) -> ShopPictures:
    return ShopPictures(**load_file(pictures_file(folder, seed)))


def draw_shop(seed: int) -> ShopPictures:
    """Draw all photos and clips of a shop; about 45 s on one core."""
    catalogue = shop_catalogue(seed)
    photos = [
        np.asarray(product_photo(garment(catalogue.products, row), seed * 1_000_003 + 2 * row).resize(PHOTO_SIZE))
        for row in range(PRODUCTS)
    ]
    films = clips(catalogue)
    frames = np.zeros((VIDEOS, FRAMES, FRAME_SIZE[1], FRAME_SIZE[0], 3), np.uint8)
    shown = np.full((VIDEOS, FRAMES, 4), -1, np.int64)
    for row in sorted(range(VIDEOS), key=lambda row: films[row].creator.creator_id):  # places are kept per creator
        frames[row] = _frames(films[row])
        shown[row] = _shown(films[row], catalogue.videos.products[row])
    return ShopPictures(np.stack(photos), frames, shown)


def _times(clip: Clip) -> list[int]:
    """The frames that lie at (i + ½)/16 of the clip: the even ones are eight, half a step before the judge's own."""
    return [int((i + 0.5) / FRAMES * count_frames(clip)) for i in range(FRAMES)]


def _frames(clip: Clip) -> Bytes:
    wanted = set(_times(clip))
    kept = [frame for i, frame in enumerate(iter_clip(clip)) if i in wanted]
    pictures = [Image.fromarray(to_rgb(frame.planes, frame.light)) for frame in kept]
    return np.stack([np.asarray(picture.resize(FRAME_SIZE, Image.Resampling.BICUBIC)) for picture in pictures])


def _shown(clip: Clip, products: Rows) -> Rows:
    """The products in each of the frames, `(16, 4)`, from the plan of the shots."""
    row_of = dict(zip(clip.garments, products.tolist(), strict=False))
    shots = plan_shots(clip, draw_look(clip.creator))
    ends = np.cumsum([shot.n_frames for shot in shots])
    shown = np.full((FRAMES, 4), -1, np.int64)
    for i, shot in enumerate(np.searchsorted(ends, _times(clip), side="right").tolist()):
        rows = [row_of[garment] for garment in shots[shot].garments]
        shown[i, : len(rows)] = rows
    return shown


def _draw(seed: int, folder: Path) -> int:
    if not pictures_file(folder, seed).exists():
        draw_shop(seed).save(pictures_file(folder, seed))
    return seed


def draw_shops(seeds: range, folder: Path) -> None:
    """Draw the shops that *folder* lacks, on all cores."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for done in [pool.submit(_draw, seed, folder) for seed in seeds]:
            logger.info("Shop %s is drawn", done.result())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="first seed")
    parser.add_argument("--count", type=int, default=20, help="how many shops")
    parser.add_argument("--out", type=Path, required=True, help="where the files go, about 0.24 GB a shop")
    options = parser.parse_args()
    draw_shops(range(options.first, options.first + options.count), options.out)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main()
