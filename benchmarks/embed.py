"""The embed job against its two limits and against the plain way.

Its limits, taken in the same run on the same clips: reading alone (decoding, scaling and JPEGs in the job's own
workers), and encoding alone (the same pictures from memory). Both use all cores, so a job that needs both can reach at
most the harmonic combination of the two. The plain way is what people write first: decord at full size, the model's own
preprocessing of PIL images, one video at a time.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from benchmarks.encode import random_vit
from benchmarks.report import Figure, run
from indexing.decode.decord import import_decord
from indexing.embed import EmbedOptions, embed
from indexing.engine import LocalEngine
from indexing.job import Part
from indexing.lanes import Batcher, open_lanes
from indexing.reading import ReaderPool
from indexing.work import Work, video_work
from retrieval.encoder import Encoder, open_encoder
from retrieval.tables import Columns as C
from sample_shop.build import ShopConfig, build_shop

FRAMES = 8
ROOT = str(Path(__file__).parents[1])


def measure(quick: bool) -> list[Figure]:
    """Rates are medians of interleaved rounds."""
    n_clips, n_vit, rounds = (96, 12, 1) if quick else (500, 60, 3)
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder) / "shop"
        build_shop(shop, ShopConfig(n_clips, 40, 20, seed=11))
        table = shop / "videos.parquet"
        return [
            *_figures("sample", open_encoder("sample"), table, n_clips, rounds),
            *_figures("ViT-B-32, random weights", random_vit("ViT-B-32"), table, n_vit, rounds),
            _memory(table, (40, 160) if quick else (500, 2000)),
        ]


def _figures(name: str, encoder: Encoder, table: Path, n_clips: int, rounds: int) -> list[Figure]:
    options = EmbedOptions(frames=FRAMES)
    whole = video_work(table, encoder, options)
    work = Work(whole.kind, whole.items[:n_clips], whole.about, whole.rejected)
    pictures = _pictures(work, options)
    encoder.encode_prepared(pictures[: options.batch])  # the first batch pays for what later ones reuse
    ways: dict[str, Callable[[], None]] = {
        "reading alone": lambda: _read(work, options),
        "encoding alone": lambda: _encode(pictures, encoder, options.batch),
        "the job": lambda: _job(work, encoder, options),
        "the plain way": lambda: _plainly(work, encoder),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for way, call in list(ways.items()) * rounds:
        rates[way].append(n_clips / _seconds(call))
    reading, encoding, job, plain = (np.array(rates[way]) for way in ways)
    limit = 1 / (1 / reading + 1 / encoding)
    told = ", ".join(f"{way} {median(values):.1f}/s" for way, values in rates.items())
    about = f"{name}, {n_clips} clips of {FRAMES} frames, {rounds} rounds: {told}"
    suffix = "" if name == "sample" else "_vit_b_32"
    return [
        Figure(f"embed_vs_limit{suffix}", median(job / limit), "ratio", "higher", about),
        Figure(f"embed_vs_plain{suffix}", median(job / plain), "ratio", "higher", about),
    ]


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _pictures(work: Work, options: EmbedOptions) -> NDArray[np.uint8]:
    with ReaderPool(options.workers, options.limits) as pool:
        read = pool.read(item.task for item in work.items)
        return np.stack([picture.pixels for item in read for picture in item.pictures])


def _read(work: Work, options: EmbedOptions) -> None:
    with ReaderPool(options.workers, options.limits) as pool:
        for _ in pool.read(item.task for item in work.items):
            pass


def _encode(pictures: NDArray[np.uint8], encoder: Encoder, batch: int) -> None:
    with open_lanes(encoder, batch) as lanes:
        batcher = Batcher(lanes)
        batcher.add(list(pictures))
        batcher.vectors()


def _job(work: Work, encoder: Encoder, options: EmbedOptions) -> None:
    with tempfile.TemporaryDirectory() as folder:
        embed(work, Path(folder) / "store", encoder, options, LocalEngine(), Part(), False, None)


def _plainly(work: Work, encoder: Encoder) -> None:
    decord = import_decord()
    for item in work.items:
        reader = decord.VideoReader(item.task.uri)
        rows = ((np.arange(FRAMES) + 0.5) * len(reader) / FRAMES).astype(int)
        frames = [Image.fromarray(frame) for frame in reader.get_batch(rows.tolist()).asnumpy()]
        _mean(encoder, frames)


def _mean(encoder: Encoder, frames: Sequence[Image.Image]) -> NDArray[np.floating]:
    return np.asarray(encoder.encode_images(frames).mean(axis=0))


# VmHWM, not ru_maxrss: that one counts what a process was copied from before it began its own program.
MEMORY_JOB = """
import sys, threading, time
from pathlib import Path
from indexing.embed import embed_videos
from retrieval.encoder import open_encoder

def peak_kb(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)

def watch(peaks):
    while True:
        for child in Path("/proc/self/task").glob("*/children"):
            peaks.extend(peak_kb(pid) for pid in child.read_text().split())
        peaks[:] = [max(peaks, default=0)]
        time.sleep(0.2)

if __name__ == "__main__":
    peaks = []
    threading.Thread(target=watch, args=(peaks,), daemon=True).start()
    embed_videos(Path(sys.argv[1]), Path(sys.argv[2]), open_encoder("sample"))
    print(peak_kb("self"), max(peaks))
"""


def _memory(table: Path, sizes: tuple[int, int]) -> Figure:
    """Peak memory of the larger job over that of the smaller: the job's process, and its largest worker."""
    (own, worker), (own_more, worker_more) = (_peak_mb(table, size) for size in sizes)
    told = (
        f"{sizes[1]} clips against {sizes[0]}: the job {own_more:.0f} MB against {own:.0f} MB, its largest worker "
        f"{worker_more:.0f} MB against {worker:.0f} MB"
    )
    return Figure("embed_memory_growth", max(own_more / own, worker_more / worker), "ratio", "lower", told)


def _peak_mb(table: Path, n_clips: int) -> tuple[float, float]:
    """Of a job over *n_clips* rows: the clips of *table*, over and over."""
    clips = pl.read_parquet(table)
    rows = pl.concat([clips] * -(-n_clips // clips.height)).head(n_clips).with_row_index("row")
    rows = rows.with_columns(pl.format("v-{}", "row").alias(C.VIDEO_ID)).drop("row")
    rows.write_parquet(table.with_name("many.parquet"))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.py"  # a file, since spawned workers read the main module again
        script.write_text(MEMORY_JOB)
        program = [sys.executable, str(script), str(table.with_name("many.parquet")), str(Path(folder) / "store")]
        told = subprocess.run(
            program, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ROOT}
        )
    own, worker = map(float, told.stdout.split())
    return own / 1e3, worker / 1e3


if __name__ == "__main__":
    run(measure, __doc__ or "")
