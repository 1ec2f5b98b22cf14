"""Tasks of the labelling page, drawn as the sample shop draws, and the page in a process of its own."""

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from judge.labelling.desk import Desk, Order
from judge.labelling.record import open_record
from judge.labelling.server import serve_desk
from judge.rubric import load_rubric
from judge.task import ShownProduct, ShownVideo, Task
from sample_shop.photo import product_photo
from sample_shop.vocabulary import COLOURS, KINDS, PATTERNS, Garment

N_FRAMES = 8


def make_tasks(n_users=3, n_videos=2, n_products=12, width=240, height=320):
    return [_task(user, n_videos, n_products, (width, height)) for user in range(n_users)]


def _task(user, n_videos, n_products, size):
    products = tuple(
        ShownProduct(
            f"p{user}{n}", f"{_colour(user + n)} {_kind(user + n)} {n}".capitalize(), _photo(user + n, n, size)
        )
        for n in range(n_products)
    )
    return Task(f"user{user}", products, tuple(_video(user, n, size) for n in range(n_videos)))


def _video(user, number, size):
    seed, portrait = 7 * user + number, (size[1] * 9 // 16, size[1])
    frames = tuple(_photo(seed, 100 + frame, portrait) for frame in range(N_FRAMES))
    title = f"How I style a {_colour(seed)} {_kind(seed)}"
    return ShownVideo(f"video{user}{number}", title, frames, tuple(n + 0.5 for n in range(N_FRAMES)))


def _colour(seed):
    return COLOURS[seed % len(COLOURS)]


def _kind(seed):
    return KINDS[seed % len(KINDS)]


def _photo(seed, draw, size):
    garment = Garment(_kind(seed), _colour(seed), PATTERNS[seed % len(PATTERNS)], cut=seed)
    held = io.BytesIO()
    product_photo(garment, draw, *size).save(held, "JPEG", quality=85)
    return held.getvalue()


def open_desk(record, tasks, grader="anna", **order):
    return Desk(tasks, {}, record, load_rubric(), grader, lambda: datetime.now(UTC), Order(**order))


def _say(address):
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def main(table, port, n_users, repeats):
    with open_record(Path(table), load_rubric()) as record:
        desk = open_desk(record, make_tasks(int(n_users)), repeats=float(repeats))
        serve_desk(desk, int(port), _say)
        desk.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
