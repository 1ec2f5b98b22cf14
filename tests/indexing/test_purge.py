"""Videos taken out for good: of the store, every kept version and judgments, whatever kills the purge."""

import json
import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.places import LocalPlace, open_place
from indexing.publish import build_snapshot
from indexing.purge import Asked, PurgePlaces, plan_purge, purge
from indexing.store import S, open_store
from indexing.survey import verify_snapshot
from indexing.update import update_snapshot
from indexing.versions import publishing, rollback_snapshot
from lookreel.cli import main
from retrieval.errors import SnapshotError, StoreError, UnknownItemError, UserFacingError
from retrieval.snapshot import open_snapshot
from retrieval.snapshot_files import read_manifest
from retrieval.tables import Columns as C
from tests import shop as media
from tests.encoders import MeanColourEncoder
from tests.indexing.shop_over_time import QUERIES
from tests.stores import FRAMES, HandStore, poster_of, vector_of, write_catalogue

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FIRST = [f"v{number}" for number in range(1, 9)]
CREATORS = {"v2": "zoe", "v5": "zoe", "v12": "zoe", "v7": "moe"}
GONE = {"v2": (0, 1), "v5": (0,), "v12": (0,)}
"""Zoe's videos, and the contents that each of them ever had."""


class Shop:
    """A shop of four versions: v2 is replaced, v12 new, v5 deleted; v1 replaced, v6 set aside; a title."""

    def __init__(self, root, updates=3):
        self.root, self.snapshot, self.receipt = root, root / "snapshot", root / "receipt.json"
        self.store = HandStore("videos", root / "videos")
        self.store.write(dict.fromkeys(FIRST[:4], 0), dict.fromkeys(FIRST[4:], 0), set_aside=["v20"])
        HandStore("products", root / "products").write({"p1": 0, "v2": 0})  # a product may have a video's id
        self.tables(FIRST)
        build_snapshot(*self.sources, self.snapshot)
        later = [*FIRST[:4], *FIRST[5:], "v11", "v12"]
        self.store.write({"v2": 1, "v11": 0}, {"v12": 0})
        self.update(later)
        if updates == 3:
            self.store.write({"v1": 1}, set_aside=["v6"])
            self.update(later)
            self.update(later, titles={"v1": "another"})
        self.judge()

    @property
    def sources(self):
        return self.root / "videos", self.root / "products", self.root / "shop"

    @property
    def places(self):
        return PurgePlaces(self.snapshot, self.root / "videos", (self.root / "judgments",))

    def tables(self, videos, **more):
        write_catalogue(self.root / "shop", videos, ["p1"], **more)
        table = pl.read_parquet(self.root / "shop/videos.parquet")
        creators = table.with_columns(pl.col(C.VIDEO_ID).replace_strict(CREATORS, default=None).alias(C.CREATOR_ID))
        creators.write_parquet(self.root / "shop/videos.parquet")

    def update(self, videos, **more):
        self.tables(videos, **more)
        return update_snapshot(self.snapshot, *self.sources)

    def judge(self):
        (self.root / "judgments/run").mkdir(parents=True)
        grades = {C.VIDEO_ID: ["v1", "v2", None, "v12"], "grade": [3, 4, 1, 0]}
        pl.DataFrame(grades).write_parquet(self.root / "judgments/run/grades.parquet")
        pl.DataFrame({"rubric": ["v2"]}).write_parquet(self.root / "judgments/rubrics.parquet")
        lines = ['{"video_id": "v1"}', '{"video_id": "v2", "said": "line\u2028end"}', '{"video_id": "v', "[]"]
        (self.root / "judgments/verdicts.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def purge(self, *videos, **asked):
        return purge(Asked(videos, **asked), self.places, self.receipt, NOW)

    def purge_zoe(self):
        return self.purge(creators=("zoe",))

    def opened(self):
        """Every version by its number."""
        names = [file.stem for file in (self.snapshot / "versions").iterdir()]
        versions = [open_snapshot(self.snapshot, version=name) for name in names]
        return {one.manifest.number: one for one in versions}

    def stored(self):
        """What the store says of each item: content hash, signature, vector, and its frames."""
        store = open_store(self.root / "videos", "videos")
        frames = store.parts([S.ITEM_ID, S.PART, S.TIME_S, S.URI, S.JPEG, S.VECTOR])
        contents = store.contents.join(store.items, on=[S.ITEM_ID, S.SHARD], how="semi").drop(S.SHARD)
        return [frame.sort(frame.columns[:2]) for frame in (store.items.drop(S.SHARD), frames, contents)]


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    Shop(root)
    return root


@pytest.fixture(name="shop")
def _shop(made, tmp_path):
    """A copy of the shop, made once."""
    shop = object.__new__(Shop)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shop.root, shop.snapshot, shop.receipt = tmp_path, tmp_path / "snapshot", tmp_path / "receipt.json"
    shop.store = HandStore("videos", tmp_path / "videos")
    return shop


def bytes_of(root):
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and not file.name.endswith("lock")}


def decoded(root):
    """What all files of the store, the snapshot and the judgments hold, as tables and arrays."""
    files = [file for file in root.rglob("*") if file.is_file() and "shop" not in file.parts]
    tables = {
        file: pl.read_parquet(file) for file in files if file.suffix == ".parquet" and "products" not in str(file)
    }
    arrays = {file: np.load(file) for file in files if file.suffix == ".npy"}
    return tables, arrays


def rows_with(root, wanted):
    """The files in which any row of numbers is one of *wanted*."""
    tables, arrays = decoded(root)
    named = {file: table[S.VECTOR].to_numpy() for file, table in tables.items() if S.VECTOR in table.columns}
    rows = {file: np.asarray(array).reshape(-1, array.shape[-1]) for file, array in {**arrays, **named}.items()}
    rows = {file: some for file, some in rows.items() if some.shape[1] == wanted.shape[1]}
    return [file for file, some in rows.items() if (some[:, None] == wanted).all(axis=2).any()]


def vectors_of(gone):
    return np.concatenate([vector_of(video, content, FRAMES + 1) for video, all_ in gone.items() for content in all_])


def jpegs_in(root):
    tables, _ = decoded(root)
    return {jpeg for table in tables.values() if S.JPEG in table.columns for jpeg in table[S.JPEG].to_list()}


def jpegs_of(gone):
    return {poster_of(video, content, part) for video, all_ in gone.items() for content in all_ for part in (0, 1)}


def require_equal_but(after, before, gone):
    """A version holds and finds what it did before, without the videos that are *gone*."""
    rows = np.flatnonzero(~before.videos[C.VIDEO_ID].is_in(list(gone)).to_numpy())
    assert after.videos.equals(before.videos[rows])
    assert after.products.equals(before.products)
    for name in ("video_vectors", "frame_vectors", "frame_times_s"):
        ours, theirs = (np.asarray(getattr(one.space, name)) for one in (after, before))
        np.testing.assert_array_equal(ours, theirs[rows], err_msg=name)
    np.testing.assert_array_equal(after.space.product_vectors, before.space.product_vectors)
    np.testing.assert_array_equal(after.statistics.video_popularity, before.statistics.video_popularity[rows])
    assert [after.poster(v) for v in after.video_ids.ids] == [before.poster(v) for v in after.video_ids.ids]
    for share in (0.2, 1.0):
        eligible = np.random.default_rng(1).random(len(rows)) < share
        allowed = np.zeros(len(before.videos), bool)
        allowed[rows[eligible]] = True
        ours, theirs = after.space.index.search(QUERIES, 4, eligible), before.space.index.search(QUERIES, 4, allowed)
        there = theirs.rows >= 0
        np.testing.assert_array_equal(ours.rows >= 0, there)
        np.testing.assert_array_equal(rows[ours.rows[there]], theirs.rows[there])
        np.testing.assert_array_equal(ours.scores[there], theirs.scores[there])


def require_without(shop, before, stored, gone):
    """Versions, store and judgments are those of *before* without the videos that are *gone*, nowhere a trace."""
    after = shop.opened()
    assert after.keys() == before.keys()
    for number, version in after.items():
        require_equal_but(version, before[number], gone)
    for ours, theirs in zip(shop.stored(), stored, strict=True):
        assert ours.equals(theirs.filter(~pl.col(S.ITEM_ID).is_in(list(gone))))
    assert rows_with(shop.root, vectors_of(gone)) == []
    assert not jpegs_in(shop.root) & jpegs_of(gone)
    verify_snapshot(shop.snapshot, every=True)


def test_the_tests_would_see_what_is_left(shop):
    assert len(rows_with(shop.root, vectors_of(GONE))) > 4
    assert jpegs_in(shop.root) >= jpegs_of(GONE)


def test_every_version_answers_as_before_without_a_creators_videos_of_which_no_trace_is_left(shop):
    before, stored = shop.opened(), shop.stored()

    receipt = shop.purge_zoe()

    assert receipt.videos == ("v12", "v2", "v5")
    require_without(shop, before, stored, GONE)


def test_versions_keep_their_number_order_parents_and_time(shop):
    before = {number: one.manifest for number, one in shop.opened().items()}

    renamed = shop.purge_zoe().versions

    after = {number: one.manifest for number, one in shop.opened().items()}
    assert {number: one.version for number, one in after.items()} == {n: renamed[b.version] for n, b in before.items()}
    assert [one.parent for _, one in sorted(after.items())] == ["", *(after[n].version for n in (1, 2, 3))]
    assert [after[n].created for n in before] == [one.created for one in before.values()]
    assert read_manifest(shop.snapshot).number == 4


def test_a_version_that_holds_none_of_them_keeps_its_name(shop):
    before = shop.opened()

    renamed = shop.purge("v11").versions  # it came with the second version

    after = shop.opened()
    assert after[1].version == before[1].version
    assert after[2].manifest.parent == before[1].version
    assert set(renamed) == {before[number].version for number in (2, 3, 4)}


def test_a_rollback_goes_back_step_by_step_as_before(shop):
    shop.purge_zoe()
    after = shop.opened()

    back = [rollback_snapshot(shop.snapshot) for _ in range(3)]

    assert back == [after[number].version for number in (3, 2, 1)]


def test_versions_that_differed_in_nothing_else_become_one(shop):
    everybody = [*FIRST[:4], *FIRST[5:], "v11", "v12"]
    shop.update([video for video in everybody if video != "v7"], titles={"v1": "another"})
    third = shop.opened()[3].version

    shop.purge("v7")

    assert sorted(shop.opened()) == [1, 2, 3, 5]  # the fourth and the fifth differed in v7 alone
    assert read_manifest(shop.snapshot).number == 5
    assert rollback_snapshot(shop.snapshot) == shop.opened()[3].version != third


def test_an_update_after_a_purge_reads_only_the_shards_written_anew_and_changes_nothing(shop, monkeypatch):
    shop.purge_zoe()
    read = []
    read_items = LocalPlace.open
    monkeypatch.setattr(LocalPlace, "open", lambda place, name: (read.append(name), read_items(place, name))[1])

    summary = shop.update([v for v in [*FIRST, "v11"] if v not in GONE], titles={"v1": "another"})

    assert not summary.published
    # v1 lies in shard 5 alone, which held nobody else; 7, 8 and 9 are what is left of 0, 1 and 3.
    assert {name for name in read if name.startswith("items")} == {f"items-0000{n}.parquet" for n in (7, 8, 9)}


def test_an_update_does_not_bring_back_a_video_that_the_tables_still_name(shop):
    shop.purge_zoe()

    summary = shop.update([*FIRST, "v11", "v12"])

    assert summary.videos.left_out == 4  # Zoe's three and v6, which was set aside
    assert open_snapshot(shop.snapshot).videos[C.VIDEO_ID].is_in(list(GONE)).sum() == 0


def test_after_a_purge_videos_can_be_added_and_replaced(shop):
    shop.purge_zoe()
    shop.store.write({"v1": 2, "v30": 0, "v5": 3})

    shop.update([*FIRST, "v11", "v30"])

    opened = open_snapshot(shop.snapshot)
    vectors = dict(zip(opened.video_ids.ids, np.asarray(opened.space.video_vectors), strict=True))
    assert set(vectors) == {"v1", "v3", "v4", "v5", "v7", "v8", "v11", "v30"}
    contents = {"v1": 2, "v5": 3}
    for video, vector in vectors.items():
        np.testing.assert_array_equal(vector, vector_of(video, contents.get(video, 0))[0])


def test_one_content_that_was_replaced_is_no_longer_the_one_that_holds(shop):
    # v1 was replaced in a later shard than the one that v2 leaves: its first content must not come back.
    shop.purge("v2")

    store = open_store(shop.root / "videos", "videos")

    np.testing.assert_array_equal(store.vectors[store.ids.index("v1")], vector_of("v1", 1)[0])
    assert "v6" not in store.ids
    assert store.quarantine[S.ITEM_ID].to_list() == ["v20", "v6"]


def test_a_video_that_was_only_set_aside_goes_too(shop):
    receipt = shop.purge("v20")

    assert receipt.held["store"]["quarantine"] == 1
    assert receipt.versions == {}
    assert open_store(shop.root / "videos", "videos").quarantine[S.ITEM_ID].to_list() == ["v6"]


def test_judgments_lose_the_rows_of_the_videos_and_keep_all_others(shop):
    receipt = shop.purge_zoe()

    folder = shop.root / "judgments"
    assert pl.read_parquet(folder / "run/grades.parquet").rows() == [("v1", 3), (None, 1)]
    assert pl.read_parquet(folder / "rubrics.parquet").rows() == [("v2",)]
    assert (folder / "verdicts.jsonl").read_text() == '{"video_id": "v1"}\n{"video_id": "v\n[]'
    assert sum(receipt.held["judgments"].values()) == 3


def test_the_receipt_tells_what_was_asked_found_and_left(shop):
    shop.purge("v99", "v8", creators=("zoe", "nobody"))

    receipt = json.loads(shop.receipt.read_text())

    assert receipt["state"] == "done"
    assert receipt["asked"] == {"videos": ["v99", "v8"], "creators": ["zoe", "nobody"], "brands": []}
    assert receipt["videos"] == ["v12", "v2", "v5", "v8"]
    assert receipt["not_found"] == ["v99", "nobody"]
    # In the store v2 twice, v5, v8 and v12, of two frames each.
    assert {k: receipt["held"]["store"][k] for k in ("items", "frames", "quarantine")} == {
        "items": 5, "frames": 10, "quarantine": 0,
    }  # fmt: skip
    # v2, v5 and v8 in the first version, v2, v8 and v12 in three; the segments hold v2 twice.
    assert (receipt["held"]["versions"]["rows"], receipt["held"]["versions"]["vectors"]) == (3 + 9, 5)
    assert len(receipt["versions"]) == 4
    assert receipt["left"]["found"] == {}
    assert receipt["left"]["files"] > 20


def test_what_is_left_somewhere_is_told(shop, monkeypatch):
    monkeypatch.setattr("indexing.purge.purge_judgments", lambda traces, ids: None)

    receipt = shop.purge_zoe()

    assert receipt.left.rows == 3
    assert {Path(name).name for name in receipt.left.found} == {"grades.parquet", "verdicts.jsonl"}


def test_tables_that_still_name_a_video_are_told_of(shop):
    places = PurgePlaces(shop.snapshot, shop.root / "videos", tables=shop.root / "shop")

    receipt = purge(Asked(creators=("zoe",)), places, shop.receipt, NOW)

    assert receipt.still_named == ("v12", "v2")


def test_a_creators_videos_are_looked_for_in_the_tables_too(shop):
    shop.store.write({"v40": 0})  # not published yet
    table = pl.read_parquet(shop.root / "shop/videos.parquet").head(1)
    more = table.with_columns(pl.lit("v40").alias(C.VIDEO_ID), pl.lit("new").alias(C.CREATOR_ID))
    more.write_parquet(shop.root / "shop/videos.parquet")
    places = PurgePlaces(shop.snapshot, shop.root / "videos", tables=shop.root / "shop")

    receipt = purge(Asked(creators=("new",)), places, shop.receipt, NOW)

    assert receipt.videos == ("v40",)
    assert "v40" not in open_store(shop.root / "videos", "videos").ids


def test_a_dry_run_tells_the_same_and_changes_nothing(shop):
    before = bytes_of(shop.root)

    plan = plan_purge(Asked(creators=("zoe",)), shop.places, NOW)

    assert bytes_of(shop.root) == before
    assert (plan.state, plan.left, plan.versions) == ("planned", None, {})
    assert plan.held == shop.purge_zoe().held


def test_a_second_purge_finds_nothing_and_changes_nothing(shop):
    shop.purge_zoe()
    before = bytes_of(shop.root)

    with pytest.raises(UnknownItemError, match=r"holds anything of creator zoe\.\nCheck the name"):
        shop.purge_zoe()
    with pytest.raises(UnknownItemError, match="holds anything of video v2, video v5"):
        shop.purge("v2", "v5")

    assert bytes_of(shop.root) == before


@pytest.mark.parametrize("asked", [{"videos": ("v99",)}, {"creators": ("nobody",)}, {"brands": ("none",)}])
def test_who_is_unknown_is_named_in_one_sentence(shop, asked):
    before = bytes_of(shop.root)

    with pytest.raises(UnknownItemError, match=f"holds anything of .* {next(iter(asked.values()))[0]}"):
        purge(Asked(**asked), shop.places, shop.receipt, NOW)

    assert bytes_of(shop.root) == before


def test_a_version_is_never_left_without_a_video(shop):
    only = shop.update(["v2"])
    before = bytes_of(shop.root)

    with pytest.raises(SnapshotError, match=f"version {only.version} of .* would hold no video"):
        shop.purge_zoe()

    assert bytes_of(shop.root) == before


def test_a_store_is_never_left_without_a_video(shop):
    other = HandStore("videos", shop.root / "other").write({"v2": 0, "v5": 0})

    with pytest.raises(StoreError, match=r"holds no other videos\.\nRemove the store"):
        purge(Asked(creators=("zoe",)), PurgePlaces(shop.snapshot, other.path), shop.receipt, NOW)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda shop: largest(shop.root / "videos", "parts-*").write_bytes(b""), "missing or differs"),
        (lambda shop: largest(shop.snapshot, "objects/*.npy").write_bytes(b""), "missing or differs"),
        (lambda shop: shutil.rmtree(shop.root / "judgments"), "no folder"),
    ],
)
def test_what_is_damaged_is_told_before_anything_is_changed(shop, damage, words):
    damage(shop)
    before = bytes_of(shop.root)

    with pytest.raises(UserFacingError, match=words):
        shop.purge_zoe()

    assert bytes_of(shop.root) == before


def largest(folder, pattern):
    return max(folder.glob(pattern), key=lambda file: file.stat().st_size)


def test_who_embeds_or_publishes_keeps_a_purge_out(shop):
    with publishing(shop.snapshot), pytest.raises(SnapshotError, match="Another process is publishing"):
        shop.purge_zoe()


def test_a_segment_of_which_nothing_is_left_goes(shop):
    shop.store.write({"v41": 0})
    shop.update([*FIRST[:4], *FIRST[5:], "v11", "v12", "v41"])
    assert len(read_manifest(shop.snapshot).segments) == 4

    shop.purge("v41")

    assert len(read_manifest(shop.snapshot).segments) == 3
    verify_snapshot(shop.snapshot, every=True)


class KilledError(BaseException):
    """What stands for the end of the process: nothing that would tidy up is done any more."""


class Killer:
    """Lets *n* changes of the disk happen, and none after them."""

    def __init__(self, monkeypatch, n):
        self.left = n
        for name in ("replace", "unlink", "rename"):
            monkeypatch.setattr(Path, name, self.counting(getattr(Path, name)))

    def counting(self, change):
        def changed(*args, **how):
            if self.left == 0:
                raise KilledError
            self.left -= args[0].exists()  # taking away what is not there is no change
            return change(*args, **how)

        return changed


def purge_killed(shop, n):
    """Whether a purge came to its end, or to its receipt, before it was killed after *n* changes of the disk."""
    with pytest.MonkeyPatch.context() as patch, suppress(KilledError):
        Killer(patch, n)
        shop.purge_zoe()
    return shop.receipt.exists() and json.loads(shop.receipt.read_text())["state"] == "done"


def test_a_purge_killed_at_any_change_leaves_what_opens_and_the_next_one_ends_it(tmp_path):
    shop, n = Shop(tmp_path, updates=1), 0
    before, stored = shop.opened(), shop.stored()
    kept = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-kept"))

    while not purge_killed(shop, n):
        half, _ = open_snapshot(shop.snapshot), shop.stored()
        require_equal_but(half, before[2], set(before[2].video_ids.ids) - set(half.video_ids.ids))
        receipt = shop.purge_zoe()
        assert (receipt.videos, receipt.left.rows) == (("v12", "v2", "v5"), 0)
        require_without(shop, before, stored, GONE)
        n += 1
        shutil.rmtree(tmp_path)
        shutil.copytree(kept, tmp_path)

    assert n > 50


def test_what_a_killed_purge_left_goes_though_nothing_names_the_creator_any_more(shop):
    shop.purge_zoe()
    clean = bytes_of(shop.root)
    shop.receipt.unlink()
    (shop.snapshot / "objects" / f"{'0' * 64}.npy").write_bytes(b"orphan")
    (shop.root / "videos/parts-00000.parquet").write_bytes(b"orphan")

    with pytest.raises(UnknownItemError):
        shop.purge_zoe()

    clean.pop(shop.receipt)
    assert bytes_of(shop.root) == clean


def test_embedding_goes_on_after_a_purge_and_reads_again_what_the_table_still_names(tmp_path):
    options = EmbedOptions(frames=2, workers=1, shard_size=2)
    table = media.write_shop(tmp_path / "shop") / "videos.parquet"
    embed_videos(table, tmp_path / "videos", MeanColourEncoder(), options)
    embed_products(table.with_name("products.parquet"), tmp_path / "products", MeanColourEncoder(), options)
    build_snapshot(tmp_path / "videos", tmp_path / "products", tmp_path / "shop", tmp_path / "snapshot")
    places = PurgePlaces(tmp_path / "snapshot", tmp_path / "videos")
    videos = pl.read_parquet(table)

    purge(Asked(("v-red",)), places, tmp_path / "receipt.json", NOW)
    videos.filter(pl.col(C.VIDEO_ID) != "v-red").write_parquet(table)
    without = embed_videos(table, tmp_path / "videos", MeanColourEncoder(), options)
    videos.write_parquet(table)
    again = embed_videos(table, tmp_path / "videos", MeanColourEncoder(), options)

    assert (without.n_new, without.n_items) == (0, 3)
    assert (again.n_new, again.n_items) == (1, 4)


def test_a_store_whose_job_was_interrupted_is_purged_and_gone_on_with(tmp_path, shop):
    options = EmbedOptions(frames=2, workers=1, shard_size=1)
    table = media.write_shop(tmp_path / "media") / "videos.parquet"
    encoder = MeanColourEncoder()
    images, encoder.encode_images = encoder.encode_images, lambda pixels: stop_at_third(pixels, images)
    with pytest.raises(KeyboardInterrupt):
        embed_videos(table, tmp_path / "half", encoder, options)
    first, second = open_store(tmp_path / "half", "videos").ids

    purge(Asked((first,)), PurgePlaces(shop.snapshot, tmp_path / "half"), shop.receipt, NOW)
    half = open_store(tmp_path / "half", "videos")
    whole = embed_videos(table, tmp_path / "half", MeanColourEncoder(), options)

    assert (half.ids, half.manifest.complete) == ([second], False)
    assert (whole.n_items, whole.n_new) == (4, 3)


def stop_at_third(pixels, images, seen=[]):  # noqa: B006 - counts over calls
    seen.append(len(pixels))
    if sum(seen) > 4:  # two frames of each of two videos
        raise KeyboardInterrupt
    return images(pixels)


def test_a_part_of_a_store_is_refused_with_what_to_do(shop):
    file = shop.root / "videos/manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "part": "1/2"}))

    with pytest.raises(StoreError, match=r"is the part 1/2 of a store[\s\S]*embed merge"):
        shop.purge_zoe()


def test_a_store_elsewhere_is_purged_too(shop):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(f"{shop.root}/videos/", "/purge/videos/", recursive=True)
    places = PurgePlaces(shop.snapshot, "memory://purge/videos")

    receipt = purge(Asked(creators=("zoe",)), places, shop.receipt, NOW)

    store = open_store("memory://purge/videos", "videos")
    assert receipt.left.rows == 0
    assert not set(store.ids) & set(GONE)
    assert open_place("memory://purge/videos").names() == sorted(
        {"manifest.json", *store.manifest.files, *(name for one in store.manifest.shards for name in one.files)}
    )


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, shop):
    """Run `index purge` beside the shop, whose tables lie where none are looked for: (exit code, output, error)."""
    monkeypatch.chdir(shop.root)
    (shop.root / "shop").rename(shop.root / "tables")

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["lookreel", "index", "purge", "--videos", "videos", *args])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return call


def test_the_command_says_what_went_and_where_the_receipt_is(lookreel, shop):
    code, out, _ = lookreel("--creator", "zoe", "--video", "v99", "--judgments", "judgments", "--tables", "tables")

    (receipt,) = shop.root.glob("purge-*.json")
    told = json.loads(receipt.read_text())
    assert code == 0
    assert out.splitlines() == [
        "3 videos: v12, v2, v5",
        "  store      4 items, 8 frames, 0 rows set aside went; of 4 shards",
        "  snapshot   8 rows, 4 vectors went; of 4 versions",
        "  judgments  3 rows went",
        *(f"  {old} is now {new}" for old, new in told["versions"].items()),
        "Known nowhere: v99",
        "The tables still name v12, v2: the next lookreel embed brings them back unless their rows go.",
        f"{told['left']['files']} files were searched afterwards, found: 0. Receipt: {receipt.name}",
    ]


def test_the_command_for_scripts_and_only_to_look(lookreel, shop):
    code, out, _ = lookreel("--video", "v2", "--dry-run", "--json")

    told = json.loads(out)
    assert (code, told["state"], told["videos"], told["held"]["store"]["items"]) == (0, "planned", ["v2"], 2)
    assert not list(shop.root.glob("purge-*.json"))
    assert "2 items, 4 frames, 0 rows set aside would go" in lookreel("--video", "v2", "--dry-run")[1]


def test_the_command_fails_when_something_is_left_or_nothing_is_named(lookreel, shop, monkeypatch):
    assert lookreel()[2] == "Nothing is named that should go.\nName it with --video, --creator or --brand.\n"
    assert lookreel("--video", "v99")[::2] == (
        2,
        "Neither videos nor snapshot holds anything of video v99.\n"
        "Check the name. If it was purged before, the receipt says so.\n",
    )
    monkeypatch.setattr("indexing.purge.purge_judgments", lambda traces, ids: None)

    code, out, _ = lookreel("--video", "v2", "--judgments", "judgments")

    assert (code, "found: 2" in out) == (4, True)


def test_the_same_command_after_a_kill_goes_on_with_its_receipt(lookreel, shop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("indexing.purge.purge_store", kill)
        with pytest.raises(KilledError):
            purge(Asked(creators=("zoe",)), PurgePlaces(Path("snapshot"), "videos"), Path("purge-1.json"), NOW)

    code, out, _ = lookreel("--creator", "zoe")

    assert (code, out.splitlines()[-1].endswith("found: 0. Receipt: purge-1.json")) == (0, True)
    told = json.loads((shop.root / "purge-1.json").read_text())
    assert (told["state"], told["continued"], told["began"]) == ("done", True, NOW.isoformat())
    assert [file.name for file in shop.root.glob("purge-*.json")] == ["purge-1.json"]


def kill(*_):
    raise KilledError
