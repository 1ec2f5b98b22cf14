"""The second stage of training the small judge: its language model learns to compare a video with a history.

The vision tower stands still, so that every picture is read once. A step reads the rubric once, each history once and
each candidate after it, exactly the numbers of reading every prompt alone (a test holds it to the real processor).

Heads that are thrown away afterwards say how much of each factor is in the history, in the video, and in both: the
answer's own gradient is too faint to find that product on its own.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2_5_VLForConditionalGeneration

from judge.agreement import spearman
from sample_shop.catalogue import FACTORS
from sample_shop.judge_eyes import SEEN_LEVELS, level_shares
from sample_shop.judge_questions import N_FRAME, N_PHOTO, Question, SeenShop, ask, ask_pairs
from sample_shop.judge_reader import Padded, Piece, Reader, padded
from sample_shop.judge_thinking import Keys, joined, think
from sample_shop.relevance import HISTORY_LENGTH, RECENCY

logger = logging.getLogger(__name__)


class Scaffold(nn.Module):
    """Says from the mark after each picture what it shows, and from the answer what is in history, video and both.

    The first layer tells what a picture shows, the second what is in history and video, the last what both share.
    """

    def __init__(self, width: int) -> None:
        """Linear readings."""
        super().__init__()
        self.first, self.early, self.late = (nn.LayerNorm(width) for _ in range(3))
        self.looks = nn.Linear(width, sum(SEEN_LEVELS))
        self.contents = nn.Linear(width, 2 * sum(SEEN_LEVELS))
        self.common = nn.Linear(width, len(FACTORS))

    def looks_loss(self, marks: Tensor, shares: Tensor) -> Tensor:
        """Cross-entropy of the levels that pictures show, `(n, 33)`, a mean over the factors."""
        logits = self.looks(self.first(marks.float())).split(SEEN_LEVELS, dim=-1)
        logs = torch.cat([part.log_softmax(-1) for part in logits], dim=-1)
        return -(shares * logs).sum(-1).mean() / len(SEEN_LEVELS)

    def contents_loss(self, early: Tensor, contents: Tensor) -> Tensor:
        """Squared error of the shares `(n, 66)`, about 1 where nothing is known."""
        return functional.mse_loss(self.contents(self.early(early.float())), contents) / 0.07

    def common_loss(self, late: Tensor, common: Tensor) -> Tensor:
        """Squared error of the shares `(n, 6)`, about 1 where nothing is known."""
        return functional.mse_loss(self.common(self.late(late.float())), common) / 0.06


@dataclass(frozen=True)
class Batch:
    """What one step reads, tokens in place of pictures, and what it should say.

    *looks* `(n_products, 33)` is what each product of the histories shows; *said* `(n·k, longest)` are the tokens from
    the label on, −1 beyond the end; *answers* `(n·k,)` the place before them; *contents* and *common* are the
    scaffold's.
    """

    history: Tensor
    told_history: Padded
    looks: Tensor
    videos: Tensor
    told_videos: Padded
    said: Tensor
    answers: Tensor
    grades: Tensor
    contents: Tensor
    common: Tensor


def make_batch(
    model: Qwen2_5_VLForConditionalGeneration, reader: Reader, shop: SeenShop, questions: Sequence[Question],
    start: int, rng: np.random.Generator, reasons: bool,
) -> Batch:  # fmt: skip
    """The questions as tensors; *start* is the place after the instructions, *reasons* asks for a reason too."""
    embed = model.model.get_input_embeddings()
    pieces = [reader.history(question.titles, question.query) for question in questions]
    told_history = padded(pieces, [start] * len(pieces))
    photos = torch.cat([shop.photos[question.products] for question in questions])
    photos = (photos.mean(1) if reader.brief else photos.flatten(0, 1)).to(torch.float32)
    history = _with_tokens(embed(told_history.ids), told_history.ids == model.config.image_token_id, photos)

    videos, starts, answers, targets = [], [], [], []
    for question, piece in zip(questions, pieces, strict=True):
        for i, video in enumerate(question.videos):
            title = question.video_titles[i]
            asked = reader.product(title) if question.still else reader.candidate(title, float(shop.seconds[video]))
            said = list(reader.labels[question.grades[i] - 1])
            said += [*reader.because, *reader.reason(question.parts[i])] if reasons else []
            videos.append(_followed(asked, said))
            starts.append(start + piece.ends)
            answers.append(len(asked.ids) - 1)
            targets.append([*said, *reader.end])
    told_videos = padded(videos, starts)
    wanted = torch.full((len(targets), max(map(len, targets))), -1)
    for row, said in enumerate(targets):
        wanted[row, : len(said)] = torch.tensor(said)
    rows, still = torch.tensor([video for question in questions for video in question.videos]), questions[0].still
    sets = torch.from_numpy(rng.integers(2, size=len(videos)))  # of frames
    tokens = (shop.photos[rows] if still else shop.clips[sets, rows]).float()
    if reader.brief:
        tokens = tokens.reshape(len(tokens), -1, N_PHOTO if still else N_FRAME, tokens.shape[-1]).mean(2)
    tokens = tokens.flatten(0, 1)
    pad = model.config.image_token_id if still else model.config.video_token_id
    clips = _with_tokens(embed(told_videos.ids), told_videos.ids == pad, tokens)
    grades = torch.from_numpy(np.concatenate([question.grades for question in questions]))
    common = torch.from_numpy(np.concatenate([question.parts for question in questions])).float()
    return Batch(
        history, told_history, _looks(shop, questions), clips, told_videos, wanted, torch.tensor(answers), grades,
        _contents(shop, questions), common,
    )  # fmt: skip


def _followed(piece: Piece, said: list[int]) -> Piece:
    n = len(said)
    return Piece(
        [*piece.ids, *said], torch.cat([piece.places, (torch.arange(n) + piece.ends).expand(3, -1)], 1), piece.ends + n
    )


def _with_tokens(embedded: Tensor, where: Tensor, tokens: Tensor) -> Tensor:
    return embedded.masked_scatter(where[..., None], tokens.to(embedded.dtype))


def _looks(shop: SeenShop, questions: Sequence[Question]) -> Tensor:
    """`(n_products, 33)`: what the products of all histories show, in their order."""
    return level_shares(shop.codes[[product for question in questions for product in question.products]][:, None])


def _contents(shop: SeenShop, questions: Sequence[Question]) -> Tensor:
    """`(n·k, 66)`: the weighted shares of the seen levels in the history, then those in the video or product."""
    rows = []
    for question in questions:
        weights = torch.tensor([RECENCY**j for j in range(len(question.products))])
        levels = level_shares(shop.codes[question.products][:, None])
        history = (levels * (weights / weights.sum())[:, None]).sum(0).expand(len(question.videos), -1)
        codes = shop.codes[question.videos][:, None] if question.still else shop.video_codes[question.videos]
        rows.append(torch.cat([history, level_shares(codes)], dim=1))
    return torch.cat(rows)


@dataclass
class MindTraining:
    """Trains the language model of *model* on *shops* that the vision tower has read."""

    model: Qwen2_5_VLForConditionalGeneration
    scaffold: Scaffold
    reader: Reader
    shops: list[SeenShop]
    users: int = 8
    k: int = 8
    pairs: float = 0.15
    rate: float = 1.5e-3
    seed: int = 0
    step: int = 0
    check: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    @property
    def mind(self) -> Any:
        return self.model.model.language_model

    def _batch(self, longest: int) -> tuple[Batch, Keys]:
        rng = self._rng
        order = rng.permutation(5).tolist() if rng.random() < 0.3 else range(5)
        still = bool(rng.random() < self.pairs)
        piece = self.reader.instructions(order, still)
        told = padded([piece], [0])
        embedded = self.model.model.get_input_embeddings()(told.ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            _, keys = think(self.mind, embedded, told)
        shop = self.shops[int(rng.integers(len(self.shops)))]
        questions = [(ask_pairs if still else ask)(shop, rng, self.k, longest) for _ in range(self.users)]
        return make_batch(self.model, self.reader, shop, questions, piece.ends, rng, bool(rng.random() < 0.1)), keys

    def losses(self, longest: int) -> dict[str, Tensor]:
        """The parts of one step's loss: those of the answers, and those of the scaffold."""
        batch, instructions = self._batch(longest)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            before, history = think(self.mind, batch.history, batch.told_history, instructions)
            only = (batch.answers[:, None] + torch.arange(batch.said.shape[1])).clamp(max=batch.videos.shape[1] - 1)
            states, _ = think(self.mind, batch.videos, batch.told_videos, joined(instructions, history), only)
            logits = self.model.lm_head(self.mind.norm(states[-1])).float()
        each = functional.cross_entropy(logits.transpose(1, 2), batch.said, reduction="none", ignore_index=-1)
        marks = [
            states[0][told.ids == self.reader.mark]
            for states, told in ((before, batch.told_history), (states, batch.told_videos))
        ]
        early = states[1][torch.arange(len(batch.answers)), batch.answers]
        n_levels = batch.looks.shape[1]
        return {
            "grades": each[:, 0].mean(),
            "words": 0.2 * each.sum() / (batch.said >= 0).sum(),
            "looks": self.scaffold.looks_loss(torch.cat(marks), torch.cat([batch.looks, batch.contents[:, n_levels:]])),
            "contents": 0.5 * self.scaffold.contents_loss(early, batch.contents),
            "common": self.scaffold.common_loss(states[-1][:, 0], batch.common),
        }

    def run(self, minutes: float, warm: float = 0.35) -> None:
        """Train for the given minutes of wall clock; for the part *warm* of them histories are short."""
        groups: list[dict[str, Any]] = [
            {"params": [*self.mind.parameters()], "weight_decay": 0.02},
            {"params": [*self.scaffold.parameters()], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.98))
        started, told, checked, recent = time.monotonic(), 0.0, 0.0, []
        while (part := (time.monotonic() - started) / (60 * minutes)) < 1:
            longest = int(self._rng.choice((1, 2, 3))) if part < warm else int(self._rng.choice((3, 6, 12, 12, 12)))
            rate = self.rate * min(1.0, (self.step + 1) / 40) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = self.losses(longest)
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
            optimizer.step()
            self.step += 1
            recent.append([part.item() for part in losses.values()])
            if part - told > 0.04:
                told = part
                means = ", ".join(f"{k} {v:.3f}" for k, v in zip(losses, np.mean(recent, axis=0), strict=True))
                recent.clear()
                logger.info("mind: %.1f min, step %s: %s", part * minutes, self.step, means)
            if part - checked > 0.24:
                checked, paused = part, time.monotonic()
                self.check()
                started += time.monotonic() - paused


@torch.no_grad()
def grade(
    training: MindTraining, shop: SeenShop, n: int, seed: int, neutral: float = 1.0, blank: bool = False
) -> dict[str, float]:
    """Spearman's correlation of expected score and planted grade on a shop, pairs drawn evenly over the grades."""
    rng, model, reader = np.random.default_rng(seed), training.model, training.reader
    piece = reader.instructions(range(5))
    told = padded([piece], [0])
    _, keys = think(training.mind, model.model.get_input_embeddings()(told.ids), told)
    firsts = torch.tensor([label[0] for label in reader.labels])
    expected, truth = [], []
    for _ in range(n // 8):
        questions = [ask(shop, rng, 10, HISTORY_LENGTH, neutral) for _ in range(8)]
        batch = make_batch(model, reader, shop, questions, piece.ends, rng, False)
        if blank:
            where = batch.told_history.ids == model.config.image_token_id
            batch.history[where] = 0
        _, history = think(training.mind, batch.history, batch.told_history, keys)
        states, _ = think(training.mind, batch.videos, batch.told_videos, joined(keys, history), batch.answers[:, None])
        last = states[-1][:, 0]
        chances = model.lm_head(training.mind.norm(last))[:, firsts].softmax(-1)
        expected.append(chances @ torch.arange(1.0, 6.0))
        truth.append(batch.grades)
    e, t = torch.cat(expected).numpy(), torch.cat(truth).numpy()
    return {
        "spearman": spearman(e.astype(np.float64), t.astype(np.float64)),
        "accuracy": float((np.clip(np.rint(e), 1, 5) == t).mean()),
        "n": len(t),
    }
