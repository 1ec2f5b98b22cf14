"""What systems rank by beside their choices, and from a choice to the system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval.conventional import GivenSpace
from retrieval.errors import SnapshotError
from retrieval.log import Statistics
from retrieval.ragged import Ints
from retrieval.spaces import Space
from retrieval.systems import (
    DAY_S,
    ConventionalSystem,
    MultimodalSystem,
    RandomSystem,
    StaticSystem,
    System,
    SystemConfig,
    SystemKind,
    best_first,
)
from retrieval.towers.user import global_vector


def global_vectors(product_vectors: NDArray[np.floating], statistics: Statistics) -> NDArray[np.float32]:
    """The global vector overall and of each market `(1 + n_markets, dim)`."""
    return np.array([global_vector(product_vectors, row) for row in statistics.product_popularity], np.float32)


@dataclass(frozen=True)
class Background:
    """What systems rank by beside their choices; what does not depend on the user is computed once."""

    space: Space
    published_us: Ints
    statistics: Statistics
    given: GivenSpace | None = None

    @cached_property
    def fallbacks(self) -> NDArray[np.float32]:
        return global_vectors(self.space.product_vectors, self.statistics)

    @cached_property
    def newest_first(self) -> Ints:
        return best_first(self.published_us)

    @cached_property
    def popular_first(self) -> Ints:
        return best_first(self.statistics.video_popularity)

    def prepare(self) -> None:
        """Work out all of it now rather than with the first user."""
        self.fallbacks, self.newest_first, self.popular_first  # noqa: B018 - each is kept from its first use on


def _multimodal(known: Background, config: SystemConfig, at_us: int) -> System:
    space = known.space
    return MultimodalSystem(
        space.index, space.product_vectors, known.fallbacks, known.statistics.markets, config.half_life_s
    )


def _conventional(known: Background, config: SystemConfig, at_us: int) -> System:
    if known.given is None:
        raise SnapshotError(
            "The snapshot holds no vectors of a conventional training.",
            "Put them into it: lookreel index update --space conventional=RUN",
        )
    return ConventionalSystem(known.given)


def _recency(known: Background, config: SystemConfig, at_us: int) -> System:
    """Scores are minus the age in days."""
    return StaticSystem((known.published_us - at_us) / (DAY_S * 1e6), known.newest_first)


def _popularity(known: Background, config: SystemConfig, at_us: int) -> System:
    return StaticSystem(known.statistics.video_popularity.astype(np.float64), known.popular_first)


def _random(known: Background, config: SystemConfig, at_us: int) -> System:
    return RandomSystem(config.seed)


SYSTEM_BUILDERS: Mapping[SystemKind, Callable[[Background, SystemConfig, int], System]] = {
    SystemKind.MULTIMODAL: _multimodal,
    SystemKind.RECENCY: _recency,
    SystemKind.POPULARITY: _popularity,
    SystemKind.RANDOM: _random,
    SystemKind.CONVENTIONAL: _conventional,
}


def make_system(config: SystemConfig, known: Background, at_us: int) -> System:
    """The system that *config* describes, as of *at_us*.

    Raises:
        SnapshotError: the snapshot lacks what it ranks by.
    """
    return SYSTEM_BUILDERS[config.kind](known, config, at_us)
