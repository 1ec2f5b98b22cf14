"""What the API takes: bodies and queries, each field with its bounds, as OpenAPI documents them."""

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


class BlockBody(Strict):
    """What must not be shown any more, and why."""

    kind: Kind
    key: Id
    reason: str = Field(min_length=1, max_length=500)


class LoadBody(Strict):
    """The version to make live; one that breaks the bounds is made live only where *accept* is its name."""

    version: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    accept: str | None = None
