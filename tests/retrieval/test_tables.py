"""What is refused, what is set aside, and what is kept of the input tables."""

import polars as pl
import pytest

from retrieval.errors import TableError
from retrieval.tables import INTERACTIONS, VIDEOS, load_table, load_tables
from retrieval.tables import Columns as C
from tests import shop


@pytest.fixture(name="folder")
def _folder(tmp_path):
    return shop.write_tables(tmp_path / "shop")


def many_interactions(n_unknown):
    """100 views, the first *n_unknown* of products that nobody sells."""
    products = ["nobody-sells-this"] * n_unknown + ["p-red"] * (100 - n_unknown)
    return pl.DataFrame(
        {C.USER_ID: ["ann"] * 100, C.PRODUCT_ID: products, C.EVENT: ["view"] * 100, C.OCCURRED_AT: [shop.at(1)] * 100}
    )


def test_good_tables_keep_every_row_and_unknown_columns(folder):
    shop.videos_frame().with_columns(mood=pl.lit("calm")).write_parquet(folder / "videos.parquet")

    tables = load_tables(folder)

    assert tables.videos["mood"].to_list() == ["calm"] * 4
    assert tables.interactions.height == 4
    assert tables.impressions is not None
    assert tables.users is None
    assert tables.rejected.is_empty()


def test_a_missing_table_is_named(folder):
    (folder / "products.parquet").unlink()

    with pytest.raises(TableError, match=r"no table .*products\.parquet"):
        load_tables(folder)


def test_a_missing_column_is_named_with_what_it_should_hold(folder):
    shop.videos_frame().drop(C.PUBLISHED_AT).write_parquet(folder / "videos.parquet")

    with pytest.raises(TableError, match=r"has no column published_at[\s\S]*a UTC timestamp"):
        load_tables(folder)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (C.VIDEO_ID, pl.Series([1, 2, 3, 4]), "video_id is Int64, not text"),
        (C.PUBLISHED_AT, pl.Series(["2026-01-01"] * 4), "published_at is String, not a UTC timestamp"),
        (C.DURATION_S, pl.Series(["long"] * 4), "duration_s is String, not a number"),
        (C.MARKETS, pl.Series(["de"] * 4), "markets is String, not a list of texts"),
    ],
)
def test_a_wrong_type_is_named_with_its_cure(folder, column, value, words):
    shop.videos_frame().with_columns(value.alias(column)).write_parquet(folder / "videos.parquet")

    with pytest.raises(TableError, match=rf"{words} \(row 0 holds[\s\S]*Before writing the table"):
        load_tables(folder)


def test_a_time_without_a_zone_is_refused(folder):
    naive = shop.videos_frame().with_columns(pl.col(C.PUBLISHED_AT).dt.replace_time_zone(None))
    naive.write_parquet(folder / "videos.parquet")

    with pytest.raises(TableError, match="replace_time_zone"):
        load_tables(folder)


def test_times_in_milliseconds_are_read_as_microseconds(folder):
    frame = shop.videos_frame().with_columns(pl.col(C.PUBLISHED_AT).dt.cast_time_unit("ms"))
    frame.write_parquet(folder / "videos.parquet")

    assert load_tables(folder).videos[C.PUBLISHED_AT][1] == shop.at(1)


def test_a_duplicate_id_is_refused_with_its_row(folder):
    frame = shop.videos_frame()
    pl.concat([frame, frame[2:3]]).write_parquet(folder / "videos.parquet")

    with pytest.raises(TableError, match=r"video_id v-blue stands twice \(again in row 4"):
        load_tables(folder)


def test_an_empty_table_is_refused(folder):
    shop.videos_frame().clear().write_parquet(folder / "videos.parquet")

    with pytest.raises(TableError, match="has no rows"):
        load_tables(folder)


def test_a_file_that_is_not_parquet_is_refused(folder):
    (folder / "videos.parquet").write_text("video_id,uri\n")

    with pytest.raises(TableError, match="cannot be read as parquet"):
        load_tables(folder)


def test_three_percent_unknown_products_are_set_aside_with_row_and_reason(folder):
    many_interactions(3).write_parquet(folder / "interactions.parquet")

    tables = load_tables(folder)

    assert tables.interactions.height == 97
    assert tables.rejected.rows() == [
        ("interactions", row, "product_id names no product of the catalogue") for row in range(3)
    ]


def test_thirty_percent_unknown_products_are_refused_with_the_count(folder):
    many_interactions(30).write_parquet(folder / "interactions.parquet")

    with pytest.raises(TableError, match=r"30 of 100 rows \(30%\) cannot be used"):
        load_tables(folder)


def test_null_times_and_unknown_events_are_set_aside(folder):
    frame = many_interactions(0)
    times = [None, *frame[C.OCCURRED_AT][1:]]
    events = ["view", "teleport", *frame[C.EVENT][2:]]
    frame.with_columns(pl.Series(C.OCCURRED_AT, times), pl.Series(C.EVENT, events)).write_parquet(
        folder / "interactions.parquet"
    )

    rejected = load_tables(folder).rejected

    assert rejected[C.ROW].to_list() == [0, 1]
    assert rejected[C.REASON][0] == "occurred_at is null"
    assert rejected[C.REASON][1].startswith("event is none of shown, view")


@pytest.mark.parametrize("column", [C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT])
def test_nulls_where_a_value_must_be_are_found(folder, column):
    shop.interactions_frame().with_columns(pl.lit(None).alias(column)).write_parquet(folder / "interactions.parquet")

    with pytest.raises(TableError, match=r"4 of 4 rows \(100%\) cannot be used"):
        load_tables(folder)


@pytest.mark.parametrize("column", [C.VIDEO_ID, C.POSITION, C.REACHED, C.FEED_ID])
def test_nulls_in_impressions_are_found(folder, column):
    shop.impressions_frame().with_columns(pl.lit(None).alias(column)).write_parquet(folder / "impressions.parquet")

    with pytest.raises(TableError, match=f"because {column} is null"):
        load_tables(folder)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_a_popularity_that_is_no_count_is_refused(folder, value):
    shop.products_frame().with_columns(popularity=pl.lit(value)).write_parquet(folder / "products.parquet")

    with pytest.raises(TableError, match="popularity is negative or not finite"):
        load_tables(folder)


def test_a_shop_may_have_a_column_called_row(folder):
    shop.videos_frame().with_columns(row=pl.lit("front")).write_parquet(folder / "videos.parquet")

    assert load_tables(folder).videos["row"].to_list() == ["front"] * 4


def test_times_of_a_zone_that_is_utc_by_another_name_are_read(folder):
    frame = shop.videos_frame().with_columns(pl.col(C.PUBLISHED_AT).dt.convert_time_zone("Etc/UTC"))
    frame.write_parquet(folder / "videos.parquet")

    assert load_tables(folder).videos[C.PUBLISHED_AT][1] == shop.at(1)


def test_a_video_keeps_its_row_when_one_of_its_products_is_unknown(folder):
    videos = pl.concat([shop.videos_frame().with_columns(pl.col(C.VIDEO_ID) + f"-{copy}") for copy in range(10)])
    ids = videos[C.PRODUCT_IDS].to_list()
    ids[7] = ["p-red", "nobody-sells-this"]
    videos.with_columns(pl.Series(C.PRODUCT_IDS, ids)).write_parquet(folder / "videos.parquet")
    (folder / "impressions.parquet").unlink()

    tables = load_tables(folder)

    assert tables.videos[C.PRODUCT_IDS][7].to_list() == ["p-red"]
    assert tables.rejected[C.ROW].to_list() == [7]


def test_negative_watch_times_and_unknown_videos_are_refused_above_five_percent(folder):
    shop.impressions_frame().with_columns(pl.lit(-1.0).alias(C.WATCH_TIME_S)).write_parquet(
        folder / "impressions.parquet"
    )

    with pytest.raises(TableError, match="watch_time_s is negative or not finite"):
        load_tables(folder)


def test_without_the_other_table_references_are_not_checked(tmp_path):
    many_interactions(30).write_parquet(tmp_path / "interactions.parquet")

    assert load_table(tmp_path / "interactions.parquet", INTERACTIONS).frame.height == 100


def test_a_column_of_nulls_counts_as_its_type(folder):
    shop.videos_frame().with_columns(pl.lit(None).alias(C.DURATION_S)).write_parquet(folder / "videos.parquet")

    assert load_table(folder / "videos.parquet", VIDEOS).frame[C.DURATION_S].dtype == pl.Float64
