"""The first line of a report: whether these grades can be decided on. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from judge.canary_results import Status
from judge.reliability import Reliability
from judge.scores import LOW_MASS, Health

MAX_SHARE = 0.05  # of unscored or half-hearted grades, above which a mean is not of what was asked


class Level(StrEnum):
    """How sound: *unknown* where nothing is wrong and nobody tested the judge."""

    SOUND = "sound"
    UNKNOWN = "unknown"
    UNSOUND = "unsound"


@dataclass(frozen=True)
class Soundness:
    """The level, the *headline* that says it, and *details*, one sentence each."""

    level: Level
    headline: str
    details: tuple[str, ...]

    @property
    def line(self) -> str:
        return " ".join([self.headline, *self.details])


def judge_health(health: Health, reliability: Reliability | None) -> Soundness:
    """What a reader must know before any figure."""
    wrong = [*_failed(reliability), *_incomplete(health)]
    details = _counts(health)
    if wrong:
        return Soundness(Level.UNSOUND, "Do not decide on these grades yet:", (f"{'; '.join(wrong)}.", *details))
    if reliability is None:
        untested = "Nobody tested this judge here: run lookreel judge reliability."
        return Soundness(Level.UNKNOWN, "How far to trust these grades is not known.", (untested, *details))
    passed = [canary for canary in reliability.canaries if canary.status is Status.PASSED]
    told = f"{len(passed)} of {len(reliability.canaries)} canaries passed"
    open_ones = [canary.name for canary in reliability.canaries if canary.status is Status.NOT_MEASURED]
    if open_ones:
        told += f", and could not be measured: {', '.join(open_ones)}"
    if not passed:
        return Soundness(Level.UNKNOWN, "How far to trust these grades is not known.", (f"{told}.", *details))
    headline = "The judge passed what could be tested." if open_ones else "The judge passed its tests."
    return Soundness(Level.SOUND, headline, (f"{told}.", *details))


def _failed(reliability: Reliability | None) -> list[str]:
    failed = reliability.failed if reliability else ()
    if not failed or reliability is None:
        return []
    return [f"the judge failed {len(failed)} of {len(reliability.canaries)} canaries ({', '.join(failed)})"]


def _incomplete(health: Health) -> list[str]:
    told = {
        f"{_share(health.low_mass, health.scored)} of the grades have a label mass under {LOW_MASS}": health.low_mass
        > MAX_SHARE * health.scored,
        f"{_share(health.unscored, health.asked)} of the videos are unscored": health.unscored
        > MAX_SHARE * health.asked,
        f"{health.not_judged:,} of {health.asked:,} videos are not judged": health.not_judged > 0,
        "no video has a grade": health.scored == 0,
    }
    return [words for words, is_so in told.items() if is_so]


def _counts(health: Health) -> tuple[str, ...]:
    reasons = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in health.reasons)
    return (
        f"{health.scored:,} of {health.asked:,} videos graded, {_share(health.unscored, health.asked)} unscored"
        f"{f' ({reasons})' if reasons else ''}, {_share(health.low_mass, health.scored)} of the grades with a label "
        f"mass under {LOW_MASS}.",
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
