"""Bounds on what a system shows, read from a TOML file, and whether it keeps them.

A file holds the table `[gate]`: bounds by the name of the measure, such as `coverage = { min = 0.2 }`, and beside them
`system`, `k` and `users`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ConfigError, UserFacingError
from retrieval.index.protocol import Mask
from retrieval.metrics.skew import gini

EXIT_GATE = 3
WORDS = {
    "exposure_gini": "the Gini coefficient of exposure",
    "median_duration_s": "the median duration of what is recommended, in seconds,",
    "coverage": "the share of videos that anybody is shown",
    "fallback_share": "the share of users answered by the global or default vector",
}


@dataclass(frozen=True)
class Measures:
    """What a system's lists show of *n_users* users; None where there is nothing to measure.

    *exposure_gini* is over all videos that may be shown, those that nobody is shown among them; *coverage* is the share
    of these that is in any list. *median_duration_s* is over the places of all lists whose video has a duration.
    *fallback_share* is that of users of whom nothing is known, answered by the global or the default vector.
    """

    exposure_gini: float | None
    median_duration_s: float | None
    coverage: float | None
    fallback_share: float | None
    n_users: int


@dataclass(frozen=True)
class Bound:
    """What one measure must keep: *min*, *max*, and how far it may be from the live version's; None allows anything."""

    min: float | None = None
    max: float | None = None
    max_rise_over_live: float | None = None
    max_fall_below_live: float | None = None

    @property
    def needs_live(self) -> bool:
        return self.max_rise_over_live is not None or self.max_fall_below_live is not None


@dataclass(frozen=True)
class Gate:
    """The *bounds* by the name of the measure, on the top *k* of at most *users* users.

    *system* is whose lists are measured, "" for whoever serves.
    """

    bounds: Mapping[str, Bound]
    system: str = ""
    k: int = 10
    users: int = 2000

    @property
    def needs_live(self) -> bool:
        return any(bound.needs_live for bound in self.bounds.values())


@dataclass(frozen=True)
class Verdict:
    """What was measured of a *system*, and the *broken* bounds in words; *live* is what the live version shows.

    *not_compared* says why it was not compared with the live version, "" where it was or no bound asks for it.
    """

    system: str
    measures: Measures
    broken: tuple[str, ...]
    live: Measures | None = None
    not_compared: str = ""


class GateError(UserFacingError):
    """What was to be published breaks a bound."""

    exit_code = EXIT_GATE

    def __init__(self, verdict: Verdict, cure: str) -> None:
        super().__init__(f"The gate is shut for {verdict.system}: {'; '.join(verdict.broken)}.", cure)
        self.verdict = verdict

    def __reduce__(self) -> Any:
        """So that it survives the way from another process."""
        return type(self), (self.verdict, self.cure)


def measures_of(
    rows: NDArray[np.integer], eligible: Mask, durations_s: NDArray[np.floating], fallback: NDArray[np.bool_]
) -> Measures:
    """What lists show.

    Args:
        rows: `(n_users, k)`, rows of videos, −1 where a list is shorter.
        eligible: `(n_videos,)`, true for all videos that may be shown; what is shown is among them.
        durations_s: `(n_videos,)`, NaN where unknown.
        fallback: `(n_users,)`, true for users of whom nothing is known.

    >>> lists = np.array([[0, 1], [0, -1]])
    >>> measures_of(lists, np.ones(3, bool), np.array([8.0, 4.0, 2.0]), np.array([True, False]))
    Measures(exposure_gini=0.4444444444444444, median_duration_s=8.0, coverage=0.6666666666666666, \
fallback_share=0.5, n_users=2)
    """
    shown = rows[rows >= 0]
    exposures = np.bincount(shown, minlength=len(eligible))[eligible]
    known = durations_s[shown]
    known = known[~np.isnan(known)]
    return Measures(
        gini(exposures) if len(shown) else None,
        float(np.median(known)) if len(known) else None,
        float((exposures > 0).mean()) if len(exposures) else None,
        float(fallback.mean()) if len(fallback) else None,
        len(rows),
    )


def check(measures: Measures, bounds: Mapping[str, Bound], live: Measures | None = None) -> tuple[str, ...]:
    """The bounds that *measures* break, in words; what cannot be measured breaks any bound on it.

    Args:
        live: the same measures of the live version; without it bounds beside it are not looked at.

    >>> check(Measures(0.95, 8.0, 0.5, 0.0, 10), {"exposure_gini": Bound(max=0.9)})
    ('the Gini coefficient of exposure is 0.95, more than 0.9',)
    """
    broken: list[str] = []
    for name, bound in bounds.items():
        beside = getattr(live, name) if live else None
        broken += [f"{WORDS[name]} is {fault}" for fault in _faults(getattr(measures, name), bound, beside)]
    return tuple(broken)


def _faults(value: float | None, bound: Bound, live: float | None) -> list[str]:
    if value is None:
        return ["not known, since there is nothing to measure"]
    faults = []
    if bound.min is not None and value < bound.min:
        faults.append(f"{value:.3g}, less than {bound.min:g}")
    if bound.max is not None and value > bound.max:
        faults.append(f"{value:.3g}, more than {bound.max:g}")
    if live is None:
        return faults
    if bound.max_rise_over_live is not None and value - live > bound.max_rise_over_live:
        faults.append(f"{value:.3g}, more than {bound.max_rise_over_live:g} above {live:.3g} of the live version")
    if bound.max_fall_below_live is not None and live - value > bound.max_fall_below_live:
        faults.append(f"{value:.3g}, more than {bound.max_fall_below_live:g} below {live:.3g} of the live version")
    return faults


def read_gate(file: Path) -> Gate:
    """The bounds that *file* sets.

    Raises:
        ConfigError: it is not there, not TOML, or holds a name or value that is none.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.", "Mend it.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.", "Name the file of bounds.") from error
    table = content.get("gate")
    if not isinstance(table, dict) or content.keys() != {"gate"}:
        raise ConfigError(f"{file} is no gate: it must hold the table [gate] alone.", f"Bounds are {', '.join(WORDS)}.")
    choices = {name: _read_choice(file, name, value) for name, value in table.items() if name not in WORDS}
    bounds = {name: _read_bound(file, name, value) for name, value in table.items() if name in WORDS}
    if not bounds:
        raise ConfigError(f"{file} sets no bound.", f"Bounds are {', '.join(WORDS)}, as in coverage = {{ min = 0.2 }}.")
    return Gate(bounds, **choices)


def _read_choice(file: Path, name: str, value: Any) -> Any:
    words = {"system": "a name", "k": "a whole number of at least 1", "users": "a whole number of at least 1"}
    if name not in words:
        known = ", ".join((*words, *WORDS))
        raise ConfigError(f"{file}: the gate has the unknown entry {name}.", f"Known are {known}.")
    if isinstance(value, int) and not isinstance(value, bool):
        fits = name != "system" and value >= 1
    else:
        fits = name == "system" and isinstance(value, str) and value != ""
    if not fits:
        raise ConfigError(f"{file}: gate.{name} is {value!r}, not {words[name]}.", "Mend the value.")
    return value


def _read_bound(file: Path, name: str, value: Any) -> Bound:
    known = [field.name for field in fields(Bound)]
    if not isinstance(value, dict) or not value or not value.keys() <= set(known):
        raise ConfigError(
            f"{file}: gate.{name} is {value!r}, not a table of {', '.join(known)}.",
            f"Write it as in {name} = {{ max = 0.9 }}.",
        )
    for key, limit in value.items():
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not np.isfinite(limit):
            raise ConfigError(f"{file}: gate.{name}.{key} is {limit!r}, not a finite number.", "Mend the value.")
    return Bound(**{key: float(limit) for key, limit in value.items()})
