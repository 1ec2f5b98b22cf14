"""The paper's story (Zalando 2025, sections 4.1 and 4.5) on a shop whose truth is known.

    python -m sample_shop.vcg_eval --out FOLDER

A feed that mixes the newest videos with chance is logged with every bias at full strength. VCG Conventional is trained
on what came before the last days, by the 50 % label and by two that know of durations, on ALS vectors of the
catalogue's users; then all are evaluated on the last days beside the systems that need no video history. FOLDER holds
the shop, the runs and the report; what is there is not made again.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from indexing.embed import embed_products, embed_videos
from indexing.publish import build_snapshot
from labelcraft.conventional.embedding import EmbedRequest, embed
from labelcraft.conventional.jobs import TrainRequest, train_conventional
from labelcraft.evaluation.page import write_report
from labelcraft.evaluation.results import Evaluation, Ranked, System
from labelcraft.evaluation.run import EvaluationRequest, evaluate
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.saving import SaveRequest, make_and_save
from labelcraft.splits import HistoryRows, SplitOptions
from retrieval.console import progress
from retrieval.encoder import SAMPLE, open_encoder
from retrieval.folders import writing
from retrieval.metrics.listwise import Form, Measure
from retrieval.metrics.stats import Estimate
from retrieval.tables import Columns as C
from sample_shop.build import ShopConfig, build_shop
from sample_shop.label_eval import CRAFT, OPTIONS
from sample_shop.places import Places as ShopPlaces
from sample_shop.policies import Policy
from sample_shop.truth import DAY, LABEL

TEST_DAYS = 3
HEADING = (
    "system                   AUC                   NDCG@10 by IPS        true NDCG@10          Gini of exposure"
    "      popularity of lists   median s"
)
LABELS = {"conventional": "W50", "conventional D2Q": "D2Q", "conventional LabelCraft": "LabelCraft"}
SYSTEMS = ("random", "recency", "popularity", "multimodal")
SHORTEST = "shortest"
# LabelCraft's own validation and test days end before the evaluation's test days begin.
CRAFT_DAYS = SplitOptions(days=(8, 2, 1), history_rows=HistoryRows.LIKED)


@dataclass(frozen=True)
class Line:
    """What the story tells of one system; *lists* is None where only scores are known.

    *ndcg* is NDCG by IPS on the test feeds, *true_ndcg* that of what would have been watched.
    """

    name: str
    auc: Estimate
    ndcg: Estimate
    true_ndcg: Estimate
    lists: "ListFigures | None"


@dataclass(frozen=True)
class ListFigures:
    """What a system's lists at the split show: how unevenly, how popular, how long."""

    gini: Estimate
    average_popularity: Estimate
    median_duration_s: float


@dataclass(frozen=True)
class Places(ShopPlaces):
    """Where the story puts things."""

    @property
    def users(self) -> Path:
        return self.root / "user_vectors.parquet"

    @property
    def label(self) -> Path:
        return self.root / "label"


def make_shop(places: Places, config: ShopConfig) -> None:
    """The shop with its clips, the stores and the snapshot."""
    _once(places.shop, lambda: build_shop(places.shop, config, progress))
    encoder = open_encoder(SAMPLE)
    with progress("embedding products") as update:
        _once(
            places.products,
            lambda: embed_products(places.shop / "products.parquet", places.products, encoder, progress=update),
        )
    with progress("embedding clips") as update:
        _once(
            places.videos,
            lambda: embed_videos(places.shop / "videos.parquet", places.videos, encoder, progress=update),
        )
    _once(places.snapshot, lambda: build_snapshot(places.videos, places.products, places.shop, places.snapshot))


def train_runs(places: Places, labels: Mapping[str, str], seed: int) -> dict[str, Path]:
    """VCG Conventional by each of *labels*; where each run is."""
    _once(places.users, lambda: embed(EmbedRequest(places.shop, places.users, test_days=TEST_DAYS, seed=seed)))
    runs = {}
    for name, label in labels.items():
        run = places.root / "runs" / label
        given = str(learned(places, OPTIONS, CRAFT)) if label == "LabelCraft" else label
        request = TrainRequest(places.shop, places.users, run, given, test_days=TEST_DAYS)
        with progress(f"{name} by {label}") as update:
            _once(run, lambda asked=request, told=update: train_conventional(asked, told))  # type: ignore[misc]
        runs[name] = run
    return runs


def learned(places: Places, options: TrainOptions, craft: CraftOptions) -> Path:
    """LabelCraft's label, learned of what came before the test days."""
    with progress("LabelCraft's label") as update:
        request = SaveRequest(
            "impressions", places.shop, "LabelCraft", places.label, CRAFT_DAYS, options, craft
        )  # fmt: skip
        _once(places.label, lambda: make_and_save(request, update))
    return places.label


def write_scores(places: Places) -> Path:
    """The shortest video first, as scores of an outside system for every delivered slot."""
    videos = pl.scan_parquet(places.shop / "videos.parquet").select(C.VIDEO_ID, C.DURATION_S)
    slots = pl.scan_parquet(places.shop / "impressions.parquet")
    shortest = slots.join(videos, on=C.VIDEO_ID).select(
        pl.lit(SHORTEST).alias(C.SYSTEM), C.FEED_ID, C.VIDEO_ID, (-pl.col(C.DURATION_S)).alias(C.SCORE)
    )
    file = places.root / "scores.parquet"
    with writing(file) as draft:
        shortest.collect().write_parquet(draft)
    return file


def truth_of(places: Places) -> pl.LazyFrame:
    """What each delivered slot would have shown had it been examined: feed_id, position, label."""
    start = datetime.fromisoformat(json.loads((places.shop / "shop.json").read_text())["start"])
    day = (pl.col(C.SHOWN_AT) - start).dt.total_days().cast(pl.Int64).alias(DAY)
    slots = pl.scan_parquet(places.shop / "impressions.parquet").with_columns(day)
    known = [C.USER_ID, C.VIDEO_ID, pl.col(DAY).cast(pl.Int64), LABEL]
    truth = pl.scan_parquet(places.shop / "truth.parquet").select(known)
    return slots.join(truth, on=[C.USER_ID, C.VIDEO_ID, DAY], how="left").select(
        C.FEED_ID, C.POSITION, pl.col(LABEL).alias("label")
    )


def lines_of(found: Evaluation) -> list[Line]:
    """The story's table, by system."""
    return [_line(system) for system in found.systems]


def _line(system: System) -> Line:
    lists = None
    if system.shown is not None:
        exposure = system.shown.exposure
        lists = ListFigures(exposure["gini"], exposure["average_popularity"], system.shown.duration_s.median)
    return Line(
        system.name, system.pointwise.auc, _ndcg(system.ranked, Form.IPS), _ndcg(system.truth, Form.NAIVE), lists
    )


def _ndcg(figures: Sequence[Ranked], form: Form) -> Estimate:
    return next(one.value for one in figures if (one.measure, one.form) == (Measure.NDCG, form))


def _told(line: Line) -> str:
    ranked = "  ".join(
        f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in (line.auc, line.ndcg, line.true_ndcg)
    )
    if line.lists is None:
        return f"{line.name:<24} {ranked}"
    gini, popularity, duration_s = line.lists.gini, line.lists.average_popularity, line.lists.median_duration_s
    return (
        f"{line.name:<24} {ranked}  {gini.mean:.3f} [{gini.low:.3f}, {gini.high:.3f}]  {popularity.mean:>6.1f} "
        f"[{popularity.low:.1f}, {popularity.high:.1f}]  {duration_s:>5.1f}"
    )


def _once(place: Path, make: Callable[[], object]) -> None:
    if not place.exists():
        make()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where everything goes")
    parser.add_argument("--seed", type=int, default=7, help="of the shop")
    parser.add_argument("--users", type=int, default=6000, help="how many shoppers it has")
    given = parser.parse_args()
    places = Places(given.out)
    make_shop(places, ShopConfig(users=given.users, seed=given.seed, policy=Policy.EXPLORE))
    runs = train_runs(places, LABELS, given.seed)
    request = EvaluationRequest(
        places.shop, places.snapshot, SYSTEMS, runs, write_scores(places), test_days=TEST_DAYS, truth=truth_of(places)
    )
    with progress("evaluating") as update:
        found = evaluate(request, update=lambda stage, done, total: update(done, total))
    with writing(given.out / "story.json") as draft:
        draft.write_text(json.dumps([asdict(line) for line in lines_of(found)], indent=1) + "\n")
    page = write_report(found, given.out)
    sys.stdout.write("\n".join([found.headline.line, HEADING, *map(_told, lines_of(found)), f"Wrote {page}."]) + "\n")


if __name__ == "__main__":
    main()
