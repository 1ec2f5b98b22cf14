"""Labels by their names."""

import subprocess
import sys

import pytest

from labelcraft.labels.duration_to_quantile import DurationToQuantile
from labelcraft.labels.registry import LABELS, label_class, make_label, parse_spec
from retrieval.errors import ConfigError


def test_the_literatures_names_are_known():
    assert list(LABELS) == ["WT", "EF", "PC", "PCR", "D2Q", "DVR", "EV", "LV", "W50"]
    assert isinstance(make_label("D2Q"), DurationToQuantile)
    assert label_class("D2Q") is DurationToQuantile


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"no label 'wt'\.\nChoose one of WT, EF, PC, PCR, D2Q, DVR, EV, LV, W50, LabelCraft\."
    ):
        make_label("wt")


def test_a_learned_label_is_not_made_but_trained():
    with pytest.raises(ConfigError, match="lookreel labels train --label LabelCraft"):
        make_label("LabelCraft")


@pytest.mark.parametrize(
    ("text", "names"), [("WT", ("WT",)), ("D2Q + EF", ("D2Q", "EF")), ("LabelCraft", ("LabelCraft",))]
)
def test_a_recommender_learns_one_label_or_several(text, names):
    assert parse_spec(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("WT+", "no label ''"),
        ("WT+CTR", "no label 'CTR'"),
        ("EF+EF", "names a label twice"),
        ("LabelCraft+EF", "joins a learned label"),
    ],
)
def test_specs_that_make_no_sense_are_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_spec(text)


def test_choosing_a_label_does_not_load_torch():
    code = "import sys, labelcraft.labels.files; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
