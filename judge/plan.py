"""What a judging run would take: how many users show a difference, what is there already, and what the rest costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from judge.columns import J
from judge.inputs import Questions, missing_of
from judge.recommended import Selection
from judge.store import Asker
from judge.verdict import Unscored
from retrieval.tables import Columns as C

DIFFERENCE = 0.1
POWER = 0.8
LEVEL = 0.05
DEFAULT_SD = 0.6  # of a user's difference between two systems' mean scores, where nothing was judged yet
LEAST_USERS = 10  # below which a measured sd says too little


@dataclass(frozen=True)
class Spread:
    """The standard deviation of a user's difference between two systems; *n_users* is 0 where it is assumed."""

    sd: float
    n_users: int = 0
    systems: tuple[str, str] | None = None


@dataclass(frozen=True)
class Plan:
    """What a run asks and what it takes.

    *users_needed* and *judgments_needed* show a difference of 0.1 between two of the systems. *overlap* is the share of
    the judgments that more than one system asks for. *seconds* and *price* are of the missing ones, None where unknown.
    """

    users: int
    candidates: int
    judgments: int
    cached: int
    missing: int
    overlap: float
    spread: Spread
    users_needed: int
    judgments_needed: int
    seconds: float | None
    price: float | None


def users_needed(sd: float, difference: float = DIFFERENCE, power: float = POWER, level: float = LEVEL) -> int:
    """How many users show a mean paired *difference* at *level* (two-sided) with *power*.

    It is ((z_{1−α/2} + z_{1−β}) · sd / difference)².

    >>> users_needed(0.6)  # (1.96 + 0.842)² × 36 = 282.6
    283
    """
    normal = NormalDist()
    z = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    return max(2, ceil((z * sd / difference) ** 2))


def measure_spread(asked: pl.DataFrame, judgments: pl.DataFrame, asker: Asker, k: int) -> Spread:
    """The widest spread of a user's difference between two systems that this judge graded by this rubric before.

    Args:
        asked: as `store.load_asked`.
        judgments: as `store.load_judgments`.
        k: the mean of a list is over so many places.
    """
    same = (pl.col(J.FINGERPRINT) == asker.fingerprint) & (pl.col(J.RUBRIC) == asker.rubric_name)
    graded = asked.filter(same, pl.col(C.RANK) <= k).join(judgments.select(J.KEY, J.EXPECTED).drop_nulls(), on=J.KEY)
    means = graded.group_by(C.SYSTEM, C.USER_ID).agg(pl.col(J.EXPECTED).mean())
    users = {name: dict(rows.select(C.USER_ID, J.EXPECTED).iter_rows()) for (name,), rows in means.group_by(C.SYSTEM)}
    found = [
        Spread(float(np.std(differences, ddof=1)), len(differences), (str(one), str(other)))
        for one, other in combinations(sorted(users, key=str), 2)
        if len(differences := _differences(users[one], users[other])) >= LEAST_USERS
    ]
    return max(found, key=lambda spread: spread.sd, default=Spread(DEFAULT_SD))


def _differences(one: Mapping[str, float], other: Mapping[str, float]) -> NDArray[np.float64]:
    return np.array([one[user] - other[user] for user in sorted(one.keys() & other.keys())])


def make_plan(
    selection: Selection,
    questions: Questions,
    known: Mapping[str, Unscored | None],
    spread: Spread,
    seconds: float | None,
    price: float | None,
) -> Plan:
    """What a run would take.

    Args:
        known: as `store.known_judgments`.
        seconds: how long one judgment takes, as measured before.
        price: what one costs.
    """
    n_judgments = len(questions.keys)
    missing = [why for question, videos in missing_of(questions, known) for why in map(question.unscored.get, videos)]
    to_ask = sum(why is None for why in missing)  # the others are answered without the judge
    needed = users_needed(spread.sd)
    return Plan(
        users=selection.n_users,
        candidates=selection.n_candidates,
        judgments=n_judgments,
        cached=n_judgments - len(missing),
        missing=to_ask,
        overlap=overlap_of(selection.lists),
        spread=spread,
        users_needed=needed,
        judgments_needed=ceil(needed * n_judgments / max(1, selection.n_users)),
        seconds=None if seconds is None else seconds * to_ask,
        price=None if price is None else price * to_ask,
    )


def overlap_of(lists: pl.DataFrame) -> float:
    """The share of (user, video) pairs that more than one system recommends."""
    pairs = lists.group_by(C.USER_ID, C.RECOMMENDED_AT, C.VIDEO_ID).agg(pl.col(C.SYSTEM).n_unique())
    return float((pairs[C.SYSTEM] > 1).mean() or 0.0)  # type: ignore[arg-type]


def mean_seconds(judgments: pl.DataFrame, asker: Asker) -> float | None:
    """How long this judge took for one judgment, on whatever machine it ran; None where it never did."""
    own = judgments.filter(pl.col(J.FINGERPRINT) == asker.fingerprint, pl.col(J.SECONDS) > 0)
    return None if own.is_empty() else float(own[J.SECONDS].mean())  # type: ignore[arg-type]


def plan_words(plan: Plan) -> str:
    """The plan in a few lines."""
    if plan.spread.systems:
        two = " and ".join(plan.spread.systems)
        basis = f"sd {plan.spread.sd:.2f} of the difference of {two}, measured on {plan.spread.n_users} users"
    else:
        basis = f"sd of a user's difference assumed to be {plan.spread.sd}: nothing was judged here yet that tells"
    seconds = "unknown: this judge has judged nothing here yet" if plan.seconds is None else _duration(plan.seconds)
    price = "unknown: this judge tells no price" if plan.price is None else f"{plan.price:.2f}"
    return "\n".join(
        [
            f"Asked: {plan.judgments} judgments for {plan.users} users ({plan.candidates} could be drawn); "
            f"{plan.overlap:.0%} of them by several systems, judged once.",
            f"Cached: {plan.cached}. Missing: {plan.missing} calls of the judge; time {seconds}; price {price}.",
            f"To show a difference of {DIFFERENCE} at {POWER:.0%} power (two-sided {LEVEL:.0%}, paired over users): "
            f"{plan.users_needed} users, {plan.judgments_needed} judgments ({basis}).",
        ]
    )


def _duration(seconds: float) -> str:
    """A time for people.

    >>> _duration(42.0), _duration(600.0), _duration(9000.0)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
