"""Users by the CLIP user tower, against the tower's equation by hand."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from indexing.publish import build_snapshot
from labelcraft.conventional.embedding import EmbedRequest, embed
from labelcraft.conventional.user_vectors import about_user_vectors
from retrieval.conventional import load_user_vectors
from retrieval.errors import TableError
from retrieval.snapshot import open_snapshot
from retrieval.tables import Columns as C
from tests.stores import START, HandStore, write_catalogue


@pytest.fixture(name="request_of")
def _request_of(tmp_path):
    """Ann views p1 and, a half-life later, p2; later still p1 again. Bob views p1 at the very end."""
    HandStore("videos", tmp_path / "videos").write({"v1": 0})
    HandStore("products", tmp_path / "products").write({"p1": 0, "p2": 0})
    shop = write_catalogue(tmp_path / "shop", ["v1"], ["p1", "p2"])
    days = [("ann", "p1", 30), ("ann", "p2", 37), ("ann", "p1", 50), ("bob", "p1", 50)]
    rows = [(user, product, "view", START + timedelta(days=day)) for user, product, day in days]
    names = [C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT]
    pl.DataFrame(rows, names, orient="row").write_parquet(shop / "interactions.parquet")
    build_snapshot(tmp_path / "videos", tmp_path / "products", shop, tmp_path / "snapshot")

    def make(days):
        before = (START + timedelta(days=days)).isoformat()
        return EmbedRequest(shop, tmp_path / "users.parquet", "clip", tmp_path / "snapshot", before)

    return make


def test_a_user_is_the_decayed_mean_of_what_was_touched_before_the_time(request_of):
    request = request_of(40)
    products = open_snapshot(request.snapshot).space.product_vectors.astype(np.float64)

    made = embed(request)

    users = load_user_vectors(request.out)
    assert users.ids == ["ann"]
    np.testing.assert_allclose(users.vectors[0], (products[0] / 2 + products[1]) / 1.5, rtol=1e-6)
    assert (made.users, made.without, made.dim) == (1, 1, 8)  # bob came later
    assert about_user_vectors(request.out)["method"] == "clip"


def test_nobody_that_touched_anything_is_said(request_of):
    with pytest.raises(TableError, match="No product of the snapshot was touched before 2026-01-02"):
        embed(request_of(1))
