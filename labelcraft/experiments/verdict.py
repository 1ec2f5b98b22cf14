"""What an experiment says in plain words: what a reader takes away if nothing else."""

import math
from dataclasses import dataclass

from labelcraft.experiments.analysis import FEW_USERS, Analysis, Guarded, Role, Row
from labelcraft.experiments.counts import Counts
from labelcraft.experiments.uplift import Uplift
from labelcraft.report.words import Level, listed, number

MISMATCH_P = 0.001  # usual for sample ratios: an alarm that is wrong once in a thousand experiments
CROSSED_SHARE = 0.01
FEW_POINTS = (1.0, 10.0)  # of an interval's width: below the first two digits, below the second one


@dataclass(frozen=True)
class Verdict:
    """One sentence, *headline*, and what a reader must know beside it."""

    level: Level
    headline: str
    details: tuple[str, ...]
    is_sound: bool

    @property
    def line(self) -> str:
        """All of it, for a terminal."""
        return " ".join((self.headline, *self.details))


def conclude(analysis: Analysis, counts: Counts) -> Verdict:
    """The verdict of an experiment."""
    faults = assignment_faults(analysis)
    primary = [row for row in analysis.rows if row.role is Role.PRIMARY]
    harmed = [row for row in analysis.rows if row.guarded is Guarded.HARMED]
    details = (*_guards(analysis, harmed), *_seconds(analysis), *_power(analysis, primary), *_limits(analysis, counts))
    said = "; ".join(statement(row, analysis.control) for row in primary)
    if faults:
        headline = f"The assignment is not sound: {listed(faults)}. No uplift can be trusted before that is explained."
        return Verdict(Level.BAD, headline, (f"As counted, {said}.", *details), False)
    return Verdict(_level(primary, harmed), f"{said}; assignment is sound.", details, True)


def assignment_faults(analysis: Analysis) -> list[str]:
    """Why the buckets cannot be compared, if anything."""
    check, faults = analysis.assignment, []
    if check.ratio.p < MISMATCH_P:
        counted = listed([f"{n:,} in {bucket}" for bucket, n in zip(analysis.buckets, analysis.n_users, strict=True)])
        wanted = listed([f"{n:,.0f}" for n in check.ratio.expected])
        faults.append(f"users are {counted} where {wanted} were expected ({p_words(check.ratio.p)})")
    if check.crossed_share > CROSSED_SHARE:
        faults.append(f"{check.crossed:,} users ({percent(check.crossed_share, 1)}) are in several buckets")
    differing = [bucket for bucket, uplift in check.before.items() if uplift.p < MISMATCH_P]
    if differing:
        faults.append(f"{listed(differing)} differed from {analysis.control} before the experiment began")
    return faults


def statement(row: Row, control: str) -> str:
    """What the uplift of one metric says, with its interval; without a capital and a full stop."""
    up, metric = row.shown, row.metric
    if not up.is_known:
        return f"{row.treatment} and {control} cannot be compared in {metric.name}"
    interval = f"95 % interval {interval_words(up)}"
    if not row.is_significant:
        return (
            f"{row.treatment} and {control} are not distinguishable in {metric.name} "
            f"({percent(up.uplift, digits_of(up), sign=True)}, {interval})"
        )
    rises = up.uplift > 0
    said = metric.says.format(
        treatment=row.treatment,
        control=control,
        by=percent(abs(up.uplift), digits_of(up)),
        more="more" if rises else "fewer",
        longer="longer" if rises else "less",
        raised="raised" if rises else "lowered",
    )
    return f"{said} ({interval})"


def digits_of(up: Uplift) -> int:
    """As many digits of the per cent as the interval's width allows."""
    width = 100 * (up.high - up.low)
    return sum(width < few for few in FEW_POINTS) if math.isfinite(width) else 0


def percent(share: float, digits: int = 0, sign: bool = False) -> str:
    """A share in per cent, with a true minus; a dash where it is not known.

    >>> percent(0.183), percent(-0.0421, 1, sign=True)
    ('18 %', '−4.2 %')
    """
    return f"{number(100 * share, digits, sign)} %" if math.isfinite(share) else "–"


def interval_words(up: Uplift, sign: bool = False) -> str:
    """The interval of an uplift; with signs where it holds zero.

    >>> interval_words(Uplift(1, 1.2, 0.18, 0.09, 0.27, 0.045, 0.0))
    '9 % to 27 %'
    """
    digits, signed = digits_of(up), sign or up.low < 0 < up.high
    return f"{percent(up.low, digits, signed)} to {percent(up.high, digits, signed)}"


def p_words(p: float) -> str:
    """How unlikely, as people write it.

    >>> p_words(0.0321), p_words(1e-9)
    ('p = 0.032', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _level(primary: list[Row], harmed: list[Row]) -> Level:
    better = [row for row in primary if row.is_significant and row.shown.uplift > 0]
    worse = [row for row in primary if row.is_significant and row.shown.uplift < 0]
    if worse and not better:
        return Level.BAD
    if harmed or worse:
        return Level.MIXED if better else Level.BAD
    return Level.GOOD if better else Level.OPEN


def _guards(analysis: Analysis, harmed: list[Row]) -> tuple[str, ...]:
    guards = [row for row in analysis.rows if row.role is Role.GUARD]
    if not guards:
        return ()
    margin = percent(analysis.options.margin)
    found = [
        f"{row.metric.name} in {row.treatment} moved by {percent(row.shown.uplift, digits_of(row.shown), sign=True)} "
        f"({interval_words(row.shown, sign=True)})"
        for row in harmed
    ]
    unsure = [row for row in guards if row.guarded is Guarded.OPEN]
    said = [f"Harmed: {'; '.join(found)}."] if found else []
    if unsure:
        names = listed(list(dict.fromkeys(row.metric.name for row in unsure)))
        said.append(f"Not shown to stay within {margin}: {names}.")
    return tuple(said) if said else (f"All guards stay within {margin}.",)


def _seconds(analysis: Analysis) -> tuple[str, ...]:
    """How many of the other metrics differ, with Holm's correction."""
    rows = [row for row in analysis.rows if row.role is Role.SECONDARY and row.plain.is_known]
    up = [row for row in rows if row.is_significant and row.shown.uplift > 0]
    down = [row for row in rows if row.is_significant and row.shown.uplift < 0]
    words = [f"{len(up)} rose" if up else "", f"{len(down)} fell" if down else ""]
    moved = listed([word for word in words if word]) or "none differs"
    return (f"Of {len(rows)} other metrics {moved}, after Holm's correction.",) if rows else ()


def _power(analysis: Analysis, primary: list[Row]) -> tuple[str, ...]:
    """What so many users could have shown, where they showed nothing."""
    said = []
    for row in primary:
        up = row.shown
        if row.is_significant or not up.is_known:
            continue
        n = sum(
            users
            for bucket, users in zip(analysis.buckets, analysis.n_users, strict=True)
            if bucket in (row.treatment, analysis.control)
        )
        more = (
            f"; if {percent(up.uplift, digits_of(up), sign=True)} is the truth, about {_rounded(row.more_users)} would"
        )
        said.append(
            f"These {n:,} users would show an uplift of {percent(up.detectable, digits_of(up))} in four of five "
            f"experiments{more if row.more_users else ''}."
        )
    return tuple(said)


def _rounded(n: int | None) -> str:
    """A number of users to two digits: nobody knows it better.

    >>> _rounded(48211)
    '48,000'
    """
    if not n:
        return "–"
    step = 10 ** max(len(str(n)) - 2, 0)
    return f"{round(n / step) * step:,}"


def _limits(analysis: Analysis, counts: Counts) -> tuple[str, ...]:
    """What the reader must know before trusting the headline."""
    primary = next(row for row in analysis.rows if row.role is Role.PRIMARY)
    said = {
        f"Adjusted for what {percent(analysis.n_before / sum(analysis.n_users))} of the users did before (CUPED).": (
            primary.adjusted is not None
        ),
        f"With fewer than {FEW_USERS} users in a bucket the intervals are rough.": min(analysis.n_users) < FEW_USERS,
        f"{counts.crossed:,} users in several buckets are left out.": counts.crossed > 0
        and analysis.assignment.crossed_share <= CROSSED_SHARE,
    }
    return tuple(text for text, is_so in said.items() if is_so)
