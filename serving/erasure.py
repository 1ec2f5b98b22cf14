"""Who is to be forgotten, and which rows of a table that takes away. Pure; `forget.py` applies it to files."""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import polars as pl

from retrieval.schemas import Columns as C
from serving.events.protocol import Erasure

TIMES = (C.SHOWN_AT, C.OCCURRED_AT, C.RECOMMENDED_AT, "at")
LINE_TIMES = ("shown_us", "occurred_us", "at_us")
HashOf = Callable[[str], str]


@dataclass(frozen=True)
class Forgotten:
    """The erasure list, made ready: until when (in microseconds since 1970, UTC) what is known of somebody goes.

    *by_id* holds those whose artefacts are yet to be done, *by_hash* those who are only known by a keyed hash.
    """

    by_id: Mapping[str, int]
    by_hash: Mapping[str, int]
    hash_of: HashOf

    def __bool__(self) -> bool:
        return bool(self.by_id or self.by_hash)

    def until_us(self, user_id: str) -> int | None:
        """When somebody was forgotten, the last time; none if never."""
        hashed = self.by_hash.get(self.hash_of(user_id)) if self.by_hash else None
        known = [at_us for at_us in (self.by_id.get(user_id), hashed) if at_us is not None]
        return max(known, default=None)

    def among(self, names: Iterable[str]) -> dict[str, int]:
        """Those of *names* who were forgotten, and when."""
        found = ((name, self.until_us(name)) for name in names)
        return {name: at_us for name, at_us in found if at_us is not None}


def forgotten(erasures: Sequence[Erasure], hash_of: HashOf) -> Forgotten:
    """The list as it can be applied; of several erasures of one user the last one counts."""
    ordered = sorted(erasures, key=lambda erasure: erasure.at_us)
    return Forgotten(
        {erasure.user_id: erasure.at_us for erasure in ordered if erasure.user_id},
        {erasure.user_hash: erasure.at_us for erasure in ordered if erasure.user_hash},
        hash_of,
    )


def rows_to_keep(table: pl.DataFrame, who: Forgotten) -> pl.DataFrame:
    """The rows of a table with a user_id that may stay, in their order; see `keep_mask`."""
    return table.filter(keep_mask(table, who))


def keep_mask(table: pl.DataFrame, who: Forgotten) -> pl.Series:
    """True for the rows that may stay.

    Rows of somebody who was forgotten go; those with a time of `TIMES` at or after the erasure stay, since the user
    came back.
    """
    names = table[C.USER_ID].cast(pl.String)
    users = who.among(names.drop_nulls().unique())
    erased_us = names.replace_strict(users, default=None, return_dtype=pl.Int64).alias(C.USER_ID)
    times = [pl.col(name) for name in TIMES if isinstance(table.schema.get(name), pl.Datetime)]
    later = [(time.dt.timestamp("us") >= pl.col(C.USER_ID)).fill_null(False) for time in times]
    came_back = pl.all_horizontal(later) if later else pl.lit(False)
    return table.with_columns(erased_us).select(pl.col(C.USER_ID).is_null() | came_back).to_series()


def keeps_line(line: str, who: Forgotten) -> bool:
    """Whether a line of JSON may stay: as a row, if it names its user, and else if it mentions nobody forgotten."""
    try:
        row = json.loads(line)
    except ValueError:  # torn
        row = None
    user = row.get(C.USER_ID) if isinstance(row, dict) else None
    if not isinstance(user, str):
        return not mentions(line, who)
    until_us = who.until_us(user)
    return until_us is None or max((row.get(name, 0) for name in LINE_TIMES), default=0) >= until_us


def mentions(text: str, who: Forgotten) -> bool:
    """Whether a text names somebody who was forgotten, at whatever time, as a whole word.

    Words end at anything but letters and digits, so that rather a report too many is made again than a name stays.

    >>> mentions("of u1.", Forgotten({"u1": 0}, {}, str)), mentions("of u12.", Forgotten({"u1": 0}, {}, str))
    (True, False)
    """
    forms = {decode(text) for decode in _DECODERS}
    return any(_has_word(form, user) for form in forms for user in who.by_id) or (
        bool(who.by_hash) and any(who.hash_of(word) in who.by_hash for form in forms for word in _words(form))
    )


def _has_word(text: str, word: str) -> bool:
    """Looked for as a plain text first: that is much faster, and nearly always the end of it."""
    return word in text and re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text) is not None


def _words(text: str) -> set[str]:
    """What may be an id, in the several ways of dividing a text."""
    found = {word for pattern in _WORDS for word in pattern.findall(text)}
    return found | {word.strip(_ENDS) for word in found}


_ENDS = ".:-+|@"
_WORDS = [re.compile(pattern) for pattern in (r"[^\W_]+", r"\w+", r"[\w.@:+|-]+", r"""[^\s"'<>,;()\[\]{}=/]+""")]
_DECODERS: tuple[Callable[[str], str], ...] = (
    str,
    html.unescape,
    unquote,
    lambda text: re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text),
    lambda text: text.replace('\\"', '"').replace("\\\\", "\\"),
)
