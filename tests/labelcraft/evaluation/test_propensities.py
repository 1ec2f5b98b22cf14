"""Examination curves of a log on disk: how it is counted, what is odd in it, and the file that others open."""

import json

import numpy as np
import polars as pl
import pytest

from labelcraft.evaluation.propensities import compare_methods, open_curve, open_propensities, save_comparison
from labelcraft.evaluation.slot_counts import count_slots
from retrieval.errors import TableError
from retrieval.log import to_us
from retrieval.metrics.propensity import Method
from retrieval.tables import Columns as C
from tests.commands import caller
from tests.labelcraft.evaluation.logs import slot, write_log
from tests.shop import at

CUT_US = to_us(at(120.0))
Q = np.array([1.0, 0.6, 0.4])


def write_videos(folder, durations_s=(10.0,) * 6):
    """v0 … v5."""
    ids = [f"v{row}" for row in range(6)]
    columns = {C.VIDEO_ID: ids, C.URI: ids, C.PUBLISHED_AT: [at(0)] * 6, C.DURATION_S: list(durations_s)}
    pl.DataFrame(columns).cast({C.PUBLISHED_AT: pl.Datetime("us", "UTC")}).write_parquet(folder / "videos.parquet")


def counted(folder, *slots, before_us=CUT_US):
    write_videos(folder)
    write_log(folder, list(slots))
    return count_slots(folder, before_us)


def odd_of(log):
    return {one.what: one.n for one in log.odd}


def write_shop(folder, n_feeds=3000, seed=0):
    """Feeds of three slots in random order over ten hours: examined as `Q`, of 40 users and 6 videos."""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    video = np.argsort(rng.random((n_feeds, 6)), axis=1)[:, :3].ravel()
    feed, position = np.repeat(np.arange(n_feeds), 3), np.tile([1, 2, 3], n_feeds)
    reached = rng.random(n_feeds)[feed] < Q[position - 1]
    watch_s = np.where(rng.random(len(feed)) < 0.2 + 0.1 * video, 8.0, 1.0)
    frame = pl.DataFrame(
        {
            C.FEED_ID: pl.Series(feed).cast(pl.String),
            C.USER_ID: pl.Series(feed % 40).cast(pl.String),
            C.VIDEO_ID: [f"v{row}" for row in video],
            C.POSITION: position,
            C.SHOWN_AT: [at(100.0 + 10.0 * number / n_feeds) for number in feed],
            C.REACHED: reached,
            C.WATCH_TIME_S: pl.Series(np.where(reached, watch_s, np.nan)).fill_nan(None),
            C.EXAMINATION_PROPENSITY: Q[position - 1],
        }
    )
    frame.cast({C.SHOWN_AT: pl.Datetime("us", "UTC")}).write_parquet(folder / "impressions.parquet")
    write_videos(folder)
    return folder


@pytest.fixture(name="shop", scope="module")
def _shop(tmp_path_factory):
    return write_shop(tmp_path_factory.mktemp("propensities") / "shop")


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, shop):
    monkeypatch.chdir(shop.parent)
    return caller(monkeypatch, capsys)


def test_slots_are_counted_by_video_and_position(tmp_path):
    log = counted(
        tmp_path,
        slot("f1", 1, "v0", watch_s=5.0),  # half of ten seconds: positive
        slot("f1", 2, "v1", watch_s=4.9),
        slot("f2", 1, "v0", user="bob", watch_s=1.0),
        slot("f2", 2, "v1", user="bob", reached=False),
    )

    counts = log.counts

    assert (log.n_slots, log.n_feeds) == (4, 2)
    assert counts.video.tolist() == [0, 1]
    assert counts.position.tolist() == [1, 2]
    assert counts.shown.tolist() == [2, 2]
    assert counts.reached.tolist() == [2, 1]
    assert counts.positives.tolist() == [1, 0]
    assert counts.at_risk.tolist() == [2, 2]
    assert counts.went_on.tolist() == [2, 1]


def test_what_is_shown_from_the_cut_on_changes_nothing(tmp_path):
    slots = [slot("f1", 1, "v0", hours=119.9), slot("f2", 1, "v0", hours=120.0, watch_s=1.0)]
    before = counted(tmp_path, *slots).counts

    moved = counted(tmp_path, slots[0], slot("f2", 3, "v4", hours=140.0)).counts

    assert before.positives.tolist() == before.shown.tolist() == [1]
    assert all(np.array_equal(getattr(before, column), getattr(moved, column)) for column in vars(before))


def test_an_unknown_video_tells_how_far_its_feed_was_scrolled_and_no_more(tmp_path):
    log = counted(tmp_path, slot("f1", 1, "v0"), slot("f1", 2, "gone"))

    assert odd_of(log) == {"slots of videos that the catalogue lacks": 1}
    assert log.counts.position.tolist() == [1]
    assert log.counts.went_on.tolist() == [1, 1]


def test_a_video_of_unknown_duration_is_counted_and_tells_no_positive(tmp_path):
    write_videos(tmp_path, (None, 10.0, 0.0, 10.0, 10.0, 10.0))
    write_log(tmp_path, [slot("f1", 1, "v0"), slot("f1", 2, "v1"), slot("f1", 3, "v2")])

    log = count_slots(tmp_path, CUT_US)

    assert odd_of(log) == {"slots of videos of unknown duration": 2}
    assert log.counts.video.tolist() == [1]


def test_a_slot_that_was_passed_over_counts_as_scrolled_past(tmp_path):
    log = counted(tmp_path, slot("f1", 1, "v0"), slot("f1", 2, "v1", reached=False), slot("f1", 3, "v2"))

    assert odd_of(log) == {"feeds with a slot not reached before a reached one": 1}
    assert log.counts.went_on.tolist() == [1, 1, 1]


def test_a_feed_without_some_of_its_slots_is_counted(tmp_path):
    log = counted(tmp_path, slot("f1", 1, "v0"), slot("f1", 3, "v2", reached=False))

    assert odd_of(log) == {"feeds without a row for each of their positions": 1}


def test_an_impossible_position_is_set_aside(tmp_path):
    log = counted(tmp_path, slot("f1", 1, "v0"), slot("f1", 10**9, "v1"))

    assert odd_of(log) == {"slots beyond position 1000": 1}
    assert len(log.counts.at_risk) == 1


def test_given_values_outside_0_to_1_are_not_used(tmp_path):
    slots = [slot(f"f{feed}", 1, "v0", examination_propensity=q) for feed, q in enumerate((0.9, 0.7, 0.0, 1.2, None))]

    log = counted(tmp_path, *slots)

    assert log.given.q.tolist() == [pytest.approx(0.8)]
    assert log.given.varies
    assert odd_of(log) == {"slots with an examination propensity that is 0 or below, above 1 or not finite": 2}


def test_faulty_rows_are_set_aside_by_reason(tmp_path):
    slots = [slot(f"f{feed}", 1, "v0") for feed in range(40)]

    log = counted(tmp_path, *slots, slot("f40", 1, "v0", watch_s=-1.0))

    assert log.faults == {"watch_time_s is negative or not finite": 1}
    assert log.counts.shown.tolist() == [40]


def test_too_many_faulty_rows_are_refused(tmp_path):
    with pytest.raises(TableError, match="1 of 2 rows cannot be used, because watch_time_s is negative"):
        counted(tmp_path, slot("f1", 1, "v0"), slot("f2", 1, "v0", watch_s=-1.0))


def test_a_slot_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(TableError, match="rows repeat the feed_id and position of another"):
        counted(tmp_path, slot("f1", 1, "v0"), slot("f1", 1, "v1"))


def test_a_log_with_nothing_before_the_cut_is_refused(tmp_path):
    with pytest.raises(TableError, match="has no usable slot before 2026-01-05"):
        counted(tmp_path, slot("f1", 1, "v0", hours=140.0), before_us=to_us(at(100.0)))


def test_a_users_slots_are_in_one_part(shop):
    parts = count_slots(shop, CUT_US).parts

    assert sum(part.shown.sum() for part in parts) == 9000
    assert all(part.shown.sum() % 225 == 0 for part in parts)  # 75 feeds of 3 slots a user


def test_a_saved_comparison_opens_as_the_chosen_curve(shop, tmp_path):
    comparison = compare_methods(count_slots(shop, CUT_US), "all-pairs")
    file = tmp_path / "propensities.json"

    save_comparison(comparison, file)

    opened = open_propensities(file)
    assert opened.before_us == CUT_US
    assert opened.curve.name == "all-pairs"
    assert opened.curve.q.tolist() == comparison.curves["all-pairs"].curve.q.tolist()
    assert open_curve(file).reaches.tolist() == opened.curve.reaches.tolist()
    assert open_propensities(file, "rates").curve.name == "rates"


def test_every_method_is_compared_and_the_given_curve_is_the_log_s_own(shop):
    comparison = compare_methods(count_slots(shop, CUT_US), "immersive")

    assert set(comparison.curves) == {"given", *Method}
    assert comparison.curves["given"].curve.q.tolist() == pytest.approx(Q.tolist())
    assert np.isnan(comparison.curves["given"].interval.low).all()
    held = comparison.curves["immersive"]
    assert (held.interval.low[1:] <= Q[1:]).all()
    assert (Q[1:] <= held.interval.high[1:]).all()


def test_a_method_without_a_curve_is_named_with_its_reason(tmp_path):
    slots = [slot(f"f{feed}", position, f"v{position}") for feed in range(120) for position in (1, 2)]

    comparison = compare_methods(counted(tmp_path, *slots), "reach")

    assert comparison.failed["pivot"] == "no position can be compared with the first"
    assert "rates" in comparison.curves


def test_a_chosen_method_without_a_curve_is_refused_with_those_that_have_one(tmp_path):
    slots = [slot(f"f{feed}", position, f"v{position}") for feed in range(120) for position in (1, 2)]

    with pytest.raises(TableError, match="pivot has no curve here") as refused:
        compare_methods(counted(tmp_path, *slots), "pivot")

    assert refused.value.cure == "Choose given, rates or reach with --method."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be used"),
        ("[]", "it holds no examination curves"),
        ('{"kind": "examination", "format": 9}', "has format 9, and this version reads 1"),
        ('{"kind": "examination", "format": 1, "chosen": "x", "curves": {}}', "has no curve x"),
        (
            '{"kind": "examination", "format": 1, "chosen": "x", "before": "2026-01-01T00:00:00+00:00",'
            ' "curves": {"x": {"position": [1], "q": [0.5], "reaches": [9]}}}',
            "must begin with 1 and be above 0",
        ),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(tmp_path, text, message):
    file = tmp_path / "propensities.json"
    file.write_text(text)

    with pytest.raises(TableError, match=message):
        open_curve(file)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(TableError, match="There is no file"):
        open_curve(tmp_path / "propensities.json")


def test_the_command_prints_its_table_and_writes_the_curves_and_their_picture(lookreel, shop):
    code, out, error = lookreel(
        "evaluate", "propensities", "--tables", "shop", "--test-days", "0.1", "--out", "curves", "--method", "rates"
    )

    assert code == 0, error
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:11]] == ["given", *Method]
    assert lines[-1] == (
        "Next: lookreel evaluate run --tables shop --propensities curves/propensities.json --snapshot SNAPSHOT "
        "--out report"
    )
    assert (shop.parent / "curves" / "propensities.png").read_bytes()[:4] == b"\x89PNG"
    assert open_curve(shop.parent / "curves" / "propensities.json").name == "rates"


def test_the_command_prints_json(lookreel):
    code, out, _ = lookreel(
        "evaluate", "propensities", "--tables", "shop", "--before", "2026-01-05T12:00", "--out", "json", "--json"
    )

    said = json.loads(out)
    assert code == 0
    assert (said["chosen"], said["before"]) == ("immersive", "2026-01-05T12:00:00+00:00")
    assert said["curves"]["given"]["q"] == pytest.approx(Q.tolist())


def test_an_unknown_method_is_refused_in_one_sentence(lookreel):
    code, _, error = lookreel("evaluate", "propensities", "--tables", "shop", "--out", "x", "--method", "guess")

    assert code == 2
    assert error.splitlines()[0] == "There is no method guess."
    assert "given, rates, pivot" in error
