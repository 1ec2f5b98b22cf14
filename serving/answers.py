"""What the API answers, as documented in OpenAPI and read by the client.

The hot path writes its answers by hand (`serving.feeds.page_json`); tests hold them to these models.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Reads what it knows and passes over the rest: a newer server may say more."""

    model_config = ConfigDict(frozen=True)


class ErrorDetail(Answer):
    """*code* is for programs, *message* says what happened, *cure* what to do."""

    code: str
    message: str
    cure: str = ""


class ErrorAnswer(Answer):
    """Every answer with a status from 400 on."""

    error: ErrorDetail


class Reason(Answer):
    """A product of the user's history and how much of the video's score it gave."""

    product_id: str
    share: float


class Video(Answer):
    """One place of a list. *rank* counts from 1 over all pages of a feed.

    *selection_propensity* is P(this video at this place | the system); *moment_s* is when in the video the frame stands
    that matches best; *grade* is the judge's, 5 to 1, where grades are loaded.
    """

    video_id: str
    rank: int
    score: float
    selection_propensity: float = 1.0
    moment_s: float | None = None
    reasons: list[Reason] = []
    grade: int | None = None


class Asker(Answer):
    """What is known of who asks: *events* took part in the ranking, *unknown_products* are not in the snapshot."""

    user_id: str | None
    known: bool
    events: int
    unknown_products: int
    market: str | None


class FeedAnswer(Answer):
    """A page of a feed.

    *fallback* is `global` where nothing is known of the user, or the training of a conventional system did not know
    them, `seen_again` where all was seen before; *degraded* says that the user's events could not be read just now.
    *exhausted*: nothing unseen follows; further pages show what the user has seen before, best first, and are empty
    when that is through as well.
    """

    feed_id: str
    request_id: str
    snapshot: str
    system: str
    system_hash: str
    experiment: str | None
    bucket: str | None
    user: Asker
    videos: list[Video]
    returned: int
    eligible: int
    exact: bool
    fallback: Literal["global", "seen_again"] | None
    degraded: bool
    exhausted: bool
    cursor: str


class SearchAnswer(Answer):
    """The videos nearest to a text, a picture or a video."""

    snapshot: str
    videos: list[Video]
    returned: int
    eligible: int
    exact: bool


class VideoAnswer(Answer):
    """A video and its attributes, but for where its file lies."""

    video_id: str
    attributes: dict[str, Any]


class ProductAnswer(Answer):
    """A product, and whether it can be had as far as the snapshot and the overlay say."""

    product_id: str
    available: bool
    price: float | None
    attributes: dict[str, Any]


class SystemAnswer(Answer):
    """A way to rank, by name; the hash changes with any of its choices."""

    name: str
    kind: str
    hash: str
    options: dict[str, Any]


class SystemsAnswer(Answer):
    """All systems, the one that answers by default, and the experiment that runs."""

    default: str
    experiment: str | None
    systems: list[SystemAnswer]


class UsersAnswer(Answer):
    """Users that have events, by their ids."""

    users: list[str]


class Refused(Answer):
    """A row that was not stored; *row* counts from 0."""

    row: int
    event_id: str | None
    reason: str


class EventsAnswer(Answer):
    """What became of a batch: *duplicates* were stored before, *unknown_items* are stored and not in the snapshot."""

    accepted: int
    duplicates: int
    unknown_items: int
    refused: list[Refused]


class HistoryEvent(Answer):
    """A remembered product event; *weight* is its part in the user's vector before all are scaled to sum to 1."""

    product_id: str
    event: str
    occurred_at: str
    event_id: str
    known: bool
    weight: float


class HistoryAnswer(Answer):
    """What is remembered of a user, newest first, weighted as the system named does."""

    user_id: str
    market: str | None
    system: str
    half_life_s: float
    events: list[HistoryEvent]
    seen: list[str]


class ErasedAnswer(Answer):
    """Who was erased: the user, and those merged into them."""

    erased: list[str]


class MergedAnswer(Answer):
    """How many events moved."""

    moved: int


class PatchedAnswer(Answer):
    """How many offers were written or lifted, and which products the snapshot lacks."""

    changed: int
    unknown_products: list[str]


class Block(Answer):
    """A block that holds; *since* is ISO 8601."""

    kind: str
    key: str
    reason: str
    since: str


class BlocksAnswer(Answer):
    """All blocks, oldest first."""

    blocks: list[Block]


class ComparisonAnswer(Answer):
    """A version against the live one over the same requests: see the operations manual."""

    version: str
    against: str
    requests: int
    overlap: float
    skew: float
    skew_live: float
    latency_ratio: float


class SnapshotAnswer(Answer):
    """What this worker serves: *live*, the version that the *pointer* names, and what is kept.

    *problem* says why they differ, *comparison* what was found of the one that is refused.
    """

    live: str
    pointer: str
    loaded_at: str
    as_of: str
    versions: list[str]
    problem: str
    comparison: ComparisonAnswer | None


class LoadedAnswer(Answer):
    """The version that is live now; every worker follows within seconds."""

    version: str
    comparison: ComparisonAnswer | None


class HealthAnswer(Answer):
    """*status* is ok, or says what is missing."""

    status: str
    snapshot: str | None = None
    events: bool | None = None
