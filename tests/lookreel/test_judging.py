"""The frames of an embedding store for the judge, and `lookreel judge run` on a small real shop."""

import json

import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.publish import build_snapshot
from judge.columns import J
from judge.store import load_asked, load_judgments
from lookreel.judging import open_frames
from retrieval.errors import StoreError
from retrieval.tables import Columns as C
from tests import shop
from tests.commands import caller
from tests.encoders import MeanColourEncoder
from tests.stores import HandStore, poster_of


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory):
    """The tiny shop, its stores and its snapshot."""
    root = tmp_path_factory.mktemp("judging")
    shop.write_shop(root / "shop")
    embed_products(root / "shop/products.parquet", root / "products", MeanColourEncoder(), EmbedOptions(workers=1))
    embed_videos(root / "shop/videos.parquet", root / "videos", MeanColourEncoder(), EmbedOptions(workers=1, frames=3))
    build_snapshot(root / "videos", root / "products", root / "shop", root / "snapshot")
    return root


@pytest.fixture(name="run")
def _run(lookreel, built):
    """Run `lookreel judge run` on the tiny shop."""
    places = ("--snapshot", built / "snapshot", "--tables", built / "shop", "--frames", built / "videos")
    return lambda *args: lookreel("judge", "run", *places, *args)


def test_frames_are_those_of_the_last_shard_that_has_the_video(tmp_path):
    store = HandStore("videos", tmp_path / "videos").write({"v1": 0, "v2": 0}, {"v2": 1, "v3": 0}, set_aside=["v3"])

    read = {video.video_id: video for video in open_frames(str(store.path)).iter_frames(["v2", "v3", "v9", "v1", "v2"])}

    assert list(read) == ["v1", "v2"]
    assert read["v2"].frames == (poster_of("v2", 1, 0), poster_of("v2", 1, 1))
    assert read["v2"].times_s == (0.01, 1.01)


def test_a_video_that_was_embedded_again_has_another_signature(tmp_path):
    store = HandStore("videos", tmp_path / "videos").write({"v1": 0, "v2": 0})
    before = dict(open_frames(str(store.path)).signatures(["v1", "v2", "v9"]))

    store.write({"v2": 1})

    after = open_frames(str(store.path)).signatures(["v1", "v2", "v9"])
    assert before.keys() == after.keys() == {"v1", "v2"}
    assert before["v1"] == after["v1"]
    assert before["v2"] != after["v2"]


def test_a_damaged_shard_is_refused_when_it_is_read(tmp_path):
    store = HandStore("videos", tmp_path / "videos").write({"v1": 0})
    (store.path / "parts-00000.parquet").write_bytes(b"damaged")
    frames = open_frames(str(store.path))

    with pytest.raises(StoreError, match=r"parts-00000.parquet is missing or differs"):
        list(frames.iter_frames(["v1"]))


def test_a_store_of_products_is_refused(built):
    with pytest.raises(StoreError, match="not of videos"):
        open_frames(str(built / "products"))


def test_systems_are_judged_without_a_file_and_the_next_command_is_named(run, tmp_path):
    code, out, _ = run("--system", "recency", "--system", "multimodal", "--judge", "attributes", "-k", 2)

    # Ann and Bob, two videos of each list; Ann has seen red, Bob blue, so recency gives both white, then blue or green.
    asked = load_asked(tmp_path / "judgments")
    assert code == 0
    assert "Next: lookreel judge report --judgments judgments" in out
    assert asked.group_by(C.SYSTEM).len().sort(C.SYSTEM).rows() == [("multimodal", 4), ("recency", 4)]
    recency = asked.filter(pl.col(C.SYSTEM) == "recency").join(load_judgments(tmp_path / "judgments"), on=J.KEY)
    # What colour says: Bob looked at green alone. The title's words are all said by colour or dull.
    grades = {(row[C.USER_ID], row[C.VIDEO_ID]): row[J.GRADE] for row in recency.iter_rows(named=True)}
    assert grades["bob", "v-green"] == 5
    assert grades["bob", "v-white"] < 5
    assert pl.read_parquet(tmp_path / "judgments" / "recommendations.parquet")[C.SYSTEM].n_unique() == 2


def test_a_second_run_finds_everything_there(run):
    first = json.loads(run("--system", "recency", "--judge", "attributes", "--json")[1])
    second = json.loads(run("--system", "recency", "--judge", "attributes", "--json")[1])

    # Four videos, of which each of the two users has seen one.
    assert (first["judgments"], first["judged"], second["judged"], second["cached"]) == (6, 6, 0, 6)
    assert second["short_histories"] == 2


def test_a_plan_writes_nothing(run, tmp_path):
    code, out, _ = run("--system", "recency", "--judge", "attributes", "--plan")

    assert code == 0
    assert "Asked: 6 judgments for 2 users (2 could be drawn)" in out
    assert "Missing: 6 calls of the judge" in out
    assert not (tmp_path / "judgments").exists()


def test_a_file_of_recommendations_is_judged_and_one_of_another_snapshot_refused(lookreel, run, built, tmp_path):
    lookreel("recommend", "--all", "--snapshot", built / "snapshot", "--tables", built / "shop")
    good, out, _ = run("--recommendations", "recommendations.parquet", "--judge", "attributes", "--json")
    table = pl.read_parquet("recommendations.parquet").with_columns(pl.lit("000099").alias(C.SNAPSHOT))
    table.write_parquet("other.parquet")

    code, _, error = run("--recommendations", "other.parquet", "--judge", "attributes")

    assert (good, json.loads(out)["judged"]) == (0, 6)
    assert code == 2
    assert error.startswith("other.parquet is of version 000099 of a snapshot")
    assert len(error.strip().splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "Judging needs recommendations"),
        (("--system", "best"), "There is no system best."),
        (("--system", "recency", "--judge", "oracle"), "There is no judge oracle."),
        (("--system", "recency", "--rubric", "9"), "There is no rubric 9."),
        (("--recommendations", "absent.parquet", "--judge", "attributes"), "There is no table absent.parquet."),
        (("--system", "recency", "--judge", "attributes", "--judge-option", "x=1"), "The judge has no option x=1."),
    ],
)
def test_what_cannot_be_used_is_one_message_and_its_cure(run, args, message):
    code, _, error = run(*args)

    assert code == 2
    assert error.startswith(message)
    assert len(error.strip().splitlines()) == 2
