"""The conventional space of a snapshot over its life: built, updated, compacted, rolled back, purged, damaged."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from indexing.given import parse_spaces
from indexing.publish import build_snapshot
from indexing.purge import Asked, PurgePlaces, purge
from indexing.update import compact_snapshot, update_snapshot
from indexing.versions import rollback_snapshot
from retrieval.conventional import open_vectors
from retrieval.errors import ConfigError, SnapshotError
from retrieval.log import to_us
from retrieval.recommend import log_of, recommend_all, recommend_user
from retrieval.snapshot import open_snapshot
from retrieval.snapshot_files import object_path
from retrieval.systems import SystemConfig, SystemKind
from retrieval.tables import load_tables
from tests.commands import caller
from tests.given import best_given, given_vector, run_of
from tests.stores import START, HandStore, write_catalogue

VIDEOS = [f"v{number}" for number in range(10)]
KNOWN = VIDEOS[:8]  # v8 and v9 came after the training
CONVENTIONAL = SystemConfig(kind=SystemKind.CONVENTIONAL)
LATER = START + timedelta(days=60)
HAS_VECTOR = "spaces/conventional/has_vector.npy"


class Shop:
    """A small shop in *root*; *run* is a training that knows ann and bob."""

    def __init__(self, root):
        self.root, self.run = root, run_of(KNOWN, ["ann", "bob"])
        self.snapshot = root / "snapshot"
        self.sources = (root / "videos", root / "products", root / "shop")
        HandStore("videos", root / "videos").write(dict.fromkeys(VIDEOS, 0))
        HandStore("products", root / "products").write({"p1": 0, "p2": 0})
        write_catalogue(root / "shop", VIDEOS, ["p1", "p2"])

    def build(self, **how):
        return build_snapshot(*self.sources, self.snapshot, **{"run": self.run, **how})

    def update(self, videos=VIDEOS, new=(), **how):
        if new:
            HandStore("videos", self.root / "videos").write(dict.fromkeys(new, 0))
        write_catalogue(self.root / "shop", videos, ["p1", "p2"])
        return update_snapshot(self.snapshot, *self.sources, **how)

    def open(self, **how):
        return open_snapshot(self.snapshot, **how)


@pytest.fixture(name="shop")
def _shop(tmp_path):
    return Shop(tmp_path)


def vectors_of(snapshot):
    """What the space holds, by video id; None for those without."""
    given = snapshot.conventional
    return {
        video: given.video_vectors[row].tolist() if given.has[row] else None
        for row, video in enumerate(snapshot.video_ids.ids)
    }


def of_training(videos, known):
    return {video: given_vector(video).tolist() if video in known else None for video in videos}


def shown(snapshot, user, k=10, **how):
    feed = snapshot.feed([], k, at=LATER, system=CONVENTIONAL, user_id=user, **how)
    return feed, [video.video_id for video in feed.videos]


def test_a_build_puts_the_vectors_of_a_run_beside_its_videos_and_counts_those_without(shop):
    summary = shop.build()

    assert (summary.conventional.videos_with, summary.conventional.videos_without) == (8, 2)
    assert summary.conventional.n_users == 2
    opened = shop.open()
    assert vectors_of(opened) == of_training(VIDEOS, KNOWN)
    np.testing.assert_array_equal(opened.conventional.of_users(["bob"]).vectors[0], given_vector("bob"))
    assert opened.conventional.about == {"label": "watched", "loss": "bce"}


def test_a_snapshot_without_a_run_names_nothing_of_it_and_says_how_to_put_one_in(shop):
    shop.build(run=None)

    opened = shop.open()
    assert opened.conventional is None
    assert not [name for name, _ in opened.manifest.objects() if "conventional" in name]
    assert set(opened.manifest.spaces) == {"clip"}
    with pytest.raises(SnapshotError, match="no vectors of a conventional training") as refused:
        shown(opened, "ann")
    assert "lookreel index update --space conventional=RUN" in refused.value.cure


def test_a_feed_is_that_of_plain_dot_products_over_the_videos_that_have_a_vector(shop):
    shop.build()

    feed, found = shown(shop.open(), "ann")

    assert found == best_given(KNOWN, given_vector("ann"), 10)
    assert (feed.returned, feed.eligible, feed.exact, feed.known, feed.personal) == (8, 8, True, True, True)
    assert feed.videos[0].score == pytest.approx(given_vector(found[0]) @ given_vector("ann"))
    assert {video.reasons for video in feed.videos} == {()}
    assert {video.moment_s for video in feed.videos} == {None}


def test_filters_seen_videos_and_rules_hold_for_it_too(shop):
    shop.build()
    best = best_given(KNOWN, given_vector("ann"), 8)

    _, without_best = shown(
        shop.open(), "ann", seen=best[:1], where={"title": [video for video in KNOWN if video != best[1]]}
    )

    assert without_best == best[2:]


def test_a_user_nobody_knows_gets_the_default_vector_and_is_told_so(shop):
    shop.build()

    feed, found = shown(shop.open(), "zed")

    assert found == best_given(KNOWN, shop.run.default, 10)
    assert (feed.known, feed.personal) == (False, True)


def test_recommendations_of_all_users_are_their_feeds(shop):
    shop.build()
    opened = shop.open()
    log = log_of(opened, load_tables(shop.root / "shop"), CONVENTIONAL)

    table = recommend_all(opened, log, 3, "conventional", CONVENTIONAL, log.end_us, ())

    assert table["user_id"].unique().to_list() == ["ann"]  # the only one in the log
    assert table["video_id"].to_list() == best_given(KNOWN, given_vector("ann"), 3)


def test_what_was_trained_later_is_not_asked_in_the_past(shop):
    shop.build(run=run_of(KNOWN, ["ann"], trained_before_us=to_us(START + timedelta(days=2))))
    opened = shop.open()
    log = log_of(opened, load_tables(shop.root / "shop"), CONVENTIONAL)

    with pytest.raises(ConfigError, match="later than the time of asking"):
        recommend_user(opened, log, "ann", 3, "x", CONVENTIONAL, to_us(START + timedelta(days=1)), ())


def test_an_update_carries_the_vectors_over_and_new_videos_have_none(shop):
    shop.build()
    videos = ["v10", *(video for video in VIDEOS if video != "v2")]

    summary = shop.update(videos, new=["v10"])

    assert vectors_of(shop.open()) == of_training(videos, KNOWN)
    assert (summary.conventional.videos_with, summary.conventional.videos_without) == (7, 3)
    assert shop.open().conventional.users.ids == ["ann", "bob"]


def test_an_update_takes_another_run_and_the_same_one_changes_nothing(shop):
    shop.build()
    other = run_of(VIDEOS, ["ann", "cleo"])
    other = open_saved(shop.root / "other", other)

    first, again = shop.update(run=other), shop.update(run=other)

    assert (first.published, again.published) == (True, False)
    assert again.conventional == first.conventional
    assert vectors_of(shop.open()) == of_training(VIDEOS, VIDEOS)
    assert shop.open().conventional.users.ids == ["ann", "cleo"]


def open_saved(folder, run):
    from retrieval.conventional import save_vectors

    folder.mkdir()
    save_vectors(folder, run)
    return open_vectors(folder)


def test_a_compaction_keeps_every_vector_and_a_rollback_brings_the_old_ones_back(shop):
    first = shop.build().version
    shop.update(["v10", *VIDEOS[3:]], new=["v10"])
    before = vectors_of(shop.open())

    compact_snapshot(shop.snapshot)

    assert len(shop.open().manifest.segments) == 1
    assert vectors_of(shop.open()) == before
    rollback_snapshot(shop.snapshot, first)
    assert vectors_of(shop.open()) == of_training(VIDEOS, KNOWN)


def test_a_version_that_shares_the_space_takes_it_over_from_the_one_opened_before(shop):
    shop.build()
    known = shop.open()
    write_catalogue(shop.root / "shop", VIDEOS, ["p1", "p2"], titles={"v0": "Another title"})
    update_snapshot(shop.snapshot, *shop.sources)

    opened = shop.open(known=known)

    assert opened.version != known.version
    assert opened.conventional is known.conventional


def test_a_damaged_vector_is_found_when_it_is_opened(shop):
    shop.build()
    manifest = shop.open().manifest
    file = object_path(shop.snapshot, HAS_VECTOR, manifest.files[HAS_VECTOR])
    file.write_bytes(file.read_bytes()[:-1] + b"\7")

    with pytest.raises(SnapshotError, match=r"has_vector\.npy"):
        shop.open()


def test_a_manifest_that_lacks_a_file_of_the_space_is_damaged(shop):
    version = shop.build().version
    file = shop.snapshot / "versions" / f"{version}.json"
    fields = json.loads(file.read_text())
    del fields["files"][HAS_VECTOR]
    from retrieval.snapshot_files import version_of

    bound = ("as_of", "markets", "spaces", "segments", "files", "stores")
    fields["version"] = version_of({name: fields[name] for name in bound})
    (file.parent / f"{fields['version']}.json").write_text(json.dumps(fields))

    with pytest.raises(SnapshotError, match=f"does not name {HAS_VECTOR}"):
        shop.open(version=fields["version"])


def test_a_purge_takes_the_video_s_vector_out_of_every_version(shop):
    shop.build()
    shop.update([*VIDEOS[1:]])
    vector = given_vector("v3").astype(np.float16).tobytes()
    assert holding(shop, vector)

    purge(
        Asked(videos=("v3",)), PurgePlaces(shop.snapshot, shop.root / "videos"), shop.root / "receipt.json",
        datetime.now(UTC),
    )  # fmt: skip

    left = [video for video in VIDEOS[1:] if video != "v3"]
    assert vectors_of(shop.open()) == of_training(left, KNOWN)
    assert not holding(shop, vector)


def holding(shop, content):
    return [file for file in (shop.snapshot / "objects").iterdir() if content in file.read_bytes()]


@pytest.mark.parametrize(
    "texts", [["clip=run"], ["conventional"], ["conventional="], ["conventional=a", "conventional=b"]]
)
def test_a_space_that_is_not_written_as_name_and_run_is_refused(texts):
    with pytest.raises(ConfigError, match="is not one space and its run"):
        parse_spaces(texts)


class TestGate:
    """A version that breaks a bound is not published, and nothing of it is left."""

    @pytest.fixture(name="lookreel")
    def _lookreel(self, shop, monkeypatch, capsys):
        monkeypatch.chdir(shop.root)
        call, sources = (
            caller(monkeypatch, capsys),
            ("--videos", "videos", "--products", "products", "--tables", "shop"),
        )
        return lambda verb, place, *args: call("index", verb, *sources, place, "snapshot", *args)

    def bounds(self, shop, text):
        (shop.root / "gate.toml").write_text(f"[gate]\nk = 2\n{text}\n")
        return ("--gate", "gate.toml")

    def state(self, shop):
        return sorted(str(file) for file in shop.snapshot.rglob("*")), (shop.snapshot / "manifest.json").read_bytes()

    def test_an_update_that_breaks_a_bound_ends_with_3_and_leaves_everything_as_it_was(self, shop, lookreel):
        shop.build(run=None)
        before = self.state(shop)
        write_catalogue(shop.root / "shop", VIDEOS[:5], ["p1", "p2"])

        # Two of five videos are shown to the only user: coverage is 0.4.
        code, _, said = lookreel("update", "--snapshot", *self.bounds(shop, "coverage = { min = 0.5 }"))

        assert code == 3
        assert "the share of videos that anybody is shown is 0.4, less than 0.5" in said
        assert self.state(shop) == before

    def test_one_that_keeps_its_bounds_is_published_and_tells_what_was_measured(self, shop, lookreel):
        shop.build(run=None)
        write_catalogue(shop.root / "shop", VIDEOS[:5], ["p1", "p2"])

        code, out, _ = lookreel("update", "--snapshot", "--json", *self.bounds(shop, "coverage = { min = 0.4 }"))

        assert code == 0
        gate = json.loads(out)["gate"]
        assert (gate["system"], gate["broken"], gate["measures"]["coverage"]) == ("multimodal", [], 0.4)
        assert shop.open().videos.height == 5

    def test_a_first_build_that_breaks_a_bound_publishes_nothing(self, shop, lookreel):
        code, out, _ = lookreel("build", "--out", "--json", *self.bounds(shop, "exposure_gini = { max = 0.1 }"))

        assert code == 3
        assert json.loads(out)["published"] is False
        assert not (shop.snapshot / "manifest.json").exists()
        assert not list((shop.snapshot / "objects").iterdir())
        assert lookreel("build", "--out")[0] == 0

    def test_users_whom_a_training_does_not_know_are_compared_with_the_live_version(self, shop, lookreel):
        shop.build()
        unknown = open_saved(shop.root / "run", run_of(VIDEOS, ["bob"]))
        gate = self.bounds(shop, 'system = "conventional"\nfallback_share = { max_rise_over_live = 0.5 }')

        code, _, said = lookreel("update", "--snapshot", "--space", f"conventional={shop.root / 'run'}", *gate)

        assert unknown.user_ids == ["bob"]  # so ann, the only user of the log, would get the default
        assert code == 3
        assert "is 1, more than 0.5 above 0 of the live version" in said

    def test_a_live_version_that_cannot_be_asked_is_told_rather_than_taken_for_a_bound(self, shop, lookreel):
        shop.build(run=None)
        open_saved(shop.root / "run", run_of(VIDEOS, ["ann"]))
        gate = self.bounds(shop, 'system = "conventional"\nfallback_share = { max_rise_over_live = 0.5 }')

        code, out, _ = lookreel("update", "--snapshot", "--space", "conventional=run", *gate)

        assert code == 0
        assert "Not compared with the live version, since the live version cannot answer by conventional" in out
        assert "10 videos have one, 0 have none" in out

    def test_the_next_command_asks_the_system_whose_vectors_were_put_in(self, shop, lookreel):
        open_saved(shop.root / "run", run_of(VIDEOS, ["ann"]))

        code, out, _ = lookreel("build", "--out", "--space", f"conventional={shop.root / 'run'}")

        assert code == 0
        assert "Next: lookreel recommend --system conventional --snapshot " in out

    def test_durations_are_measured_where_the_table_has_them(self, shop, lookreel):
        table = pl.read_parquet(shop.root / "shop/videos.parquet").with_columns(duration_s=pl.lit(3.0))
        table.write_parquet(shop.root / "shop/videos.parquet")

        code, _, said = lookreel("build", "--out", *self.bounds(shop, "median_duration_s = { min = 5 }"))

        assert code == 3
        assert "in seconds, is 3, less than 5" in said
