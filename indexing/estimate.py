"""What embedding a table would cost, from a sample of it."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexing.embed import Progress, wanted_store
from indexing.job import Part, pending_items
from indexing.lanes import open_lanes
from indexing.places import LocalPlace, open_place
from indexing.reading import ReaderPool
from indexing.shards import Shard, ShardEncoder
from indexing.work import EmbedOptions, Item, Work
from retrieval.encoder import Encoder

SHARE = 0.01
SHARD = 8  # items between two looks at the clock
FEWEST = 32  # below this the first results, which come late, decide
MOST_SECONDS = 60.0


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
    work: Work, out: Path | str, encoder: Encoder, options: EmbedOptions, progress: Progress | None = None
) -> Estimate:
    """Embed every n-th item that the store at *out* lacks into a scratch folder, for 60 s at most, and reckon from it.

    Raises:
        StoreError: *out* was made otherwise.
    """
    pending = pending_items(open_place(out), wanted_store(work, encoder, Part()), work, options)
    sample = _sample(pending)
    with tempfile.TemporaryDirectory(prefix="lookreel-plan-") as scratch, open_lanes(encoder, options.batch) as lanes:
        station = ShardEncoder(work.kind, lanes, options.unit)
        done = _embed_sample(sample, LocalPlace(Path(scratch)), station, options, progress)
        written = sum(file.stat().st_size for file in Path(scratch).iterdir())
    rate = done.timed / done.seconds if done.timed else 0.0
    hours = len(pending) / rate / 3600 if rate else 0.0
    cores = os.cpu_count() or 1
    read = sum(_bytes_of(item) for item in sample[: done.count])
    scale = len(pending) / max(done.count, 1)
    return Estimate(
        len(work.items),
        len(pending),
        done.count,
        done.seconds,
        rate,
        hours,
        hours * cores,
        cores,
        read * scale,
        written * scale,
    )


def _sample(pending: Sequence[Item]) -> list[Item]:
    n_sample = min(len(pending), max(FEWEST, round(SHARE * len(pending))))
    return [pending[row * len(pending) // n_sample] for row in range(n_sample)]


@dataclass(frozen=True)
class _Done:
    """*count* items were embedded, *timed* of them in *seconds*: the first shard's time is mostly that of starting."""

    count: int
    timed: int
    seconds: float


def _embed_sample(
    sample: Sequence[Item], place: LocalPlace, work: ShardEncoder, options: EmbedOptions, progress: Progress | None
) -> _Done:
    few = [sample[start : start + SHARD] for start in range(0, len(sample), SHARD)]
    shards = [Shard(number, items, [""] * len(items)) for number, items in enumerate(few)]
    count, timed, began = 0, 0, time.monotonic()
    with ReaderPool(options.workers, options.limits) as pool:
        read = pool.read(item.task for item in sample)
        for shard in shards:
            work.commit(place, shard, read)
            count += len(shard.items)
            if shard.number == 0 and len(shards) > 1:
                began = time.monotonic()
            else:
                timed += len(shard.items)
            if progress:
                progress(count, len(sample))
            if time.monotonic() - began > MOST_SECONDS:
                break
    return _Done(count, timed, time.monotonic() - began)


def _bytes_of(item: Item) -> int:
    files = [Path(uri.removeprefix("file://")) for uri in item.uris if "://" not in uri.removeprefix("file://")]
    return sum(file.stat().st_size for file in files if file.is_file())
