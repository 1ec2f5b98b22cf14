"""What a training of the small judge begins with."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sample_shop.small_judge import JudgeShape
from sample_shop.train_judge import drawn_shops, new_model, open_judge

SHIPPED = Path(__file__).parents[2] / "judge" / "models" / "sample"


def test_shops_are_those_that_were_drawn_in_order(tmp_path):
    for seed in (1022, 1001, 1000):
        (tmp_path / f"shop-{seed}.safetensors").touch()
    (tmp_path / "scaffold.safetensors").touch()

    assert drawn_shops(tmp_path) == [1000, 1001, 1022]


def test_too_few_shops_are_refused_with_the_command_that_draws_them(tmp_path):
    with pytest.raises(SystemExit, match=r"holds 0 shops and training needs 3: python -m sample_shop\.judge_pictures"):
        drawn_shops(tmp_path)


def test_a_training_goes_on_from_the_shipped_judge():
    model, processor = open_judge(SHIPPED)
    made, of_new = new_model(JudgeShape())

    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in made.state_dict().items()
    }
    assert processor.tokenizer.get_vocab() == of_new.tokenizer.get_vocab()
    assert next(model.parameters()).dtype == torch.float32
    assert model.training


def test_a_folder_without_a_judge_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="is not a judge"):
        open_judge(tmp_path)


def test_the_command_names_its_options():
    asked = [sys.executable, "-m", "sample_shop.train_judge", "--help"]

    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    assert {"--start", "--scale", "--processes", "--pictures"} <= set(told.split())
