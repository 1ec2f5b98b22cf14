"""Estimators of examination propensities side by side on a log, saved as one file that evaluation and training open."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelcraft.evaluation.counted import Counted
from labelcraft.evaluation.slot_counts import CountedLog, count_slots
from labelcraft.evaluation.split_time import find_split
from retrieval.errors import ConfigError, TableError
from retrieval.folders import writing
from retrieval.log import WATCHED_SHARE, from_us, to_us
from retrieval.metrics.propensity import (
    METHODS,
    MIN_REACHES,
    Counts,
    Curve,
    Interval,
    Method,
    curve_of,
    estimate,
    intervals,
    n_positions,
)

FILE, PICTURE = "propensities.json", "propensities.png"
KIND, FORMAT = "examination", 1
GIVEN = "given"
N_STEPS = 3  # counting, estimating, drawing
CHOICES = (GIVEN, *(method.value for method in Method))


@dataclass(frozen=True)
class Estimated:
    """One curve with its 95 % intervals, and what it takes for granted."""

    curve: Curve
    interval: Interval
    assumes: str


@dataclass(frozen=True)
class Comparison:
    """The curves by name; *chosen* is used, *failed* says why a method has none."""

    curves: Mapping[str, Estimated]
    failed: Mapping[str, str]
    chosen: str
    before_us: int
    n_slots: int
    n_feeds: int
    min_reaches: int
    odd: tuple[Counted, ...]
    faults: Mapping[str, int]

    def gap(self, name: str) -> float:
        """The largest relative difference to the chosen curve, over the positions that both have."""
        n = min(len(self.curves[name].curve.q), len(self.curves[self.chosen].curve.q))
        return float(np.abs(self.curves[name].curve.q[:n] / self.curves[self.chosen].curve.q[:n] - 1).max())


@dataclass(frozen=True)
class PropensityRequest:
    """What is asked: the log of *tables* before *before*, or before its last *test_days*; *method* is to be used."""

    tables: Path
    out: Path
    before: str | None = None
    test_days: float | None = None
    method: str = Method.IMMERSIVE.value
    min_reaches: int = MIN_REACHES


def compare_propensities(request: PropensityRequest, update: Callable[[int, int], None]) -> Comparison:
    """Estimate all curves, and save them with their picture.

    Raises:
        ConfigError: there is no such method.
        TableError: the log cannot be used, or the chosen method has no curve on it.
    """
    from labelcraft.evaluation.curve_plot import draw_curves

    if request.method not in CHOICES:
        raise ConfigError(f"There is no method {request.method}.", f"Choose one of {', '.join(CHOICES)}.")
    split = find_split(request.tables / "impressions.parquet", test_days=request.test_days, at=request.before)
    update(0, N_STEPS)
    log = count_slots(request.tables, split.at_us)
    update(1, N_STEPS)
    comparison = compare_methods(log, request.method, request.min_reaches)
    update(2, N_STEPS)
    with writing(request.out / PICTURE) as draft:
        draft.write_bytes(draw_curves(comparison))
    save_comparison(comparison, request.out / FILE)
    update(3, N_STEPS)
    return comparison


def compare_methods(log: CountedLog, chosen: str, min_reaches: int = MIN_REACHES) -> Comparison:
    """All curves of a counted log.

    Raises:
        TableError: *chosen* has no curve on it.
    """
    counts = log.counts
    curves: dict[str, Curve] = {}
    failed: dict[str, str] = {}
    for name in CHOICES:
        try:
            curves[name] = (
                _given(log, counts, min_reaches) if name == GIVEN else estimate(Method(name), counts, min_reaches)
            )
        except ValueError as error:
            failed[name] = str(error).removeprefix(f"{name}: ")
    if chosen not in curves:
        raise TableError(
            f"The method {chosen} has no curve here: {failed[chosen]}.",
            f"Choose {_listed(curves)} with --method." if curves else "Export a longer log, or lower --min-reaches.",
        )
    spread = intervals({Method(name): curve for name, curve in curves.items() if name != GIVEN}, log.parts)
    estimated = {name: _estimated(name, curve, spread, log) for name, curve in curves.items()}
    return Comparison(
        estimated, failed, chosen, log.before_us, log.n_slots, log.n_feeds, min_reaches, log.odd, log.faults
    )


def _listed(names: Mapping[str, Any]) -> str:
    return " or ".join((", ".join(list(names)[:-1]), list(names)[-1])) if len(names) > 1 else next(iter(names))


def _estimated(name: str, curve: Curve, spread: Mapping[Method, Interval], log: CountedLog) -> Estimated:
    if name != GIVEN:
        return Estimated(curve, spread[Method(name)], METHODS[Method(name)].assumes)
    varies = "; they differ within a position, and their mean is taken" if log.given and log.given.varies else ""
    none = np.full(len(curve.q), np.nan)
    return Estimated(curve, Interval(none, none), f"the log's own values are right{varies}")


def _given(log: CountedLog, counts: Counts, min_reaches: int) -> Curve:
    """The log's own curve.

    Raises:
        ValueError: the log has none.
    """
    if log.given is None:
        raise ValueError("the log has no examination propensities from position 1 on")
    return curve_of(GIVEN, log.given.q[: n_positions(counts, min_reaches)], counts)


def save_comparison(comparison: Comparison, file: Path) -> None:
    """Write all curves and what they come from as JSON."""
    with writing(file) as draft:
        draft.write_text(json.dumps(as_plain(comparison), indent=1) + "\n")


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """What stands in the file, and what `--json` prints."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "chosen": comparison.chosen,
        "before": from_us(comparison.before_us).isoformat(),
        "positive": f"reached and watched to at least {WATCHED_SHARE:.0%} of the video's length",
        "slots": comparison.n_slots,
        "feeds": comparison.n_feeds,
        "min_reaches": comparison.min_reaches,
        "odd": [asdict(one) for one in comparison.odd],
        "set_aside": dict(comparison.faults),
        "curves": {name: _plain_curve(one) for name, one in comparison.curves.items()},
        "failed": dict(comparison.failed),
    }


def _plain_curve(one: Estimated) -> dict[str, Any]:
    return {
        "position": one.curve.positions.tolist(),
        "q": one.curve.q.tolist(),
        "low": [None if np.isnan(value) else value for value in one.interval.low.tolist()],
        "high": [None if np.isnan(value) else value for value in one.interval.high.tolist()],
        "reaches": one.curve.reaches.tolist(),
        "assumes": one.assumes,
    }


@dataclass(frozen=True)
class Opened:
    """A saved curve, and the time before which all that it was fitted to had been shown."""

    curve: Curve
    before_us: int


def open_propensities(file: Path, method: str | None = None) -> Opened:
    """The curve of *file* that was chosen, or the one of *method*.

    Raises:
        TableError: there is no such file, it is none of ours, or it has no curve of that name.
    """
    from datetime import datetime

    said = _read(file)
    name = method or said.get("chosen", "")
    curves = said.get("curves", {})
    if name not in curves:
        raise TableError(f"{file} has no curve {name}; it has {', '.join(curves)}.", "Choose one of these.")
    try:
        one = curves[name]
        curve = Curve(np.array(one["position"]), np.array(one["q"]), np.array(one["reaches"]), name)
        return Opened(curve, to_us(datetime.fromisoformat(said["before"])))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(file, str(error)) from error


def open_curve(file: Path) -> Curve:
    """The chosen curve of a saved comparison.

    Raises:
        TableError: as `open_propensities`.
    """
    return open_propensities(file).curve


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise TableError(f"There is no file {file}.", "Make it: lookreel evaluate propensities --help")
    try:
        said = json.loads(file.read_text())
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(said, dict) or said.get("kind") != KIND:
        raise _damaged(file, "it holds no examination curves")
    if said.get("format") != FORMAT:
        raise TableError(
            f"{file} has format {said.get('format')}, and this version reads {FORMAT}.",
            "Make it again: lookreel evaluate propensities --help",
        )
    return said


def _damaged(file: Path, reason: str) -> TableError:
    return TableError(f"{file} cannot be used: {reason}.", "Make it again: lookreel evaluate propensities --help")
