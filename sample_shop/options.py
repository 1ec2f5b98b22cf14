"""Words of the command line as values, or one sentence about what is wrong with them."""

from collections.abc import Sequence
from dataclasses import fields

from retrieval.errors import ConfigError
from sample_shop.policies import Policy
from sample_shop.watching import Dials

_POLICIES = tuple(policy for policy in Policy if policy is not Policy.SCORES)


def parse_policy(name: str) -> Policy:
    """The policy of a name.

    Raises:
        ConfigError: there is none, or it needs scores, which a new shop cannot have.
    """
    if name not in _POLICIES:
        raise ConfigError(f"There is no policy {name!r}.", f"Choose one of {', '.join(_POLICIES)}.")
    return Policy(name)


def parse_dials(words: Sequence[str]) -> Dials:
    """Dials from words like "position=0"; those not named stay at 1.

    >>> parse_dials(["position=0"]).position
    0.0

    Raises:
        ConfigError: a dial that does not exist, or a value that is no number of at least 0.
    """
    known = [field.name for field in fields(Dials)]
    values = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known:
            raise ConfigError(f"There is no dial {name!r}.", f"Turn one of {', '.join(known)}, such as position=0.")
        values[name] = _parse_strength(name, value)
    return Dials(**values)


def _parse_strength(name: str, value: str) -> float:
    try:
        strength = float(value)
        Dials(**{name: strength})
    except ValueError as error:
        raise ConfigError(
            f"Dial {name} is {value!r}, not a number of at least 0.", f"Write {name}=0 for off, {name}=1 for full."
        ) from error
    return strength
