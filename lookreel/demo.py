"""`lookreel demo`: the whole main job on the sample shop, measured against what its shoppers truly like, and judged."""

import io
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from indexing.embed import embed_products, embed_videos
from indexing.publish import build_snapshot
from indexing.store import S, Store, open_store
from lookreel.judged_demo import (
    JudgeChoice,
    JudgedDemo,
    JudgePlaces,
    judge_shop,
    judged_words,
    next_judgings,
    require_judge,
)
from retrieval.console import progress, to_json
from retrieval.contact_sheet import Cell, Row, draw_sheet
from retrieval.encoder import CONTENT, SAMPLE, open_encoder
from retrieval.errors import MissingExtraError, UserFacingError
from retrieval.folders import MANIFEST, kind_of, writing
from retrieval.metrics.stats import Estimate
from retrieval.snapshot import open_snapshot
from retrieval.systems import SystemKind
from retrieval.tables import Columns as C
from retrieval.tables import load_tables
from sample_shop.build import ShopConfig, build_shop
from sample_shop.compare import (
    BASELINE,
    COHERENCE,
    OVERLAP,
    TRUE_INTEREST,
    Comparison,
    Setting,
    compare,
    make_setting,
    rank_all,
)
from sample_shop.places import Places as ShopPlaces

DEMO = "demo"
MEASURES = (TRUE_INTEREST, OVERLAP, COHERENCE)
CELL = 25  # characters
Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoOptions:
    """The size of the sample shop, the seed that makes it, and who grades for how many shoppers; 0 is nobody."""

    videos: int = 600
    products: int = 600
    users: int = 400
    seed: int = 7
    judge: str = "sample"
    judged_users: int = 40


@dataclass(frozen=True)
class Places(ShopPlaces):
    """Where the demo puts things."""

    @property
    def sheet(self) -> Path:
        return self.root / "feed.png"

    @property
    def recommendations(self) -> Path:
        return self.root / "recommendations.parquet"

    @property
    def judgments(self) -> Path:
        return self.root / "judgments"

    @property
    def of_judge(self) -> JudgePlaces:
        return JudgePlaces(self.shop, self.videos, self.snapshot, self.recommendations, self.judgments)


@dataclass(frozen=True)
class Demo:
    """What a demo made: the *comparison*, the shopper of the contact sheet, and how long all of it took.

    *judged* is None where nobody graded; *unjudged* then says why, if it is for want of a package.
    """

    places: Places
    comparison: Comparison
    user_id: str
    seconds: float
    judged: JudgedDemo | None
    unjudged: str | None = None

    @property
    def numbers(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {**asdict(self.comparison), "judged": self.judged.numbers if self.judged else None}


def run_demo(root: Path, options: DemoOptions, *, as_json: bool, say: Say) -> None:
    """Make the demo in *root* and say what came of it.

    Raises:
        UserFacingError: *root* holds something that no demo made.
    """
    _refuse_taken(root)
    if not as_json:
        say(f"Lookreel demo: {options.videos} clips, {options.products} products, {options.users} shoppers → {root}/")
    demo = make_demo(root, options)
    say(to_json(demo.numbers) if as_json else _report(demo))


def make_demo(root: Path, options: DemoOptions) -> Demo:
    """Build, embed, index, recommend, compare and judge in *root*, which a demo before may have filled."""
    started = time.monotonic()
    if options.judged_users:
        require_judge(options.judge)
    places = Places(root)
    make_room(root)
    build_shop(places.shop, ShopConfig(options.videos, options.products, options.users, seed=options.seed), progress)
    _embed(places)
    build_snapshot(places.videos, places.products, places.shop, places.snapshot)
    setting = make_setting(places.shop, load_tables(places.shop), open_snapshot(places.snapshot))
    comparison = compare(setting, open_store(places.content, "products"))
    user_id = draw_feed(places, setting, comparison)
    judged, unjudged = judge_if_able(places, setting, options)
    demo = Demo(places, comparison, user_id, time.monotonic() - started, judged, unjudged)
    _finish(demo, options)
    return demo


def _refuse_taken(root: Path) -> None:
    if root.is_file() or (root.exists() and any(root.iterdir()) and kind_of(root) != DEMO):
        raise UserFacingError(f"{root} exists and no demo made it.", "Name another folder with --out.")


def make_room(root: Path) -> None:
    """Make room: only what a demo made before is removed."""
    _refuse_taken(root)
    for name in ("shop", "stores", "snapshot", "judgments"):
        shutil.rmtree(root / name, ignore_errors=True)
    Places(root).recommendations.unlink(missing_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    (root / MANIFEST).write_text(json.dumps({"kind": DEMO}))


def _embed(places: Places) -> None:
    clip = open_encoder(SAMPLE)
    products, videos = places.shop / "products.parquet", places.shop / "videos.parquet"
    with progress("embedding products") as update:
        embed_products(products, places.products, clip, progress=update)
    with progress("embedding clips") as update:
        embed_videos(videos, places.videos, clip, progress=update)
    with progress("content descriptors") as update:
        embed_products(products, places.content, open_encoder(CONTENT), progress=update)


def judge_if_able(places: Places, setting: Setting, options: DemoOptions) -> tuple[JudgedDemo | None, str | None]:
    """What the judge said, or why nobody was asked: the comparison stands without it."""
    if options.judged_users == 0:
        return None, None
    try:
        choice = JudgeChoice(options.judge, options.judged_users, options.seed)
        return judge_shop(places.of_judge, setting, choice), None
    except MissingExtraError as error:
        return None, str(error)


def _finish(demo: Demo, options: DemoOptions) -> None:
    report = {
        "kind": DEMO,
        "options": asdict(options),
        "seconds": round(demo.seconds, 1),
        "comparison": asdict(demo.comparison),
        "judged": demo.judged.numbers if demo.judged else None,
    }
    with writing(demo.places.root / MANIFEST) as draft:
        draft.write_text(json.dumps(report, indent=1))


def _report(demo: Demo) -> str:
    comparison = demo.comparison
    lines = [
        "",
        f"Top {comparison.k} for {comparison.n_users} held-out shoppers: mean ± standard deviation over shoppers;",
        "below it the paired difference to recency with its 95 % interval (user bootstrap).",
        "",
        " " * 12 + "".join(f"{measure:<{CELL}}" for measure in MEASURES) + "coverage",
    ]
    for system in dict.fromkeys(measured.system for measured in comparison.measured):
        lines += _rows_of(comparison, system)
    return "\n".join([*lines, "", *_judged(demo), *_next_steps(demo)])


def _judged(demo: Demo) -> list[str]:
    """What the judge said, or why it was not asked, and an empty line."""
    if demo.judged is not None:
        return [*judged_words(demo.judged), ""]
    return [f"Not judged: {demo.unjudged}", ""] if demo.unjudged else []


def _rows_of(comparison: Comparison, system: str) -> list[str]:
    """Two lines: what was measured, and unless it is recency itself, how it differs."""
    cells = [comparison.of(system, measure) for measure in MEASURES]
    values = "".join(f"{f'{cell.value.mean:.3f} ± {cell.value.sd:.3f}':<{CELL}}" for cell in cells)
    first = f"{system:<12}{values}{comparison.coverage[system]:>8.0%}"
    if system == BASELINE:
        return [first]
    return [first, " " * 12 + "".join(f"{_difference(cell.difference):<{CELL}}" for cell in cells).rstrip()]


def _difference(estimate: Estimate) -> str:
    return f"{estimate.mean:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _next_steps(demo: Demo) -> list[str]:
    places, user_id = demo.places, demo.user_id
    return [
        f"{places.sheet}: what {user_id} looked at, and what two systems show them. Done in {demo.seconds:.0f} s.",
        "",
        "Next, try:",
        f"  lookreel recommend --snapshot {places.snapshot} --tables {places.shop} --user {user_id}",
        f'  lookreel search --snapshot {places.snapshot} "a red dress"',
        f"  lookreel similar --snapshot {places.snapshot} v00001",
        *(f"  {command}" for command in (next_judgings(places.of_judge) if demo.judged else ())),
    ]


def draw_feed(places: Places, setting: Setting, comparison: Comparison, n_products: int = 10, n_clips: int = 8) -> str:
    """Write the contact sheet of one shopper and return who it is: the one whose gain over recency is the median."""
    lists = rank_all(setting, comparison.k)
    user = _median_gainer(setting, lists)
    frames = open_store(places.videos, "videos")
    photos = open_store(places.products, "products")
    rows = [
        Row(
            f"{setting.audience.user_ids[user]} lately looked at",
            _history_cells(setting, user, photos, n_products),
            150,
        ),
        *(
            Row(heading, _clip_cells(setting, user, lists[kind.value][user][:n_clips], frames), 200)
            for heading, kind in (
                ("Lookreel recommends (multimodal)", SystemKind.MULTIMODAL),
                ("The newest videos (recency)", SystemKind.RECENCY),
            )
        ),
    ]
    with writing(places.sheet) as draft:
        draw_sheet(rows).save(draft, "PNG")
    return str(setting.audience.user_ids[user])


def _median_gainer(setting: Setting, lists: dict[str, np.ndarray]) -> int:
    def mean_interest(kind: SystemKind) -> np.ndarray:
        return np.asarray(np.take_along_axis(setting.interest, lists[kind.value], 1).mean(axis=1))

    gains = mean_interest(SystemKind.MULTIMODAL) - mean_interest(SystemKind.RECENCY)
    known = np.flatnonzero(setting.audience.events.lengths >= 12)
    return int(known[np.argsort(gains[known])[len(known) // 2]])


def _history_cells(setting: Setting, user: int, store: Store, n: int) -> list[Cell]:
    newest_first = setting.audience.events.of_user(user).product_rows[::-1]
    rows = list(dict.fromkeys(newest_first.tolist()))[:n]
    products = setting.snapshot.products[rows]
    pictures = _pictures(store, products[C.PRODUCT_ID].to_list(), parts=(0,))
    titles = dict(zip(products[C.PRODUCT_ID], products[C.TITLE], strict=True))
    return [Cell(pictures[item_id], titles[item_id]) for item_id in titles if item_id in pictures]


def _clip_cells(setting: Setting, user: int, rows: np.ndarray, store: Store) -> list[Cell]:
    videos = setting.snapshot.videos[rows.tolist()]
    ids = videos[C.VIDEO_ID].to_list()
    pictures = _pictures(store, ids, parts=(2, 5))
    return [
        Cell(pictures[ids[place]], f"{place + 1}. {videos[C.TITLE][place]}", f"true interest {interest:.2f}")
        for place, interest in enumerate(setting.interest[user, rows])
    ]


def _pictures(store: Store, item_ids: list[str], parts: tuple[int, ...]) -> dict[str, tuple[Image.Image, ...]]:
    wanted = store.parts([S.ITEM_ID, S.PART, S.JPEG]).filter(
        pl.col(S.ITEM_ID).is_in(item_ids) & pl.col(S.PART).is_in(parts)
    )
    found: dict[str, tuple[Image.Image, ...]] = {}
    for item_id, _, jpeg in wanted.iter_rows():
        found[item_id] = (*found.get(item_id, ()), Image.open(io.BytesIO(jpeg)))
    return found
