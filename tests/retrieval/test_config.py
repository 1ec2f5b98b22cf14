"""`lookreel.toml`: what it may hold, and what is said of what it may not."""

import pytest

from retrieval.config import default_toml, load_config
from retrieval.errors import ConfigError
from retrieval.where import Filter


def config_of(tmp_path, text):
    path = tmp_path / "lookreel.toml"
    path.write_text(text)
    return load_config(path)


def test_without_a_file_every_value_is_the_default(tmp_path):
    config = load_config(tmp_path / "lookreel.toml")

    assert config["embed.frames"] == 8
    assert set(config.origins.values()) == {"default"}


def test_the_file_that_init_writes_changes_nothing_but_names_a_system(tmp_path):
    config, defaults = config_of(tmp_path, default_toml()), load_config(tmp_path / "none.toml")

    assert config.values == defaults.values
    assert set(config.origins.values()) == {"lookreel.toml"}
    assert config.system("quick").half_life_s == 3 * 86_400


def test_a_value_of_the_file_holds_and_says_where_it_came_from(tmp_path):
    config = config_of(tmp_path, "[embed]\nframes = 4\n")

    assert config["embed.frames"] == 4
    assert config.origins["embed.frames"] == "lookreel.toml"
    assert config.origins["embed.long_side"] == "default"


def test_a_system_holds_its_choices_and_changes_its_hash(tmp_path):
    config = config_of(tmp_path, '[systems.de]\nwhere = { markets = ["de"] }\nevent_weights = { purchase = 2 }\n')

    system = config.system("de")

    assert system.where == (Filter("markets", ("de",)),)
    assert system.event_weights["purchase"] == 2.0
    assert system.event_weights["view"] == 1.0
    assert system.hash != config.system("multimodal").hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[embed]\nframe = 4\n", r"unknown option embed\.frame[\s\S]*Did you mean embed\.frames"),
        ('[embed]\nframes = "four"\n', r"embed\.frames is 'four', not a whole number"),
        ("[embed]\nframes = 0\n", "not a whole number of at least 1"),
        ("embed = 3\n", "embed is a value, not a table"),
        ("[embed\n", "is not TOML"),
        ('[systems.x]\nkind = "psychic"\n', "not one of random, recency"),
        ('[systems.x]\nhalf_life = "soon"\n', "not a span such as 3d"),
        ("[systems.x]\nevent_weights = { view = inf }\n", "a finite number of at least 0"),
        ("[embed]\nphoto_weight = 0\ntext_weight = 0\n", "are both 0"),
        ("[systems.x]\nmood = 1\n", "unknown option mood"),
        ("[systems.x]\nevent_weights = { teleport = 1 }\n", "a table of weights of shown"),
    ],
)
def test_what_is_not_an_option_is_refused_in_words(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        config_of(tmp_path, text)


def test_an_unknown_system_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no system fast[\s\S]*multimodal"):
        load_config(tmp_path / "lookreel.toml").system("fast")
