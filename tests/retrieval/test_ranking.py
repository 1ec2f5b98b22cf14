"""From candidates to lists: pools that are widened, places that are drawn, and how likely each was."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from retrieval.exploration import Exploration, draw_probabilities
from retrieval.index.protocol import Neighbours, take_best
from retrieval.log import Events
from retrieval.ragged import Ragged
from retrieval.ranking import rank_lists
from retrieval.rules import FeedRules
from retrieval.systems import Answer, Audience, RandomSystem, SystemConfig, SystemKind, drop_seen

N = 40
SCORES = np.linspace(1.0, 0.0, N, dtype=np.float32)  # row 0 is the best


@dataclass
class Videos:
    """Videos of two creators in turn; all else is the same."""

    published_us = np.zeros(N, np.int64)
    creator_codes = np.arange(N) % 2
    brand_codes = np.full(N, -1)

    def vectors(self, rows):
        return np.eye(N, dtype=np.float16)[rows]


class AllAlike:
    """Any number of videos that are copies of one."""

    published_us = creator_codes = brand_codes = np.zeros(100_000, np.int64)

    def vectors(self, rows):
        return np.ones((len(rows), 1), np.float16)


@dataclass
class Ranked:
    """A system that ranks by `SCORES`, and remembers how much it was asked for."""

    asked: list

    def rank(self, audience, k, eligible):
        self.asked.append((len(audience), k))
        scores = np.where(eligible, SCORES, -np.inf)[None].repeat(len(audience), 0)
        found = take_best(np.arange(N)[None].repeat(len(audience), 0), scores, k + int(audience.seen.lengths.max()))
        return Answer(drop_seen(found, audience.seen, k, N))


def audience(*seen):
    """As many users as lists of seen rows."""
    offsets = np.cumsum([0, *map(len, seen)])
    values = np.array([row for rows in seen for row in rows], np.int64)
    nothing = np.empty(0, np.int64)
    events = Events(nothing, nothing, np.empty(0), np.zeros(len(seen) + 1, np.int64))
    return Audience([f"u{n}" for n in range(len(seen))], events, Ragged(values, offsets), 10**12, [None] * len(seen))


def lists(config, *seen, k=4, eligible=None, uniforms=None):
    system = Ranked([])
    mask = np.ones(N, bool) if eligible is None else eligible
    found = rank_lists(Videos(), system, audience(*seen), k, config, mask, uniforms)
    return found, system.asked


def test_without_rules_it_is_what_the_system_answered():
    found, asked = lists(SystemConfig(), [], [1])

    assert found.neighbours.rows.tolist() == [[0, 1, 2, 3], [0, 2, 3, 4]]
    assert (found.propensities == 1.0).all()
    assert asked == [(2, 4)]


def test_who_is_alone_short_is_asked_for_more_alone():
    config = SystemConfig(rules=FeedRules(cap_creator=3, pool=1), exploration=Exploration(pool=1))

    # The first user has seen all of creator 1 but row 39: of sixteen candidates the cap leaves three.
    found, asked = lists(config, list(range(1, 39, 2)), [])

    assert found.neighbours.rows.tolist() == [[0, 2, 4, 39], [0, 1, 2, 3]]
    assert asked == [(2, 16), (1, 40)]  # four times 16 is more than there are


def test_rules_that_leave_too_few_end_with_all_that_are_eligible():
    found, _ = lists(SystemConfig(rules=FeedRules(cap_creator=1)), [])

    assert found.neighbours.rows.tolist() == [[0, 1, -1, -1]]
    assert np.isneginf(found.neighbours.scores[0, 2:]).all()


def test_where_vectors_are_compared_a_pool_does_not_grow_to_all():
    sizes = []

    class InOrder:
        def rank(self, audience, k, eligible):
            sizes.append(k)
            return Answer(Neighbours(np.arange(k)[None], np.linspace(1.0, 0.0, k, dtype=np.float32)[None]))

    config = SystemConfig(rules=FeedRules(collapse=0.9))
    found = rank_lists(AllAlike(), InOrder(), audience([]), 2, config, np.ones(100_000, bool))

    assert found.neighbours.rows.tolist() == [[0, -1]]
    assert sizes == [200, 800, 3200, 12_800]


def test_the_slot_that_explores_holds_its_own_probability_and_the_others_are_certain():
    config = SystemConfig(exploration=Exploration(position=2, pool=5))

    found, _ = lists(config, [], uniforms=[0.999])

    # Three are certain; the draw is among rows 3 to 7, and the largest number takes the last of them.
    assert found.neighbours.rows.tolist() == [[0, 7, 1, 2]]
    expected = draw_probabilities(SCORES[3:8], 1.0)[4]
    assert found.propensities.tolist() == [[1.0, pytest.approx(expected), 1.0, 1.0]]


def test_without_a_number_nothing_is_drawn():
    config = SystemConfig(exploration=Exploration(position=2, pool=5))

    found, _ = lists(config, [])

    assert found.neighbours.rows.tolist() == [[0, 1, 2, 3]]


def test_what_explores_keeps_to_the_caps():
    config = SystemConfig(rules=FeedRules(cap_creator=2), exploration=Exploration(position=4, pool=5))

    found, _ = lists(config, [], k=4, uniforms=[0.999])

    # Rows 0 to 3 fill both creators' caps: nobody is left to draw, so the fourth is certain.
    assert found.neighbours.rows.tolist() == [[0, 1, 2, 3]]
    assert found.propensities.tolist() == [[1.0] * 4]


def test_a_random_list_might_have_held_any_video_that_the_user_may_see():
    eligible = np.arange(N) < 30
    system, config = RandomSystem(0), SystemConfig(kind=SystemKind.RANDOM)

    found = rank_lists(Videos(), system, audience([1, 2, 35], []), 4, config, eligible)

    # Of 30 eligible the first has seen two; row 35 is not eligible anyway.
    assert found.propensities[:, 0].tolist() == [1 / 28, 1 / 30]


@pytest.mark.parametrize("change", [{"rules": FeedRules(diversity=0.5)}, {"exploration": Exploration(position=1)}])
def test_a_random_system_takes_neither_rules_nor_exploration(change):
    with pytest.raises(ValueError, match="propensities would be unknown"):
        replace(SystemConfig(kind=SystemKind.RANDOM), **change)


def test_the_answer_type_is_that_of_the_index():
    found, _ = lists(SystemConfig(rules=FeedRules(diversity=0.2)), [])

    assert isinstance(found.neighbours, Neighbours)
    assert (found.neighbours.rows.dtype, found.neighbours.scores.dtype) == (np.int64, np.float32)
