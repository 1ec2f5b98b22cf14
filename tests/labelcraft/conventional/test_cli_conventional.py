"""Users embedded, a tower trained and its vectors: as a person meets them, on a shop of two tastes."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from labelcraft.conventional.jobs import TrainRequest, newer_vectors, train_conventional
from labelcraft.conventional.options import Loss, TowerOptions
from labelcraft.conventional.run_folder import open_run
from labelcraft.conventional.user_vectors import AlsOptions, about_user_vectors, als_vectors, load_interactions
from retrieval.conventional import load_user_vectors, open_vectors
from retrieval.errors import ConfigError, ModelError, TableError
from retrieval.log import to_us
from retrieval.recommend import parse_at
from tests.commands import caller
from tests.labelcraft.conventional.tasty_shop import SPLIT, at, write_shop

OPTIONS = TowerOptions(hidden=(16,), width=4, batch_size=64, max_epochs=8, patience=8, learning_rate=0.02)


def silent(done, total):
    pass


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    """A shop, its users' vectors and a run, made by the commands."""
    folder = tmp_path_factory.mktemp("conventional")
    write_shop(folder / "shop")
    return folder


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, folder):
    monkeypatch.chdir(folder)
    return caller(monkeypatch, capsys)


@pytest.fixture(name="users")
def _users(folder, lookreel):
    if not (folder / "users.parquet").exists():
        args = ("--tables", "shop", "--out", "users.parquet", "--before", SPLIT, "--factors", 4, "--json")
        code, _, error = lookreel("users", "embed", *args)
        assert code == 0, error
    return folder / "users.parquet"


@pytest.fixture(name="request_of")
def _request_of(folder, users):
    def make(name, **choices):
        options = replace(OPTIONS, **{key: choices.pop(key) for key in ("loss", "in_batch") if key in choices})
        return TrainRequest(
            folder / "shop", users, folder / name, options=options, before=choices.pop("before", SPLIT), **choices
        )

    return make


def kinds_apart(run, videos=range(16)):
    """By how much users prefer videos of their own kind, in logits, on average."""
    vectors = open_vectors(run)
    rows = [vectors.video_ids.index(f"v{v:02d}") for v in videos]
    scores = vectors.users @ vectors.videos[rows].T
    odd_users = np.array([int(user[1:]) % 2 for user in vectors.user_ids])
    same = odd_users[:, None] == np.array([v % 2 for v in videos])
    return scores[same].mean() - scores[~same].mean()


def test_users_of_one_taste_are_near_each_other_and_the_file_says_what_it_knows(users):
    ids, vectors = load_user_vectors(users)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = vectors @ vectors.T

    assert ids == [f"u{u:02d}" for u in range(40)]
    assert near[0, 2] > 0.99
    assert near[0, 1] < 0.5
    assert about_user_vectors(users)["before"] == "2026-01-06T00:00:00+00:00"
    assert about_user_vectors(users)["method"] == "als"


def test_the_same_seed_gives_the_same_users_and_later_events_change_none(folder):
    interactions, options = load_interactions(folder / "shop"), AlsOptions(factors=4)
    before_us = to_us(at(5))

    first = als_vectors(interactions, before_us, options).vectors
    shuffled = interactions.filter(pl.col("occurred_at") < at(5)).sample(fraction=1.0, shuffle=True, seed=3)

    np.testing.assert_array_equal(als_vectors(shuffled, before_us, options).vectors, first)


def test_users_that_touched_nothing_before_are_said(folder, lookreel):
    code, _, error = lookreel("users", "embed", "--tables", "shop", "--before", "2025-01-01")

    assert code == 2
    assert error.startswith("No product was touched before 2025-01-01")


def test_a_method_nobody_knows_and_a_missing_snapshot_are_said(lookreel):
    assert "Choose one of als, clip." in lookreel("users", "embed", "--tables", "shop", "--method", "x")[2]
    code, _, error = lookreel("users", "embed", "--tables", "shop", "--method", "clip", "--before", SPLIT)
    assert (code, error.splitlines()[1]) == (2, "Add --snapshot FOLDER, or --method als.")


def test_the_command_trains_a_run_and_tells_what_it_beat(users, folder, lookreel):
    args = ("--tables", "shop", "--users", users, "--before", SPLIT, "--epochs", 3, "--batch-size", 64, "--out", "told")
    code, out, error = lookreel("train", "conventional", *args)

    assert code == 0, error
    lines = out.splitlines()
    assert lines[0].startswith("W50 by bce, 615 rows before 2026-01-06T00:00:00+00:00, 40 users with vectors; 15 rows")
    assert "by shortness" in lines[2]
    assert lines[-1].startswith("Next: lookreel index build")
    assert (folder / "told" / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("bce", {}),
        ("contrastive", {"loss": Loss.CONTRASTIVE}),
        ("both", {"loss": Loss.CONTRASTIVE, "in_batch": True}),
        ("batch", {"in_batch": True}),
        ("share", {"label": "PCR"}),
    ],
)
def test_every_loss_learns_who_likes_what_and_where_new_videos_belong(request_of, folder, name, choices):
    summary = train_conventional(request_of(name, **choices), silent)

    assert summary.is_auc == (name != "share")
    assert kinds_apart(folder / name) > 0.5
    assert kinds_apart(folder / name, (16, 17)) > 0.3  # no row of theirs was ever seen
    if summary.is_auc:
        assert summary.criterion > 0.75
        assert summary.criterion > max(summary.duration, summary.popularity)
        assert summary.low < summary.criterion < summary.high


def test_dot_products_are_logits(request_of, folder):
    train_conventional(request_of("logits", loss=Loss.CONTRASTIVE), silent)
    vectors = open_vectors(folder / "logits")

    probability = 1 / (1 + np.exp(-(vectors.users @ vectors.videos[:16].T)))

    assert (vectors.about["scale"], vectors.about["bias"]) == (1.0, 0.0)
    assert 0.35 < probability.mean() < 0.65  # half of all views are watched
    np.testing.assert_array_equal(vectors.default, [0] * 4 + [1])


def test_what_a_run_by_another_label_says_is_no_probability_of_watching(request_of, folder):
    train_conventional(request_of("quantile", label="D2Q"), silent)

    assert not {"scale", "bias"} & open_vectors(folder / "quantile").about.keys()


def test_a_seed_gives_the_same_bits_and_what_comes_after_the_split_changes_none(request_of, folder, tmp_path):
    moved = write_shop(tmp_path / "moved", watch_of_last_day=1.0)
    train_conventional(request_of("once"), silent)

    train_conventional(replace(request_of("again"), tables=moved), silent)

    np.testing.assert_array_equal(open_vectors(folder / "again").videos, open_vectors(folder / "once").videos)


def test_newer_videos_get_vectors_of_a_trained_tower(request_of, folder, tmp_path):
    run = folder / "newer"
    train_conventional(request_of("newer"), silent)
    shop = write_shop(tmp_path / "shop")
    videos = pl.read_parquet(shop / "videos.parquet")
    added = videos.filter(pl.col("video_id") == "v00").with_columns(video_id=pl.lit("v18"), published_at=at(5.9))
    pl.concat([videos.filter(pl.col("video_id") != "v17"), added.cast(videos.schema)]).write_parquet(
        shop / "videos.parquet"
    )
    before = open_vectors(run)

    told = newer_vectors(run, shop, None, parse_at(SPLIT))

    after = open_vectors(run)
    assert told == {"out": str(run), "videos": 18, "new": 1, "gone": 1}
    np.testing.assert_array_equal(after.videos[:17], before.videos[:17])
    assert after.trained_before_us == before.trained_before_us
    assert kinds_apart(run, (18, 1)) > 0.3
    assert open_run(run).options == OPTIONS


def test_rows_of_users_without_a_vector_are_counted(request_of):
    summary = train_conventional(request_of("counted"), silent)

    assert (summary.unknown_users, summary.rows_of_unknown_users) == (1, 15)
    assert (summary.videos, summary.videos_without_rows) == (18, 2)


def test_users_that_know_what_comes_after_the_split_are_refused(request_of):
    with pytest.raises(ConfigError, match=r"after the split at 2026-01-04.*\n.*--before 2026-01-04"):
        train_conventional(request_of("late", before="2026-01-04"), silent)


def test_a_curve_of_what_comes_after_the_split_is_refused_and_one_from_before_is_used(folder, request_of, lookreel):
    def curve(before):
        out = folder / f"curve-{before}"
        args = ("--tables", "shop", "--before", before, "--out", out, "--min-reaches", 1, "--json")
        code, _, error = lookreel("evaluate", "propensities", *args)
        assert code == 0, error
        return out / "propensities.json"

    with pytest.raises(ConfigError, match="after the split"):
        train_conventional(request_of("ips-late", ips=curve("2026-01-06T12:00")), silent)
    train_conventional(request_of("ips", ips=curve(SPLIT)), silent)

    assert open_vectors(folder / "ips").about["ips"]
    assert kinds_apart(folder / "ips") > 0.5


def test_what_stands_there_is_replaced_only_when_asked_and_only_a_run(request_of, folder):
    train_conventional(request_of("taken"), silent)
    with pytest.raises(Exception, match="exists already"):
        train_conventional(request_of("taken"), silent)
    train_conventional(request_of("taken", overwrite=True), silent)

    with pytest.raises(Exception, match="holds something else"):
        train_conventional(request_of("shop", overwrite=True), silent)


def test_a_log_without_both_labels_and_too_many_validation_days_are_said(request_of, folder):
    early = write_shop(folder / "early")
    log = pl.read_parquet(early / "impressions.parquet")
    log.with_columns(pl.col("watch_time_s") * 0).write_parquet(early / "impressions.parquet")
    with pytest.raises(TableError, match="All 492 training rows have the label 0"):
        train_conventional(replace(request_of("early-run"), tables=early), silent)

    request = request_of("too-long")
    with pytest.raises(ConfigError, match="0 rows lie before the last 9 days"):
        train_conventional(replace(request, options=replace(OPTIONS, validation_days=9)), silent)
    assert not (folder / "too-long").exists()


def test_a_damaged_run_is_said_in_one_sentence(request_of, folder):
    train_conventional(request_of("damaged"), silent)
    manifest = folder / "damaged" / "manifest.json"
    said = json.loads(manifest.read_text())
    (folder / "damaged" / "vocabulary.json").write_text("{}")

    with pytest.raises(ModelError, match=r"is damaged: vocabulary.json differs"):
        open_run(folder / "damaged")
    manifest.write_text(json.dumps({**said, "format": 9}))
    with pytest.raises(ModelError, match="of format 9, not 1"):
        open_run(folder / "damaged")
    with pytest.raises(ModelError, match="is no run of lookreel train conventional"):
        open_run(folder / "shop")
