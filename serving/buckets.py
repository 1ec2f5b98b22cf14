"""Experiments: which users get which system. A pure function of the salt and the user's id, with nothing to store."""

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.errors import ConfigError

KEYS = ("name", "salt", "systems", "shares")
SHARE_SLACK = 1e-9  # of a sum of shares written in decimal
_EXAMPLE = 'Write [experiment] with name = "spring", salt = "spring-1", systems = { control = "recency", … }.'


@dataclass(frozen=True)
class Experiment:
    """A division of the users. *systems* and *shares* are by bucket; shares lie in [0, 1] and sum to 1.

    The order of *shares* is that of the buckets on [0, 1): a bucket that stands first keeps its users when it grows.
    Another *salt* divides independently.
    """

    name: str
    salt: str
    systems: Mapping[str, str]
    shares: Mapping[str, float]


def bucket_of(experiment: Experiment, user_id: str) -> str:
    """The bucket of a user: always the same one, and each with the probability of its share."""
    point, reached = unit_point(experiment.salt, user_id), 0.0
    bucket = ""
    for bucket, share in experiment.shares.items():
        reached += share
        if point < reached:
            return bucket
    return bucket  # the sum of decimal shares may end a rounding below 1


def unit_point(salt: str, user_id: str) -> float:
    """Where a user stands on [0, 1): uniform over users, and independent between salts."""
    text = f"{salt}\0{user_id}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return float(number >> 11) / 2.0**53  # 53 bits are a float exactly; all 64 might round up to 1


def read_experiment(table: Mapping[str, Any], known_systems: Collection[str]) -> Experiment:
    """The experiment of the table `[experiment]` of lookreel.toml. Shares are equal where none are given.

    Raises:
        ConfigError: a key is missing or unknown, a system is unknown, or the shares are no division.
    """
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"experiment has the unknown option {key}.", f"Known are {', '.join(KEYS)}.")
    name, salt = _text(table, "name"), _text(table, "salt")
    systems = _systems(table.get("systems"), known_systems)
    equal = dict.fromkeys(systems, 1.0 / len(systems))
    return Experiment(name, salt, systems, _shares(table.get("shares", equal), systems))


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"experiment.{key} is {value!r}, not a text.", _EXAMPLE)
    return value


def _systems(value: Any, known: Collection[str]) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(f"experiment.systems is {value!r}, not a table of buckets and their systems.", _EXAMPLE)
    for bucket, system in value.items():
        if system not in known:
            raise ConfigError(
                f"experiment.systems.{bucket} is {system!r}, which is no system.", f"Use one of {', '.join(known)}."
            )
    return dict(value)


def _shares(value: Any, systems: Mapping[str, str]) -> dict[str, float]:
    if not isinstance(value, Mapping) or set(value) != set(systems):
        raise ConfigError(
            f"experiment.shares is {value!r}, not a share of each of {', '.join(systems)}.",
            "Name every bucket of experiment.systems once, or leave the shares out: then they are equal.",
        )
    for bucket, share in value.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ConfigError(
                f"experiment.shares.{bucket} is {share!r}, not a number from 0 to 1.", "Mend the value: 0.1 is 10 %."
            )
    total = math.fsum(value.values())
    if abs(total - 1.0) > SHARE_SLACK:
        raise ConfigError(f"experiment.shares sum to {total:g}, not to 1.", "Mend the shares.")
    return {bucket: float(share) for bucket, share in value.items()}
