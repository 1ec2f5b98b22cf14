"""What the shipped model `sample` knows, beside chance; how fast it is, beside float32 and one image at a time.

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
from retrieval.clip import open_clip_encoder
from retrieval.encoder import Encoder, Precision, open_encoder
from retrieval.errors import import_extra
from sample_shop.clip_eval import evaluate
from sample_shop.vocabulary import COLOURS, KINDS

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing_cc0"
PAIRS = 5
SIDE = 72  # pixels, the model's own resolution


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
    """Images prepared and encoded a second on one thread: as shipped, in float32, and as shipped but one by one."""
    noise = np.random.default_rng(0).integers(0, 255, (n_images, SIDE, SIDE, 3), np.uint8)
    images = [Image.fromarray(pixels) for pixels in noise]
    float32 = open_clip_encoder("sample", "cpu", Precision.FP32)
    ways: dict[str, Callable[[], object]] = {
        "as shipped": lambda: encoder.encode_images(images),
        "in float32": lambda: float32.encode_images(images),
        "one by one": lambda: [encoder.encode_images([image]) for image in images],
    }
    rounds = [{way: n_images / _seconds(work) for way, work in ways.items()} for _ in range(PAIRS)]
    rates = {way: [one[way] for one in rounds] for way in ways}
    detail = f"{n_images} images of {SIDE} px, preparation included, one thread, median of {PAIRS} in turn"
    figures = [
        Figure(f"speed as shipped over {other}", _ratio(rates["as shipped"], rates[other]), "times", "higher", detail)
        for other in ("in float32", "one by one")
    ]
    if with_size:
        figures += [Figure(f"speed {way}", median(rate), "images/s", "higher", detail) for way, rate in rates.items()]
    return figures


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    run(measure, "What the shipped CLIP knows and how fast it is.")
