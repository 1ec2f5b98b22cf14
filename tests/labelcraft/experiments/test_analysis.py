"""What sums say: which metric decides, what is corrected for what, guards, and what makes buckets incomparable."""

import math

import numpy as np
import pytest

from benchmarks.experiments import coverage, draw_experiment, rows_of, significant_share, simulate
from labelcraft.experiments import metrics as m
from labelcraft.experiments.analysis import Guarded, Options, Role, analyse, guard_of
from labelcraft.experiments.metrics import GUARDS, METRICS, parse_guards, parse_metric
from labelcraft.experiments.uplift import Uplift
from retrieval.errors import ConfigError
from tests.labelcraft.experiments.made import make_counts, spread

QUICK = Options(n_resamples=0)
ARMS = {"A": spread(4), "B": spread(5)}


def row_of(analysis, key, treatment="B"):
    return next(row for row in analysis.rows if (row.metric.key, row.treatment) == (key, treatment))


def interval(low, high):
    return Uplift(1.0, 1.0, (low + high) / 2, low, high, 0.01, 0.5)


def test_the_primary_metric_comes_first_and_guards_last():
    analysis = analyse(make_counts(ARMS), parse_guards("feeds", ()), Options(primary="rate_25", n_resamples=0))

    assert [row.role for row in analysis.rows] == [Role.PRIMARY, *[Role.SECONDARY] * 5, Role.GUARD]
    assert analysis.rows[0].metric.key == "rate_25"
    assert analysis.rows[0].shown.uplift == pytest.approx(0.25)


def test_every_metric_has_its_value_in_both_buckets():
    analysis = analyse(make_counts(ARMS), parse_guards("skips,length", ()), QUICK)

    told = {row.metric.key: (row.plain.control, row.plain.treatment) for row in analysis.rows}
    assert told == {
        "watched_50": (4, 5), "watched_25": (4, 5), "started": (10, 10), "rate_25": (0.4, 0.5), "rate_50": (0.4, 0.5),
        "watch_time": (4, 5), "skips": (0.6, 0.5), "length": (20, 20),
    }  # fmt: skip


def test_the_primary_metric_stands_alone_and_the_others_share_holms_correction():
    analysis = analyse(make_counts({"A": spread(4), "B": spread(4.2)}), (), QUICK)

    primary, other = row_of(analysis, "watched_50"), row_of(analysis, "watched_25")
    assert primary.p_holm == primary.shown.p
    # Started does not vary: p is 1, and the other four have the same p, so the first rank counts five.
    assert other.p_holm == pytest.approx(5 * other.shown.p)
    assert other.p_holm < 1


def test_of_several_treatments_the_primary_metric_is_corrected_too():
    analysis = analyse(make_counts({"A": spread(4), "B": spread(4.2), "C": spread(4.2)}), (), QUICK)

    row = row_of(analysis, "watched_50", "C")
    assert row.p_holm == pytest.approx(2 * row.shown.p)


def test_a_user_does_more_for_the_interval_than_their_rows():
    once, twice = (analyse(make_counts({k: np.tile(v, n) for k, v in ARMS.items()}), (), QUICK) for n in (1, 4))

    # Four times the users halve the standard error; n − 1 against n makes the last 0.2 %.
    assert row_of(twice, "watched_50").shown.se == pytest.approx(row_of(once, "watched_50").shown.se / 2, rel=5e-3)


@pytest.mark.parametrize(
    ("low", "high", "guarded"),
    [
        (-0.04, 0.02, Guarded.HOLDS),
        (-0.04, -0.01, Guarded.HOLDS),  # a loss, and less than is tolerated
        (-0.09, 0.01, Guarded.OPEN),
        (-0.09, -0.01, Guarded.HARMED),
        (math.nan, math.nan, Guarded.OPEN),
    ],
)
def test_a_guard_holds_within_its_margin(low, high, guarded):
    assert guard_of(interval(low, high), GUARDS["feeds"], 0.05) is guarded


def test_a_guard_of_which_less_is_better_is_read_the_other_way_round():
    assert guard_of(interval(0.01, 0.09), GUARDS["skips"], 0.05) is Guarded.HARMED
    assert guard_of(interval(-0.5, -0.3), GUARDS["skips"], 0.05) is Guarded.HOLDS


def test_guards_are_those_the_log_has_or_those_named():
    assert [one.key for one in parse_guards(None, ["liked"])] == ["feeds", "skips", "length", "likes"]
    assert parse_guards("none", ["liked"]) == ()
    assert parse_guards("returned:lower", ["returned"])[0].numerator == "returned"


@pytest.mark.parametrize("text", ["returned", "likes", "feeds:up"])
def test_guards_that_are_no_guards_are_refused(text):
    with pytest.raises(ConfigError, match="--guards has"):
        parse_guards(text, ["bought"])


def test_a_primary_metric_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="Choose one of watched_50"):
        parse_metric("clicks")


@pytest.mark.parametrize(
    ("buckets", "control"), [(("b", "Control"), "Control"), (("B", "A"), "A"), (("baseline", "new"), "baseline")]
)
def test_the_control_is_known_by_its_name(buckets, control):
    assert analyse(make_counts(dict.fromkeys(buckets, spread(4))), (), QUICK).control == control


def test_a_control_that_nobody_names_is_asked_for():
    counts = make_counts({"green": spread(4), "red": spread(4)})

    with pytest.raises(ConfigError, match="Which of the buckets green, red is the control"):
        analyse(counts, (), QUICK)
    with pytest.raises(ConfigError, match="There is no bucket blue"):
        analyse(counts, (), Options("blue"))
    assert analyse(counts, (), Options("red", n_resamples=0)).treatments == ("green",)


def test_one_bucket_is_no_comparison():
    with pytest.raises(ConfigError, match="users in one bucket only, A: there is nothing to compare"):
        analyse(make_counts({"A": spread(4)}), (), QUICK)


def test_shares_must_be_those_of_the_buckets():
    with pytest.raises(ConfigError, match="Shares are of A, C, but there are users in A, B"):
        analyse(make_counts(ARMS), (), Options(shares={"A": 0.5, "C": 0.5}))


def test_users_are_compared_with_the_expected_shares():
    analysis = analyse(make_counts({"A": spread(4, 300), "B": spread(4, 100)}), (), Options(shares={"A": 3, "B": 1}))

    assert analysis.assignment.ratio.expected == (300, 100)
    assert analysis.assignment.ratio.p == 1.0


def test_the_time_before_narrows_the_interval_and_must_not_differ():
    before = {"A": spread(3), "B": spread(3)}  # who watched less before watches less now

    analysis = analyse(make_counts(ARMS, before=before), (), QUICK)

    row = row_of(analysis, "watched_50")
    assert row.shown is row.adjusted
    assert row.adjusted.se < 0.2 * row.plain.se
    assert analysis.assignment.before["B"].uplift == 0.0


def test_a_user_who_was_not_there_before_is_no_user_who_did_nothing():
    # Those who were there watched 3 before, as their bucket's others: only being there explains what they watch now.
    there = np.tile([True, False], 200)
    watched = {"A": np.tile([6.0, 2.0], 100), "B": np.tile([6.0, 2.0], 100)}

    analysis = analyse(
        make_counts(watched, before={"A": np.zeros(200), "B": np.zeros(200)}, was_there=there), (), QUICK
    )

    row = row_of(analysis, "watched_50")
    assert row.adjusted.se == pytest.approx(0.0, abs=1e-9)
    assert row.plain.se > 0.05


def test_watch_time_is_capped_by_one_quantile_of_all_users():
    heavy = spread(4)
    heavy[1] = 1000.0

    analysis = analyse(make_counts({"A": spread(4), "B": heavy}), (), Options(winsorise=0.99, n_resamples=0))

    assert analysis.cap_s == 5.0
    assert row_of(analysis, "watch_time").shown.uplift == 0.0
    assert row_of(analysis, "watched_50").shown.uplift > 1  # the others stay as they are


def test_the_bootstrap_agrees_with_the_delta_method():
    analysis = analyse(draw_experiment(4000, 0.2, seed=3), (), Options(n_resamples=1000))

    widths = [(row.booted[1] - row.booted[0]) / (row.plain.high - row.plain.low) for row in analysis.rows]
    centres = [(sum(row.booted) / 2 - row.plain.uplift) / row.plain.se for row in analysis.rows]
    # 1,000 resamples know the ends of an interval to about 0.05 of its half width.
    assert widths == pytest.approx([1.0] * len(METRICS), abs=0.1)
    assert centres == pytest.approx([0.0] * len(METRICS), abs=0.25)


def test_what_the_control_lacks_is_unknown_and_the_rest_is_told():
    analysis = analyse(
        make_counts(ARMS, liked=np.zeros(400)), parse_guards("likes", ["liked"]), Options(n_resamples=50)
    )

    row = row_of(analysis, "likes")
    assert not row.shown.is_known
    assert all(map(math.isnan, row.booted))
    assert row_of(analysis, "watched_50").is_significant


def test_without_an_effect_one_experiment_in_twenty_is_significant():
    nulls = simulate(100, 300, 0.0)

    shares = [significant_share(rows_of(nulls, key)) for key in METRICS]
    # 100 experiments know a share of 0.05 to ± 0.022; three of these to either side.
    assert all(0.0 < share < 0.05 + 3 * 0.022 for share in shares)
    assert 0.02 < np.mean(shares) < 0.08


def test_intervals_hold_the_truth_with_the_time_before_and_narrow_by_it():
    rows = rows_of(simulate(60, 300, 0.2, with_before=True), m.PRIMARY)

    assert coverage(rows, 0.2) >= 0.95 - 3 * 0.028
    assert np.mean([row.adjusted.se / row.plain.se for row in rows]) < 0.75
