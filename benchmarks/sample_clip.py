"""What the shipped model `sample` knows, beside chance; and how fast it is, beside the same model one image at a time.

Real photos are the validation split of clothing_cc0, which training never saw; shop photos are drawn from seeds that
training never drew.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.report import Figure, run
from retrieval.encoder import Encoder, open_encoder
from retrieval.errors import import_extra
from sample_shop.clip_eval import evaluate
from sample_shop.vocabulary import COLOURS, KINDS

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing_cc0"
PAIRS = 5


def measure(quick: bool) -> list[Figure]:
    """Accuracies and speed of `sample`."""
    if not PHOTOS.is_dir():
        sys.exit("This needs the photos of clothing_cc0 in ../shared/data, which are not here.")
    import_extra("torch", "embed").set_num_threads(1)
    encoder = open_encoder()
    return [*_accuracies(encoder, 200 if quick else 600), *_speed(encoder, 256 if quick else 1024, with_size=not quick)]


def _accuracies(encoder: Encoder, n_shop: int) -> list[Figure]:
    known = evaluate(encoder, PHOTOS, n_shop)
    real, drawn = f"{known.n_photos} CC0 validation photos", f"{known.n_shop} held-out product photos"
    queries = f"{known.n_queries} colour + kind queries over {known.n_shop} product photos"
    return [
        Figure("zero-shot kind, real photos", known.photo_kind, "share", "higher", f"{real}; chance 0.10"),
        Figure("zero-shot kind, real, macro", known.photo_kind_macro, "share", "higher", f"{real}; chance 0.10"),
        Figure(
            "zero-shot kind, shop photos", known.shop_kind, "share", "higher", f"{drawn}; chance {1 / len(KINDS):.2f}"
        ),
        Figure(
            "zero-shot colour, shop photos",
            known.shop_colour,
            "share",
            "higher",
            f"{drawn}; chance {1 / len(COLOURS):.2f}",
        ),
        Figure("precision@5 of queries", known.precision_at_5, "share", "higher", queries),
    ]


def _speed(encoder: Encoder, n_images: int, *, with_size: bool) -> list[Figure]:
    """Images prepared and encoded a second on one thread: in batches, and one by one."""
    noise = np.random.default_rng(0).integers(0, 255, (n_images, 96, 96, 3), np.uint8)
    images = [Image.fromarray(pixels) for pixels in noise]
    batched, single = [], []
    for _ in range(PAIRS):
        batched.append(n_images / _seconds(lambda: encoder.encode_images(images)))
        single.append(n_images / _seconds(lambda: [encoder.encode_images([image]) for image in images]))
    detail = f"{n_images} images of 96 px, one thread, median of {PAIRS} pairs in turn"
    ratio = median(many / one for many, one in zip(batched, single, strict=True))
    figures = [Figure("batched over one by one", ratio, "times", "higher", detail)]
    if with_size:
        figures.append(Figure("encoding, preparation included", median(batched), "images/s", "higher", detail))
    return figures


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    run(measure, "What the shipped CLIP knows and how fast it is.")
