"""The offline evaluation: how fast IPS-NDCG is, how large a log it takes, and how honest its intervals are.

Feeds have 8 to 12 slots and users a handful of feeds, as the sample shop's; scores are random and there from the start.

`ips_ndcg_speedup`, `ips_ndcg_vs_ranx`: over a million impressions, our time is ranking every feed by score with ties
told apart, then DCG and NDCG in all three forms; one thread. The plain loop sorts each feed and adds up NDCG_IPS alone,
on Python lists that are ready; both are timed by the processor's time. ranx computes the same NDCG_IPS, with 1/q as
relevance, by its compiled and warmed-up function with as many threads as there are processors, on padded arrays that it
has ready, the ideal order among them; timed are the ranking of its lists by score and that function, and in
`ips_ndcg_vs_ranx_ranked` the function alone. The clock on the wall times these.

`ten_million_seconds`: two systems over ten million impressions in parts of a million: ranking, metrics, sums by user,
then every measure with 1,000 resamples of users and the paired differences. Drawing the log is not counted.
"""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2

import numpy as np
from numpy.typing import NDArray

from benchmarks.interval_coverage import DIFFERENCE, LIKING, LOGGED, Coverage, coverage_of
from benchmarks.report import Figure, run
from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import Feeds, Form, Gains, Measure, UserSums, compared, from_gains, gains
from retrieval.metrics.ranks import ranks_within

MILLION, K = 1_000_000, 10
FEEDS_A_USER = 9
COVERAGE_USERS = 200


@dataclass(frozen=True)
class Part:
    """Impressions of whole feeds with a system's *scores* and the *ties* of their ids."""

    feeds: Feeds
    scores: NDArray[np.float64]
    ties: NDArray[np.int64]

    def gains(self) -> Gains:
        return gains(self.feeds, ranks_within(self.scores, self.feeds.offsets, self.ties), K)


def make_part(n_rows: int, n_users: int, seed: int) -> Part:
    """About *n_rows* impressions of random users; low slots are examined less."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(8, 13, n_rows // 10)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    position = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + 1
    examination = 4 / (position + 3.0) * position**-0.3
    label = rng.random(len(position)) < 0.35 * examination
    feeds = Feeds(offsets, label, examination, rng.integers(n_users, size=len(lengths)))
    return Part(feeds, rng.random(len(position)), rng.integers(1 << 62, size=len(position)))


def loop_ndcg_ips(scores: list[float], labels: list[bool], examination: list[float], offsets: list[int]) -> list[float]:
    """NDCG_IPS of each feed as one would write it down; NaN without a positive."""
    found = []
    for start, end in pairwise(offsets):
        ranked = sorted(range(start, end), key=lambda row: -scores[row])
        weights = [1 / examination[row] if labels[row] else 0.0 for row in ranked]
        best = sum(weight / log2(place + 2) for place, weight in enumerate(sorted(weights, reverse=True)[:K]))
        gained = sum(weight / log2(place + 2) for place, weight in enumerate(weights[:K]))
        found.append(gained / best if best else float("nan"))
    return found


@dataclass(frozen=True)
class RanxLists:
    """A part as ranx takes it, feeds padded to one length with ids that nobody judged, `(n_feeds, length, 2)` each.

    *judged* has (id, relevance), best first: 1/q of positives, and 0 of others, which ranx leaves out. *listed* has
    (id, score) in the logged order.
    """

    judged: NDArray[np.float64]
    listed: NDArray[np.float64]

    def ranked(self) -> NDArray[np.float64]:
        """The lists by score, by numpy's sort of each; ranx's own sort of its dictionaries is far slower."""
        order = np.argsort(-self.listed[:, :, 1], axis=1)
        return np.take_along_axis(self.listed, order[:, :, None], axis=1)


def ranx_lists(part: Part) -> RanxLists:
    feeds, n = part.feeds, len(part.feeds)
    length = int(np.diff(feeds.offsets).max(initial=0))
    owner = np.repeat(np.arange(n), np.diff(feeds.offsets))
    place = np.arange(len(owner)) - feeds.offsets[owner]
    relevance = np.where(feeds.label, 1 / feeds.examination, 0.0)
    ideal = np.lexsort((-relevance, owner))
    judged, listed = np.full((n, length, 2), -2.0), np.full((n, length, 2), -np.inf)
    judged[owner, place] = np.stack([ideal, relevance[ideal]], axis=1)
    listed[owner, place] = np.stack([np.arange(len(owner)), part.scores], axis=1)
    return RanxLists(judged, listed)


def ranx_ndcg_ips(judged: NDArray[np.float64], ranked: NDArray[np.float64]) -> NDArray[np.float64]:
    """NDCG of each feed by ranx's compiled function, 0 for one without a positive."""
    from ranx.metrics import ndcg  # type: ignore[import-untyped]

    return np.asarray(ndcg(judged, ranked, K))


def speed_figures(n_rows: int) -> list[Figure]:
    """IPS-NDCG against the loop and against ranx."""
    part = make_part(n_rows, n_rows // 90 + 1, seed=0)
    columns = (part.scores, part.feeds.label, part.feeds.examination, part.feeds.offsets)
    lists, theirs = [column.tolist() for column in columns], ranx_lists(part)
    ranked = theirs.ranked()
    ranx_ndcg_ips(theirs.judged, ranked)  # compiled or loaded
    calls = (
        part.gains,
        lambda: ranx_ndcg_ips(theirs.judged, theirs.ranked()),
        lambda: ranx_ndcg_ips(theirs.judged, ranked),
        lambda: loop_ndcg_ips(*lists),
    )
    ours, ranx, ranx_ranked, loop = _interleaved(calls, n_times=7)
    size = f"{len(part.scores)} impressions, least of seven"
    return [
        Figure("ips_ndcg_seconds", ours.wall_s, "s", "lower", f"ranking by score and all three forms, {size}"),
        Figure(
            "ips_ndcg_speedup", loop.processor_s / ours.processor_s, "times", "higher",
            f"processor's time, {loop.processor_s:.2f} s by a plain loop, {ours.processor_s:.4f} s here, {size}",
        ),
        Figure(
            "ips_ndcg_vs_ranx", ranx.wall_s / ours.wall_s, "times", "higher",
            f"both rank by score; ranx takes {ranx.wall_s:.4f} s with all threads, {size}",
        ),
        Figure(
            "ips_ndcg_vs_ranx_ranked", ranx_ranked.wall_s / ours.wall_s, "times", "higher",
            f"ranx is given ranked lists and takes {ranx_ranked.wall_s:.4f} s, we rank, {size}",
        ),
    ]  # fmt: skip


def scale_figures(n_rows: int) -> list[Figure]:
    """Ten million impressions, or as many as asked for, from scores to intervals."""
    n_users = n_rows // (10 * FEEDS_A_USER)
    sums = {name: UserSums.none(n_users) for name in ("policy", "baseline")}
    seconds = 0.0
    for seed in range(n_rows // MILLION):
        parts = {name: make_part(MILLION, n_users, seed) for name in sums}  # one log, and scores that tie with it
        started = time.perf_counter()
        sums = {name: sums[name] + from_gains(p.gains(), p.feeds.user, n_users) for name, p in parts.items()}
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    measured = compared(sums, Bootstrap(1000))
    for measure in Measure:
        for form in Form:
            measured.of("policy", measure, form)
            measured.difference("policy", "baseline", measure, form)
    seconds += time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    detail = f"2 systems, {n_rows} impressions of {n_users} users, 1000 resamples"
    size = "ten_million" if n_rows == 10 * MILLION else "million"
    return [
        Figure(f"{size}_seconds", seconds, "s", "lower", detail),
        Figure(f"{size}_peak_gb", peak / 1e9, "GB", "lower", f"of the whole process, {detail}"),
    ]


def coverage_figures(n_logs: int) -> list[Figure]:
    """How often intervals hold the truth, and what the other forms are wrong by."""
    found = coverage_of(n_logs, COVERAGE_USERS)
    ips, paired = found[LIKING, Measure.DCG, Form.IPS], found[DIFFERENCE, Measure.DCG, Form.IPS]
    detail = f"{n_logs} logs of {COVERAGE_USERS} users, seeds from 1000, aim 0.93 to 0.97"
    biases = [
        _bias(name, measure, form, found[name, measure, form])
        for name in (LOGGED, LIKING, DIFFERENCE)
        for measure, form in ((Measure.DCG, Form.NAIVE), (Measure.NDCG, Form.NAIVE), (Measure.NDCG, Form.IPS))
    ]
    return [
        Figure("interval_coverage", ips.share, "share", "higher", f"DCG_IPS@10, mean width {ips.width:.4f}, {detail}"),
        Figure("difference_coverage", paired.share, "share", "higher", f"{DIFFERENCE}, width {paired.width:.4f}"),
        *biases,
    ]


def _bias(name: str, measure: Measure, form: Form, found: Coverage) -> Figure:
    told = f"{name}: mean {found.mean:.4f}, truth {found.truth:.4f}, held in {found.share:.3f} of logs"
    slug = {LOGGED: "logged", LIKING: "liking", DIFFERENCE: "difference"}[name]
    return Figure(f"bias_{measure}_{form}_{slug}", found.mean - found.truth, "gain", "lower", told)


def measure(quick: bool) -> list[Figure]:
    """The scale first: the peak of memory is that of the process."""
    scale = scale_figures(MILLION if quick else 10 * MILLION)
    return [*scale, *coverage_figures(60 if quick else 1000), *speed_figures(MILLION // 10 if quick else MILLION)]


@dataclass(frozen=True)
class _Time:
    wall_s: float
    processor_s: float


def _interleaved(calls: Sequence[Callable[[], object]], n_times: int) -> list[_Time]:
    """The least times of each call, in turns, so that what else the machine does falls on all alike."""
    times = np.array([[_timed(call) for call in calls] for _ in range(n_times)]).min(axis=0)
    return [_Time(*each) for each in times.tolist()]


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    run(measure, __doc__.splitlines()[0])
