"""The judge `attributes`: grades by product metadata alone. No model, no picture; a reference that explains itself.

How well a video fits is the share of the shopper's recent interest that its products meet:

    share = Σ_j w_j Σ_a u_a m_a(j) / Σ_j w_j Σ_a u_a,    w_j = 0.9^j, j = 0 for the most recent product,

over the attributes a that both product j and the video's products have. m_a(j) is 1 where one of the video's products
has the same value as product j, else 0. Of the words of a title, which stand in for the pattern where the table has no
such column, it is the share of product j's words that one of the video's products has. The weights u_a are those of
`ATTRIBUTES`, the levels those of `LEVELS`.

A product that is graded in the place of a video counts by what is told of itself. After a query instead of a history,
`query_fit` says how well it fits.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from judge import query_fit
from judge.query_fit import PATTERN, WORDS, Values, Vocabulary, words
from judge.rubric import Rubric
from judge.task import ShownVideo, Task
from judge.verdict import NoVerdict, Outcome, Unscored, certain
from retrieval.tables import Columns as C

NAME = "attributes"
ATTRIBUTES: Mapping[str, float] = {C.CATEGORY: 0.4, C.COLOR: 0.3, PATTERN: 0.2, C.BRAND: 0.1}
RECENCY = 0.9
# From which share on a video is of a level. Who looks at many things matches no video wholly, so a third is good.
LEVELS: Sequence[tuple[float, str]] = (
    (0.6, "excellent_match"), (0.4, "good_match"), (0.25, "partial_match"), (0.1, "poor_match"), (0.0, "no_match"),
)  # fmt: skip
FORMULA = 2  # goes up when the formula changes


@dataclass(frozen=True)
class Fit:
    """How well a video fits: the *share* of the interest it meets, and by attribute what matched and how much."""

    share: float
    matched: Mapping[str, Mapping[str, float]]

    @property
    def label(self) -> str:
        """The level of the share.

        >>> Fit(0.6, {}).label, Fit(0.39, {}).label, Fit(0.05, {}).label
        ('excellent_match', 'partial_match', 'no_match')
        """
        return next(label for least, label in LEVELS if self.share >= least - 1e-9)

    @property
    def reason(self) -> str:
        """What matched, the most first, each with the share of the shopper's recent interest that has it."""
        told = [
            f"{attribute} {value} ({share:.0%})"
            for attribute, values in self.matched.items()
            for value, share in sorted(values.items(), key=lambda item: (-item[1], item[0]))
        ]
        return f"Matches {', '.join(told)} of the history." if told else "Nothing of the history matches."


def fit(history: Sequence[Values], video: Sequence[Values]) -> Fit | None:
    """How well the products of a video fit a history, the most recent first; None where they share no attribute."""
    met = possible = 0.0
    matched: dict[str, dict[str, float]] = {}
    recency = [RECENCY**j for j in range(len(history))]
    for attribute, weight in _weights(history, video).items():
        offered = frozenset[str]().union(*(one.get(attribute, frozenset()) for one in video))
        for w, product in zip(recency, history, strict=True):
            values = product.get(attribute, frozenset())
            if not values:
                continue
            common = values & offered
            met += w * weight * len(common) / len(values)
            possible += w * weight
            for value in common:
                by_value = matched.setdefault(attribute, {})
                by_value[value] = by_value.get(value, 0.0) + w / sum(recency)
    return Fit(met / possible, matched) if possible else None


def _weights(history: Sequence[Values], video: Sequence[Values]) -> dict[str, float]:
    """The weight of each attribute that some product of the video has; words take the pattern's where there is none."""
    names = {name for one in video for name, values in one.items() if values}
    weights = {name: weight for name, weight in ATTRIBUTES.items() if name in names}
    if WORDS in names and not any(one.get(PATTERN) for one in (*history, *video)):
        weights[WORDS] = ATTRIBUTES[PATTERN]
    return weights


@dataclass(frozen=True)
class AttributesOptions:
    """There is nothing to choose: the formula is fixed, so that its grades mean the same everywhere."""


class AttributesJudge:
    """Grades from what the catalogue says of products."""

    reads_pictures = False
    price = 0.0

    def __init__(self, products: pl.DataFrame, videos: pl.DataFrame) -> None:
        columns = [name for name in (*ATTRIBUTES, C.TITLE) if products.schema.get(name) == pl.String]
        told = products.select(C.PRODUCT_ID, *columns)
        linked = _linked(videos)
        self.name = NAME
        self.fingerprint = _fingerprint(told, linked)
        self._products = {row[C.PRODUCT_ID]: values_of(row) for row in told.iter_rows(named=True)}
        self._videos = dict(linked.iter_rows())

    def grade(self, task: Task, rubric: Rubric, *, explain: bool = False) -> Iterator[Outcome]:
        """One outcome for each video; the rubric's words are not read, and the reason costs nothing."""
        history = [self._products.get(product.product_id, {}) for product in task.history]
        asked = None if task.query is None else self._vocabulary.asked(task.query)
        for video in task.videos:
            products = self._shown(video)
            offered = [self._products.get(product_id, {}) for product_id in products]
            found = fit(history, offered) if asked is None else _best_fit(asked, offered)
            if found is None:
                wanted = "history" if asked is None else "query"
                detail = (
                    f"its products share no attribute with the {wanted}" if products else "the video names no product"
                )
                yield NoVerdict(Unscored.NO_PRODUCTS, detail)
            else:
                yield certain(found.label, found.reason)

    def _shown(self, video: ShownVideo) -> Sequence[str]:
        """The products that a video shows; one that stands in its place is that product alone."""
        return [video.video_id] if video.still else self._videos.get(video.video_id) or []

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._products.values())


def _best_fit(asked: Sequence[query_fit.Asked], offered: Sequence[Values]) -> query_fit.QueryFit | None:
    """The fit of the product that answers the query best."""
    fits = [found for product in offered if (found := query_fit.query_fit(asked, product)) is not None]
    return max(fits, key=lambda found: found.share, default=None)


def values_of(row: Mapping[str, str | None]) -> Values:
    """What a row of the products says, in small letters; the words of its title without those said otherwise.

    >>> values_of({"category": "Dress", "color": "red", "title": "Red striped dress"})["words"]
    frozenset({'striped'})
    """
    values = {name: row[name].strip().lower() for name in ATTRIBUTES if row.get(name)}  # type: ignore[union-attr]
    said = {word for value in values.values() for word in words(value)}
    others = frozenset(words(row.get(C.TITLE) or "")) - said
    return {name: frozenset([value]) for name, value in values.items() if value} | ({WORDS: others} if others else {})


def _linked(videos: pl.DataFrame) -> pl.DataFrame:
    if C.PRODUCT_IDS not in videos.columns:
        return pl.DataFrame(schema={C.VIDEO_ID: pl.String, C.PRODUCT_IDS: pl.List(pl.String)})
    return videos.select(C.VIDEO_ID, C.PRODUCT_IDS)


def _fingerprint(products: pl.DataFrame, videos: pl.DataFrame) -> str:
    """Twelve hexadecimal digits of all that this judge reads: the metadata, and the formula's numbers."""
    content = io.BytesIO()
    for table in (products, videos):
        table.write_ndjson(content)
    numbers = repr((FORMULA, dict(ATTRIBUTES), RECENCY, LEVELS, dict(query_fit.WEIGHTS), query_fit.LEVELS)).encode()
    return hashlib.sha256(content.getvalue() + numbers).hexdigest()[:12]
