"""Trains the small CLIP that ships with the project, on drawn garments and on CC0 photos, by the wall clock.

    OMP_WAIT_POLICY=passive python -m sample_shop.train_clip --photos FOLDER --minutes 40 --out FOLDER

(OpenMP's default, busy waiting, makes two threads slower than one while anything else runs: 12 pictures/s, not 400.)
First the text tower learns to tell attributes apart, against a stand-in for the image tower; then both towers train.
"""

import argparse
import copy
import logging
import math
import tempfile
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sample_shop.captions import (
    ALL_KINDS,
    Caption,
    attribute_rows,
    caption_rows,
    kind_caption,
    known_phrases,
    truth,
    write_caption,
)
from sample_shop.clip_eval import ClipFigures, evaluate
from sample_shop.clip_losses import AttributeProxy, FinishHead, multi_positive_softmax, pull_towards, soft_cross_entropy
from sample_shop.small_clip import ClipShape, CompactVocabulary, SavedClip, new_model, normalise, save_model
from sample_shop.training_batches import Batch, PhotoPool, ScenePool, joined, load_photo_pool
from sample_shop.training_scenes import random_garment

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """All choices of one training run."""

    photos: Path = field(metadata={"help": "folder of the CC0 clothing photos, with photos.csv"})
    out: Path = field(default=Path("retrieval/models/sample"), metadata={"help": "where the model goes"})
    minutes: float = field(default=40.0, metadata={"help": "wall-clock time of the second stage"})
    text_minutes: float = field(default=1.0, metadata={"help": "wall-clock time of the first stage"})
    seed: int = field(default=0, metadata={"help": "draws everything"})
    size: int = field(default=72, metadata={"help": "side of the model's pictures in pixels"})
    n_photos: int = field(default=48, metadata={"help": "real photos in a batch"})
    n_scenes: int = field(default=48, metadata={"help": "drawn scenes in a batch"})
    pool: int = field(default=16000, metadata={"help": "scenes kept"})
    rate: float = field(default=2e-3, metadata={"help": "peak learning rate"})
    check_minutes: float = field(default=6.0, metadata={"help": "time between evaluations"})
    threads: int = field(default=2, metadata={"help": "threads that compute"})


@dataclass
class Learner:
    """What training changes: the model, its running mean, and the parts that are thrown away."""

    model: nn.Module
    mean: nn.Module
    proxy: AttributeProxy
    finish: FinishHead
    vocabulary: CompactVocabulary

    def texts(self, captions: list[str]) -> Tensor:
        """`(n_captions, dim)` rows of length 1."""
        rows: Tensor = self.model.encode_text(self.vocabulary.tokens(captions), normalize=True)  # type: ignore[operator]
        return rows

    def pictures(self, pixels: Tensor) -> Tensor:
        """`(n_pictures, dim)` rows of length 1; the image tower computes in bfloat16, the rest in float32."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rows: Tensor = self.model.encode_image(normalise(pixels))  # type: ignore[operator]
        return functional.normalize(rows.float(), dim=-1)

    def sharpness(self) -> Tensor:
        """What similarities are multiplied by before a softmax."""
        return self.model.get_parameter("logit_scale").exp().clamp(max=60)


def new_learner(shape: ClipShape) -> Learner:
    """Untrained towers, and what trains them."""
    vocabulary = CompactVocabulary(known_phrases(), shape.context_length)
    model = new_model(shape, vocabulary.size)
    proxy = AttributeProxy(len(ALL_KINDS), shape.embed_dim)
    return Learner(model, copy.deepcopy(model), proxy, FinishHead(shape.embed_dim), vocabulary)


def cosine_rate(part: float, step: int, warm_up: int = 80, floor: float = 0.003) -> float:
    """The learning rate's factor: up over the first steps, then down a half cosine over the run.

    >>> round(cosine_rate(0.5, step=1000), 4)
    0.503
    """
    return min(1.0, (step + 1) / warm_up) * (0.5 * (1 + math.cos(math.pi * part)) + floor)


def picture_side(part: float, size: int) -> int:
    """The side of training pictures: small ones, which go through faster, for the first 0.35 of the run.

    >>> picture_side(0.1, 72), picture_side(0.5, 72)
    (56, 72)
    """
    return size if part > 0.35 else round(size * 0.78)


def teach_texts(learner: Learner, training: Training, rng: Random) -> None:
    """Stage one: text tower and proxy learn to agree on which captions are true of which attributes."""
    parameters = [*_text_parameters(learner.model), *learner.proxy.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    start, step, part = time.monotonic(), 0, 0.0
    loss = torch.zeros(())
    while part < 1:
        _set_rate(optimizer, 2e-3 * cosine_rate(part, step, 50, 0.03))
        loss = _text_loss(learner, rng)
        _descend(optimizer, loss, parameters)
        step, part = step + 1, (time.monotonic() - start) / (60 * training.text_minutes)
    learner.proxy.requires_grad_(False)
    logger.info("Text tower: %s steps, loss %.2f", step, loss.item())


def _text_loss(learner: Learner, rng: Random, count: int = 192) -> Tensor:
    pictures = [tuple(random_garment(rng) for _ in range(rng.choice((1, 1, 1, 2)))) for _ in range(count)]
    captions = [write_caption(garments, rng) for garments in pictures]
    rows = attribute_rows(pictures)
    true = torch.from_numpy(truth(rows, caption_rows(captions)))
    texts = learner.texts([caption.text for caption in captions])
    return multi_positive_softmax(learner.proxy(torch.from_numpy(rows)) @ texts.T * learner.sharpness(), true)


def batch_loss(learner: Learner, batch: Batch, n_scenes: int, rng: Random) -> Tensor:
    """Stage two's loss; the batch's first *n_scenes* pictures are drawn and all their attributes known."""
    captions = [write_caption(garments, rng) for garments in batch.named]
    captions += [write_caption((random_garment(rng),), rng) for _ in range(32)]
    kinds = [kind_caption(kind, rng) for kind in ALL_KINDS]
    rows = learner.pictures(batch.pixels)
    texts = learner.texts([caption.text for caption in captions] + kinds)
    n, scale = len(captions), learner.sharpness()
    contrast = multi_positive_softmax(rows @ texts[:n].T * scale, caption_truth(batch, captions))
    kind = soft_cross_entropy(rows @ texts[n:].T * scale, kind_shares(batch.named_rows))
    with torch.no_grad():
        targets = learner.proxy(batch.named_rows[:n_scenes])
    finish: Tensor = learner.finish(rows, batch.finishes)
    return contrast + kind + pull_towards(rows[:n_scenes], targets) + 0.3 * finish


def caption_truth(batch: Batch, captions: list[Caption]) -> Tensor:
    """`(n_pictures, n_captions)` truth; what holds only of garments that no caption names counts as unknown."""
    rows = caption_rows(captions)
    true = truth(batch.named_rows.numpy(), rows)
    fuller = [i for i, (named, shown) in enumerate(zip(batch.named, batch.shown, strict=True)) if named != shown]
    shown = truth(batch.shown_rows.numpy()[fuller], rows)
    true[fuller] = np.where((true[fuller] == 0) & (shown != 0), -1, true[fuller])
    return torch.from_numpy(true)


def kind_shares(rows: Tensor) -> Tensor:
    """`(n_pictures, n_kinds)`: each picture's share of each kind, from `(n_pictures, n_garments, 3)` attributes."""
    kinds = rows[..., 0]
    counts = functional.one_hot(kinds.clamp(min=0), len(ALL_KINDS)) * (kinds >= 0)[..., None]
    shares = counts.sum(dim=1).float()
    return shares / shares.sum(dim=1, keepdim=True)


def train(learner: Learner, training: Training, scenes: ScenePool, photos: PhotoPool, rng: Random) -> None:
    """Stage two: both towers, for the given minutes; evaluations stop the clock."""
    draws = np.random.default_rng(training.seed)
    optimizer = _optimizer(learner, training.rate)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    clock, step, checked_s, loss_mean = time.monotonic(), 0, 0.0, 0.0
    while (elapsed_s := time.monotonic() - clock) < training.minutes * 60:
        _set_rate(optimizer, training.rate * cosine_rate(elapsed_s / (training.minutes * 60), step))
        if step % 2 == 0:
            scenes.refresh()
        side = picture_side(elapsed_s / (training.minutes * 60), training.size)
        batch = joined(scenes.sample(training.n_scenes, side, draws), photos.sample(training.n_photos, side, draws))
        loss = batch_loss(learner, batch, training.n_scenes, rng)
        _descend(optimizer, loss, parameters)
        follow(learner.mean, learner.model, step)
        step, loss_mean = step + 1, 0.98 * loss_mean + 0.02 * loss.item()
        if elapsed_s - checked_s > training.check_minutes * 60:
            checked_s, pause = elapsed_s, time.monotonic()
            logger.info("%.1f min, step %s, loss %.3f: %s", elapsed_s / 60, step, loss_mean, check(learner, training))
            clock += time.monotonic() - pause
    logger.info("%s steps, %s scenes drawn in the pool", step, len(scenes.scenes))


def check(learner: Learner, training: Training) -> ClipFigures:
    """The figures of the running mean, saved beside the target and opened as users open it."""
    with tempfile.TemporaryDirectory() as folder:
        save(learner, training, Path(folder))
        return evaluate(SavedClip(Path(folder)), training.photos, n_shop=300, seed=1)


def save(learner: Learner, training: Training, folder: Path) -> None:
    """Write the running mean as an open_clip folder."""
    save_model(learner.mean.state_dict(), ClipShape(training.size), learner.vocabulary, folder)


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, step: int, decay: float = 0.998) -> None:
    """Move the running mean towards the model, faster in the first steps."""
    part = 1 - min(decay, (1 + step) / (10 + step))
    pairs = [
        (old, new)
        for old, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True)
        if old.is_floating_point()
    ]
    torch._foreach_lerp_([old for old, _ in pairs], [new for _, new in pairs], part)


def _text_parameters(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for name, parameter in model.named_parameters() if not name.startswith("visual")]


def _optimizer(learner: Learner, rate: float) -> torch.optim.Optimizer:
    """Weight decay on the image tower's matrices only; the text tower, taught already, moves at a tenth."""
    visual = [p for name, p in learner.model.named_parameters() if name.startswith("visual")]
    groups = [
        {"params": [p for p in visual if p.ndim > 1], "weight_decay": 0.05, "part": 1.0},
        {"params": [p for p in visual if p.ndim < 2], "weight_decay": 0.0, "part": 1.0},
        {"params": list(learner.finish.parameters()), "weight_decay": 0.0, "part": 1.0},
        {"params": _text_parameters(learner.model), "weight_decay": 0.0, "part": 0.1},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("part", 1.0)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter]) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def run(training: Training) -> ClipFigures:
    """Train, save and measure; the same seed draws the same pictures, the wall clock decides how many."""
    torch.manual_seed(training.seed)
    torch.set_num_threads(training.threads)
    rng = Random(f"captions {training.seed}")
    learner = new_learner(ClipShape(training.size))
    with ScenePool(training.size, training.pool, training.seed) as scenes:
        teach_texts(learner, training, rng)
        photos = load_photo_pool(training.photos, training.size)
        scenes.fill(min(4000, training.pool))
        logger.info("Start with %s scenes and %s photos", len(scenes.scenes), len(photos.garments))
        train(learner, training, scenes, photos, rng)
    save(learner, training, training.out)
    return evaluate(SavedClip(training.out), training.photos)


def parse_training() -> Training:
    """The command line: one flag for each field of `Training`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in fields(Training):
        required = option.name == "photos"
        kind = Path if option.name in ("photos", "out") else type(option.default)
        default = None if required else option.default
        flag = "--" + option.name.replace("_", "-")
        parser.add_argument(flag, type=kind, default=default, required=required, help=option.metadata["help"])
    return Training(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)
    logger.info("%s", run(parse_training()))
