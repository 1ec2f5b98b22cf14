"""Stores and tables to a snapshot, opened, checked and asked."""

import json

import numpy as np
import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.publish import build_snapshot
from lookreel.commands import answer_words
from retrieval.errors import SnapshotError, StoreError, UnknownItemError, UserFacingError
from retrieval.folders import sha256_of
from retrieval.log import make_log, to_us
from retrieval.recommend import log_of, recommend_all, recommend_user
from retrieval.snapshot import HistoryEvent, open_snapshot
from retrieval.snapshot_files import object_path, read_manifest, version_of
from retrieval.systems import SystemConfig, SystemKind
from retrieval.tables import Columns as C
from retrieval.tables import load_tables
from retrieval.where import where_of
from tests import shop
from tests.encoders import MeanColourEncoder

OPTIONS = EmbedOptions(frames=2, workers=1)


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory):
    """A shop with its stores and its snapshot."""
    root = tmp_path_factory.mktemp("built")
    shop.write_shop(root / "shop")
    embed_videos(root / "shop/videos.parquet", root / "videos", MeanColourEncoder(), OPTIONS)
    embed_products(root / "shop/products.parquet", root / "products", MeanColourEncoder(), OPTIONS)
    build_snapshot(root / "videos", root / "products", root / "shop", root / "snapshot")
    return root


@pytest.fixture(name="snapshot", scope="module")
def _snapshot(built):
    return open_snapshot(built / "snapshot")


def ids(answer):
    return [video.video_id for video in answer.videos]


def test_a_history_finds_the_videos_of_its_colours(snapshot):
    history = [HistoryEvent("p-blue", shop.at(10)), HistoryEvent("p-green", shop.at(10 - 7 * 24))]

    feed = snapshot.feed(history, k=4)

    # Green is one half-life older than blue: it counts half. White holds some of every colour.
    assert ids(feed) == ["v-blue", "v-white", "v-green", "v-red"]
    assert (feed.returned, feed.eligible, feed.exact, feed.known) == (4, 4, True, True)


def test_all_shares_of_a_video_add_to_its_score_and_the_largest_comes_first(snapshot):
    history = [
        HistoryEvent("p-blue", shop.at(10)),
        HistoryEvent("p-green", shop.at(9)),
        HistoryEvent("p-blue", shop.at(1)),
    ]

    best = snapshot.feed(history, k=1).videos[0]

    assert [reason.product_id for reason in best.reasons] == ["p-blue", "p-green"]
    assert sum(reason.share for reason in best.reasons) == pytest.approx(best.score, abs=1e-4)


@pytest.mark.parametrize(("product", "moment_s"), [("p-red", 0.5), ("p-blue", 1.5)])
def test_the_moment_is_that_of_the_frame_that_matches(tmp_path, product, moment_s):
    # The clip shows red for its first second and blue for its second; its two frames are at 0.5 and 1.5 s.
    folder = shop.write_shop(tmp_path / "shop")
    shop.write_clip(folder / "clips/white.mp4", [shop.COLOURS["red"]] * 10 + [shop.COLOURS["blue"]] * 10)
    embed_videos(folder / "videos.parquet", tmp_path / "videos", MeanColourEncoder(), OPTIONS)
    embed_products(folder / "products.parquet", tmp_path / "products", MeanColourEncoder(), OPTIONS)
    build_snapshot(tmp_path / "videos", tmp_path / "products", folder, tmp_path / "snapshot")

    feed = open_snapshot(tmp_path / "snapshot").feed([HistoryEvent(product, shop.at(1))], where={"video_id": "v-white"})

    # By default a frame may be up to T / (4 m) = 2 / 8 s from its time.
    assert feed.videos[0].moment_s == pytest.approx(moment_s, abs=0.25)


def test_events_of_unknown_products_and_of_the_future_do_not_count(snapshot):
    history = [
        HistoryEvent("p-red", shop.at(1)),
        HistoryEvent("gone", shop.at(2)),
        HistoryEvent("p-blue", shop.at(30)),
    ]

    feed = snapshot.feed(history, k=1, at=shop.at(30))

    assert ids(feed) == ["v-red"]
    assert feed.unknown_products == 1
    assert len(feed.videos[0].reasons) == 1


def test_nobody_knows_this_user_so_the_global_vector_answers(snapshot):
    feed = snapshot.feed([], k=4)

    # One event each of red, blue and green products: their mean is nearest to white.
    assert ids(feed)[0] == "v-white"
    assert not feed.known
    assert feed.videos[0].reasons == ()


def test_filters_seen_videos_and_time_limit_the_list(snapshot):
    history = [HistoryEvent("p-red", shop.at(0.1))]

    assert ids(snapshot.feed(history, 9, where={"markets": "DE"})) == ["v-red", "v-green"]
    assert ids(snapshot.feed(history, 9, where={"markets": ("de", "pl"), "video_id": "v-white"})) == ["v-white"]
    assert "v-red" not in ids(snapshot.feed(history, 9, seen=["v-red", "v-red", "unknown"]))
    assert snapshot.feed(history, 9, seen=["v-red", "v-red"]).eligible == 3


def test_a_system_s_own_filters_hold_beside_those_of_the_request(snapshot):
    german = SystemConfig(where=where_of({"markets": "de"}))

    assert ids(snapshot.feed([], 9, system=german, where={"markets": "fr"})) == ["v-red"]


def test_what_is_not_yet_published_is_not_recommended(built, snapshot):
    log = log_of(snapshot, load_tables(built / "shop"), SystemConfig())

    feed = recommend_user(snapshot, log, "ann", 9, "multimodal", SystemConfig(), to_us(shop.at(1.5)), ())

    assert sorted(ids(feed)) == ["v-green", "v-red"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"at": shop.at(1)}, "before the snapshot's own time"),
        ({"at": shop.at(99).replace(tzinfo=None)}, "has no time zone"),
        ({"history": [HistoryEvent("p-red", shop.at(1), "clicked")]}, "clicked is none of the events"),
    ],
)
def test_wrong_arguments_are_refused(snapshot, arguments, words):
    with pytest.raises(ValueError, match=words):
        snapshot.feed(**{"history": [], **arguments})


def test_k_beyond_the_catalogue_gives_the_catalogue(snapshot):
    assert snapshot.feed([], k=100).returned == 4


def test_an_unknown_filter_is_refused_with_the_known_ones(snapshot):
    with pytest.raises(UnknownItemError, match=r"no attribute mood[\s\S]*markets"):
        snapshot.feed([], where={"mood": "calm"})


def test_similar_leaves_out_the_video_itself(snapshot):
    results = snapshot.similar("v-red", 9)

    assert ids(results)[0] == "v-white"
    assert results.eligible == 3
    assert "v-red" not in ids(results)


def test_an_unknown_video_is_refused(snapshot):
    with pytest.raises(UnknownItemError, match="holds no video v-mauve"):
        snapshot.similar("v-mauve")


def test_recency_and_popularity_answer_from_the_tables(built, snapshot):
    tables = load_tables(built / "shop")
    log = log_of(snapshot, tables, SystemConfig())

    def top(kind, user):
        return ids(recommend_user(snapshot, log, user, 2, kind, SystemConfig(kind=kind), log.end_us, ()))

    assert top(SystemKind.RECENCY, "nobody") == ["v-white", "v-blue"]
    assert top(SystemKind.POPULARITY, "nobody") == ["v-red", "v-green"]
    # Ann has seen red.
    assert top(SystemKind.POPULARITY, "ann") == ["v-green", "v-blue"]


def test_a_snapshot_that_lacks_a_users_products_says_so(built, snapshot):
    moved = load_tables(built / "shop").interactions.with_columns(pl.col(C.PRODUCT_ID) + "-new")
    log = make_log(moved, None, None, videos=snapshot.videos, products=snapshot.products)

    feed = recommend_user(snapshot, log, "ann", 1, "multimodal", SystemConfig(), log.end_us, ())

    assert (feed.known, feed.unknown_products) == (False, 2)
    assert "2 events of ann name products that the snapshot lacks" in answer_words(feed)


def test_the_table_of_everybody_holds_what_each_one_gets(built, snapshot):
    log = log_of(snapshot, load_tables(built / "shop"), SystemConfig())

    table = recommend_all(snapshot, log, 3, "mine", SystemConfig(), log.end_us, ())

    assert table.columns == ["system", "user_id", "video_id", "rank", "score", "recommended_at", "snapshot"]
    for user in ("ann", "bob"):
        one = recommend_user(snapshot, log, user, 3, "mine", SystemConfig(), log.end_us, ())
        rows = table.filter(pl.col(C.USER_ID) == user)
        assert one.system == "mine"
        assert rows[C.VIDEO_ID].to_list() == ids(one)
        np.testing.assert_allclose(rows[C.SCORE].to_numpy(), [video.score for video in one.videos], rtol=1e-5)


def test_a_future_event_changes_no_recommendation_made_before_it(built, snapshot, tmp_path):
    later = shop.write_tables(tmp_path / "later")
    # Among the later events are the first of a market of its own, where Zed, of whom nothing is known, lives.
    extra = shop.interactions_frame().with_columns(
        pl.lit(shop.at(40)).alias(C.OCCURRED_AT), pl.lit("pl").alias(C.MARKET)
    )
    for folder in (built / "shop", later):
        users = pl.DataFrame({C.USER_ID: ["ann", "bob", "zed"], C.MARKET: ["de", "fr", "pl"]})
        users.write_parquet(folder / "users.parquet")
    pl.concat([shop.interactions_frame(), extra]).write_parquet(later / "interactions.parquet")
    time_us = to_us(shop.at(30))

    def table(folder):
        log = log_of(snapshot, load_tables(folder), SystemConfig())
        return [recommend_all(snapshot, log, 4, kind, SystemConfig(kind=kind), time_us, ()) for kind in snapshot.kinds]

    before, after = table(built / "shop"), table(later)
    (built / "shop/users.parquet").unlink()

    assert all(one.equals(other) for one, other in zip(before, after, strict=True))
    assert before[-1].filter(pl.col(C.USER_ID) == "zed").height == 4


def test_stores_of_two_encoders_are_refused(built, tmp_path):
    embed_products(built / "shop/products.parquet", tmp_path / "other", MeanColourEncoder("mean-colour-2"), OPTIONS)

    with pytest.raises(StoreError, match=r"mean-colour-1[\s\S]*mean-colour-2[\s\S]*same --model"):
        build_snapshot(built / "videos", tmp_path / "other", built / "shop", tmp_path / "snapshot")

    assert not (tmp_path / "snapshot").exists()


def test_items_without_vectors_are_left_out_and_counted(built, tmp_path):
    tables = shop.write_tables(tmp_path / "more", impressions=False)
    extra = shop.videos_frame().with_columns(pl.col(C.VIDEO_ID) + "-new")
    pl.concat([shop.videos_frame(), extra]).write_parquet(tables / "videos.parquet")

    summary = build_snapshot(built / "videos", built / "products", tables, tmp_path / "snapshot")

    assert (summary.n_videos, summary.videos_left_out) == (4, 4)
    assert open_snapshot(tmp_path / "snapshot").videos.height == 4


def test_the_order_of_a_table_does_not_mix_up_its_vectors(built, tmp_path):
    tables = shop.write_tables(tmp_path / "reversed", impressions=False)
    shop.videos_frame().reverse().write_parquet(tables / "videos.parquet")
    shop.products_frame().reverse().write_parquet(tables / "products.parquet")
    build_snapshot(built / "videos", built / "products", tables, tmp_path / "snapshot")

    feed = open_snapshot(tmp_path / "snapshot").feed([HistoryEvent("p-green", shop.at(1))], k=1)

    assert ids(feed) == ["v-green"]
    assert feed.videos[0].reasons[0].product_id == "p-green"


@pytest.mark.parametrize("kind", ["exact", "faiss-fp16"])
def test_both_indexes_give_the_same_feed(built, snapshot, kind):
    history = [HistoryEvent("p-blue", shop.at(10))]

    opened = open_snapshot(built / "snapshot", index=kind)

    assert ids(opened.feed(history, 4)) == ids(snapshot.feed(history, 4))


@pytest.mark.parametrize(("index", "exact"), [("faiss-fp16", True), ("faiss-hnsw", False)])
def test_an_answer_says_whether_all_were_compared(built, index, exact):
    opened = open_snapshot(built / "snapshot", index=index)
    words = {True: "compared exactly", False: "compared approximately"}[exact]

    answers = opened.feed([], 2), opened.similar("v-red", 2)

    assert [answer.exact for answer in answers] == [exact, exact]
    assert [words in answer_words(answer) for answer in answers] == [True, True]


@pytest.mark.parametrize("kind", [SystemKind.RECENCY, SystemKind.POPULARITY, SystemKind.RANDOM])
def test_a_system_that_asks_no_index_compares_everything(built, kind):
    opened = open_snapshot(built / "snapshot", index="faiss-hnsw")

    assert opened.feed([], 2, system=SystemConfig(kind=kind)).exact


def copied(built, tmp_path):
    import shutil

    return shutil.copytree(built / "snapshot", tmp_path / "copy")


def version_file(folder):
    """The manifest of the live version."""
    return folder / "versions" / f"{json.loads((folder / 'manifest.json').read_text())['version']}.json"


def test_a_changed_file_is_noticed(built, tmp_path):
    folder = copied(built, tmp_path)
    name = "spaces/clip/video_vectors.npy"
    file = object_path(folder, name, read_manifest(folder).segments[0].files[name])
    np.save(file, np.load(file)[::-1])

    with pytest.raises(SnapshotError, match=r"video_vectors\.npy\) is missing or differs from the manifest"):
        open_snapshot(folder)


@pytest.mark.parametrize("name", ["videos.parquet", "video_placement.npy"])
def test_a_missing_file_is_noticed_even_without_checksums(built, tmp_path, name):
    folder = copied(built, tmp_path)
    object_path(folder, name, read_manifest(folder).files[name]).unlink()

    with pytest.raises(SnapshotError, match="cannot be read"):
        open_snapshot(folder, verify=False)


def test_another_format_is_refused(built, tmp_path):
    folder = copied(built, tmp_path)
    pointer = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**pointer, "format": 1}))

    with pytest.raises(SnapshotError, match=r"of format 1, not a snapshot of format 2[\s\S]*Build the snapshot again"):
        open_snapshot(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}}, {"files": None}, {"spaces": {}}, {"spaces": []}, {"segments": []}, {"segments": None},
        {"version": "hello"}, {"as_of": "soon"}, {"markets": ["xx"]}, {"format": 1}, {"created": "soon"},
    ],
)  # fmt: skip
def test_a_version_that_was_tampered_with_is_refused(built, tmp_path, change):
    folder = copied(built, tmp_path)
    file = version_file(folder)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))

    with pytest.raises(SnapshotError, match="is damaged"):
        open_snapshot(folder)


def renamed(folder, fields):
    """Write a manifest of these *fields* under the name that is right for them, and return it."""
    bound = ("as_of", "markets", "spaces", "segments", "files", "stores")
    name = version_of({field: fields[field] for field in bound})
    (folder / f"versions/{name}.json").write_text(json.dumps({**fields, "version": name}))
    return name


def test_a_version_that_names_a_file_elsewhere_is_refused_though_its_name_be_right(built, tmp_path):
    folder = copied(built, tmp_path)
    fields = json.loads(version_file(folder).read_text())
    fields["files"]["videos.parquet"] = "../../shop/videos"
    version = renamed(folder, fields)

    with pytest.raises(SnapshotError, match="is no checksum"):
        open_snapshot(folder, version=version)


@pytest.mark.parametrize(("kind", "held"), [("n_videos", "4 videos"), ("n_products", "products")])
def test_a_version_that_counts_more_rows_than_its_arrays_hold_is_refused(built, snapshot, tmp_path, kind, held):
    folder = copied(built, tmp_path)
    fields = json.loads(version_file(folder).read_text())
    placement = {"n_videos": "video_placement.npy", "n_products": "product_placement.npy"}[kind]
    np.save(tmp_path / "placed.npy", np.array([[0, 0, 0, 0], [0, 1, 2, 9]], np.int32))  # only by the count is there a 9
    fields["files"][placement] = sha256_of(tmp_path / "placed.npy")
    (tmp_path / "placed.npy").rename(object_path(folder, placement, fields["files"][placement]))
    fields["segments"][0][kind] = 10
    version = renamed(folder, fields)

    with pytest.raises(SnapshotError, match=f"a segment holds .*{held}.* of its manifest"):
        open_snapshot(folder, version=version)
    with pytest.raises(SnapshotError, match=f"a segment holds .*{held}.* of its manifest"):
        open_snapshot(folder, version=version, known=snapshot)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"kind": "videos", "format": 2}'])
@pytest.mark.parametrize("what", ["pointer", "version"])
def test_a_manifest_that_is_none_is_refused(built, tmp_path, text, what):
    folder = copied(built, tmp_path)
    {"pointer": folder / "manifest.json", "version": version_file(folder)}[what].write_text(text)

    with pytest.raises(SnapshotError, match=r"is damaged|not a snapshot"):
        open_snapshot(folder)


@pytest.mark.parametrize("version", ["0" * 12, "../../etc", "latest"])
def test_a_version_that_is_not_kept_is_refused(built, version):
    with pytest.raises(SnapshotError, match="holds no version"):
        open_snapshot(built / "snapshot", version=version)


def test_a_build_never_eats_the_tables_or_a_store(built, tmp_path):
    tables = shop.write_tables(tmp_path / "tables")

    with pytest.raises(UserFacingError, match="something else than snapshot"):
        build_snapshot(built / "videos", built / "products", tables, tables)
    with pytest.raises(UserFacingError, match="something else than snapshot"):
        build_snapshot(built / "videos", built / "products", tables, built / "videos")

    assert (tables / "videos.parquet").exists()
    assert (built / "videos/manifest.json").exists()
    assert not (tables / "objects").exists()


def test_a_second_build_is_a_second_version_and_the_first_can_still_be_opened(built, tmp_path):
    first = build_snapshot(built / "videos", built / "products", built / "shop", tmp_path / "snapshot")
    fewer = shop.write_tables(tmp_path / "fewer", impressions=False)
    shop.videos_frame().head(2).write_parquet(fewer / "videos.parquet")

    second = build_snapshot(built / "videos", built / "products", fewer, tmp_path / "snapshot")

    assert open_snapshot(tmp_path / "snapshot").version == second.version
    assert open_snapshot(tmp_path / "snapshot").videos.height == 2
    assert open_snapshot(tmp_path / "snapshot", version=first.version).videos.height == 4


def test_a_build_of_the_same_is_the_same_version(built, tmp_path):
    folder = copied(built, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in (folder / "versions").iterdir()}

    build_snapshot(built / "videos", built / "products", built / "shop", folder)

    assert {file: file.stat().st_mtime_ns for file in (folder / "versions").iterdir()} == before


def test_what_is_popular_is_counted_up_to_the_time_asked_for_even_when_that_is_the_first(built, tmp_path):
    build_snapshot(built / "videos", built / "products", built / "shop", tmp_path / "snapshot", at_us=0)

    assert open_snapshot(tmp_path / "snapshot").statistics.as_of_us == 0


def test_a_folder_that_is_no_snapshot_is_refused(tmp_path):
    with pytest.raises(SnapshotError, match="is not a snapshot"):
        open_snapshot(tmp_path)


def test_the_version_follows_the_content(built, snapshot, tmp_path):
    again = build_snapshot(built / "videos", built / "products", built / "shop", tmp_path / "again")

    assert again.version == snapshot.version
