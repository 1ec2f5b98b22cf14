"""From lists of recommendations to what a judge reads: first each judgment's key, then the missing tasks.

Keys need no picture that was read before; tasks are made one shopper at a time, so memory stays flat.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from judge.columns import J
from judge.pictures import Digests, Frames, Photos, Spool, digest_frames
from judge.recommended import Selection
from judge.store import ASKED_SCHEMA, Asker
from judge.task import HISTORY, ShownProduct, ShownVideo, Task, content_of, history_content, photo_digest
from judge.verdict import Unscored
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C

FRAMES_PER_VIDEO = 8
WHO = [C.USER_ID, C.RECOMMENDED_AT]


class ChangedError(UserFacingError):
    """What is judged changed while it was."""


@dataclass(frozen=True)
class Question:
    """All that is asked of one shopper at one time: *keys* and *unscored* by video, in the order of asking.

    *unscored* says why a video needs no judge: there is nothing to judge by. *history* and *videos* are the contents
    (`Task.content`, `ShownVideo.content`) that the keys were made of.
    """

    user_id: str
    recommended_at: datetime
    product_ids: tuple[str, ...]
    history: str
    videos: Mapping[str, str]
    keys: Mapping[str, str]
    unscored: Mapping[str, Unscored]


@dataclass(frozen=True)
class Questions:
    """All that a run asks. *without_photo* counts products of the histories, *without_frames* videos."""

    all: tuple[Question, ...]
    n_products: int
    without_photo: int
    n_videos: int
    without_frames: int

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset(key for question in self.all for key in question.keys.values())

    @property
    def short_histories(self) -> int:
        """How many shoppers had looked at fewer products than a judge is shown."""
        return sum(len(question.product_ids) < HISTORY for question in self.all)


@dataclass(frozen=True)
class Source:
    """Where titles and pictures come from; *frames* is None for a judge that looks at no pictures."""

    products: pl.DataFrame
    videos: pl.DataFrame
    photos: Photos
    frames: Frames | None
    frames_per_video: int = FRAMES_PER_VIDEO

    @cached_property
    def product_titles(self) -> dict[str, str]:
        return _titles(self.products, C.PRODUCT_ID)

    @cached_property
    def video_titles(self) -> dict[str, str]:
        return _titles(self.videos, C.VIDEO_ID)

    @cached_property
    def photo_uris(self) -> dict[str, str]:
        """The uri of each product's first photo; products without one are left out."""
        if self.frames is None or C.IMAGE_URIS not in self.products.columns:
            return {}
        first = self.products.select(C.PRODUCT_ID, pl.col(C.IMAGE_URIS).list.first().alias(C.URI)).drop_nulls()
        return dict(first.iter_rows())

    def make_task(self, question: Question, video_ids: Iterable[str], spool: Spool) -> Task:
        """What the judge sees of one shopper and these videos.

        Raises:
            ChangedError: a photo or frame is another than when the keys were made.
        """
        history = tuple(
            ShownProduct(product_id, self.product_titles.get(product_id, ""), self._photo(product_id))
            for product_id in question.product_ids
        )
        videos = tuple(self._video(video_id, spool) for video_id in video_ids)
        task = Task(question.user_id, history, videos)
        if task.content != question.history or any(v.content != question.videos[v.video_id] for v in videos):
            raise ChangedError(
                f"Photos or frames that user {question.user_id} is asked about changed during the run.",
                "Run the same command again; what was judged is kept.",
            )
        return task

    def _photo(self, product_id: str) -> bytes | None:
        uri = self.photo_uris.get(product_id)
        return self.photos.read(uri) if uri else None

    def _video(self, video_id: str, spool: Spool) -> ShownVideo:
        stored = spool.read(video_id)
        return ShownVideo(video_id, self.video_titles.get(video_id, ""), stored.frames, stored.times_s)


def make_questions(selection: Selection, source: Source, asker: Asker, digests: Digests) -> Questions:
    """Every judgment of *selection* with its key; a video that several systems recommend to a shopper stands once."""
    pairs = selection.lists.group_by([*WHO, C.VIDEO_ID]).agg(pl.col(C.RANK).min()).sort(*WHO, C.RANK, C.VIDEO_ID)
    lists = pairs.group_by(WHO, maintain_order=True).agg(C.VIDEO_ID)
    lists = lists.join(selection.histories, on=WHO, maintain_order="left")
    shown = selection.histories[C.PRODUCT_IDS].explode(empty_as_null=False)
    seen = _see(
        shown.unique(maintain_order=True).to_list(),
        pairs[C.VIDEO_ID].unique(maintain_order=True).to_list(),
        source,
        digests,
    )
    questions = tuple(_question(row, seen, asker) for row in lists.iter_rows(named=True))
    return Questions(questions, len(seen.products), seen.without_photo, len(seen.videos), len(seen.blind))


@dataclass(frozen=True)
class _Seen:
    """The content of each product and video; *blind* are the videos that should have frames and have none."""

    products: Mapping[str, str]
    videos: Mapping[str, str]
    without_photo: int
    blind: frozenset[str]


def _see(product_ids: list[str], video_ids: list[str], source: Source, digests: Digests) -> _Seen:
    if source.frames is None:
        photos, frames, blind = dict.fromkeys(product_ids, ""), {}, frozenset[str]()
    else:
        photos = digest_photos(source, product_ids, digests)
        frames = digest_frames(source.frames, video_ids, source.frames_per_video, digests)
        blind = frozenset(video_ids) - frames.keys()
    products = {one: content_of(source.product_titles.get(one, ""), photos[one]) for one in product_ids}
    videos = {one: content_of(source.video_titles.get(one, ""), frames.get(one, "")) for one in video_ids}
    without_photo = 0 if source.frames is None else sum(not photo for photo in photos.values())
    return _Seen(products, videos, without_photo, blind)


def _question(row: Mapping[str, Any], seen: _Seen, asker: Asker) -> Question:
    shown, graded = tuple(row[C.PRODUCT_IDS]), row[C.VIDEO_ID]
    history = history_content(seen.products[one] for one in shown)
    contents = {one: seen.videos[one] for one in graded}
    keys = {one: asker.key(shown, history, one, contents[one]) for one in graded}
    unscored = _unscored(graded, shown, seen.blind)
    return Question(row[C.USER_ID], row[C.RECOMMENDED_AT], shown, history, contents, keys, unscored)


def _unscored(video_ids: Iterable[str], product_ids: tuple[str, ...], blind: frozenset[str]) -> dict[str, Unscored]:
    if not product_ids:
        return dict.fromkeys(video_ids, Unscored.NO_HISTORY)
    return {video_id: Unscored.NO_FRAMES for video_id in video_ids if video_id in blind}


def digest_photos(source: Source, product_ids: Iterable[str], digests: Digests) -> dict[str, str]:
    """The digest of each product's photo; empty where there is none to read."""
    found = {}
    for product_id in product_ids:
        uri = source.photo_uris.get(product_id, "")
        signature = source.photos.signature(uri)
        what = f"photo:{source.photos.folder / uri}"
        digest = digests.get(what, signature) if signature else ""
        if digest is None:
            digest = photo_digest(source.photos.read(uri))
            digests.put(what, signature, digest)
        found[product_id] = digest
    return found


def asked_table(selection: Selection, questions: Questions, asker: Asker) -> pl.DataFrame:
    """The rows of `asked.parquet`: each place of each list with the key of its judgment."""
    rows = [
        (question.user_id, question.recommended_at, video_id, key, len(question.product_ids))
        for question in questions.all
        for video_id, key in question.keys.items()
    ]
    names = [*WHO, C.VIDEO_ID, J.KEY, J.N_PRODUCTS]
    keys = pl.DataFrame(rows, schema={name: ASKED_SCHEMA[name] for name in names}, orient="row")
    return (
        selection.lists.join(keys, on=[*WHO, C.VIDEO_ID], how="left", maintain_order="left")
        .with_columns(
            pl.lit(asker.judge).alias(J.JUDGE),
            pl.lit(asker.fingerprint).alias(J.FINGERPRINT),
            pl.lit(asker.rubric_name).alias(J.RUBRIC),
        )
        .select(pl.col(name).cast(kind) for name, kind in ASKED_SCHEMA.items())
    )


def missing_of(
    questions: Questions, known: Mapping[str, Unscored | None], retried: Collection[Unscored] = ()
) -> list[tuple[Question, list[str]]]:
    """Each question with its videos that have no judgment yet, or one without a grade for a reason in *retried*.

    A judgment that two shoppers share is asked for once.
    """
    done = {key for key, why in known.items() if why not in retried}
    missing = []
    for question in questions.all:
        videos = [video_id for video_id, key in question.keys.items() if key not in done]
        done.update(question.keys[video_id] for video_id in videos)
        if videos:
            missing.append((question, videos))
    return missing


def _titles(frame: pl.DataFrame, key: str) -> dict[str, str]:
    if C.TITLE not in frame.columns:
        return {}
    return dict(frame.select(key, C.TITLE).drop_nulls().iter_rows())
