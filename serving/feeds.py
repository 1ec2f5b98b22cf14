"""One page of a feed: who asks, what they have seen, what they may be shown, and where the next page goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from retrieval.asking import Asker, Touch, Touched, ask
from retrieval.errors import SnapshotError, UnknownItemError
from retrieval.exploration import uniform_of
from retrieval.feed import Feed
from retrieval.index.protocol import Mask
from retrieval.ragged import Ints
from retrieval.systems import SystemConfig
from retrieval.where import Filter, Where
from serving.cursor import Cursor, CursorError, Keys, advance, asker_of, read_cursor, sign
from serving.errors import ApiError, not_allowed, unavailable
from serving.events.protocol import StoreDownError, UserState
from serving.exposure import ServedPage
from serving.live import Live, Stage

NO_KEYS: Keys = np.empty(0, np.uint32)


@dataclass(frozen=True)
class FeedRequest:
    """What a client asks for. *history* is given instead of a user whose events we know.

    *choices* are changes of the system for this request, as `retrieval.config.choose` takes them.
    """

    k: int
    user_id: str = ""
    history: tuple[Touch, ...] | None = None
    system: str | None = None
    where: Where = ()
    market: str | None = None
    exclude: tuple[str, ...] = ()
    choices: tuple[tuple[str, Any], ...] = ()
    cursor: str | None = None
    explain: bool = True


@dataclass(frozen=True)
class Chosen:
    """The system that answers a request; *bucket* and *experiment* are "" unless an experiment chose it."""

    name: str
    config: SystemConfig
    bucket: str = ""
    experiment: str = ""


@dataclass(frozen=True)
class Page:
    """One page. *degraded* says that the user's events could not be read; *again* that all was seen before.

    *exhausted* says that nothing unseen is left behind this page, *asked_us* when it was asked for; *user_id* is
    "" for who has no name.
    """

    feed_id: str
    request_id: str
    user_id: str
    asked_us: int
    feed: Feed
    chosen: Chosen
    asker: Asker
    market: str | None
    first_position: int
    degraded: bool
    again: bool
    exhausted: bool
    cursor: str


class Site(Protocol):
    """What a page is made with: see `serving.services.Services`."""

    @property
    def stage(self) -> Stage: ...
    @property
    def secret(self) -> bytes: ...
    @property
    def max_pages(self) -> int: ...

    def now_us(self) -> int: ...
    def choose(self, user_id: str, name: str | None, choices: tuple[tuple[str, Any], ...]) -> Chosen: ...
    def is_forgotten(self, user_id: str) -> bool: ...
    def remembered(self, user_id: str, now_us: int) -> UserState: ...
    def observe(self, request: FeedRequest, page: Page, known: UserState, store_s: float, rank_s: float) -> None: ...


def make_page(site: Site, request: FeedRequest) -> Page:
    """Answer one request. Who sends the page writes it down as served: see `served_page`.

    Raises:
        ApiError: the system, a filter or the cursor cannot be used, or nothing is loaded yet.
    """
    started = perf_counter()
    stage, now_us, request_id = site.stage, site.now_us(), token_hex(16)
    live = require_live(stage)
    chosen = site.choose(request.user_id, request.system, request.choices)
    known, degraded = _known(site, request, now_us)
    asked_at = perf_counter()
    cursor = _cursor(site, request, chosen)
    market = request.market or known.market
    allowed = live.allowed(stage.overlay, market)
    served = _rows(live, request, cursor)
    seen = live.snapshot.video_ids.rows(known.seen)
    k = min(request.k, site.max_pages - len(cursor.served))
    answer = _Answering(
        live, request, chosen, known, market, allowed, now_us, cursor.feed_id, request_id,
        site.is_forgotten(request.user_id),
    )  # fmt: skip
    again, asker = cursor.again, answer.asker(served if cursor.again else np.concatenate([served, seen]))
    feed = answer.rank(k, asker)
    if not (feed.videos or again) and len(seen):
        again = True
        feed = answer.rank(k, answer.asker(served))
    none_left = k > 0 and feed.eligible <= feed.returned  # a list may be short of k by its rules alone
    behind = advance(cursor, [video.video_id for video in feed.videos], again=again or none_left)
    page = Page(
        cursor.feed_id, request_id, request.user_id, now_us, feed, chosen, asker, market, 1 + len(cursor.served),
        degraded, again, behind.again or k < request.k, sign(behind, site.secret),
    )  # fmt: skip
    site.observe(request, page, known, asked_at - started, perf_counter() - asked_at)
    return page


def require_live(stage: Stage) -> Live:
    """The snapshot in service.

    Raises:
        ApiError: none is loaded yet, or the blocks that hold beside it are not known yet.
    """
    if stage.live is None or stage.overlay.revision < 0:
        raise unavailable("Nothing is loaded yet." if stage.live is None else "The blocks could not be read yet.")
    return stage.live


@dataclass(frozen=True)
class _Answering:
    """What stays the same when a request is ranked once more."""

    live: Live
    request: FeedRequest
    chosen: Chosen
    known: UserState
    market: str | None
    allowed: Mask | None
    now_us: int
    feed_id: str
    request_id: str
    forgotten: bool

    def asker(self, without: Ints) -> Asker:
        config, user_id = self.chosen.config, ranked_as(self.request, self.feed_id)
        forgotten = (user_id,) if self.forgotten else ()
        history: Sequence[Touched] = self.known.history if self.request.history is None else self.request.history
        at_us = self.now_us
        if self.request.history is None and history:
            # What was accepted counts, though the clock of the host that took it be a little ahead of ours.
            at_us = max(at_us, history[-1].occurred_us + 1)
        return ask(self.live.snapshot, history, config, at_us, without, user_id, self.market, forgotten)

    def rank(self, k: int, asker: Asker) -> Feed:
        config = self.chosen.config
        if k < 1:  # the feed has as many videos as one can have
            return _nothing(self.live, self.chosen)
        draws = [uniform_of(self.request_id, "explore")] if config.exploration.active else None
        try:
            (feed,) = self.live.snapshot.feeds(
                asker.audience, k, config,
                where=self.request.where, name=self.chosen.name, allowed=self.allowed, uniforms=draws,
                explain=self.request.explain,
            )  # fmt: skip
        except (UnknownItemError, SnapshotError) as error:  # no such attribute, or no vectors for the system
            raise not_allowed(error.message, error.cure) from None
        return feed


def _known(site: Site, request: FeedRequest, now_us: int) -> tuple[UserState, bool]:
    """What is remembered of the user, and whether it could not be read."""
    if request.history is not None:
        return UserState(), False
    try:
        return site.remembered(request.user_id, now_us), False
    except StoreDownError:
        return UserState(), True


def _cursor(site: Site, request: FeedRequest, chosen: Chosen) -> Cursor:
    """Where the feed stands: at its beginning, or as the client's cursor says."""
    asker = asker_of(request.user_id, chosen.name)
    if request.cursor is None:
        return Cursor(token_hex(16), asker, NO_KEYS)
    try:
        return read_cursor(request.cursor, site.secret, asker)
    except CursorError as error:
        raise ApiError(400, "invalid_cursor", str(error), "Begin a new feed without a cursor.") from None


def _rows(live: Live, request: FeedRequest, cursor: Cursor) -> Ints:
    """The rows of what this feed served before, and of what the client wants left out."""
    rows = live.keys.rows(cursor.served) if len(cursor.served) else np.empty(0, np.int64)
    if not request.exclude:
        return rows
    excluded = live.snapshot.video_ids.rows(request.exclude)
    return np.concatenate([rows, excluded[excluded >= 0]])


def _nothing(live: Live, chosen: Chosen) -> Feed:
    """The feed behind the last page that a feed can have."""
    return Feed("", (), 0, 0, True, chosen.name, chosen.config.hash, live.snapshot.version, False, False)


def served_page(page: Page, request: FeedRequest) -> ServedPage:
    """What the log of served pages keeps."""
    videos = page.feed.videos
    return ServedPage(
        page.feed_id,
        page.request_id,
        ranked_as(request, page.feed_id),
        page.asked_us,
        page.chosen.name,
        page.chosen.config.hash,
        page.feed.snapshot,
        page.chosen.bucket,
        page.chosen.experiment,
        page.first_position,
        tuple(video.video_id for video in videos),
        tuple(video.score for video in videos),
        tuple(video.selection_propensity for video in videos),
    )


def ranked_as(request: FeedRequest, feed_id: str) -> str:
    """Whom a list is for: the user, or somebody else with each feed, so that chance draws anew for who has no name."""
    return request.user_id or f"anonymous:{feed_id}"


def page_json(page: Page, grades: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """The page as the API answers it; `serving.answers.FeedAnswer` documents the fields."""
    feed, audience, user_id = page.feed, page.asker.audience, page.user_id
    return {
        "feed_id": page.feed_id,
        "request_id": page.request_id,
        "snapshot": feed.snapshot,
        "system": page.chosen.name,
        "system_hash": page.chosen.config.hash,
        "experiment": page.chosen.experiment or None,
        "bucket": page.chosen.bucket or None,
        "user": {
            "user_id": user_id or None,
            "known": feed.known,
            "events": len(audience.events.product_rows),
            "unknown_products": page.asker.unknown_products,
            "market": page.market,
        },
        "videos": [
            {
                "video_id": video.video_id,
                "rank": page.first_position + place,
                "score": video.score,
                "selection_propensity": video.selection_propensity,
                "moment_s": video.moment_s,
                "reasons": [{"product_id": reason.product_id, "share": reason.share} for reason in video.reasons],
                "grade": grades.get((user_id, video.video_id)),
            }
            for place, video in enumerate(feed.videos)
        ],
        "returned": feed.returned,
        "eligible": feed.eligible,
        "exact": feed.exact,
        "fallback": fallback_of(page),
        "degraded": page.degraded,
        "exhausted": page.exhausted,
        "cursor": page.cursor,
    }


def fallback_of(page: Page) -> str | None:
    """Why this is not a ranking of unseen videos by what the user did: `seen_again`, `global`, or None where it is."""
    if page.again:
        return "seen_again"
    return "global" if page.feed.personal and not page.feed.known else None


def parse_filters(live: Live, texts: Sequence[str]) -> Where:
    """Filters as written in a URL: `where=markets:de,fr`.

    Raises:
        ApiError: one is not of that form, or names no attribute; the known ones are listed.
    """
    return tuple(_filter(live, text) for text in texts)


def _filter(live: Live, text: str) -> Filter:
    name, colon, values = text.partition(":")
    if not colon or not values.strip(" ,"):
        raise not_allowed(f"The filter {text!r} is not of the form field:value.", "Write it as in where=markets:de.")
    if name not in live.filterable:
        known = ", ".join(live.filterable)
        raise not_allowed(f"There is no attribute {name!r} to filter by.", f"Use one of {known}.")
    return Filter(name, tuple(value.strip() for value in values.split(",")))
