"""How every benchmark prints: a table for people, or JSON for scripts."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value. *better* is "higher" or "lower"; *detail* says on what it was measured and against what."""

    figure: str
    value: float
    unit: str
    better: str
    detail: str


def run(measure: Callable[[bool], Sequence[Figure]], what: str) -> None:
    """Measure, with `--quick` at a smaller size, and print."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--quick", action="store_true", help="a smaller size, within 45 seconds on 2 cores")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    figures = measure(given.quick)
    if given.json:
        print(json.dumps([asdict(figure) for figure in figures]))
        return
    width = max(len(figure.figure) for figure in figures)
    for figure in figures:
        print(f"{figure.figure:<{width}}  {figure.value:>10.4g} {figure.unit:<10} {figure.better:<7} {figure.detail}")
