"""What a soak found, in figures, and which promises of the API were broken."""

from dataclasses import asdict, dataclass

import numpy as np

from tests.serving.soak_driver import ABSENT, SHOWN

BLOCKED_WITHIN_S = 2.0
GROWTH = 1.1
FAULTS_TOLD = 10


@dataclass(frozen=True)
class Block:
    """A video was blocked from *acked_s* until *lifted_s*, when its lifting was asked for; all is over at *over_s*."""

    video: str
    put_s: float
    acked_s: float
    lifted_s: float
    over_s: float


@dataclass(frozen=True)
class Memory:
    """Proportional set size of all workers in MiB, and mapped files of the snapshot of the worker with most."""

    at_s: float
    mib: float
    mapped: int


@dataclass(frozen=True)
class Report:
    """What a run found; *faults* is empty where every promise was kept."""

    faults: list
    requests: int
    seconds: float
    latency_ms: dict
    swaps: int
    versions_answering: int
    workers_answering: int
    chains_across_versions: int
    longest_chain: int
    events: int
    blocks: int
    blocks_seen_before: int
    block_p50_s: float
    block_max_s: float
    memory_mib: dict
    mapped_files: dict


def make_report(operator, found, lasted_s):
    """What the *operator* did and the connections *found*, as figures and faults."""
    times = {}
    for one in found:
        for kind, values in one["times_ms"].items():
            times.setdefault(kind, []).extend(values)
    sightings = [sighting for one in found for sighting in one["sightings"]]
    spread_s = [spread_of(block, sightings) for block in operator.blocks]
    faults = [fault for one in found for fault in one["faults"]] + operator.faults
    faults += _block_faults(operator.blocks, sightings, spread_s)
    memory, mapped = _quarters([(m.at_s, m.mib) for m in operator.memory]), [m.mapped for m in operator.memory]
    faults += [f"memory grew: {memory}"] if not memory["ratio"] <= GROWTH else []
    versions = {version for one in found for version in one["versions"]}
    workers = {worker for one in found for worker in one["workers"]}
    faults += [] if len(workers) == operator.options.workers else [f"only {len(workers)} workers answered"]
    return Report(
        faults,
        sum(map(len, times.values())),
        round(lasted_s, 1),
        {kind: _quantiles(values) for kind, values in sorted(times.items())},
        operator.swaps,
        len(versions),
        len(workers),
        sum(one["chains_across"] for one in found),
        max((one["longest_chain"] for one in found), default=0),
        sum(one["events"] for one in found),
        len(operator.blocks),
        sum(_was_shown_before(block, sightings) for block in operator.blocks),
        round(float(np.median(spread_s or [np.nan])), 3),
        round(max(spread_s, default=np.nan), 3),
        memory,
        {"first": mapped[0], "last": mapped[-1], "most": max(mapped)} if mapped else {},
    )


def spread_of(block, sightings):
    """Seconds from the answer that a video is blocked to the last answer that still shows it."""
    shown_s = [
        received_s
        for video, what, _, received_s in sightings
        if (video, what) == (block.video, SHOWN) and block.acked_s < received_s < block.lifted_s
    ]
    return max(shown_s, default=block.acked_s) - block.acked_s


def _was_shown_before(block, sightings):
    """Whether the video was shown in the seconds before: only then the block is seen to work."""
    return any(
        (video, what) == (block.video, SHOWN) and block.put_s - 5 < received_s < block.put_s
        for video, what, _, received_s in sightings
    )


def _block_faults(blocks, sightings, spread_s):
    late = [
        f"{block.video} was shown {seconds:.2f} s after it was blocked"
        for block, seconds in zip(blocks, spread_s, strict=True)
        if seconds > BLOCKED_WITHIN_S
    ]
    absent = [(video, sent_s, received_s) for video, what, sent_s, received_s in sightings if what == ABSENT]
    return late + [
        f"{video} was not found although it was not blocked"
        for video, sent_s, received_s in absent
        if not any(
            block.video == video and block.put_s < received_s and sent_s < block.over_s + BLOCKED_WITHIN_S
            for block in blocks
        )
    ]


def _quarters(measured):
    """The means of the second and of the last quarter of the time, and their ratio."""
    times, values = np.array(measured).reshape(-1, 2).T
    quarter = np.floor(4 * (times - times[0]) / max(np.ptp(times), 1e-9)).clip(0, 3)
    second, last = values[quarter == 1].mean(), values[quarter == 3].mean()
    means = {"first": values[0], "second_quarter": second, "last_quarter": last, "most": values.max()}
    return {name: round(float(value), 1) for name, value in means.items()} | {"ratio": round(float(last / second), 3)}


def _quantiles(values):
    p50, p99, most = np.quantile(values, [0.5, 0.99, 1.0])
    return {"n": len(values), "p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(float(most), 1)}


def table(report):
    """The report for people."""
    kinds = [
        f"  {kind:<12} {q['n']:>8} {q['p50']:>8} {q['p99']:>8} {q['max']:>8}" for kind, q in report.latency_ms.items()
    ]
    about = {name: value for name, value in asdict(report).items() if name not in ("latency_ms", "faults")}
    rest = [f"  {name.replace('_', ' '):<24} {value}" for name, value in about.items()]
    faults = [f"  {len(report.faults)} faults", *(f"    {fault}" for fault in report.faults[:FAULTS_TOLD])]
    heading = f"  {'request':<12} {'n':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
    return "\n".join([heading, *kinds, *rest, *faults])
