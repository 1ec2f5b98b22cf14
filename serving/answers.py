"""What the API takes and answers, as documented in OpenAPI and read by the client.

The hot path writes its answers by hand (`serving.feeds.page_json`); tests hold them to these models.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from retrieval.event_kinds import EVENTS

Id = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(max_length=100)]
Market = Annotated[str, Field(min_length=1, max_length=50, description="Whose availability and taste count.")]
Written = Annotated[str, Field(max_length=2000)]
Filters = Annotated[list[Written], Field(max_length=20, description="Filters such as markets:de or markets:de,fr.")]
Kind = Literal["video", "creator", "brand", "product"]
MAX_FIELDS = 50  # of a body's object


class Answer(BaseModel):
    """Reads what it knows and passes over the rest: a newer server may say more."""

    model_config = ConfigDict(frozen=True)


class Strict(BaseModel):
    """A body in which a misspelt field is an error.

    Every text has a bound: with one, pydantic also refuses halves of characters, which no answer could hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _require_few_fields(cls, given: Any) -> Any:
        """Refuse very many fields as one fault: pydantic gathers one of each, and 90,000 of a body took a second."""
        if isinstance(given, dict) and len(given) > MAX_FIELDS:
            raise ValueError(f"there are more than {MAX_FIELDS} fields")
        return given


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

    *fallback* is `global` where nothing is known of the user, `seen_again` where all was seen before; *degraded* says
    that the user's events could not be read just now. *exhausted*: nothing unseen follows; further pages show what the
    user has seen before, best first, and are empty when that is through as well.
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


class HistoryItem(Strict):
    """One touch of a product. *occurred_at* is ISO 8601 with a zone, or seconds since 1970."""

    product_id: Id
    occurred_at: str | float
    event: Literal[EVENTS] = "view"  # type: ignore[valid-type]


class FeedWishes(Strict):
    """What may be asked of a feed; what is left out stays as the system has it."""

    k: int = Field(10, ge=1)
    system: Name | None = None
    where: Filters = []
    market: Market | None = None
    exclude: list[Id] = Field([], max_length=500, description="Videos to leave out.")
    half_life: str | None = Field(None, max_length=20, description="Such as 3d or 12h.")
    diversity: float | None = Field(None, ge=0, le=1)
    freshness: float | None = Field(None, ge=0, le=10)
    cap_creator: int | None = Field(None, ge=0, le=1000)
    cap_brand: int | None = Field(None, ge=0, le=1000)
    collapse: float | None = Field(None, ge=0, le=1)
    explain: bool = True
    cursor: str | None = Field(None, max_length=20_000)


class FeedQuery(FeedWishes):
    """The wishes of a URL."""


class FeedBody(FeedWishes):
    """A feed for a history instead of a user."""

    # The first fault ends it: those of 500,000 items, which are no more than a body may hold, took 12 s and 800 MB.
    history: Annotated[list[HistoryItem], FailFast()]


class SearchBody(Strict):
    """A text to search videos by."""

    text: str = Field(min_length=1)
    k: int = Field(10, ge=1)
    where: Filters = []
    market: Market | None = None


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


class OfferPatch(Strict):
    """What holds of a product now, in a *market* or in all; an absent field stays as it is, null lifts it."""

    product_id: Id
    market: Market | None = None
    available: bool | None = None
    price: float | None = Field(None, ge=0, allow_inf_nan=False)


class ProductsPatch(Strict):
    """Offers that changed."""

    products: list[OfferPatch] = Field(min_length=1, max_length=1000)
    reason: str = Field("", max_length=500)


class PatchedAnswer(Answer):
    """How many offers were written or lifted, and which products the snapshot lacks."""

    changed: int
    unknown_products: list[str]


class BlockBody(Strict):
    """What must not be shown any more, and why."""

    kind: Kind
    key: Id
    reason: str = Field(min_length=1, max_length=500)


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


class LoadBody(Strict):
    """The version to make live; one that breaks the bounds is made live only where *accept* is its name."""

    version: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    accept: str | None = None


class LoadedAnswer(Answer):
    """The version that is live now; every worker follows within seconds."""

    version: str
    comparison: ComparisonAnswer | None


class HealthAnswer(Answer):
    """*status* is ok, or says what is missing."""

    status: str
    snapshot: str | None = None
    events: bool | None = None
