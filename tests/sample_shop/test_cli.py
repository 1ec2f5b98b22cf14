import json

import pytest
from typer.testing import CliRunner

from retrieval.errors import UserFacingError
from sample_shop.cli import app
from sample_shop.options import parse_dials, parse_policy
from sample_shop.policies import Policy

SMALL = ["--no-media", "--videos", "20", "--products", "20", "--users", "5", "--days", "3"]


def test_build_says_what_is_there_and_what_comes_next(tmp_path):
    result = CliRunner().invoke(app, ["build", str(tmp_path / "shop"), *SMALL])

    assert result.exit_code == 0
    assert "20 products, 20 videos, 5 shoppers" in result.stdout
    assert f"Next: lookreel tables check {tmp_path / 'shop'}" in result.stdout


def test_build_speaks_json(tmp_path):
    result = CliRunner().invoke(app, ["build", str(tmp_path / "shop"), *SMALL, "--seed", "3", "--json"])

    summary = json.loads(result.stdout)

    assert (summary["seed"], summary["videos"], summary["photos"]) == (3, 20, 0)


@pytest.mark.parametrize("option", ["--videos", "--products", "--users", "--days"])
def test_a_shop_of_nothing_is_refused(tmp_path, option):
    result = CliRunner().invoke(app, ["build", str(tmp_path / "shop"), "--no-media", option, "0"])

    assert result.exit_code == 2
    assert option in result.stderr
    assert not (tmp_path / "shop").exists()


def test_a_taken_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")

    result = CliRunner().invoke(app, ["build", str(tmp_path), *SMALL])

    assert isinstance(result.exception, UserFacingError)


def test_an_unknown_dial_is_answered_with_the_known_ones():
    with pytest.raises(UserFacingError, match="Turn one of position, duration"):
        parse_dials(["pos=0"])


@pytest.mark.parametrize("word", ["position=-1", "position=much", "position"])
def test_a_dial_needs_a_number_of_at_least_zero(word):
    with pytest.raises(UserFacingError, match="position=0 for off"):
        parse_dials([word])


def test_policies_are_chosen_by_name():
    assert parse_policy("random") is Policy.RANDOM


@pytest.mark.parametrize("name", ["newest", "scores"])
def test_an_unknown_policy_is_answered_with_the_known_ones(name):
    with pytest.raises(UserFacingError, match="recency, random, explore"):
        parse_policy(name)
