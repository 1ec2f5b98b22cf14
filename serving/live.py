"""A snapshot in service, and what is worked out of it once instead of at each request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

from retrieval.index.protocol import Mask
from retrieval.log import products_of_videos
from retrieval.snapshot import Snapshot
from retrieval.tables import Columns as C
from retrieval.where import is_comparable
from serving.cursor import KeyIndex
from serving.overlay import HideWhen, Overlay, Shelf, allowed_videos, blocked_videos

MASKS = 64  # markets whose answer is kept
HIDDEN_COLUMNS = frozenset((C.URI, C.IMAGE_URIS))
"""Attributes that no answer shows and no filter tells: they may name places."""


@dataclass(frozen=True)
class Live:
    """An opened *snapshot*; *opened_us* is when, in microseconds since 1970."""

    snapshot: Snapshot
    opened_us: int
    hide_when: HideWhen = HideWhen.ALL
    _masks_of: Callable[[Overlay], Callable[..., Mask | None]] = field(init=False, repr=False, compare=False)
    _blocked: Callable[[Overlay], Mask] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # No cache holds this object: a cycle keeps a version that was replaced, with all of its files, until Python
        # looks for cycles, which a process with many objects does seldom.
        object.__setattr__(self, "_masks_of", lru_cache(2)(_kept_masks))
        object.__setattr__(self, "_blocked", lru_cache(2)(partial(blocked_videos, self.snapshot.videos)))

    @cached_property
    def keys(self) -> KeyIndex:
        return KeyIndex(self.snapshot.video_ids.ids)

    @cached_property
    def shelf(self) -> Shelf:
        snapshot = self.snapshot
        products_of = products_of_videos(snapshot.videos, snapshot.product_ids)
        return Shelf(snapshot.videos, snapshot.products, snapshot.product_ids, products_of)

    @cached_property
    def filterable(self) -> tuple[str, ...]:
        """The attributes that a filter may name."""
        kinds = self.snapshot.videos.schema.items()
        return tuple(sorted(name for name, kind in kinds if name not in HIDDEN_COLUMNS and is_comparable(kind)))

    @cached_property
    def markets(self) -> frozenset[str]:
        """The markets that the table's offers name: only there availability may differ."""
        products = self.snapshot.products
        if C.OFFERS not in products.columns:
            return frozenset()
        offers = products[C.OFFERS].explode(empty_as_null=False).drop_nulls()
        return frozenset(offers.struct.field(C.MARKET).drop_nulls().to_list())

    def allowed(self, overlay: Overlay, market: str | None) -> Mask | None:
        """False `(n_videos,)` for the videos that must not be shown in *market*; None where all may be."""
        known = market in self.markets or market in overlay.markets
        return self._masks_of(overlay)(shelf=self.shelf, market=market if known else None, hide_when=self.hide_when)

    def is_blocked(self, overlay: Overlay, video_id: str) -> bool:
        """Whether a video, its creator or its brand is blocked: then nothing of it is shown, not even its file."""
        row = self.snapshot.video_ids.row(video_id)
        return row is not None and bool(self._blocked(overlay)[row])

    def prepare(self) -> "Live":
        """Work out everything that the first request would wait for."""
        snapshot = self.snapshot
        self.keys, self.shelf, self.filterable, self.markets  # noqa: B018 - each is kept from its first use on
        snapshot.creator_codes, snapshot.brand_codes, snapshot.video_ids, snapshot.product_ids  # noqa: B018
        snapshot.background.prepare()
        snapshot.eligible(0, ())
        return self


def _kept_masks(overlay: Overlay) -> Callable[..., Mask | None]:
    """`allowed_videos` of one overlay, with its answers kept: they go with it, since old ones may be large."""
    return lru_cache(MASKS)(partial(allowed_videos, overlay=overlay))


@dataclass(frozen=True, eq=False)
class Stage:
    """The snapshot and the overlay that a request is answered from: taken together, once, so that nothing mixes.

    *live* is None until one was opened.
    """

    live: Live | None
    overlay: Overlay
