"""The numbers of a comparison, from runs whose values are written by hand."""

import math

import numpy as np
import pytest

from labelcraft.options import Ablation
from labelcraft.report.aligned import Group, align
from labelcraft.report.build import cut_short, make_report, table_frame
from labelcraft.report.durations import duration_histograms
from labelcraft.report.numbers import Place, make_table, subtract
from labelcraft.report.resampling import Resamples
from labelcraft.report.studies import Move, ablation_rows, tau_sweep
from labelcraft.report.verdict import conclude
from labelcraft.report.words import Level
from retrieval.errors import ConfigError
from retrieval.metrics.stats import bootstrap_crossed
from tests.labelcraft.small_runs import about, random_runs, run


def table_of(*runs, target=None):
    return make_table(align(runs), Resamples(), target)


def test_an_interval_is_that_of_the_crossed_bootstrap():
    values = np.random.default_rng(1).random((3, 40))
    values[:, 5] = np.nan

    resamples = Resamples(7)
    made, known = resamples.estimate(values), bootstrap_crossed(values, np.random.default_rng(7))

    assert (made.mean, made.sd, made.n, made.skipped) == (known.mean, known.sd, 39, 1)
    assert (
        Resamples(7).estimate(values[:, :9]) == resamples.estimate(values[:, :9]) == resamples.estimate(values[:, :9])
    )
    assert (made.low, made.high) == pytest.approx((known.low, known.high), rel=1e-5)


def test_figures_are_means_over_users_and_seeds():
    table = table_of(run("WT", 0, (0.2, 0.4)), run("WT", 1, (0.6, 0.8)))

    figure = table.row("WT").figures["nwtg"]

    assert figure.estimate.mean == pytest.approx((0.2 + 0.4 + 0.6 + 0.8) / 4)
    # The seeds' means are 0.3 and 0.7: two values that lie 0.4 apart have the deviation 0.4 / √2.
    assert figure.sd_seeds == pytest.approx(0.4 / math.sqrt(2))
    # The users' means over seeds are 0.4 and 0.6.
    assert figure.estimate.sd == pytest.approx(0.2 / math.sqrt(2))


def test_one_seed_says_nothing_of_seeds():
    assert math.isnan(table_of(run("WT", 0, (0.2, 0.4))).row("WT").figures["nwtg"].sd_seeds)


def test_users_without_gain_are_left_out_or_count_one():
    table = table_of(run("WT", 0, (0.2, 0.4), neg=(0.5, None)))

    figure = table.row("WT").figures["neg"]

    assert (figure.estimate.mean, figure.estimate.n, figure.estimate.skipped) == (0.5, 1, 1)
    assert (figure.as_one.mean, figure.as_one.n) == ((0.5 + 1.0) / 2, 2)


def test_users_are_matched_by_their_id():
    first = run("WT", 0, (0.1, 0.9))
    turned = run("LabelCraft", 0, (0.2, 1.0))
    turned = type(turned)(**{**vars(turned), "users": turned.users.reverse()})

    difference = table_of(first, turned).differences[0]

    assert (difference.name, difference.against, difference.column) == ("LabelCraft", "WT", "nwtg")
    assert (difference.estimate.low, difference.estimate.high) == pytest.approx((0.1, 0.1))
    assert difference.percent == pytest.approx(100 * 0.1 / 0.5)


def test_runs_of_other_users_are_refused():
    with pytest.raises(ConfigError, match=r"runs/EF/0 was evaluated on 3 other users than the rest, who are 2\."):
        table_of(run("WT", 0, (0.1, 0.9)), run("EF", 0, (0.1, 0.9, 0.5)))


def test_a_difference_is_taken_over_the_seeds_that_both_have():
    trained = align([run("WT", 0, (0.1, 0.1)), run("EF", 0, (0.3, 0.3)), run("EF", 1, (0.9, 0.9))])

    assert subtract(trained["EF"], trained["WT"], "nwtg", Resamples()).estimate.mean == pytest.approx(0.2)


def test_a_ranking_that_learns_nothing_stands_beside_every_seed():
    trained = align([run("WT", 0, (0.1, 0.1)), run("WT", 1, (0.3, 0.3)), run("random", 0, (0.1, 0.1), epochs=0)])

    # 0.1 and 0.3, each minus 0.1
    assert subtract(trained["WT"], trained["random"], "nwtg", Resamples()).estimate.mean == pytest.approx(0.1)


def test_labels_without_a_common_seed_are_not_subtracted():
    trained = align([run("WT", 0, (0.1, 0.1)), run("EF", 1, (0.3, 0.3))])

    with pytest.raises(ConfigError, match="no seed in common"):
        subtract(trained["EF"], trained["WT"], "nwtg", Resamples())


def test_a_label_is_best_level_or_worse():
    # Against WT, D2Q loses 0.1 on two users and wins it on the others; EF loses 0.1 on all.
    table = table_of(
        run("WT", 0, (0.5, 0.5, 0.5, 0.501)), run("D2Q", 0, (0.4, 0.6, 0.4, 0.6)), run("EF", 0, (0.4, 0.4, 0.4, 0.401))
    )

    places = {row.name: row.standings["nwtg"].place for row in table.labels}

    assert places == {"WT": Place.BEST, "EF": Place.WORSE, "D2Q": Place.LEVEL}
    assert table.row("EF").standings["nwtg"].behind.estimate.mean == pytest.approx(-0.1)


def test_tables_have_the_order_of_the_paper():
    names = ["LabelCraft", "D2Q+EF", "WT", "my label", "oracle of DS", "LabelCraft τ=0.5", "LabelCraft τ=0", "random"]
    runs = [run(name, 0, (0.5,), epochs=0 if name in ("oracle of DS", "random") else 3) for name in names]
    runs.append(run("LabelCraft w/o B", 0, (0.5,)))

    trained = align(runs)

    assert list(trained) == [
        "WT", "D2Q+EF", "my label", "LabelCraft", "LabelCraft w/o B", "LabelCraft τ=0", "LabelCraft τ=0.5", "random",
        "oracle of DS",
    ]  # fmt: skip
    assert trained["LabelCraft w/o B"].group is Group.ABLATION


def test_another_label_may_be_the_target():
    table = table_of(run("WT", 0, (0.5,)), run("LabelCraft", 0, (0.7,)), target="WT")

    assert [(d.name, d.against) for d in table.differences] == [("WT", "LabelCraft")] * 3
    with pytest.raises(ConfigError, match=r"There is no run of PC\."):
        table_of(run("WT", 0, (0.5,)), target="PC")


def test_references_alone_are_no_comparison():
    with pytest.raises(ConfigError, match=r"No label was trained\."):
        table_of(run("random", 0, (0.5,), epochs=0))


def test_the_verdict_names_where_labelcraft_is_best_level_and_behind():
    better, level = (0.8, 0.8, 0.8, 0.801), (0.4, 0.6, 0.4, 0.6)
    table = table_of(
        run("WT", 0, (0.5,) * 4, ds=(4.0,) * 4, neg=(0.5, 0.5, 0.5, 0.501)),
        run("LabelCraft", 0, better, ds=(3.0,) * 4, neg=level),
    )

    verdict = conclude(table, 10)

    assert verdict.level is Level.MIXED
    assert verdict.headline == (
        "LabelCraft is best on NWTG@10, within the interval of the best on NEG@10 (WT) and 1.00 s behind WT on DS@10."
    )
    assert verdict.details == (
        "It is better than every other label on NWTG@10, with intervals that exclude zero.",
        "One seed: the intervals are over users alone.",
    )


def test_a_metric_that_not_all_are_beaten_on_is_not_claimed():
    table = table_of(
        run("WT", 0, (0.5,) * 4), run("EF", 0, (0.6, 0.8, 0.9, 0.7)), run("LabelCraft", 0, (0.9, 0.7, 0.8, 0.7))
    )

    assert table.row("LabelCraft").standings["nwtg"].place is Place.BEST
    assert table.beaten == ()
    assert "On no metric is it better" in conclude(table, 10).line


def test_without_labelcraft_the_best_labels_are_named():
    table = table_of(run("WT", 0, (0.6,), ds=(1.0,)), run("EF", 0, (0.5,), ds=(2.0,), neg=(0.9,)))

    assert conclude(table, 5).headline == "Of 2 labels, WT is best on NWTG@5 and EF is best on DS@5 and NEG@5."


def test_one_label_alone_is_compared_with_nothing():
    assert conclude(table_of(run("WT", 0, (0.6,))), 5).headline.startswith("Only WT was trained")


def test_unequal_seeds_are_said():
    table = table_of(run("WT", 0, (0.6,)), run("WT", 1, (0.6,)), run("EF", 0, (0.5,)))

    assert "It is not finished: labels have 1 to 2 seeds." in conclude(table, 5).details


def test_trainings_that_ended_while_rising_are_counted():
    runs = [run("WT", 0, (0.6,), epochs=8, best=7), run("WT", 1, (0.6,), epochs=8, best=2), run("EF", 0, (0.5,))]

    # Eight epochs are the most; the best of the first was one epoch ago, of the second six, and patience is five.
    assert cut_short(table_of(*runs), about(max_epochs=8)) == 1


def test_an_ablation_moves_as_expected_when_most_of_its_metrics_fall():
    runs = [
        run("LabelCraft", 0, (0.5,) * 4, ds=(3.0,) * 4),
        run("LabelCraft w/o S", 0, (0.4,) * 4, ds=(3.5,) * 4),
        run("LabelCraft w/o DO", 0, (0.6,) * 4, ds=(2.0,) * 4),
    ]
    trained = align(runs)

    scaling, spread = ablation_rows(make_table(trained, Resamples()), trained, Resamples())

    # Without scaling watch time and spread should fall, and only one of the two does.
    assert (scaling.part, scaling.as_expected) == (Ablation.SCALING, False)
    assert (spread.part, spread.as_expected) == (Ablation.SPREAD_OBJECTIVE, True)
    assert spread.moves["ds"].move is Move.FALLS
    assert (spread.moves["nwtg"].move, spread.moves["nwtg"].is_own) == (Move.RISES, False)


def test_the_sweep_holds_labelcraft_at_its_own_temperature():
    trained = align(
        [run("WT", 0, (0.4,)), run("EF", 0, (0.3,)), run("LabelCraft", 0, (0.5,)), run("LabelCraft τ=1", 0, (0.7,))]
    )

    sweep = tau_sweep(make_table(trained, Resamples()), 0.5)

    assert [(point.tau, point.figures["nwtg"].estimate.mean) for point in sweep.points] == [(0.5, 0.5), (1.0, 0.7)]
    assert sweep.best_others["nwtg"] == ("WT", 0.4)


def test_one_temperature_is_no_sweep():
    assert tau_sweep(table_of(run("LabelCraft", 0, (0.5,))), 0.5) is None


def test_durations_are_shares_over_common_edges():
    runs = [
        run("random", 0, (0.5,), epochs=0, durations=(2.5, 3.5, 9.5, 9.6)),
        run("WT", 0, (0.5,), durations=(2.5, 2.6)),
        run("WT", 1, (0.5,), durations=(3.5, 99.0)),
    ]

    durations = duration_histograms(align(runs))

    assert durations.edges_s == tuple(float(second) for second in range(11))
    assert durations.candidates.shares == (0, 0, 0.25, 0.25, 0, 0, 0, 0, 0, 0.5)
    assert durations.lists[0].shares == (0, 0, 0.5, 0.25, 0, 0, 0, 0, 0, 0)
    assert (durations.lists[0].above, durations.lists[0].mean_s) == (0.25, (2.5 + 2.6 + 3.5 + 99) / 4)


def test_the_report_and_the_csv_hold_the_same_numbers():
    runs = [*random_runs("WT", (0, 1), 0.5), *random_runs("LabelCraft", (0, 1), 0.6)]

    report = make_report(align(runs), about())

    lines = {(line["name"], line["metric"]): line for line in table_frame(report.table).iter_rows(named=True)}
    assert lines["LabelCraft", "ds"]["mean"] == report.table.row("LabelCraft").figures["ds"].estimate.mean
    assert lines["WT", "nwtg"]["standing"] == "worse"
    assert report.numbers["verdict"]["level"] == "good"
    assert report.numbers["table"]["differences"][0]["estimate"]["mean"] == pytest.approx(0.1)


def test_another_seed_of_the_resamples_moves_the_interval_alone():
    trained = align(random_runs("WT", (0, 1), 0.5))

    one, other = (make_report(trained, about(), seed=seed).table.row("WT").figures["nwtg"] for seed in (0, 1))

    assert one.estimate.mean == other.estimate.mean
    assert one.estimate.low != other.estimate.low
