"""Trains the small judge that ships with the project: it learns to see, then to compare, by the wall clock.

    python -m sample_shop.judge_pictures --count 22 --out PICTURES
    OMP_WAIT_POLICY=passive python -m sample_shop.train_judge --pictures PICTURES --out judge/models/sample

The last of the drawn shops is kept aside: no picture of it is trained on, and the grades of the second stage are
checked on it. The clock decides how many steps a run makes, so a second run gives similar, not equal, weights.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from judge.prompt import Line, make_prompt
from judge.rubric import LABELS, Rubric, load_rubric
from sample_shop.catalogue import FACTORS
from sample_shop.judge_eyes import AttributeHeads, EyeTraining, naming, open_albums
from sample_shop.judge_mind import MindTraining, Scaffold, grade
from sample_shop.judge_pictures import FIRST_SEED, pictures_file
from sample_shop.judge_questions import SeenShop, see_shop
from sample_shop.judge_reader import REASON, Reader
from sample_shop.small_judge import JudgeShape, make_processor, make_tokenizer, new_judge, save_judge
from sample_shop.wording import NEUTRAL_PRODUCT, NEUTRAL_VIDEO, product_title, video_title

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """All choices of one training run."""

    pictures: Path = field(metadata={"help": "folder that judge_pictures filled"})
    out: Path = field(default=Path("judge/models/sample"), metadata={"help": "where the model goes"})
    eye_minutes: float = field(default=35.0, metadata={"help": "wall-clock time of learning to see"})
    brief_minutes: float = field(default=12.0, metadata={"help": "wall-clock time of comparing in brief"})
    mind_minutes: float = field(default=24.0, metadata={"help": "wall-clock time of comparing by the whole prompt"})
    eyes: str = field(default="", metadata={"help": "a vision tower that learned before, to skip the first stage"})
    shops: int = field(default=22, metadata={"help": "how many shops were drawn"})
    unseen: int = field(default=5, metadata={"help": "how many of them the first stage leaves for the second"})
    threads: int = field(default=2, metadata={"help": "threads that compute"})
    seed: int = field(default=0, metadata={"help": "draws everything"})


def corpus(rubrics: Sequence[Rubric]) -> list[str]:
    """Texts whose words become tokens: the rubrics, the titles, the labels and the reasons."""
    prompts = [make_prompt(rubric, [Line("x")] * 12, "x", still=still) for still in (False, True) for rubric in rubrics]
    told = [part["text"] for prompt in prompts for part in (*prompt.shared, *prompt.own) if part["type"] == "text"]
    told += [prompt.system for prompt in prompts] + ["The shopper searched for: "]
    codes = [[kind, colour, kind % 4, colour % 8, 0, 0] for kind in range(10) for colour in range(12)]
    titles = [product_title(code) for code in codes] + [video_title(i, code) for i, code in enumerate(codes)]
    reasons = [f"{REASON} fits in {', '.join(FACTORS)}. fits in nothing."]
    return told * 30 + titles * 3 + list(LABELS) * 500 + reasons * 50 + [NEUTRAL_PRODUCT, NEUTRAL_VIDEO] * 50


def rubrics() -> tuple[Rubric, Rubric]:
    """What videos are graded by, and what products are."""
    return load_rubric(), load_rubric("pairs-1")


def new_model(shape: JudgeShape) -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]:
    """An untrained judge and its processor."""
    tokenizer = make_tokenizer(corpus(rubrics()))
    return new_judge(shape, tokenizer), make_processor(tokenizer)


def learn_to_see(eyes: nn.Module, width: int, training: Training, seeds: range) -> None:
    """The first stage: three fifths of the time on photos and frames alike, the rest mostly on frames."""
    heads = AttributeHeads(width)
    first = EyeTraining(eyes, heads, training.pictures, seeds, seed=training.seed)
    first.run(0.6 * training.eye_minutes)
    second = EyeTraining(
        eyes, heads, training.pictures, seeds, n_photos=24, n_pairs=88, rate=1e-3, seed=training.seed + 1
    )
    second.run(0.4 * training.eye_minutes)
    logger.info("eyes: %s", naming(eyes, heads, open_albums(training.pictures, seeds[-1] + 1)))


def learn_to_compare(
    model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, shops: list[SeenShop], training: Training
) -> None:
    """The second stage, in brief and then by the whole prompt; the last shop is for checks alone."""
    scaffold = Scaffold(model.config.get_text_config().hidden_size)
    brief, whole = (Reader(processor, *rubrics(), brief=short) for short in (True, False))
    first = MindTraining(model, scaffold, brief, shops[:-1], users=16, rate=2e-3, seed=training.seed)
    second = MindTraining(model, scaffold, whole, shops[:-1], rate=1e-3, seed=training.seed + 9)
    for mind, minutes, warm in ((first, training.brief_minutes, 0.5), (second, training.mind_minutes, 0.15)):
        mind.check = partial(_check, mind, shops[-1])
        mind.run(minutes, warm)
        mind.check()


def _check(mind: MindTraining, shop: SeenShop) -> None:
    plain, told = (grade(mind, shop, 160, 3, neutral) for neutral in (1.0, 0.0))
    logger.info("neutral titles %s, real titles %s", plain, told)


def run(training: Training) -> None:
    """Train and save."""
    torch.manual_seed(training.seed)
    torch.set_num_threads(training.threads)
    shape = JudgeShape()
    model, processor = new_model(shape)
    eyes = model.model.visual
    seeds = range(FIRST_SEED, FIRST_SEED + training.shops)
    _require(training.pictures, seeds)
    if training.eyes:
        eyes.load_state_dict(load_file(training.eyes))
    else:
        learn_to_see(eyes, shape.width, training, seeds[: -training.unseen])
        save_file(
            {name: value.contiguous() for name, value in eyes.state_dict().items()},
            training.pictures / "eyes.safetensors",
        )
    for parameter in eyes.parameters():
        parameter.requires_grad_(False)
    shops = [see_shop(eyes, training.pictures, seed) for seed in seeds[-14:]]
    learn_to_compare(model, processor, shops, training)
    save_judge(model, processor, training.out)


def _require(folder: Path, seeds: range) -> None:
    missing = [seed for seed in seeds if not pictures_file(folder, seed).exists()]
    if missing:
        raise SystemExit(f"{folder} lacks {len(missing)} shops: python -m sample_shop.judge_pictures --out {folder}")


def parse_training() -> Training:
    """The command line: one flag for each field of `Training`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in fields(Training):
        required = option.name == "pictures"
        kind = Path if option.name in ("pictures", "out") else type(option.default)
        flag = "--" + option.name.replace("_", "-")
        default = None if required else option.default
        parser.add_argument(flag, type=kind, default=default, required=required, help=option.metadata["help"])
    return Training(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    for name in ("sample_shop.judge_eyes", "sample_shop.judge_mind", __name__):
        logging.getLogger(name).setLevel(logging.INFO)
    run(parse_training())
