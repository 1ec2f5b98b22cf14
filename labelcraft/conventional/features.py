"""What the video tower reads of a video: every feature a bag of levels, the vocabulary fitted on training rows alone.

    video, creator, brand, language    one level
    products, hashtags                 all of them, mean-pooled by the tower
    product_category, …                those of the products
    duration                           its bucket, of equal frequency over training rows
    age                                its bucket at the time of asking
    any other column of videos         text, lists of text, true and false: attributes of the shop's own

Text that is nearly a key (titles, descriptions, places of files) is no feature. Codes are as in `labelcraft.dataset`: 0
fills bags up, 1 is a level that training had too seldom, or none at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from labelcraft.adapters.raw import known_duration
from labelcraft.dataset import NEW, NONE, Ints
from labelcraft.feedback import Floats
from labelcraft.vocabulary import fit_edges
from retrieval.ragged import spans
from retrieval.schemas import VIDEOS
from retrieval.tables import Columns as C

VIDEO, DURATION, AGE = "video", "duration", "age"
FIRST_LEVEL = NEW + 1
MOST_IN_A_BAG = 32
SINGLE = {VIDEO: C.VIDEO_ID, "creator": C.CREATOR_ID, "brand": C.BRAND, "language": C.LANGUAGE}
LISTS = {"products": C.PRODUCT_IDS, "hashtags": C.HASHTAGS, "markets": C.MARKETS}
OF_PRODUCTS = {"product_category": C.CATEGORY, "product_color": C.COLOR, "product_brand": C.BRAND}
DAY_US = 86_400_000_000
AGE_EDGES_US = np.array([0.25, 0.5, 1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180, 365]) * DAY_US
_ROW, _LEVEL, _CODE, _N = "row", "level", "code", "n"


@dataclass(frozen=True)
class Videos:
    """The videos of a catalogue, one row each: *bags* `(row, level)` of each feature, each pair once.

    *duration_s* is 0 where it is not known.
    """

    ids: list[str]
    published_us: Ints
    duration_s: Floats
    bags: Mapping[str, pl.DataFrame]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Vocabulary:
    """The *levels* of each feature that have an embedding of their own, and the inner edges of the duration buckets."""

    levels: Mapping[str, tuple[str, ...]]
    duration_edges_s: tuple[float, ...]

    @property
    def n_levels(self) -> dict[str, int]:
        """The codes of each feature: padding and `NEW` first."""
        named = {name: FIRST_LEVEL + len(levels) for name, levels in self.levels.items()}
        return {**named, DURATION: FIRST_LEVEL + len(self.duration_edges_s) + 1, AGE: FIRST_LEVEL + len(AGE_EDGES_US)}


def videos_of(videos: pl.DataFrame, products: pl.DataFrame | None) -> Videos:
    """The features of a catalogue's tables, as `retrieval.tables` gives them."""
    columns = {name: pl.col(column).cast(pl.String) for name, column in SINGLE.items() if column in videos.columns}
    columns |= {name: pl.col(column) for name, column in LISTS.items() if column in videos.columns}
    columns |= {name: pl.col(name).cast(_as_text(videos.schema[name])) for name in _attributes(videos)}
    bags = {name: _bag(videos.select(column.alias(_LEVEL))) for name, column in columns.items()}
    if products is not None and "products" in bags:
        traits = {name: column for name, column in OF_PRODUCTS.items() if column in products.columns}
        bags |= {name: _of_products(bags["products"], products, column) for name, column in traits.items()}
    duration = known_duration(pl.col(C.DURATION_S)) if C.DURATION_S in videos.columns else pl.lit(0.0)
    seconds = videos.select(duration.alias(C.DURATION_S), pl.col(C.VIDEO_ID))[C.DURATION_S].fill_null(0.0)
    published = videos[C.PUBLISHED_AT].dt.timestamp("us").to_numpy()
    return Videos(videos[C.VIDEO_ID].to_list(), published, seconds.cast(pl.Float64).to_numpy(), bags)


def fit_vocabulary(videos: Videos, rows: Ints, min_count: int, n_buckets: int) -> Vocabulary:
    """The vocabulary of training *rows* `(n,)`, each the video that was watched.

    A level needs *min_count* rows: rarer ones are `NEW`, as levels that come later will be.
    """
    counts = pl.DataFrame({_ROW: np.arange(len(videos)), _N: np.bincount(rows, minlength=len(videos))})
    levels = {name: _frequent(bag, counts, min_count) for name, bag in videos.bags.items()}
    return Vocabulary(levels, tuple(fit_edges(videos.duration_s[rows], n_buckets).tolist()))


def encode(videos: Videos, vocabulary: Vocabulary) -> dict[str, Ints]:
    """The codes `(n_videos, longest bag)` of each feature but the age; a video without a known level has `NEW`.

    A feature that the tables lack is `NEW` throughout; one that training did not have is left out.
    """
    nothing = pl.DataFrame(schema={_ROW: pl.Int64, _LEVEL: pl.String})
    codes = {
        name: _padded(videos.bags.get(name, nothing), levels, len(videos)) for name, levels in vocabulary.levels.items()
    }
    edges = np.array(vocabulary.duration_edges_s)
    bucket = FIRST_LEVEL + np.searchsorted(edges, videos.duration_s, side="left")
    codes[DURATION] = np.where(videos.duration_s > 0, bucket, NEW)[:, None].astype(np.int64)
    return codes


def age_codes(published_us: Ints, at_us: Ints | int) -> Ints:
    """The bucket of each video's age; one that is published only later is in the youngest.

    >>> age_codes(np.array([0, 0, 0]), np.array([-5, DAY_US, 400 * DAY_US])).tolist()
    [1, 3, 16]
    """
    return np.asarray(NEW + np.searchsorted(AGE_EDGES_US, at_us - published_us, side="left"), np.int64)


def _attributes(videos: pl.DataFrame) -> list[str]:
    """The columns of the shop's own that can be features."""
    known = {*VIDEOS.required, *VIDEOS.optional}
    kinds = (pl.String, pl.Boolean, pl.List(pl.String), pl.Categorical, pl.Enum)
    own = [name for name, kind in videos.schema.items() if name not in known and kind in kinds]
    return [name for name in own if not _is_nearly_a_key(videos[name])]


def _is_nearly_a_key(column: pl.Series) -> bool:
    return column.dtype == pl.String and column.n_unique() > max(2, len(column) // 2)


def _as_text(kind: pl.DataType) -> pl.DataType:
    return pl.List(pl.String()) if isinstance(kind, pl.List) else pl.String()


def _bag(levels: pl.DataFrame) -> pl.DataFrame:
    """(row, level) of a column of texts or of lists of texts, without nulls and repetitions."""
    rows = levels.with_row_index(_ROW).with_columns(pl.col(_ROW).cast(pl.Int64))
    flat = rows.explode(_LEVEL) if isinstance(levels.schema[_LEVEL], pl.List) else rows
    return flat.drop_nulls().unique(maintain_order=True)


def _of_products(products_of: pl.DataFrame, products: pl.DataFrame, column: str) -> pl.DataFrame:
    traits = products.select(pl.col(C.PRODUCT_ID).alias(_LEVEL), pl.col(column).cast(pl.String).alias(_CODE))
    joined = products_of.join(traits, on=_LEVEL, how="inner", maintain_order="left")
    return joined.select(_ROW, pl.col(_CODE).alias(_LEVEL)).drop_nulls().unique(maintain_order=True)


def _frequent(bag: pl.DataFrame, counts: pl.DataFrame, min_count: int) -> tuple[str, ...]:
    rows = bag.join(counts, on=_ROW).group_by(_LEVEL).agg(pl.col(_N).sum())
    return tuple(rows.filter(pl.col(_N) >= max(1, min_count))[_LEVEL].sort())


def _padded(bag: pl.DataFrame, levels: Sequence[str], n_videos: int) -> Ints:
    """`(n_videos, longest)` codes, at most `MOST_IN_A_BAG` of a video, in the table's order."""
    known = pl.DataFrame(
        {_LEVEL: levels, _CODE: np.arange(len(levels)) + FIRST_LEVEL}, schema_overrides={_LEVEL: pl.String}
    )
    coded = bag.join(known, on=_LEVEL, how="inner", maintain_order="left").sort(_ROW, maintain_order=True)
    row = coded[_ROW].to_numpy()
    lengths = np.bincount(row, minlength=n_videos)
    place = spans(np.zeros(n_videos, np.int64), lengths)
    longest = int(min(MOST_IN_A_BAG, max(1, lengths.max(initial=0))))
    padded = np.full((n_videos, longest), NONE, np.int64)
    padded[lengths == 0, 0] = NEW
    kept = place < longest
    padded[row[kept], place[kept]] = coded[_CODE].to_numpy()[kept]
    return padded
