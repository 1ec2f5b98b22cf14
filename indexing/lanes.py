"""Pictures encoded in batches of one shape, several batches at once."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indexing.cores import n_cores
from retrieval.encoder import Encoder, Vectors

Pixels = NDArray[np.uint8]
MOST_LANES = 8  # each holds the activations of a batch


@dataclass(frozen=True)
class Lanes:
    """Threads that encode batches of *size* pictures side by side, each on one core.

    Threads that share a batch wait for each other at every layer: on two cores, a batch for each gives 1.2 to 1.6 times
    as many pictures. Up to eight cores it also makes vectors independent of their number.
    """

    encoder: Encoder
    size: int
    count: int
    pool: ThreadPoolExecutor

    def submit(self, pictures: Sequence[Pixels]) -> "Future[Vectors]":
        """The vectors `(len(pictures), dim)` of at most *size* pictures."""
        return self.pool.submit(self._encoded, pictures)

    def _encoded(self, pictures: Sequence[Pixels]) -> Vectors:
        if self.encoder.preparation is None:
            return self.encoder.encode_images([Image.fromarray(pixels) for pixels in pictures])
        filled = [*pictures, *[pictures[-1]] * (self.size - len(pictures))]
        return self.encoder.encode_prepared(np.stack(filled))[: len(pictures)]


@contextmanager
def open_lanes(encoder: Encoder, size: int, cores: int = 0) -> Iterator[Lanes]:
    """Yield lanes whose threads end with the block.

    One for each of *cores* (0: all) where the processor encodes; one alone where a GPU does, or code that holds the
    interpreter.
    """
    cores = cores or n_cores()
    count = min(cores, MOST_LANES) if encoder.preparation is not None and encoder.on_cpu else 1
    with ThreadPoolExecutor(count, "encode", encoder.use_threads, (max(1, cores // count),)) as pool:
        yield Lanes(encoder, size, count, pool)


@dataclass
class Batcher:
    """Collects pictures into full batches; the last one is filled up, and what fills it is dropped."""

    lanes: Lanes
    _waiting: list[Pixels] = field(default_factory=list)
    _sent: deque["Future[Vectors]"] = field(default_factory=deque)
    _done: list[Vectors] = field(default_factory=list)

    def add(self, pictures: Sequence[Pixels]) -> None:
        """Take pictures, and wait where the lanes are busy: memory stays flat."""
        self._waiting.extend(pictures)
        size = self.lanes.size
        while len(self._waiting) >= size:
            self._sent.append(self.lanes.submit(self._waiting[:size]))
            self._waiting = self._waiting[size:]
            while len(self._sent) > self.lanes.count + 1:
                self._done.append(self._sent.popleft().result())

    def vectors(self) -> Vectors:
        """`(n_pictures, dim)` of everything added, in that order."""
        if self._waiting:
            self._sent.append(self.lanes.submit(self._waiting))
        nothing = np.empty((0, self.lanes.encoder.dim), np.float32)
        return np.concatenate([nothing, *self._done, *[sent.result() for sent in self._sent]])
