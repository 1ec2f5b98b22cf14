import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from retrieval.errors import UserFacingError
from retrieval.tables import load_tables
from sample_shop.build import ShopConfig, build_shop
from sample_shop.policies import Policy
from sample_shop.relevance import grade
from sample_shop.truth import load_items
from sample_shop.watching import Dials

CONFIG = ShopConfig(videos=120, products=120, users=60, media=False)
COLUMNS = {
    "videos": [
        "video_id", "uri", "published_at", "duration_s", "title", "creator_id", "brand", "product_ids", "hashtags",
        "markets", "language",
    ],
    "products": [
        "product_id", "title", "description", "brand", "category", "color", "price", "image_uris", "available",
        "popularity", "language", "offers",
    ],
    "interactions": [
        "event_id", "user_id", "product_id", "event", "occurred_at", "session_id", "query", "market",
    ],
    "impressions": [
        "feed_id", "user_id", "video_id", "position", "shown_at", "reached", "watch_time_s", "liked", "commented",
        "followed", "shared", "system", "selection_propensity", "examination_propensity",
    ],
    "users": ["user_id", "market", "language", "segment"],
    "truth": ["user_id", "video_id", "day", "interest", "p_watch50_if_examined", "label_if_examined"],
    "truth_positions": ["position", "examination_propensity"],
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "shop"
    build_shop(folder, CONFIG)
    return folder


def read(shop: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(shop / f"{name}.parquet")


def hashes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_have_the_columns_of_the_design(shop, name):
    assert read(shop, name).columns == COLUMNS[name]


def test_tables_pass_their_own_check_without_a_rejected_row(shop):
    tables = load_tables(shop)

    assert tables.rejected.is_empty()
    assert tables.videos.height == tables.products.height == 120


def test_times_are_utc_microseconds(shop):
    assert read(shop, "interactions")["occurred_at"].dtype == pl.Datetime("us", "UTC")
    assert read(shop, "impressions")["shown_at"].dtype == pl.Datetime("us", "UTC")
    assert read(shop, "videos")["published_at"].dtype == pl.Datetime("us", "UTC")


def test_watch_time_is_null_exactly_where_a_slot_was_not_reached(shop):
    impressions = read(shop, "impressions")

    assert impressions["watch_time_s"].is_nan().sum() == 0
    assert impressions["watch_time_s"].is_null().equals(~impressions["reached"])


def test_queries_name_a_colour_and_a_kind_and_are_null_elsewhere(shop):
    interactions, products = read(shop, "interactions"), read(shop, "products")
    query = interactions["query"].drop_nulls()

    assert 0 < len(query) < interactions.height
    assert query.str.split(" ").list.first().is_in(products["color"].unique().implode()).all()
    assert query.str.split(" ").list.last().is_in(products["category"].unique().implode()).all()


def test_truth_has_every_pair_on_the_last_day_and_every_impression(shop):
    truth, impressions = read(shop, "truth"), read(shop, "impressions")
    day = (pl.col("shown_at") - pl.lit("2026-03-02").str.to_datetime(time_zone="UTC")).dt.total_days()

    shown = impressions.with_columns(day=day).join(truth, on=["user_id", "video_id", "day"], how="inner")

    assert truth.filter(day=13).height == 60 * 120
    assert shown.height == impressions.height
    assert truth.select("user_id", "video_id", "day").is_duplicated().sum() == 0


def test_where_the_log_shows_a_half_watch_truth_has_it_too(shop):
    truth, videos = read(shop, "truth"), read(shop, "videos").select("video_id", "duration_s")
    day = (pl.col("shown_at") - pl.lit("2026-03-02").str.to_datetime(time_zone="UTC")).dt.total_days()
    log = read(shop, "impressions").with_columns(day=day).join(videos, on="video_id")

    joined = log.join(truth, on=["user_id", "video_id", "day"], how="inner")
    positive = joined.filter(pl.col("watch_time_s") >= 0.5 * pl.col("duration_s"))

    assert positive.height > 50
    assert positive["label_if_examined"].all()


def test_finish_is_in_no_table_but_the_truth_of_products(shop):
    texts = [
        *read(shop, "products")["title"], *read(shop, "products")["description"], *read(shop, "videos")["title"],
        *read(shop, "interactions")["query"].drop_nulls().unique(),
    ]  # fmt: skip

    assert not any(finish in text for text in texts for finish in ("tonal", "trimmed", "blocked"))
    assert set(read(shop, "truth_products")["finish"]) == {"tonal", "trimmed", "blocked"}


def test_products_of_the_shop_can_be_graded(shop):
    items = load_items(shop)

    assert grade([items["p00000"]], [items["p00000"]]) == 5


def test_examination_propensities_are_listed_by_position(shop):
    positions = read(shop, "truth_positions")

    assert positions["position"].to_list() == list(range(1, 13))
    # position 5: (8/4)^-1 · 5^-0.3
    assert positions["examination_propensity"][4] == pytest.approx(0.5 * 5**-0.3)


def test_shop_json_tells_how_to_build_it_again(shop):
    config = json.loads((shop / "shop.json").read_text())["config"]

    assert (config["videos"], config["users"], config["seed"], config["policy"]) == (120, 60, 7, "recency")
    assert config["dials"]["position"] == 1.0


def test_the_same_seed_makes_the_same_bytes(shop, tmp_path):
    build_shop(tmp_path / "again", CONFIG)

    assert hashes(tmp_path / "again") == hashes(shop)


def test_another_seed_makes_another_shop(shop, tmp_path):
    build_shop(tmp_path / "other", ShopConfig(videos=120, products=120, users=60, seed=8, media=False))

    assert not read(tmp_path / "other", "interactions").equals(read(shop, "interactions"))


def test_dials_and_policy_reach_the_log(tmp_path):
    config = ShopConfig(videos=40, products=40, users=20, media=False, policy=Policy.RANDOM, dials=Dials(position=0))

    build_shop(tmp_path / "shop", config)

    impressions = read(tmp_path / "shop", "impressions")
    assert impressions["reached"].all()
    assert impressions["system"].unique().to_list() == ["random"]
    assert impressions["selection_propensity"].max() < 1


def test_summary_counts_what_was_written(tmp_path):
    summary = build_shop(tmp_path / "shop", ShopConfig(videos=600, products=60, users=100, media=False))

    assert summary.interactions == read(tmp_path / "shop", "interactions").height
    assert summary.impressions == read(tmp_path / "shop", "impressions").height
    assert summary.unseen_share >= 0.6
    assert (summary.photos, summary.clips) == (0, 0)


@pytest.mark.parametrize(("videos", "products", "users", "days"), [(1, 1, 1, 1), (1, 3, 2, 1), (5, 1, 3, 2)])
def test_the_smallest_shops_can_be_built(tmp_path, videos, products, users, days):
    summary = build_shop(tmp_path / "shop", ShopConfig(videos, products, users, days, media=False))

    assert summary.impressions >= 1


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")

    with pytest.raises(UserFacingError, match="not empty"):
        build_shop(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_build_that_fails_leaves_nothing_behind(tmp_path):
    @contextmanager
    def failing(stage: str) -> Iterator[Callable[[int, int], None]]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        build_shop(tmp_path / "shop", CONFIG, failing)

    assert list(tmp_path.iterdir()) == []


def test_media_are_where_the_tables_say(tmp_path):
    pytest.importorskip("PIL", reason="photos need the extra embed")
    pytest.importorskip("av", reason="clips need the extra embed")

    summary = build_shop(tmp_path / "shop", ShopConfig(videos=2, products=3, users=2, days=2))

    photos = read(tmp_path / "shop", "products")["image_uris"].explode()
    clips = read(tmp_path / "shop", "videos")["uri"]
    sizes = np.array([(tmp_path / "shop" / uri).stat().st_size for uri in [*photos, *clips]])
    assert (sizes > 1000).all()
    assert (summary.photos, summary.clips) == (len(photos), 2)
