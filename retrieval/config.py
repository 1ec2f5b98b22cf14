"""`lookreel.toml`: a shop's choices, each with its default, its meaning and where its value came from."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from retrieval.errors import ConfigError
from retrieval.options import OPTIONS, SYSTEM_OPTIONS, Option
from retrieval.options import parse_half_life as parse_half_life
from retrieval.options import parse_span as parse_span
from retrieval.systems import SystemConfig, SystemKind

FILE = "lookreel.toml"
DEFAULT_SYSTEMS: Mapping[str, SystemConfig] = {kind.value: SystemConfig(kind=kind) for kind in SystemKind}


@dataclass(frozen=True)
class Config:
    """A shop's choices. *values* are by dotted name as in `OPTIONS`; *origins* say where each came from.

    *experiment* is the table of that name as it stands in the file: who serves reads it.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    systems: Mapping[str, SystemConfig] = field(default_factory=lambda: dict(DEFAULT_SYSTEMS))
    experiment: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def path(self, name: str, flag: Path | None) -> Path:
        """A flag's path, or the one of the file."""
        return flag if flag is not None else Path(self.values[f"paths.{name}"])

    def place(self, name: str, flag: str | None) -> str:
        """A flag's folder or fsspec URL, or the one of the file."""
        return flag if flag is not None else str(self.values[f"paths.{name}"])

    def system(self, name: str) -> SystemConfig:
        """The system called *name*: one of the file's, or one of the kinds with its defaults.

        Raises:
            ConfigError: no such system.
        """
        if name not in self.systems:
            raise ConfigError(
                f"There is no system {name}.", f"Use one of {', '.join(self.systems)}, or describe it in {FILE}."
            )
        return self.systems[name]


def load_config(path: Path = Path(FILE)) -> Config:
    """Read *path*, or take the defaults where there is no such file.

    Raises:
        ConfigError: it is not TOML, or holds an unknown name or a value of the wrong kind.
    """
    content = _read_toml(path)
    systems, experiment = content.pop("systems", {}), content.pop("experiment", None)
    given = {f"{table}.{name}": value for table, values in content.items() for name, value in _entries(table, values)}
    values = {name: _read_option(path, name, given.get(name, option.default)) for name, option in _known(path, given)}
    if values["embed.photo_weight"] + values["embed.text_weight"] == 0:
        raise ConfigError(f"{path}: embed.photo_weight and embed.text_weight are both 0.", "Give one of them a weight.")
    origins = {name: path.name if name in given else "default" for name in OPTIONS}
    named = {name: _read_system(path, name, about) for name, about in _entries("systems", systems)}
    return Config(values, origins, {**DEFAULT_SYSTEMS, **named}, experiment)


def default_toml() -> str:
    """The text of a new `lookreel.toml`: every option at its default, with its meaning."""
    lines = ["# Lookreel's choices for this shop. Flags override them; `lookreel config show` tells what holds."]
    table = ""
    for name, option in OPTIONS.items():
        head, _, key = name.partition(".")
        lines += [] if head == table else ["", f"[{head}]"]
        table = head
        lines.append(f"{key} = {_toml_value(option.default)}  # {option.meaning}")
    return "\n".join([*lines, SYSTEMS_EXAMPLE])


SYSTEMS_EXAMPLE = """
# Any number of named ways to recommend: `lookreel recommend --system quick`.
# Kinds: random, recency, popularity, multimodal, conventional (of a training: lookreel index build --space).
[systems.quick]
kind = "multimodal"
half_life = "3d"  # an event this much older counts half as much
max_events = 100  # how far back a history goes
# event_weights = { purchase = 2.0, view = 0.5 }
# where = { markets = "de" }
# diversity = 0.3           # 0 to 1: how much to prefer what differs from what is already on the list
# freshness = 0.5           # what a video published now gains, in standard deviations of the scores
# freshness_half_life = "7d"
# cap_creator = 2           # at most so many of one creator in an answer; cap_brand likewise
# collapse = 0.98           # of videos that are so alike (cosine) only the best
# pool = 200                # how many of the best the rules above choose from
# explore_position = 5      # this place is drawn from the explore_pool next best; its probability is logged
# explore_pool = 50
# explore_temperature = 1.0

# Systems side by side: users fall into buckets by a salted hash of their id, always the same one.
# [experiment]
# name = "spring"
# salt = "spring-1"
# systems = { control = "recency", treatment = "multimodal" }
# shares = { control = 0.5, treatment = 0.5 }
"""


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}.", "Mend it, or write a new one with lookreel init.") from error


def _entries(table: str, values: Any) -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        raise ConfigError(f"{table} is a value, not a table.", f"Write it as [{table}] in {FILE}.")
    return list(values.items())


def _known(path: Path, given: Mapping[str, Any]) -> list[tuple[str, Option]]:
    for name in given:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(OPTIONS)}."
            raise ConfigError(f"{path} has the unknown option {name}.", hint)
    return list(OPTIONS.items())


def _read_option(path: Path, name: str, value: Any) -> Any:
    try:
        return OPTIONS[name].read(value)
    except ValueError as error:
        raise ConfigError(f"{path}: {name} is {value!r}, not {error}.", "Mend the value.") from None


def _read_system(path: Path, name: str, about: Any) -> SystemConfig:
    choices = {}
    for key, value in _entries(f"systems.{name}", about):
        if key not in SYSTEM_OPTIONS:
            raise ConfigError(
                f"{path}: systems.{name} has the unknown option {key}.", f"Known are {', '.join(SYSTEM_OPTIONS)}."
            )
        target, read = SYSTEM_OPTIONS[key]
        try:
            choices[target] = read(value)
        except ValueError as error:
            raise ConfigError(f"{path}: systems.{name}.{key} is {value!r}, not {error}.", "Mend the value.") from None
    try:
        return choose(SystemConfig(), choices)
    except ValueError as error:
        raise ConfigError(f"{path}: systems.{name}: {error}.", "Mend the value.") from None


def choose(system: SystemConfig, choices: Mapping[str, Any]) -> SystemConfig:
    """*system* with other values for some of its fields, those of its rules and exploration as `rules.diversity`.

    Raises:
        ValueError: a value is not allowed.
    """
    nested: dict[str, dict[str, Any]] = {"rules": {}, "exploration": {}, "": {}}
    for target, value in choices.items():
        part, _, name = target.rpartition(".")
        nested[part][name] = value
    return replace(
        system,
        rules=replace(system.rules, **nested["rules"]),
        exploration=replace(system.exploration, **nested["exploration"]),
        **nested[""],
    )
