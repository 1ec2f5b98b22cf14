"""What an experiment says in words: the first line, and what limits it."""

import numpy as np
import pytest

from labelcraft.experiments.analysis import Options, analyse
from labelcraft.experiments.metrics import parse_guards
from labelcraft.experiments.uplift import Uplift
from labelcraft.experiments.verdict import conclude, digits_of, interval_words, percent
from labelcraft.report.words import Level
from tests.labelcraft.experiments.made import make_counts, spread


def verdict_of(counts, guards="none", **options):
    return conclude(analyse(counts, parse_guards(guards, list(counts.sums)), Options(n_resamples=0, **options)), counts)


def test_a_better_bucket_is_the_first_line():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}))

    # Var(log R) = (1/16 + 1/25) / 199; se = 1.25 √ of it = 0.0284: 25 % ± 5.6 points.
    assert verdict.headline == (
        "B watched 25 % more videos to the half than A (95 % interval 19 % to 31 %); assignment is sound."
    )
    assert (verdict.level, verdict.is_sound) == (Level.GOOD, True)


def test_a_worse_bucket_has_fewer():
    verdict = verdict_of(make_counts({"A": spread(5), "B": spread(4)}))

    assert verdict.headline.startswith(
        "B watched 20.0 % fewer videos to the half than A (95 % interval −23.6 % to −16.4 %)"
    )
    assert verdict.level is Level.BAD


@pytest.mark.parametrize(
    ("primary", "words"),
    [
        ("watched_25", "B watched 25 % more videos to a quarter than A"),
        ("rate_25", "B raised the share of starts that reach a quarter by 25 % against A"),
        ("rate_50", "B raised the share of starts that reach the half by 25 % against A"),
        ("watch_time", "B watched 25 % longer than A"),
    ],
)
def test_each_metric_has_its_sentence(primary, words):
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}), primary=primary)

    assert verdict.headline.startswith(f"{words} (95 % interval 19 % to 31 %)")


def test_what_cannot_be_told_says_what_it_would_take():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(4.04)}))

    # se = 1.01 √((1/16 + 1/16.3216) / 199) = 0.02518: an uplift of 2.8 of it, 7.1 %, would show in four of five;
    # 1 % needs (7.06)² = 49.8 times the 400 users, about 20,000.
    assert verdict.headline == (
        "B and A are not distinguishable in videos watched to the half (+1.0 %, 95 % interval −3.9 % to +5.9 %); "
        "assignment is sound."
    )
    assert verdict.details[-1] == (
        "These 400 users would show an uplift of 7.1 % in four of five experiments; if +1.0 % is the truth, about "
        "20,000 would."
    )
    assert verdict.level is Level.OPEN


def test_a_sample_ratio_mismatch_comes_before_any_uplift():
    verdict = verdict_of(make_counts({"A": spread(4, 400), "B": spread(5, 200)}))

    assert verdict.headline == (
        "The assignment is not sound: users are 400 in A and 200 in B where 300 and 300 were expected (p < 0.0001). "
        "No uplift can be trusted before that is explained."
    )
    assert (verdict.level, verdict.is_sound) == (Level.BAD, False)
    assert verdict.details[0].startswith("As counted, B watched 25.0 % more videos")


def test_many_users_in_several_buckets_break_the_assignment():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}, crossed=20))

    assert verdict.headline.startswith("The assignment is not sound: 20 users (4.8 %) are in several buckets.")


def test_few_users_in_several_buckets_are_told():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}, crossed=2))

    assert verdict.is_sound
    assert "2 users in several buckets are left out." in verdict.details


def test_buckets_that_differed_before_are_not_sound():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}, before={"A": spread(4), "B": spread(5)}))

    assert verdict.headline.startswith("The assignment is not sound: B differed from A before the experiment began.")


def test_a_harmed_guard_takes_from_the_good_news():
    counts = make_counts({"A": spread(4), "B": spread(5)}, bought=np.concatenate([spread(5), spread(4)]))

    verdict = verdict_of(counts, "bought,feeds")

    assert verdict.level is Level.MIXED
    assert verdict.details[0] == "Harmed: bought in B moved by −20.0 % (−23.6 % to −16.4 %)."


def test_guards_that_hold_are_said_to():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}), "feeds")

    assert verdict.details[0] == "All guards stay within 5 %."


def test_several_treatments_each_have_their_part_of_the_line():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5), "C": spread(4)}))

    assert verdict.headline.startswith("B watched 25 % more videos to the half than A (")
    assert "; C and A are not distinguishable in videos watched to the half (" in verdict.headline
    assert verdict.headline.endswith("; assignment is sound.")


def test_other_metrics_are_counted_after_holms_correction():
    verdict = verdict_of(make_counts({"A": spread(4), "B": spread(5)}))

    assert "Of 5 other metrics 4 rose, after Holm's correction." in verdict.details


def test_few_users_are_warned_of():
    verdict = verdict_of(make_counts({"A": spread(4, 20), "B": spread(5, 20)}))

    assert "With fewer than 100 users in a bucket the intervals are rough." in verdict.details


def test_a_primary_metric_that_nobody_has_is_said_to_be_none():
    verdict = verdict_of(make_counts({"A": np.zeros(100), "B": spread(5, 100)}))

    assert verdict.headline == ("B and A cannot be compared in videos watched to the half; assignment is sound.")


@pytest.mark.parametrize(("width", "digits"), [(0.3, 0), (0.09, 1), (0.009, 2)])
def test_narrow_intervals_have_more_digits(width, digits):
    assert digits_of(Uplift(1, 1, 0.1, 0.1 - width / 2, 0.1 + width / 2, 0.1, 0.5)) == digits


def test_numbers_have_a_true_minus_and_no_sign_at_zero():
    assert interval_words(Uplift(1, 1, 0.0, -0.204, 0.198, 0.1, 0.9), sign=True) == "−20 % to +20 %"
    assert percent(-0.0001, 0, sign=True) == "0 %"
    assert percent(float("nan")) == "–"
