"""The file of a judge's reliability: what `lookreel judge reliability` writes and the report reads."""

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from judge.reliability import Reliability
from retrieval.errors import UserFacingError
from retrieval.folders import writing

FILE = "reliability.json"
ADJUSTED_FILE = "adjusted.parquet"


def save_reliability(reliability: Reliability, folder: Path) -> Path:
    """Write the figures as JSON, what has no value as null."""
    with writing(folder / FILE) as draft:
        draft.write_text(json.dumps(without_nan(asdict(reliability)), indent=1) + "\n")
    return folder / FILE


def load_reliability(folder: Path) -> Reliability | None:
    """The figures of a folder; None where none were measured.

    Raises:
        UserFacingError: the file cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return _revived(Reliability, json.loads(path.read_text()))  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError) as error:
        raise UserFacingError(
            f"{path} cannot be read: {error}.", "Measure again: lookreel judge reliability"
        ) from error


def without_nan(value: Any) -> Any:
    """The value with null for what is not a number, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _revived(kind: Any, value: Any) -> Any:
    """A dataclass from what JSON holds of it."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{one.name: _revived(hints[one.name], value[one.name]) for one in fields(kind)})  # type: ignore[operator]
    if get_origin(kind) in (Union, types.UnionType):
        return None if value is None else _revived(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(_revived(get_args(kind)[0], one) for one in value)
    return np.nan if kind is float and value is None else kind(value)
