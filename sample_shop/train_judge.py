"""Trains the small judge that ships with the project: it learns to see, then to compare, by the wall clock.

    python -m sample_shop.judge_pictures --count 22 --out PICTURES
    OMP_WAIT_POLICY=passive python -m sample_shop.train_judge --pictures PICTURES --out judge/models/sample

On a GPU add --scale 8 and --processes with the number of cores, and draw twice as many shops. The last of the drawn
shops is kept aside: no picture of it is trained on, and the grades of the second stage are checked on it. The clock
decides how many steps a run makes, so a second run gives similar, not equal, weights.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
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
from sample_shop.judge_mind import MindTraining, Scaffold, SeenShop, grade, see_shop
from sample_shop.judge_reader import REASON, Reader
from sample_shop.judge_sheets import Draw, Sheet, Sheets, load_sheets
from sample_shop.small_judge import JudgeShape, make_processor, make_tokenizer, new_judge, save_judge
from sample_shop.wording import NEUTRAL_PRODUCT, NEUTRAL_VIDEO, product_title, video_title

logger = logging.getLogger(__name__)
SCAFFOLD = "scaffold.safetensors"  # beside the pictures, for a run that goes on
CHECKED = 48  # users of each check, of 10 candidates
FEWEST_SHOPS = 3  # one to learn to see on, one to compare on, one to check on


@dataclass(frozen=True)
class Training:
    """All choices of one training run."""

    pictures: Path = field(metadata={"help": "folder that judge_pictures filled"})
    out: Path = field(default=Path("judge/models/sample"), metadata={"help": "where the model goes"})
    eye_minutes: float = field(default=35.0, metadata={"help": "wall-clock time of learning to see"})
    brief_minutes: float = field(default=12.0, metadata={"help": "wall-clock time of comparing in brief"})
    mind_minutes: float = field(default=24.0, metadata={"help": "wall-clock time of comparing by the whole prompt"})
    start: str = field(default="", metadata={"help": "a judge of this run's kind to go on from, its eyes as they are"})
    rate: float = field(default=1e-3, metadata={"help": "of comparing by the whole prompt"})
    shops: int = field(default=24, metadata={"help": "how many shops, the last ones drawn, the second stage reads"})
    unseen: float = field(default=0.25, metadata={"help": "share of the drawn that the first stage leaves for it"})
    scale: int = field(default=1, metadata={"help": "how many times as many pictures and users a step has"})
    processes: int = field(default=0, metadata={"help": "that lay out questions ahead; 0 does so in between"})
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


def learn_to_see(eyes: nn.Module, width: int, training: Training, seeds: Sequence[int]) -> None:
    """The first stage: three fifths of the time on photos and frames alike, the rest mostly on frames."""
    device, scale = next(eyes.parameters()).device, training.scale
    heads = AttributeHeads(width).to(device)
    learning = partial(EyeTraining, eyes, heads, training.pictures, seeds, n_shops=scale)
    learning(n_photos=64 * scale, n_pairs=64 * scale, seed=training.seed).run(0.6 * training.eye_minutes)
    often_frames = learning(n_photos=24 * scale, n_pairs=88 * scale, rate=1e-3, seed=training.seed + 1)
    often_frames.run(0.4 * training.eye_minutes)
    for seed in (seeds[0], seeds[-1] + 1):
        logger.info("eyes on shop %s: %s", seed, naming(eyes, heads, open_albums(training.pictures, seed, device)))


def learn_to_compare(
    model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, shops: list[SeenShop], training: Training
) -> None:
    """The second stage, in brief and then by the whole prompt; the last shop is for checks alone."""
    kept = training.pictures / SCAFFOLD
    scaffold = Scaffold(model.config.get_text_config().hidden_size)
    if training.start and kept.exists():
        scaffold.load_state_dict(load_file(kept))
    scaffold.to(shops[0].photos.device)
    brief = MindTraining(model, scaffold, Reader(processor, *rubrics(), brief=True), shops[:-1], rate=2e-3)
    whole = MindTraining(model, scaffold, Reader(processor, *rubrics()), shops[:-1], rate=training.rate)
    stages = [
        stage
        for stage in ((brief, training.brief_minutes, 0.5, 16), (whole, training.mind_minutes, 0.15, 8))
        if stage[1] > 0
    ]
    drawn = [_sheets(processor, mind, training, users) for mind, _, _, users in stages]
    for (mind, minutes, warm, _), (short, long) in zip(stages, drawn, strict=True):
        mind.check = partial(_check, mind, shops[-1])
        mind.run(short, warm * minutes, 0.0, warm)
        mind.run(long, (1 - warm) * minutes, warm, 1.0)
        mind.check()
        save_file({name: value.cpu() for name, value in scaffold.state_dict().items()}, kept)


def _sheets(
    processor: Qwen2_5_VLProcessor, mind: MindTraining, training: Training, users: int
) -> tuple[Iterator[Sheet], Iterator[Sheet]]:
    """Sheets with short histories to begin with, and with those that a judge meets."""
    facts, seed = [shop.facts for shop in mind.shops], training.seed + 9 * mind.reader.brief
    short = Draw(users * training.scale, lengths=(1, 2, 3), seed=seed)
    draws = (short, replace(short, lengths=Draw.lengths, seed=seed + 1))
    made = [Sheets(processor, rubrics(), mind.reader.brief, facts, draw) for draw in draws]
    first, second = (load_sheets(sheets, training.processes) for sheets in made)
    return first, second


def _check(mind: MindTraining, shop: SeenShop) -> None:
    plain, told = (grade(mind, shop, CHECKED, 3, neutral) for neutral in (1.0, 0.0))
    logger.info("neutral titles %s, real titles %s", plain, told)


def run(training: Training) -> None:
    """Train and save."""
    torch.manual_seed(training.seed)
    torch.set_num_threads(training.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, processor = open_judge(Path(training.start)) if training.start else new_model(JudgeShape())
    module: nn.Module = model  # the library's own types know no device
    module.to(device)
    eyes = model.model.visual
    seeds = drawn_shops(training.pictures)
    if not training.start:
        n_seen = len(seeds) - max(2, round(training.unseen * len(seeds)))
        learn_to_see(eyes, model.config.get_text_config().hidden_size, training, seeds[:n_seen])
    for parameter in eyes.parameters():
        parameter.requires_grad_(False)
    shops = [see_shop(eyes, training.pictures, seed) for seed in seeds[-training.shops :]]
    logger.info("%s of %s shops are read", len(shops), len(seeds))
    learn_to_compare(model, processor, shops, training)
    module.cpu()
    save_judge(model, processor, training.out)


def open_judge(folder: Path) -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]:
    """A judge that learned before, in float32, and its processor."""
    if not (folder / "config.json").exists():
        raise SystemExit(
            f"{folder} is not a judge: it has no config.json. Name what an earlier run wrote to its --out."
        )
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.train(), Qwen2_5_VLProcessor.from_pretrained(folder)


def drawn_shops(folder: Path) -> list[int]:
    """The seeds whose pictures *folder* holds, in order."""
    seeds = sorted(int(file.stem.removeprefix("shop-")) for file in folder.glob("shop-*.safetensors"))
    if len(seeds) < FEWEST_SHOPS:
        raise SystemExit(
            f"{folder} holds {len(seeds)} shops and training needs {FEWEST_SHOPS}: "
            f"python -m sample_shop.judge_pictures --out {folder}"
        )
    return seeds


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
