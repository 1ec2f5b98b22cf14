"""Which packets of a stream to decode for the pictures at chosen instants: the cheapest way, from the packets alone.

Positions count packets in the order of decoding, from 0. Times are in ticks of the stream's clock.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise


@dataclass(frozen=True, slots=True)
class PacketFacts:
    """One packet of a stream: when its picture is shown and for how long, and what `PictureKind` says of it."""

    pts: int
    duration: int
    entry: bool
    needed: bool
    shown: bool


@dataclass(frozen=True)
class Timeline:
    """The pictures of a stream that are shown, in the order of time: *pts*, and each one's *position*."""

    pts: list[int]
    position: list[int]
    end: int

    @property
    def start(self) -> int:
        """When the first picture is shown."""
        return self.pts[0]

    def on_screen(self, tick: float) -> int:
        """The row of the last picture that begins by then, or the first of all."""
        return max(0, bisect_right(self.pts, tick) - 1)

    def within(self, tick: float, tolerance: float) -> range:
        """The rows of the pictures that begin at most *tolerance* before or after."""
        return range(bisect_left(self.pts, tick - tolerance), bisect_right(self.pts, tick + tolerance))


@dataclass(frozen=True)
class ReadingPlan:
    """What to decode.

    *rows* are those of the `Timeline`, one for each instant; *starts* are the positions where the decoder begins
    afresh; *fed* the positions that it is given, in order.
    """

    rows: tuple[int, ...]
    starts: frozenset[int]
    fed: tuple[int, ...]


LATEST_ENTRIES = 8  # enough for any real reordering; bounds the work that odd times can cause


def timeline(packets: Sequence[PacketFacts]) -> Timeline | None:
    """The pictures that are shown, or None where there is none."""
    shown = sorted((p.pts, at) for at, p in enumerate(packets) if p.shown)
    if not shown:
        return None
    pts, position = [tick for tick, _ in shown], [at for _, at in shown]
    # A container may leave out how long the last picture stands: as long as the one before it, then.
    usual = pts[-1] - pts[-2] if len(pts) > 1 else 0
    return Timeline(pts, position, pts[-1] + (packets[position[-1]].duration or usual))


def plan_reading(
    packets: Sequence[PacketFacts], shown: Timeline, instants: Sequence[float], tolerance: float
) -> ReadingPlan | None:
    """The plan that decodes the fewest packets, or None where two pictures have one time.

    Args:
        instants: ticks, ascending; with *tolerance* 0 each gets the picture on screen.
    """
    if any(a == b for a, b in pairwise(shown.pts)):
        return None
    entries = entry_points(packets)
    rows = _Chooser(packets, shown, entries, tolerance).rows(instants)
    picks = {shown.position[row] for row in rows}
    runs = _runs(sorted((entries[at], at) for at in picks))
    fed = [at for start, stop in runs for at in range(start, stop + 1) if packets[at].needed or at in picks]
    return ReadingPlan(rows, frozenset(start for start, _ in runs), tuple(fed))


def entry_points(packets: Sequence[PacketFacts]) -> list[int]:
    """For each packet the latest position from which its picture decodes right; 0 where there is no other.

    Pictures that follow an entry but are shown before it may refer to what came earlier.
    """
    latest: deque[int] = deque(maxlen=LATEST_ENTRIES)
    points = []
    for at, packet in enumerate(packets):
        if packet.entry:
            latest.appendleft(at)
        points.append(next((e for e in latest if packets[e].pts <= packet.pts), 0))
    return points


@dataclass(frozen=True)
class _Choice:
    """A way to the picture of *row* by way of earlier instants: what it costs, and how far off its pictures are."""

    cost: int
    distance: float
    row: int
    before: "_Choice | None"

    def rows(self) -> tuple[int, ...]:
        rows: list[int] = []
        choice: _Choice | None = self
        while choice:  # not by recursion: there may be more instants than Python has stack
            rows.append(choice.row)
            choice = choice.before
        return tuple(reversed(rows))


@dataclass(frozen=True)
class _Chooser:
    """Finds the best picture for each instant: fewest packets to decode altogether, and among those the nearest."""

    packets: Sequence[PacketFacts]
    shown: Timeline
    entries: Sequence[int]
    tolerance: float

    def rows(self, instants: Sequence[float]) -> tuple[int, ...]:
        n_needed = [0, *accumulate(int(packet.needed) for packet in self.packets)]
        ways: list[_Choice | None] = [None]
        for tick in instants:
            ways = [self._best(ways, row, tick, n_needed) for row in self._candidates(tick)]
        return min((way for way in ways if way), key=_merit).rows()

    def _candidates(self, tick: float) -> set[int]:
        """The one on screen; and of those within the tolerance that others need: entries, the first, the nearest."""
        near = sorted(self.shown.within(tick, self.tolerance), key=lambda row: abs(self.shown.pts[row] - tick))
        packets = {row: self.packets[self.shown.position[row]] for row in near} if self.tolerance else {}
        needed = [row for row in packets if packets[row].needed]
        entries = [row for row in packets if packets[row].entry]
        return {self.shown.on_screen(tick), *needed[:3], *sorted(needed)[:3], *entries[:3]}

    def _best(self, ways: Sequence[_Choice | None], row: int, tick: float, n_needed: Sequence[int]) -> _Choice:
        at, distance = self.shown.position[row], abs(self.shown.pts[row] - tick)
        own = int(not self.packets[at].needed)
        choices = []
        for way in ways:
            passed = self.shown.position[way.row] + 1 if way else 0
            start = min(max(self.entries[at], passed), at + 1)
            cost = own + n_needed[at + 1] - n_needed[start]
            choices.append(_Choice(cost + (way.cost if way else 0), distance + (way.distance if way else 0), row, way))
        return min(choices, key=_merit)


def _merit(choice: _Choice) -> tuple[int, float]:
    return choice.cost, choice.distance


def _runs(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The sorted spans (first, last), those that overlap made one: beginning afresh inside would break the longer."""
    runs: list[tuple[int, int]] = []
    for first, last in spans:
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        else:
            runs.append((first, last))
    return runs
