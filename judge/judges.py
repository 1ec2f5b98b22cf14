"""Judges by name. Each is imported only when it is asked for, as some need large libraries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum, StrEnum
from importlib.resources import files
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

import polars as pl

from judge.protocol import Judge
from retrieval.errors import ConfigError, UserFacingError

SAMPLE = str(files("judge") / "models" / "sample")
T = TypeVar("T")
_WORDS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class JudgeContext:
    """What a judge may need besides its name: the shop's tables, and options of its own, each as `name=value`."""

    products: pl.DataFrame | None = None
    videos: pl.DataFrame | None = None
    options: Sequence[str] = ()


NO_CONTEXT = JudgeContext()


def _open_qwen(model: str, context: JudgeContext) -> Judge:
    from judge.qwen import DEFAULT_MODEL, QwenOptions, open_qwen

    return open_qwen(model or DEFAULT_MODEL, parse_options(QwenOptions, context.options))


def _open_sample(_: str, context: JudgeContext) -> Judge:
    from judge.qwen import QwenOptions, open_qwen

    options = parse_options(QwenOptions, context.options)
    # Small enough for a CPU; named, it costs no import of torch where all judgments are kept.
    return open_qwen(SAMPLE, options if options.device else replace(options, device="cpu"), name="sample")


def _open_endpoint(spec: str, context: JudgeContext) -> Judge:
    from judge.endpoint import EndpointOptions, open_endpoint

    return open_endpoint(spec, parse_options(EndpointOptions, context.options))


def _open_attributes(_: str, context: JudgeContext) -> Judge:
    from judge.attributes import AttributesJudge, AttributesOptions

    if context.products is None or context.videos is None:
        raise UserFacingError("The judge attributes reads the shop's tables.", "Name their folder: --tables DIR")
    parse_options(AttributesOptions, context.options)
    return AttributesJudge(context.products, context.videos)


@dataclass(frozen=True)
class Kind:
    """A kind of judge: how its name is written, whether more follows a colon, and what opens it."""

    spelling: str
    follows: "Follows"
    open: Callable[[str, JudgeContext], Judge]


class Follows(Enum):
    """Whether more follows the kind's name and a colon."""

    NEVER = frozenset({False})
    MAYBE = frozenset({False, True})
    ALWAYS = frozenset({True})


KINDS = {
    "sample": Kind("sample", Follows.NEVER, _open_sample),
    "attributes": Kind("attributes", Follows.NEVER, _open_attributes),
    "qwen": Kind("qwen[:<model or folder>]", Follows.MAYBE, _open_qwen),
    "endpoint": Kind("endpoint:<url>,<model>", Follows.ALWAYS, _open_endpoint),
}


def open_judge(name: str, context: JudgeContext = NO_CONTEXT) -> Judge:
    """The judge called *name*.

    Raises:
        UserFacingError: there is no such judge, it has no such option, or it cannot be opened.

    >>> open_judge("oracle")
    Traceback (most recent call last):
    retrieval.errors.UserFacingError: There is no judge oracle.
    Use one of sample, attributes, qwen[:<model or folder>], endpoint:<url>,<model>.
    """
    prefix, colon, rest = name.partition(":")
    kind = KINDS.get(prefix)
    if kind is None or bool(rest) not in kind.follows.value or bool(rest) != bool(colon):
        spellings = ", ".join(known.spelling for known in KINDS.values())
        raise UserFacingError(f"There is no judge {name}.", f"Use one of {spellings}.")
    return kind.open(rest, context)


def parse_options(kind: type[T], given: Sequence[str]) -> T:
    """The options of a judge from `name=value` each; those not given have their default.

    Raises:
        ConfigError: there is no such option, or its value is of another kind.
    """
    types, chosen = get_type_hints(kind), {}
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for text in given:
        name, equals, value = text.partition("=")
        if name not in names or not equals:
            known = f"Known are {', '.join(names)}, each as NAME=VALUE." if names else "Leave it out."
            raise ConfigError(f"The judge has no option {text}.", known)
        chosen[name] = _parse_value(name, value, types[name])
    return kind(**chosen)


def _parse_value(name: str, value: str, wanted: Any) -> Any:
    if isinstance(wanted, UnionType):
        wanted = next(one for one in get_args(wanted) if one is not type(None))
    try:
        return wanted(value)
    except ValueError:
        is_choice = isinstance(wanted, type) and issubclass(wanted, StrEnum)
        words = f"one of {', '.join(wanted)}" if is_choice else _WORDS.get(wanted, "of its kind")
        raise ConfigError(f"The judge's option {name} is {value!r}, not {words}.", "Mend the value.") from None
