"""`lookreel embed …` and `lookreel sync` as an operator meets them."""

import json

import numpy as np
import polars as pl
import pytest

from indexing.store import open_store
from retrieval.snapshot import open_snapshot
from tests import shop
from tests.commands import caller
from tests.indexing.servers import serving


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, tmp_path):
    """Run a command beside a small shop: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    shop.write_shop(tmp_path / "shop")
    return caller(monkeypatch, capsys)


def test_parts_are_embedded_apart_and_joined(lookreel):
    videos = ("embed", "videos", "shop/videos.parquet", "--workers", 1)
    codes = [lookreel(*videos, "--out", f"part-{n}", "--shard", f"{n}/2")[0] for n in (1, 2)]

    code, out, _ = lookreel("embed", "merge", "part-1", "part-2", "--out", "whole", "--json")

    assert (codes, code, json.loads(out)) == ([0, 0], 0, {"store": "whole", "n_items": 4, "n_quarantined": 0})


def test_a_plan_says_what_a_job_would_cost_and_leaves_nothing_behind(lookreel, tmp_path):
    code, out, _ = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--plan", "--workers", 1)
    _, told, _ = lookreel(
        "embed", "videos", "shop/videos.parquet", "--out", "store", "--plan", "--workers", 1, "--json"
    )

    assert code == 0
    assert out.startswith("4 of 4 videos are to be embedded; a sample of 4 took ")
    assert "core-hours; it would read" in out
    assert json.loads(told)["n_pending"] == 4
    assert not (tmp_path / "store").exists()


def test_the_same_command_again_says_that_nothing_was_left_to_do(lookreel):
    lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--workers", 1)

    code, out, _ = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--workers", 1)

    assert code == 0
    assert out.startswith("0 videos embedded in ")
    assert "store holds 4." in out


def test_a_store_keeps_its_precision_and_another_is_refused(lookreel, tmp_path):
    lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--precision", "fp32", "--workers", 1)

    again = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--workers", 1)
    other = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--workers", 1, "--precision", "bf16")

    assert json.loads((tmp_path / "store/manifest.json").read_text())["precision"] == "fp32"
    assert again[0] == 0
    assert (other[0], other[2].splitlines()) == (2, [
        "store was made with precision fp32, not bf16.",
        "Name another place with --out, or replace it with --overwrite.",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--shard", "3/2"], "3/2 is not a part of a job."),
        (["--shard", "two"], "two is not a part of a job."),
        (["--engine", "slurm"], "There is no engine slurm."),
        (["--precision", "fp8"], "There is no precision fp8."),
        (["--out", "nowhere://bucket/store"], "nowhere://bucket/store cannot be opened"),
        (["--out", "shop"], "shop holds something else than a store."),
        (["--out", "shop/videos.parquet"], "shop/videos.parquet is a file, not a folder."),
    ],
)
def test_bad_options_are_refused_in_a_sentence(lookreel, flags, words):
    code, out, err = lookreel("embed", "videos", "shop/videos.parquet", *flags)

    assert (code, out) == (2, "")
    assert err.startswith(words)
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('decoder = "vlc"', "There is no video reader 'vlc'."),
        ('accuracy = "rough"', "There is no accuracy 'rough' of frames."),
    ],
)
def test_bad_choices_of_the_file_are_refused_in_a_sentence(lookreel, tmp_path, line, words):
    (tmp_path / "lookreel.toml").write_text(f"[embed]\n{line}\n")

    code, _, err = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store")

    assert (code, err.splitlines()[0]) == (2, words)


def test_videos_can_be_read_by_decord_instead(lookreel, tmp_path):
    (tmp_path / "lookreel.toml").write_text('[embed]\ndecoder = "decord"\naccuracy = "exact"\n')
    for colour, rgb in shop.COLOURS.items():  # decord mistakes pictures as small as the shop's
        shop.write_frames(tmp_path / f"shop/clips/{colour}.mp4", [np.full((240, 320, 3), rgb, np.uint8)] * 10)

    code, _, _ = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--workers", 1)

    assert code == 0
    assert json.loads((tmp_path / "store/manifest.json").read_text())["options"]["decoder"] == "decord"


def test_sync_builds_a_snapshot_and_then_has_nothing_to_do(lookreel, tmp_path):
    flags = (
        "--tables",
        "shop",
        "--videos",
        "videos",
        "--products",
        "products",
        "--snapshot",
        "snapshot",
        "--workers",
        1,
    )

    code, first, _ = lookreel("sync", *flags)
    _, second, _ = lookreel("sync", *flags)

    version = open_snapshot(tmp_path / "snapshot").version
    assert code == 0
    assert first.startswith(f"8 items embedded, published {version} (")
    assert second.startswith("0 items embedded, nothing to publish (")


def test_sync_refuses_a_span_without_a_unit(lookreel):
    code, _, err = lookreel("sync", "--tables", "shop", "--watch", "30")

    assert (code, err.splitlines()[0]) == (2, "30 is not a span such as 3d, 12h or 90m.")


def test_media_are_fetched_from_the_places_that_the_file_allows(lookreel, tmp_path):
    clip = (tmp_path / "shop/clips/red.mp4").read_bytes()
    with serving({"/clips/red.mp4": (200, {}, clip)}) as address:
        uris = pl.Series("uri", [f"{address}/clips/red.mp4"])
        shop.videos_frame().head(1).with_columns(uris).write_parquet(tmp_path / "shop/remote.parquet")
        refused = lookreel("embed", "videos", "shop/remote.parquet", "--out", "none", "--workers", 1)
        (tmp_path / "lookreel.toml").write_text(f'[media]\nallowed = ["{address}/clips"]\n')

        allowed = lookreel("embed", "videos", "shop/remote.parquet", "--out", "store", "--workers", 1)

    assert (refused[0], allowed[0]) == (3, 0)
    assert "is not a place that media.allowed in lookreel.toml lets media come from" in refused[1]
    assert open_store(tmp_path / "store", "videos").ids == ["v-red"]


def test_the_file_decides_how_many_items_are_committed_together(lookreel, tmp_path):
    (tmp_path / "lookreel.toml").write_text("[embed]\nshard_size = 3\n")

    lookreel("embed", "videos", "shop/videos.parquet", "--out", "store", "--workers", 1)

    assert [shard.n_items for shard in open_store(tmp_path / "store", "videos").manifest.shards] == [3, 1]


def test_a_ray_cluster_that_does_not_answer_is_told_in_a_sentence(lookreel):
    flags = ("--out", "store", "--engine", "ray", "--ray-address", "127.0.0.1:1")

    code, _, err = lookreel("embed", "videos", "shop/videos.parquet", *flags)

    assert code == 2
    assert err.startswith("There is no Ray cluster at 127.0.0.1:1: ")


def test_the_file_decides_the_index_and_how_many_versions_stay(lookreel, tmp_path):
    flags = (
        "--tables",
        "shop",
        "--videos",
        "videos",
        "--products",
        "products",
        "--snapshot",
        "snapshot",
        "--workers",
        1,
    )
    (tmp_path / "lookreel.toml").write_text(
        '[index]\nkind = "faiss-int8"\n[snapshot]\nkeep_versions = 1\nkeep_days = 0\n'
    )
    lookreel("sync", *flags)
    shop.videos_frame().head(3).write_parquet(tmp_path / "shop/videos.parquet")
    lookreel("sync", *flags)

    _, similar, _ = lookreel("similar", "v-red", "--snapshot", "snapshot", "-k", 1)
    _, info, _ = lookreel("index", "info", "--snapshot", "snapshot", "--json")

    assert "compared approximately" in similar
    assert len(json.loads(info)["versions"]) == 1
