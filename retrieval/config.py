"""`lookreel.toml`: a shop's choices, each with its default, its meaning and where its value came from."""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from retrieval.encoder import SAMPLE
from retrieval.errors import ConfigError
from retrieval.schemas import EVENTS
from retrieval.systems import DAY_S, SystemConfig, SystemKind
from retrieval.where import Where, where_of

FILE = "lookreel.toml"
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}


@dataclass(frozen=True)
class Option:
    """One value of the file: its default, what it means, and the check that reads it."""

    default: Any
    meaning: str
    read: Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or any(not isinstance(text, str) or not text for text in value):
        raise ValueError('a list of texts such as ["https://cdn.example"]')
    return tuple(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number of at least 1")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a whole number of at least 0")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - every reader raises ValueError
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("a finite number of at least 0")
    return float(value)


def _part(value: Any) -> float:
    if _share(value) > 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def _hide_when(value: Any) -> str:
    if value not in ("all", "any", "never"):
        raise ValueError("all, any or never")
    return str(value)


OPTIONS: Mapping[str, Option] = {
    "paths.tables": Option("shop", "folder of videos.parquet, products.parquet, interactions.parquet …", _text),
    "paths.videos": Option("stores/videos", "embedding store of the videos", _text),
    "paths.products": Option("stores/products", "embedding store of the products", _text),
    "paths.snapshot": Option("snapshot", "what is served", _text),
    "encoder.model": Option(SAMPLE, "sample, ViT-B-32/laion2b_s34b_b79k, hf-hub:…, local-dir:…", _text),
    "encoder.device": Option("auto", "auto, cpu, cuda …", _text),
    "encoder.precision": Option("auto", "of images: auto, bf16 or fp32", _text),
    "embed.frames": Option(8, "frames taken of each video, evenly in time", _whole),
    "embed.long_side": Option(448, "pixels of the longer side of stored frames and photos", _whole),
    "embed.shard_size": Option(64, "items that are committed together; more for stores of millions", _whole),
    "embed.unit": Option(False, "bring video vectors to length 1 (the paper does not)", _flag),
    "embed.decoder": Option("pyav", "what reads videos: pyav or decord", _text),
    "embed.accuracy": Option("nearest", "exact frames, or the nearest that is cheap to decode", _text),
    "embed.photo_weight": Option(1.0, "weight of a product's photos in its vector", _share),
    "embed.text_weight": Option(1.0, "weight of a product's text in its vector", _share),
    "media.allowed": Option((), "where media may be fetched from, such as https://cdn.example or s3://bucket", _texts),
    "index.kind": Option("auto", "how videos are searched; lookreel index tune measures the kinds", _text),
    "serving.system": Option(SystemKind.MULTIMODAL.value, "who answers where a request names no system", _text),
    "serving.hide_when": Option("all", "a video is hidden when all, any or never of its products are out", _hide_when),
    "serving.history": Option(200, "product events remembered of each user", _whole),
    "serving.seen_days": Option(90, "for so many days a watched video does not come back", _whole),
    "serving.min_overlap": Option(0.0, "a version is refused that shares less of the top 10 with the live one", _part),
    "serving.max_skew_change": Option(0.0, "… whose exposure's Gini coefficient is off by more; 0: any", _part),
    "serving.max_latency_ratio": Option(0.0, "… that takes so many times as long; 0: any", _share),
    "snapshot.keep_versions": Option(5, "versions of a snapshot that stay", _whole),
    "snapshot.keep_days": Option(7, "and for so many days the last version of each", _count),
}


def parse_span(text: str) -> float:
    """Seconds of a span such as `30s`, `90m`.

    Raises:
        ConfigError: this is no span.
    """
    try:
        return parse_half_life(text)
    except ValueError as error:
        raise ConfigError(f"{text} is not {error}.", "Write a number and a unit: s, m, h, d or w.") from None


def parse_half_life(text: str) -> float:
    """Seconds of a span such as `3d`, `12h`, `90m`.

    >>> parse_half_life("3d"), parse_half_life("1.5h")
    (259200.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", str(text).strip())
    if not found or float(found[1]) == 0:
        raise ValueError("a span such as 3d, 12h or 90m")
    return float(found[1]) * UNITS_S[found[2]]


def _kind(value: Any) -> SystemKind:
    try:
        return SystemKind(value)
    except ValueError:
        raise ValueError(f"one of {', '.join(SystemKind)}") from None


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or any(event not in EVENTS for event in value):
        raise ValueError(f"a table of weights of {', '.join(EVENTS)}")
    return {event: _share(weight) for event, weight in value.items()}


def _filters(value: Any) -> Where:
    if not isinstance(value, dict):
        raise ValueError('a table such as { markets = "de" }')  # noqa: TRY004 - every reader raises ValueError
    return where_of({name: list(map(str, v)) if isinstance(v, list) else str(v) for name, v in value.items()})


SYSTEM_OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "kind": ("kind", _kind),
    "half_life": ("half_life_s", parse_half_life),
    "event_weights": ("event_weights", _weights),
    "max_events": ("max_events", _whole),
    "where": ("where", _filters),
    "seed": ("seed", _count),
    "diversity": ("rules.diversity", _share),
    "freshness": ("rules.freshness", _share),
    "freshness_half_life": ("rules.freshness_half_life_s", parse_half_life),
    "cap_creator": ("rules.cap_creator", _count),
    "cap_brand": ("rules.cap_brand", _count),
    "collapse": ("rules.collapse", _share),
    "pool": ("rules.pool", _whole),
    "explore_position": ("exploration.position", _count),
    "explore_pool": ("exploration.pool", _whole),
    "explore_temperature": ("exploration.temperature", _share),
}
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
# Kinds: random, recency, popularity, multimodal.
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
