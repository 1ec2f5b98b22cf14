"""The bounds of a gate: what is measured, which bounds break and how that is said, and which files are refused."""

import pickle

import numpy as np
import pytest

from retrieval.errors import ConfigError
from retrieval.gate import Bound, Gate, GateError, Measures, Verdict, check, measures_of, read_gate

FINE = Measures(0.5, 8.0, 0.6, 0.1, 100)


def test_measures_count_videos_that_nobody_is_shown_and_leave_out_those_that_may_not_be():
    lists = np.array([[0, 1], [0, -1]])
    eligible = np.array([True, True, True, False])
    durations = np.array([10.0, 4.0, 2.0, 99.0])

    found = measures_of(lists, eligible, durations, np.array([True, False]))

    # Exposures 2, 1, 0 in ascending order 0, 1, 2: (−2·0 + 0·1 + 2·2) / (3·3) = 4/9; durations 10, 4, 10.
    assert found.exposure_gini == pytest.approx(4 / 9)
    assert (found.median_duration_s, found.coverage, found.fallback_share) == (10.0, 2 / 3, 0.5)


def test_what_cannot_be_measured_is_none_and_breaks_a_bound_on_it():
    found = measures_of(np.array([[0]]), np.ones(1, bool), np.array([np.nan]), np.array([False]))

    assert found.median_duration_s is None
    assert check(found, {"median_duration_s": Bound(min=1)}) == (
        "the median duration of what is recommended, in seconds, is not known, since there is nothing to measure",
    )


@pytest.mark.parametrize(
    ("name", "bound", "said"),
    [
        ("exposure_gini", Bound(max=0.4), "the Gini coefficient of exposure is 0.5, more than 0.4"),
        ("coverage", Bound(min=0.7), "the share of videos that anybody is shown is 0.6, less than 0.7"),
    ],
)
def test_a_broken_bound_is_said_with_both_values(name, bound, said):
    assert check(FINE, {name: bound}) == (said,)


def test_a_value_at_its_bound_keeps_it():
    assert check(FINE, {"exposure_gini": Bound(min=0.5, max=0.5), "coverage": Bound(min=0.6, max=0.6)}) == ()


def test_bounds_beside_the_live_version_are_looked_at_where_there_is_one():
    bounds = {"fallback_share": Bound(max_rise_over_live=0.05), "coverage": Bound(max_fall_below_live=0.1)}
    live = Measures(0.5, 8.0, 0.8, 0.02, 100)

    assert check(FINE, bounds) == ()
    assert check(FINE, bounds, FINE) == ()
    assert check(FINE, bounds, live) == (
        "the share of users answered by the global or default vector is 0.1, more than 0.05 above 0.02 of the live "
        "version",
        "the share of videos that anybody is shown is 0.6, more than 0.1 below 0.8 of the live version",
    )


def written(tmp_path, text):
    (tmp_path / "gate.toml").write_text(text)
    return tmp_path / "gate.toml"


def test_a_file_is_read_with_its_bounds_and_whom_it_looks_at(tmp_path):
    file = written(tmp_path, '[gate]\nsystem = "conventional"\nk = 5\nusers = 9\nexposure_gini = { max = 0.9 }\n')

    assert read_gate(file) == Gate({"exposure_gini": Bound(max=0.9)}, "conventional", 5, 9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gate = 1", r"must hold the table \[gate\] alone"),
        ("[gate]\ncoverage = {min=0.1}\n[other]\na = 1", r"must hold the table \[gate\] alone"),
        ("[gate]", "sets no bound"),
        ("[gate]\ngini = { max = 1 }", "unknown entry gini"),
        ("[gate]\ncoverage = 0.2", "not a table of min, max"),
        ("[gate]\ncoverage = { least = 0.2 }", "not a table of min, max"),
        ('[gate]\ncoverage = { min = "a" }', "not a finite number"),
        ("[gate]\ncoverage = { min = nan }", "not a finite number"),
        ("[gate]\nk = 0\ncoverage = { min = 0.2 }", "gate.k is 0, not a whole number"),
        ("[gate]\nsystem = 3\ncoverage = { min = 0.2 }", "gate.system is 3, not a name"),
        ("[gate", "is not TOML"),
    ],
)
def test_a_file_that_is_no_gate_is_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read_gate(written(tmp_path, text))


def test_a_gate_that_is_absent_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_gate(tmp_path / "gate.toml")


def test_a_shut_gate_says_what_broke_and_ends_a_command_with_3():
    shut = GateError(Verdict("recency", FINE, ("it is too long", "it is too short")), "Mend it.")

    assert str(shut) == "The gate is shut for recency: it is too long; it is too short.\nMend it."
    assert shut.exit_code == 3
    assert pickle.loads(pickle.dumps(shut)).verdict == shut.verdict
