"""What `lookreel.toml` may hold: each option with its default, its meaning, and the check that reads it."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.encoder import SAMPLE
from retrieval.errors import ConfigError
from retrieval.schemas import EVENTS
from retrieval.systems import DAY_S, SystemKind
from retrieval.where import Where, where_of

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
