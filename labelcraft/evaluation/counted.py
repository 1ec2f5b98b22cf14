"""What was odd in the input: how much of it, and what was done. Nothing is dropped without standing here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Odd(StrEnum):
    """Kinds of bad input, named as the report names them."""

    AHEAD = "impressions shown after the present"
    UNKNOWN_VIDEO = "impressions of videos that the catalogue lacks"
    NOT_IN_SNAPSHOT = "impressions of videos that the snapshot lacks"
    BEGUN_BEFORE = "feeds begun before the split and continued after it"
    SEVERAL_USERS = "feeds of several users"
    BAD_EXAMINATION = "feeds with an examination propensity that is null, 0 or below, or above 1"
    BAD_SELECTION = "slots with a selection propensity that is 0 or below, above 1 or not finite"
    BEYOND_CURVE = "slots beyond the last position of the examination curve"
    BEFORE_PUBLISHED = "impressions shown before their video was published"
    NO_DURATION = "impressions of videos of unknown duration"
    SPREAD_OUT = "feeds whose slots are shown more than an hour apart"
    WITHOUT_POSITIVE = "feeds without an observed positive"
    ONE_VIDEO = "feeds of one video"
    SEVERAL_BUCKETS = "users in several buckets"
    OTHER_FEEDS = "scores of feeds or videos that are not tested"
    BAD_SCORE = "scores that are null or not finite"
    SCORED_TWICE = "scores of a system, feed and video that stand twice"
    UNSCORED = "slots without a score by a system"


DONE: Mapping[Odd, str] = {
    Odd.AHEAD: "set aside: a clock ran ahead",
    Odd.UNKNOWN_VIDEO: "left out of their feeds, for every system alike",
    Odd.NOT_IN_SNAPSHOT: "left out of their feeds, for every system alike",
    Odd.BEGUN_BEFORE: "set aside as a whole",
    Odd.SEVERAL_USERS: "set aside as a whole",
    Odd.BAD_EXAMINATION: "set aside as a whole: nothing can be weighted by it",
    Odd.BAD_SELECTION: "left out of the value of policies",
    Odd.BEYOND_CURVE: "weighted as the curve's last position",
    Odd.BEFORE_PUBLISHED: "kept: the clocks of feed and catalogue differ",
    Odd.NO_DURATION: "count as not watched: half of an unknown length is not known",
    Odd.SPREAD_OUT: "scored as of their first slot",
    Odd.WITHOUT_POSITIVE: "kept: they count 0 in DCG and have no NDCG",
    Odd.ONE_VIDEO: "kept: every system ranks them alike",
    Odd.SEVERAL_BUCKETS: "kept: all systems rank the same feeds, so no bucket is compared with another",
    Odd.OTHER_FEEDS: "not used",
    Odd.BAD_SCORE: "taken as no score",
    Odd.SCORED_TWICE: "the first counts",
    Odd.UNSCORED: "ranked last, in the order of a hash",
}


@dataclass(frozen=True)
class Counted:
    """One kind of odd input: how many, what was done, and of which system where it is one's own."""

    what: str
    n: int
    done: str
    system: str = ""


def counted(counts: Mapping[Odd, int], system: str = "") -> tuple[Counted, ...]:
    """The kinds that occur, in the order of `Odd`.

    >>> counted({Odd.ONE_VIDEO: 2, Odd.AHEAD: 0})[0].n
    2
    """
    return tuple(Counted(odd.value, counts[odd], DONE[odd], system) for odd in Odd if counts.get(odd, 0))
