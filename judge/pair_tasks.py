"""From pairs to what a judge reads: first each judgment's key, then the missing tasks, one query or history at a time.

Pairs with the same query, or the same history, are one task, so that what they share is read once. Of pairs that ask
the same of the same product one is judged, and all have its grade.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from judge.inputs import ChangedError, Source, digest_photos
from judge.pairs import HISTORY_IDS, KIND, PairKind
from judge.pictures import VideoFrames, load_digests
from judge.prompt import plain_title
from judge.store import Asker
from judge.task import (
    HISTORY,
    ShownProduct,
    ShownVideo,
    Task,
    content_of,
    history_content,
    photo_digest,
    query_content,
    still_content,
)
from judge.verdict import Unscored
from retrieval.tables import Columns as C


@dataclass(frozen=True)
class Beginning:
    """What pairs share: a *query*, or the *product_ids* of a history, at most `HISTORY`, the most recent first."""

    query: str | None
    product_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """One row of the pairs; *key* names its judgment, *unscored* says why it needs none: there is nothing to judge."""

    pair_id: str
    beginning: Beginning
    product_id: str
    key: str = ""
    unscored: Unscored | None = None


class NoVideos:
    """The frames of a source that has photos alone."""

    def signatures(self, video_ids: Collection[str]) -> Mapping[str, str]:
        return {}

    def iter_frames(self, video_ids: Collection[str]) -> Iterator[VideoFrames]:
        return iter(())


@dataclass(frozen=True)
class Shelf:
    """The known products that pairs name: what a judge would see of them, by product, the pictures as digests.

    *histories* are their contents in a history, *graded* where they are graded. Those in *blind* have no photo, though
    the judge looks at photos. *unknown* are products of histories that the tables lack.
    """

    photos: Mapping[str, str]
    histories: Mapping[str, str]
    graded: Mapping[str, str]
    blind: frozenset[str]
    unknown: frozenset[str]


def make_shelf(pairs: pl.DataFrame, source: Source, folder: Path) -> Shelf:
    """The products that *pairs* name; what was read of their photos is remembered in *folder*."""
    browsed = pairs.filter(pl.col(KIND) == PairKind.BROWSE)[HISTORY_IDS].explode(empty_as_null=False).drop_nulls()
    catalogue = set(source.products[C.PRODUCT_ID])
    named = pl.concat([pairs[C.PRODUCT_ID], browsed.cast(pl.String).rename(C.PRODUCT_ID)]).unique(maintain_order=True)
    known = [one for one in named if one in catalogue]
    photos = dict.fromkeys(known, "")
    if source.frames is not None:
        digests = load_digests(folder)
        photos = digest_photos(source, known, digests)
        digests.save(folder)
    titles = {one: _title(source, one) for one in known}
    return Shelf(
        photos,
        {one: content_of(titles[one], photos[one]) for one in known},
        {one: still_content(titles[one], photos[one]) for one in known},
        frozenset(one for one in known if source.frames is not None and not photos[one]),
        frozenset(browsed) - catalogue,
    )


def make_pairs(table: pl.DataFrame, shelf: Shelf, asker: Asker) -> list[Pair]:
    """Every pair with the key of its judgment, in the order of the table."""
    pairs, contents = [], dict[Beginning, str]()
    for pair_id, kind, query, history, product_id in table.iter_rows():
        beginning = _beginning(kind, query, history, shelf)
        if beginning not in contents:
            contents[beginning] = _content(beginning, shelf)
        unscored = _unscored(beginning, product_id, shelf)
        graded = shelf.graded.get(product_id, "")
        key = "" if unscored else asker.key(beginning.product_ids, contents[beginning], product_id, graded)
        pairs.append(Pair(pair_id, beginning, product_id, key, unscored))
    return pairs


def _beginning(kind: str, query: str | None, history: Sequence[str] | None, shelf: Shelf) -> Beginning:
    """What a row asks by; products that the tables lack are left out, and what is named again counts once."""
    if kind == PairKind.SEARCH:
        return Beginning(plain_title(query or ""))  # as the judge reads it
    known = [one for one in dict.fromkeys(history or ()) if one in shelf.photos]
    return Beginning(None, tuple(known[:HISTORY]))


def _content(beginning: Beginning, shelf: Shelf) -> str:
    if beginning.query is not None:
        return query_content(beginning.query)
    return history_content(shelf.histories[one] for one in beginning.product_ids)


def _unscored(beginning: Beginning, product_id: str, shelf: Shelf) -> Unscored | None:
    if product_id not in shelf.photos:
        return Unscored.UNKNOWN_PRODUCT
    if beginning.query is None and not beginning.product_ids:
        return Unscored.NO_HISTORY
    return Unscored.NO_FRAMES if product_id in shelf.blind else None


def missing_groups(pairs: Sequence[Pair], done: Collection[str]) -> dict[Beginning, list[Pair]]:
    """The pairs to be judged, by what they share; *done* are keys that need no judgment.

    Of pairs that ask the same, the first stands for all.
    """
    groups: dict[Beginning, list[Pair]] = {}
    asked = set(done)
    for pair in pairs:
        if pair.unscored is None and pair.key not in asked:
            asked.add(pair.key)
            groups.setdefault(pair.beginning, []).append(pair)
    return groups


def make_task(group: Sequence[Pair], source: Source, shelf: Shelf) -> Task:
    """What the judge sees of pairs that share their beginning.

    Raises:
        ChangedError: a photo is another than when the keys were made.
    """
    beginning = group[0].beginning
    history = tuple(ShownProduct(one, _title(source, one), _photo(one, source, shelf)) for one in beginning.product_ids)
    products = tuple(_still(pair.product_id, source, shelf) for pair in group)
    return Task("", history, products, beginning.query)


def _still(product_id: str, source: Source, shelf: Shelf) -> ShownVideo:
    photo = _photo(product_id, source, shelf)
    frames = () if photo is None else (photo,)
    return ShownVideo(product_id, _title(source, product_id), frames, (0.0,) * len(frames), still=True)


def _photo(product_id: str, source: Source, shelf: Shelf) -> bytes | None:
    photo = source.photos.read(source.photo_uris.get(product_id, ""))
    if photo_digest(photo) != shelf.photos[product_id]:
        raise ChangedError(
            f"The photo of product {product_id} changed during the run.",
            "Run the same command again; what was judged is kept.",
        )
    return photo


def _title(source: Source, product_id: str) -> str:
    return source.product_titles.get(product_id, "")
