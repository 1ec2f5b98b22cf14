"""The README's commands on clips and photos that nobody here made."""

import json
import subprocess

import polars as pl
import pytest

from benchmarks.people_ccby import chance, outfit_groups, precision_at_1
from examples.real_media import write_tables
from indexing.store import open_store
from retrieval.tables import Columns as C
from tests.data import DATA, LOOKREEL, data_folder


@pytest.fixture(name="real", scope="module")
def _real(tmp_path_factory):
    data_folder("people_ccby")
    data_folder("clothing_cc0")
    root = tmp_path_factory.mktemp("real")
    write_tables(DATA, root / "tables")
    lookreel(root, "embed", "products", "tables/products.parquet", "--out", "products")
    lookreel(root, "embed", "videos", "tables/videos.parquet", "--out", "videos")
    lookreel(
        root,
        "index",
        "build",
        "--videos",
        "videos",
        "--products",
        "products",
        "--tables",
        "tables",
        "--out",
        "snapshot",
    )
    return root


def lookreel(root, *args):
    return subprocess.run([LOOKREEL, *args], check=True, cwd=root, capture_output=True, text=True).stdout


def test_the_nearest_clip_is_mostly_of_the_same_outfit(real):
    groups = outfit_groups(DATA)
    store = open_store(real / "videos", "videos")

    hits = precision_at_1(store.vectors, [groups[video_id] for video_id in store.ids])

    assert len(hits) == 20
    assert hits.mean() >= 0.8


def test_similar_answers_as_the_store_does(real):
    answer = json.loads(lookreel(real, "similar", "again", "--snapshot", "snapshot", "-k", "1", "--json"))

    assert outfit_groups(DATA)[answer["videos"][0]["video_id"]] == outfit_groups(DATA)["again"]


def test_everybody_gets_recommendations_with_reasons_of_their_own_kind(real):
    lookreel(real, "recommend", "--all", "--snapshot", "snapshot", "--tables", "tables", "-k", "5")
    one = json.loads(
        lookreel(real, "recommend", "--snapshot", "snapshot", "--tables", "tables", "--user", "likes-hat", "--json")
    )

    table = pl.read_parquet(real / "recommendations.parquet")
    kinds = pl.read_parquet(real / "tables/products.parquet")
    hats = kinds.filter(pl.col(C.CATEGORY) == "hat")[C.PRODUCT_ID].to_list()
    assert table.height == table[C.USER_ID].n_unique() * 5
    assert all(reason["product_id"] in hats for video in one["videos"] for reason in video["reasons"])


def test_chance_is_the_share_of_other_clips_in_the_group():
    # Two of a, one of b: each a has one partner among two others.
    assert chance(["a", "a", "b"]) == 0.5
