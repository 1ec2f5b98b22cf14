"""What embedding a table would cost, from a sample of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexing.cores import n_cores
from indexing.embed import Progress, wanted_store
from indexing.job import Part, pending_items
from indexing.lanes import Batcher, open_lanes
from indexing.places import open_place
from indexing.reading import ReaderPool
from indexing.work import EmbedOptions, Item, Work
from retrieval.encoder import Encoder

SHARE = 0.01
FEWEST = 32  # below this the first results, which come late, decide
MOST_SECONDS = 60.0
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """*hours* on this machine's *cores* for the *n_pending* of *n_items* that the store lacks, from *n_sample* items.

    *read_bytes* is unknown (0) of remote media.
    """

    n_items: int
    n_pending: int
    n_sample: int
    sample_seconds: float
    items_per_s: float
    hours: float
    core_hours: float
    cores: int
    read_bytes: float
    written_bytes: float


def estimate(
    work: Work,
    out: Path | str,
    encoder: Encoder,
    options: EmbedOptions,
    part: Part = Part(),
    progress: Progress | None = None,
) -> Estimate:
    """Embed every n-th item that the store at *out* lacks, writing nothing, for 60 s at most, and reckon from it.

    Raises:
        StoreError: *out* was made otherwise.
    """
    pending = pending_items(open_place(out), wanted_store(work, encoder, part), work, options, part)
    done = _embed_sample(_sample(pending), encoder, options, progress)
    hours = len(pending) / done.rate / 3600 if done.rate else 0.0
    scale = len(pending) / max(done.count, 1)
    return Estimate(
        len(work.items), len(pending), done.count, done.seconds, done.rate, hours, hours * n_cores(), n_cores(),
        done.read_bytes * scale, done.written_bytes * scale,
    )  # fmt: skip


def _sample(pending: Sequence[Item]) -> list[Item]:
    n_sample = min(len(pending), max(FEWEST, round(SHARE * len(pending))))
    return [pending[row * len(pending) // n_sample] for row in range(n_sample)]


@dataclass
class _Done:
    """What a sample took: *seconds* from the first result of *count* on, since the start comes once only."""

    count: int = 0
    seconds: float = 0.0
    read_bytes: float = 0.0
    written_bytes: float = 0.0

    @property
    def rate(self) -> float:
        return max(self.count - 1, 1) / self.seconds if self.seconds else 0.0


def _embed_sample(sample: Sequence[Item], encoder: Encoder, options: EmbedOptions, progress: Progress | None) -> _Done:
    done, started, first = _Done(), time.monotonic(), 0.0
    with ReaderPool(options.workers, options.limits) as pool, open_lanes(encoder, options.batch) as lanes:
        batcher = Batcher(lanes)
        for item, read in zip(sample, pool.read(item.task for item in sample), strict=False):
            first = first or time.monotonic()
            batcher.add([picture.pixels for picture in read.pictures])
            done.count += 1
            done.read_bytes += _bytes_of(item)
            vectors = len(read.pictures) + 1
            done.written_bytes += sum(len(p.jpeg) for p in read.pictures) + vectors * encoder.dim * FLOAT_BYTES
            if progress:
                progress(done.count, len(sample))
            if time.monotonic() - started > MOST_SECONDS:
                break
        batcher.vectors()
        if texts := [item.text for item in sample[: done.count] if item.text]:
            encoder.encode_texts(texts)
    done.seconds = time.monotonic() - first if done.count else 0.0
    return done


def _bytes_of(item: Item) -> int:
    files = [Path(uri.removeprefix("file://")) for uri in item.uris if "://" not in uri.removeprefix("file://")]
    return sum(file.stat().st_size for file in files if file.is_file())
