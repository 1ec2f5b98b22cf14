"""Judges by name. Each is imported only when it is asked for, as some need large libraries."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from typing import Any

import polars as pl

from judge.protocol import Judge
from retrieval.errors import UserFacingError


@dataclass(frozen=True)
class JudgeContext:
    """What a judge may need besides its name: the shop's tables, and *options* of its own."""

    products: pl.DataFrame | None = None
    videos: pl.DataFrame | None = None
    options: dict[str, Any] = field(default_factory=dict)


def _open_qwen(model: str, context: JudgeContext) -> Judge:
    judge: Judge = import_module("judge.qwen").open_qwen(model, **context.options)
    return judge


def _open_sample(_: str, context: JudgeContext) -> Judge:
    judge = _open_qwen(str(files("judge") / "models" / "sample"), context)
    judge.name = "sample"  # the folder's path says nothing elsewhere
    return judge


def _open_endpoint(spec: str, context: JudgeContext) -> Judge:
    judge: Judge = import_module("judge.endpoint").open_endpoint(spec, **context.options)
    return judge


def _open_attributes(_: str, context: JudgeContext) -> Judge:
    from judge.attributes import AttributesJudge

    if context.products is None or context.videos is None:
        raise UserFacingError("The judge attributes reads the shop's tables.", "Name their folder: --tables DIR")
    return AttributesJudge(context.products, context.videos)


@dataclass(frozen=True)
class Kind:
    """A kind of judge: how its name is written, whether something follows the colon, and what opens it."""

    spelling: str
    takes_more: bool
    open: Callable[[str, JudgeContext], Judge]


KINDS = {
    "sample": Kind("sample", False, _open_sample),
    "attributes": Kind("attributes", False, _open_attributes),
    "qwen": Kind("qwen:<model or folder>", True, _open_qwen),
    "endpoint": Kind("endpoint:<url>,<model>", True, _open_endpoint),
}


def open_judge(name: str, context: JudgeContext = JudgeContext()) -> Judge:
    """The judge called *name*.

    Raises:
        UserFacingError: there is no such judge, or it cannot be opened.

    >>> open_judge("oracle")
    Traceback (most recent call last):
    retrieval.errors.UserFacingError: There is no judge oracle.
    Use one of sample, attributes, qwen:<model or folder>, endpoint:<url>,<model>.
    """
    prefix, colon, rest = name.partition(":")
    kind = KINDS.get(prefix)
    if kind is None or bool(rest) != kind.takes_more or bool(colon) != kind.takes_more:
        spellings = ", ".join(known.spelling for known in KINDS.values())
        raise UserFacingError(f"There is no judge {name}.", f"Use one of {spellings}.")
    return kind.open(rest, context)
