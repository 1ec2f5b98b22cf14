"""Judges by name, and their options as text."""

import pytest

from judge.attributes import AttributesJudge
from judge.endpoint import EndpointOptions
from judge.endpoint_pictures import FramesStyle
from judge.judges import JudgeContext, open_judge, parse_options
from retrieval.errors import ConfigError, UserFacingError
from tests.judge.test_attributes import PRODUCTS, VIDEOS


@pytest.mark.parametrize(
    "name", ["", "oracle", "oracle:x", "sample:x", "sample:", "attributes:", "endpoint", "endpoint:"]
)
def test_an_unknown_judge_is_refused_with_those_that_are_known(name):
    with pytest.raises(UserFacingError, match=r"Use one of sample, attributes, qwen\[:<model or folder>\], endpoint:"):
        open_judge(name)


def test_attributes_is_opened_on_the_tables():
    judge = open_judge("attributes", JudgeContext(PRODUCTS, VIDEOS))

    assert isinstance(judge, AttributesJudge)
    assert (judge.name, judge.reads_pictures) == ("attributes", False)


def test_attributes_without_tables_says_which_option_is_missing():
    with pytest.raises(UserFacingError, match="--tables"):
        open_judge("attributes")


def test_options_are_read_as_what_they_are():
    options = parse_options(EndpointOptions, ["budget=5", "concurrency=2", "frames=images"])

    assert options == EndpointOptions(budget=5.0, concurrency=2, frames=FramesStyle.IMAGES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budgt=5", "The judge has no option budgt=5"),
        ("budget", "The judge has no option budget"),
        ("concurrency=two", "'two', not a whole number"),
        ("budget=much", "'much', not a number"),
        ("frames=film", "'film', not one of"),
    ],
)
def test_a_wrong_option_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_options(EndpointOptions, [text])


def test_a_judge_without_options_takes_none():
    with pytest.raises(ConfigError, match="Leave it out"):
        open_judge("attributes", JudgeContext(PRODUCTS, VIDEOS, ["depth=2"]))
