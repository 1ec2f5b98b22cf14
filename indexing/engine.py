"""What runs a job's shards: this machine's cores, or a Ray cluster. The only module that imports ray."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol

from indexing.lanes import open_lanes
from indexing.limits import Limits
from indexing.manifest import ShardRecord
from indexing.places import open_place
from indexing.reading import ReaderPool
from indexing.shards import Shard, ShardEncoder
from retrieval.encoder import Encoder, Precision, open_encoder
from retrieval.errors import UserFacingError, import_extra

RETRIES = 10  # of a shard whose node died; one that kills every process must not go round for ever


@dataclass(frozen=True)
class Station:
    """All that a shard needs but its items: the encoder by name, where shards go, and how media are read.

    *folder* is where relative paths start.
    """

    target: str
    folder: str
    kind: str
    model: str
    device: str
    fingerprint: str
    precision: str
    batch: int
    unit: bool
    workers: int
    limits: Limits


class Engine(Protocol):
    """Runs the shards of a job and yields the record of each as it is committed, in any order."""

    def run(self, station: Station, encoder: Encoder, shards: Sequence[Shard]) -> Iterator[ShardRecord]: ...


@dataclass(frozen=True)
class LocalEngine:
    """One encoder in this process, fed by workers that read ahead on all cores."""

    def run(self, station: Station, encoder: Encoder, shards: Sequence[Shard]) -> Iterator[ShardRecord]:
        """See `Engine.run`. Workers read on over the ends of shards, so that nobody waits there."""
        place = open_place(station.target)
        tasks = (item.task for item in chain.from_iterable(shard.items for shard in shards))
        with ReaderPool(station.workers, station.limits) as pool, open_lanes(encoder, station.batch) as lanes:
            work, read = ShardEncoder(station.kind, lanes, station.unit), pool.read(tasks)
            for shard in shards:
                yield work.commit(place, shard, read)


@dataclass(frozen=True)
class RayEngine:
    """A Ray task for each shard. Nodes that die cost their shards in work, which other nodes do again.

    The target must be reachable from every node: a shared folder or an object store. Each task takes *cpus* cores and
    keeps its encoder for the next one.
    """

    address: str = "auto"
    cpus: int = 1

    def run(self, station: Station, encoder: Encoder, shards: Sequence[Shard]) -> Iterator[ShardRecord]:
        """See `Engine.run`."""
        ray = import_extra("ray", "ray")
        try:
            _require_answer(self.address)
            ray.init(address=self.address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            raise UserFacingError(
                f"There is no Ray cluster at {self.address}: {error}.", "Start one with ray start --head."
            ) from error
        try:
            yield from self._results(ray, station, shards)
        finally:
            ray.shutdown()

    def _results(self, ray: Any, station: Station, shards: Sequence[Shard]) -> Iterator[ShardRecord]:
        # Retried for ever: a shard fails for good only by an exception of its own, which is raised here.
        station = replace(station, workers=station.workers or self.cpus)
        task = ray.remote(num_cpus=self.cpus, max_retries=RETRIES)(run_on_node)
        waiting = [task.remote(station, shard) for shard in shards]
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            try:
                yield from ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.WorkerCrashedError as error:
                raise UserFacingError(
                    f"A shard killed its node's process {RETRIES + 1} times: {error}.",
                    "Give each task more memory, or run it locally to see which file it is.",
                ) from error


def _require_answer(address: str) -> None:
    """Raise OSError where nobody listens at host:port: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=5.0).close()


def run_on_node(station: Station, shard: Shard) -> ShardRecord:
    """`run_shard` in the folder where the job was started: a Ray task begins in a folder of its own."""
    os.chdir(station.folder)
    return run_shard(station, shard)


def run_shard(station: Station, shard: Shard) -> ShardRecord:
    """Read, encode and commit one shard."""
    encoder = _encoder(station.model, station.device, station.precision)
    if encoder.fingerprint != station.fingerprint:
        raise UserFacingError(
            f"This node's {station.model} has other weights ({encoder.fingerprint}) than the job's "
            f"({station.fingerprint}).",
            "Put the same model on every node.",
        )
    with open_lanes(encoder, station.batch, station.workers) as lanes:
        work = ShardEncoder(station.kind, lanes, station.unit)
        return work.commit(open_place(station.target), shard, _pool(station).read(item.task for item in shard.items))


@lru_cache(maxsize=1)
def _encoder(model: str, device: str, precision: str) -> Encoder:
    return open_encoder(model, device, Precision(precision))


@lru_cache(maxsize=1)
def _pool(station: Station) -> ReaderPool:
    return ReaderPool(station.workers, station.limits)  # its workers end with this process
