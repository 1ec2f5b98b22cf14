"""What the tower reads, by hand."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from labelcraft.conventional.features import encode, fit_vocabulary, videos_of
from retrieval.tables import Columns as C

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(name="videos")
def _videos():
    table = pl.DataFrame(
        {
            C.VIDEO_ID: ["v0", "v1", "v2"],
            C.URI: ["a.mp4", "b.mp4", "c.mp4"],
            C.TITLE: ["One", "Two", "Three"],
            C.PUBLISHED_AT: [DAY] * 3,
            C.DURATION_S: [5.0, None, 20.0],
            C.PRODUCT_IDS: [["p0", "p1"], [], ["p1", "p1"]],
            C.CREATOR_ID: ["ann", None, "ann"],
            "mood": ["calm", "calm", "loud"],
            "note": ["x1", "x2", "x3"],
        }
    )
    products = pl.DataFrame({C.PRODUCT_ID: ["p0", "p1"], C.CATEGORY: ["hat", "bag"]})
    return videos_of(table, products)


def test_the_shop_s_own_columns_are_features_but_what_is_nearly_a_key_is_not(videos):
    assert set(videos.bags) == {"video", "creator", "products", "product_category", "mood"}


def test_every_level_of_training_has_a_code_and_bags_are_filled_up(videos):
    vocabulary = fit_vocabulary(videos, np.array([0, 2]), min_count=1, n_buckets=2)

    codes = encode(videos, vocabulary)

    assert vocabulary.levels["products"] == ("p0", "p1")
    assert codes["products"].tolist() == [[2, 3], [1, 0], [3, 0]]
    assert codes["video"].tolist() == [[2], [1], [3]]  # v1 was never watched
    assert codes["creator"].tolist() == [[2], [1], [2]]


def test_a_level_with_too_few_rows_is_new(videos):
    vocabulary = fit_vocabulary(videos, np.array([0, 2, 2]), min_count=2, n_buckets=2)

    assert vocabulary.levels["video"] == ("v2",)
    assert vocabulary.levels["products"] == ("p1",)
    assert encode(videos, vocabulary)["products"].tolist() == [[2], [1], [2]]


def test_durations_are_in_buckets_of_training_and_an_unknown_one_is_new(videos):
    vocabulary = fit_vocabulary(videos, np.array([0, 0, 2, 2]), min_count=1, n_buckets=2)

    assert vocabulary.duration_edges_s == (5.0,)
    assert encode(videos, vocabulary)["duration"].tolist() == [[2], [1], [3]]
