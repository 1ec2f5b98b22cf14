"""The one line that a report opens with, and what limits it. Pure."""

from collections.abc import Sequence

from labelcraft.evaluation.contestants import DELIVERED
from labelcraft.evaluation.results import About, Difference, Headline, Level, System, WeightFigures
from labelcraft.report.words import listed, number
from retrieval.metrics.cluster import Verdict
from retrieval.metrics.listwise import Form, Measure
from retrieval.metrics.stats import Estimate
from retrieval.systems import SystemKind

# NDCG by IPS is what the literature reports, but each feed is divided by what was observed in it, which follows the
# logged order: on a simulated log of the baseline's own feeds it put a worse system first, where DCG was right.
MAIN = (Measure.DCG, Form.IPS)
OTHERS = {"DCG without weights": (Measure.DCG, Form.NAIVE), "NDCG by IPS": (Measure.NDCG, Form.IPS)}
FEW_EFFECTIVE = 0.1  # of the positives: below it a few weights decide


def best_of(systems: Sequence[System], baseline: str) -> System | None:
    """The system of the highest DCG by IPS besides the baseline, chance and the order as delivered."""
    chosen = [s for s in systems if s.name != baseline and s.kind not in (DELIVERED, SystemKind.RANDOM.value)]
    present = [s for s in chosen if s.of(*MAIN).value.n]
    return max(present, key=lambda s: s.of(*MAIN).value.mean, default=None)


def headline_of(systems: Sequence[System], about: About, weights: WeightFigures) -> Headline:
    """Whether the best system ranks better than the baseline."""
    best = best_of(systems, about.baseline)
    if best is None:
        line = f"There is nothing to compare with {about.baseline}."
        return Headline(Level.OPEN, line, _limits(systems, about, weights))
    difference = best.of(*MAIN).difference
    if difference is None:
        raise ValueError("the best system is the baseline")
    told = f"DCG@{about.k} by IPS {interval_words(difference.estimate)}, {difference.estimate.n:,} users"
    match difference.verdict:
        case Verdict.BETTER:
            level, line = Level.BETTER, f"{best.name} ranks better than {about.baseline}: {told}"
        case Verdict.WORSE:
            level, line = Level.WORSE, f"no system ranks as well as {about.baseline}; {best.name} comes nearest: {told}"
        case _:
            needed = difference.users_needed
            more = f"; {users_words(needed)} would tell" if needed else ""
            level, line = Level.OPEN, f"{best.name} and {about.baseline} cannot be told apart: {told}{more}"
    return Headline(level, line, _limits(systems, about, weights))


def interval_words(estimate: Estimate, digits: int = 3, sign: bool = True) -> str:
    """A value with its interval in brackets.

    >>> interval_words(Estimate(mean=0.012, sd=0.1, low=0.004, high=0.02, n=9))
    '+0.012 [+0.004, +0.020]'
    """
    low, high = (number(end, digits, sign) for end in (estimate.low, estimate.high))
    return f"{number(estimate.mean, digits, sign)} [{low}, {high}]"


def _limits(systems: Sequence[System], about: About, weights: WeightFigures) -> tuple[str, ...]:
    """What a reader must know before they act on the line."""
    said = [f"Ranked are the {about.n_feeds:,} feeds shown from {about.split:%d %B %Y, %H:%M} UTC on, as delivered."]
    if not weights.n:
        said.append("No watched video was observed in them.")
    elif weights.effective_sample_size < FEW_EFFECTIVE * weights.n:
        said.append(
            f"Weighting leaves {weights.effective_sample_size:,.0f} of {weights.n:,} positives' worth of evidence: "
            "a few low slots decide."
        )
    said += [_opposite(s) for s in systems if s.kind != DELIVERED and _opposed(s)]
    half = [s for s in systems if s.unscored > 0.05 * about.n_slots]
    said += [f"{s.name} has no score for {s.unscored:,} of {about.n_slots:,} slots, ranked last." for s in half]
    return tuple(said)


def _opposite(system: System) -> str:
    others = _opposed(system)
    what = listed(others)
    return f"{what} {'say' if len(others) > 1 else 'says'} the opposite of {system.name}, leaning to the logged order."


def _opposed(system: System) -> list[str]:
    """The figures that contradict the main one."""
    main = system.of(*MAIN).difference
    return [what for what, other in OTHERS.items() if _contradict(main, system.of(*other).difference)]


def _contradict(one: Difference | None, two: Difference | None) -> bool:
    return one is not None and two is not None and {one.verdict, two.verdict} == {Verdict.BETTER, Verdict.WORSE}


def users_words(n: int) -> str:
    """About so many users: two figures say all that is known.

    >>> users_words(52032), users_words(85)
    ('about 52,000 users', 'about 85 users')
    """
    step = 10 ** max(0, len(str(n)) - 2)
    return f"about {round(n / step) * step:,} users"
