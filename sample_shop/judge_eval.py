"""How well a judge reads the sample shop: its expected scores beside the planted grades, with titles that say nothing.

    python -m sample_shop.judge_eval --shop SHOP --frames STORE --judge sample

For each shopper ten videos are drawn evenly over the planted grades there are. Measured are Spearman's correlation of
expected score and planted grade over all pairs; the same with every photo grey; and how surely the five best videos of
a shopper score higher after their own history than after a stranger's. Beside each stands what a perfect reader of all
visible attributes (all but the brand) reaches by the grade's own formula.
"""

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from indexing.store import S, Store, open_store
from judge.agreement import auc, spearman
from judge.judges import open_judge
from judge.protocol import Judge
from judge.rubric import Rubric, load_rubric
from judge.task import HISTORY, ShownProduct, ShownVideo, Task
from judge.verdict import Verdict
from retrieval.console import progress
from retrieval.tables import Columns as C
from sample_shop.arrays import Ints
from sample_shop.catalogue import BRAND, FACTORS
from sample_shop.relevance import THRESHOLDS, WEIGHTS, matches, mean_levels, taste_shares
from sample_shop.wording import NEUTRAL_PRODUCT, NEUTRAL_VIDEO

PER_USER, BEST = 10, 5
LIKED = ("view", "click", "wishlist", "add_to_cart", "purchase")


@dataclass(frozen=True)
class JudgeFigures:
    """What was measured; *ceiling* is the same of a perfect reader of the visible attributes."""

    spearman: float
    spearman_ceiling: float
    spearman_grey: float
    own_history_auc: float
    own_history_auc_ceiling: float
    n_users: int
    n_pairs: int
    unscored: int
    mass: float


@dataclass(frozen=True)
class Truth:
    """A built shop's truth by rows: *histories* `(n, 12, 6)` and *videos* `(m, 4, 6)` of levels, −1 for none."""

    user_ids: list[str]
    product_ids: list[list[str]]
    histories: Ints
    video_ids: list[str]
    videos: Ints

    def __len__(self) -> int:
        return len(self.user_ids)


def load_truth(shop: Path, n_users: int, seed: int) -> Truth:
    """Shoppers with a whole history, drawn at random, and all videos."""
    table = pl.read_parquet(shop / "truth_products.parquet")
    levels = np.stack(
        [table[name].replace_strict(_rows(words), return_dtype=pl.Int64).to_numpy() for name, words in FACTORS.items()],
        1,
    )
    rows = {product_id: row for row, product_id in enumerate(table[C.PRODUCT_ID])}
    recent = (
        pl.read_parquet(shop / "interactions.parquet")
        .filter(pl.col("event").is_in(LIKED))
        .sort(C.OCCURRED_AT, descending=True)
        .unique([C.USER_ID, C.PRODUCT_ID], keep="first", maintain_order=True)
        .group_by(C.USER_ID)
        .agg(pl.col(C.PRODUCT_ID).head(HISTORY))
        .filter(pl.col(C.PRODUCT_ID).list.len() == HISTORY)
        .sort(C.USER_ID)
    )
    chosen = recent.sample(min(n_users, recent.height), seed=seed, shuffle=True)
    histories = [ids.to_list() for ids in chosen[C.PRODUCT_ID]]
    videos = pl.read_parquet(shop / "videos.parquet")
    shown = np.full((videos.height, 4, len(FACTORS)), -1)
    for row, ids in enumerate(videos[C.PRODUCT_IDS].to_list()):
        shown[row, : len(ids)] = levels[[rows[i] for i in ids]]
    return Truth(
        chosen[C.USER_ID].to_list(), histories, np.stack([levels[[rows[i] for i in ids]] for ids in histories]),
        videos[C.VIDEO_ID].to_list(), shown,
    )  # fmt: skip


def _rows(words: Sequence[str]) -> dict[str, int]:
    return {word: row for row, word in enumerate(words)}


def visible_matches(histories: Ints, videos: Ints) -> NDArray[np.float64]:
    """match(v) without the brand, which no picture shows."""
    blind_histories, blind_videos = histories.copy(), videos.copy()
    blind_histories[:, :, BRAND] = np.where(histories[:, :, BRAND] >= 0, 0, -1)
    blind_videos[:, :, BRAND] = np.where(videos[:, :, BRAND] >= 0, 0, -1)
    return taste_shares(blind_histories) @ mean_levels(blind_videos).T - WEIGHTS["brand"]


@dataclass(frozen=True)
class Pictures:
    """Photos and frames of a shop; *grey* replaces every photo, *titles* are real ones where they are not neutral."""

    photos: Mapping[str, bytes]
    frames: Mapping[str, tuple[tuple[bytes, ...], tuple[float, ...]]]

    def product(self, product_id: str) -> ShownProduct:
        return ShownProduct(product_id, NEUTRAL_PRODUCT, self.photos[product_id])

    def video(self, video_id: str) -> ShownVideo:
        return ShownVideo(video_id, NEUTRAL_VIDEO, *self.frames[video_id])


def load_pictures(shop: Path, store: Store) -> Pictures:
    """All first photos of a shop and all stored frames."""
    parts = store.parts([S.ITEM_ID, S.PART, S.TIME_S, S.JPEG]).sort(S.ITEM_ID, S.PART)
    frames = {
        item_id: (tuple(jpegs), tuple(times))
        for item_id, jpegs, times in parts.group_by(S.ITEM_ID, maintain_order=True).agg(S.JPEG, S.TIME_S).iter_rows()
    }
    photos = {
        product_id: (shop / uris[0]).read_bytes()
        for product_id, uris in pl.read_parquet(shop / "products.parquet")
        .select(C.PRODUCT_ID, C.IMAGE_URIS)
        .iter_rows()
    }
    return Pictures(photos, frames)


def _grey(photo: bytes) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", Image.open(io.BytesIO(photo)).size, (128, 128, 128)).save(out, "JPEG")
    return out.getvalue()


def evaluate(judge: Judge, rubric: Rubric, truth: Truth, pictures: Pictures, seed: int = 0) -> JudgeFigures:
    """Grade the pairs and compare."""
    rng = np.random.default_rng(seed)
    match, seen = matches(truth.histories, truth.videos), visible_matches(truth.histories, truth.videos)
    grades = 1 + np.searchsorted(np.array(THRESHOLDS), match, side="right")
    drawn = np.stack([_evenly(row, rng) for row in grades])
    strangers = np.roll(np.arange(len(truth)), 1)
    best = np.argsort(-match, axis=1, kind="stable")[:, :BEST]
    users = np.arange(len(truth))

    ask = partial(_ask, judge, rubric, truth, pictures)
    said = ask("all ten", users, drawn)
    grey = ask("photos grey", users, drawn, grey=True)
    own, other = ask("own history", users, best), ask("a stranger's", strangers, best)
    scores = _scores(said)
    true = np.take_along_axis(grades, drawn, 1).astype(np.float64)
    known = ~np.isnan(scores)
    return JudgeFigures(
        spearman(scores[known], true[known]),
        spearman(np.take_along_axis(seen, drawn, 1).ravel(), true.ravel()),
        spearman(_scores(grey)[known], true[known]),
        auc(_scores(own).ravel(), _scores(other).ravel()),
        auc(np.take_along_axis(seen, best, 1).ravel(), seen[strangers[:, None], best].ravel()),
        len(truth),
        int(known.sum()),
        int((~known).sum()),
        float(np.mean([o.mass for row in said for o in row if isinstance(o, Verdict)])),
    )


def _evenly(grades: Ints, rng: np.random.Generator) -> Ints:
    counts = np.bincount(grades, minlength=6)[grades]
    return rng.choice(len(grades), PER_USER, replace=False, p=(1 / counts) / (1 / counts).sum())


def _scores(outcomes: list[list[object]]) -> NDArray[np.float64]:
    return np.array([[o.expected if isinstance(o, Verdict) else np.nan for o in row] for row in outcomes])


def _ask(
    judge: Judge, rubric: Rubric, truth: Truth, pictures: Pictures, what: str, users: Ints, videos: Ints,
    grey: bool = False,
) -> list[list[object]]:  # fmt: skip
    outcomes: list[list[object]] = []
    with progress(what) as hear:
        for done, (user, rows) in enumerate(zip(users.tolist(), videos.tolist(), strict=True), start=1):
            history = tuple(pictures.product(product_id) for product_id in truth.product_ids[user])
            if grey:
                history = tuple(replace(product, photo=_grey(product.photo or b"")) for product in history)
            shown = tuple(pictures.video(truth.video_ids[row]) for row in rows)
            outcomes.append(list(judge.grade(Task(truth.user_ids[user], history, shown), rubric)))
            hear(done, len(users))
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, required=True, help="folder of a built sample shop")
    parser.add_argument("--frames", type=Path, required=True, help="embedding store of its videos")
    parser.add_argument("--judge", default="sample", help="sample, or qwen:FOLDER")
    parser.add_argument("--users", type=int, default=100, help="how many shoppers")
    parser.add_argument("--seed", type=int, default=0, help="draws shoppers and videos")
    given = parser.parse_args()
    truth = load_truth(given.shop, given.users, given.seed)
    pictures = load_pictures(given.shop, open_store(given.frames, "videos"))
    figures = evaluate(open_judge(given.judge), load_rubric(), truth, pictures, given.seed)
    print(json.dumps(asdict(figures), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
