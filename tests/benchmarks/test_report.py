"""What a benchmark prints can be read by a script."""

import json
import sys

import pytest

from benchmarks.people_ccby import precision_at_1
from benchmarks.report import Figure, run
from benchmarks.sample_shop import QUICK, SEEDS


def measure(quick):
    return [Figure("speed", 2.0 if quick else 3.0, "times", "higher", "on nothing")]


@pytest.mark.parametrize(("flags", "value"), [(["--json"], 3.0), (["--json", "--quick"], 2.0)])
def test_json_is_a_list_of_figures(monkeypatch, capsys, flags, value):
    monkeypatch.setattr(sys, "argv", ["benchmark", *flags])

    run(measure, "a test")

    assert json.loads(capsys.readouterr().out) == [
        {"figure": "speed", "value": value, "unit": "times", "better": "higher", "detail": "on nothing"}
    ]


def test_without_json_it_is_a_line_each(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark"])

    run(measure, "a test")

    assert capsys.readouterr().out.split() == ["speed", "3", "times", "higher", "on", "nothing"]


def test_precision_counts_only_groups_of_two_or_more():
    import numpy as np

    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])

    # a's nearest is a, and the other way round; b's nearest is c, and c is alone.
    assert precision_at_1(vectors, ["a", "a", "b", "c"]).tolist() == [1.0, 1.0]
    assert precision_at_1(vectors, ["a", "b", "a", "b"]).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_the_seeds_that_claims_rest_on_are_not_those_of_development():
    assert not set(SEEDS) & {3, 5, 7, 8, 9, 11, 101, 102, 103}
    assert len(SEEDS) == 5
    assert QUICK.videos < 100
