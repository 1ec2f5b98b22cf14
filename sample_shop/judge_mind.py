"""The second stage of training the small judge: its language model learns to compare a video with a history.

The vision tower stands still, so that every picture is read once. A step reads the rubric once, each history once and
each candidate after it, exactly the numbers of reading every prompt alone (a test holds it to the real processor).

Heads that are thrown away afterwards say how much of each factor is in the history, in the video, and in both: the
answer's own gradient is too faint to find that product on its own.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2_5_VLForConditionalGeneration

from judge.agreement import spearman
from sample_shop.catalogue import FACTORS
from sample_shop.judge_eyes import SEEN_LEVELS, Album, open_albums, pair_tokens, photo_tokens
from sample_shop.judge_questions import STEPS, ShopFacts, ask, shop_facts
from sample_shop.judge_reader import Reader
from sample_shop.judge_sheets import BLANKS, Sheet, lay_out
from sample_shop.judge_thinking import Keys, joined, think
from sample_shop.relevance import HISTORY_LENGTH
from sample_shop.small_judge import FRAME_CELLS, PHOTO_CELLS

logger = logging.getLogger(__name__)
N_PHOTO, N_FRAME = PHOTO_CELLS[0] * PHOTO_CELLS[1], FRAME_CELLS[0] * FRAME_CELLS[1]


@dataclass(frozen=True)
class SeenShop:
    """A drawn shop as the language model meets it: the vision tower's tokens.

    *photos* `(n_products, 12, width)`; *clips* `(2, n_videos, 60, width)`, those of two sets of eight frames;
    *blank_photos* `(8, 12, width)` and *blank_clips* `(8, 60, width)` of plain pictures.
    """

    facts: ShopFacts
    photos: Tensor
    clips: Tensor
    blank_photos: Tensor
    blank_clips: Tensor


@torch.no_grad()
def see_shop(eyes: nn.Module, folder: Path, seed: int) -> SeenShop:
    """Read all pictures of a drawn shop once."""
    device = next(eyes.parameters()).device
    albums = open_albums(folder, seed, device)
    photos, frames = _blank(albums.photos, device), _blank(albums.clips, device)
    clips = [_in_parts(_clip_tokens, eyes, albums.clips.pixels[:, first::2], 25) for first in (0, 1)]
    return SeenShop(
        shop_facts(seed),
        _in_parts(photo_tokens, eyes, albums.photos.pixels, 100),
        torch.stack(clips),
        _in_parts(photo_tokens, eyes, photos, BLANKS),
        _in_parts(_clip_tokens, eyes, frames[:, ::2], BLANKS),
    )


def _blank(album: Album, device: torch.device) -> Tensor:
    """Plain pictures of the album's size: black, greys and white."""
    shade = torch.linspace(0, 255, BLANKS, device=device).to(torch.uint8)
    return shade[:, None, None, None, None].expand(-1, *album.pixels.shape[1:])


def _in_parts(read: Callable[[nn.Module, Tensor], Tensor], eyes: nn.Module, pixels: Tensor, size: int) -> Tensor:
    with torch.autocast(pixels.device.type, dtype=torch.bfloat16):
        return torch.cat([read(eyes, part).bfloat16() for part in torch.split(pixels, size)])


def _clip_tokens(eyes: nn.Module, frames: Tensor) -> Tensor:
    """`(n, 60, width)` of eight frames each, `(n, 8, 3, h, w)`."""
    tokens = pair_tokens(eyes, frames.reshape(-1, 2, *frames.shape[2:]))
    return tokens.reshape(len(frames), STEPS * N_FRAME, -1)


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


@dataclass
class MindTraining:
    """Trains the language model of *model* on sheets about *shops* that the vision tower has read."""

    model: Qwen2_5_VLForConditionalGeneration
    scaffold: Scaffold
    reader: Reader
    shops: list[SeenShop]
    rate: float = 1.5e-3
    step: int = 0
    check: Callable[[], None] = lambda: None

    @property
    def mind(self) -> Any:
        return self.model.model.language_model

    @property
    def device(self) -> torch.device:
        return next(self.scaffold.parameters()).device

    def instructions(self, sheet: Sheet) -> Keys:
        """What the language model keeps of the rubric, read once for all."""
        told = sheet.instructions.to(self.device)
        _, keys = think(self.mind, self.model.model.get_input_embeddings()(told.ids), told)
        return keys

    def embedded(self, sheet: Sheet, shop: SeenShop) -> tuple[Tensor, Tensor]:
        """Histories `(n, length, width)` and what follows them `(n·k, length, width)`, tokens in place of pictures."""
        photos = shop.photos[sheet.products.to(self.device)].float()
        photos = photos.mean(1) if self.reader.brief else photos.flatten(0, 1)
        tokens = self._candidate_tokens(sheet, shop)
        config = self.model.config
        pad = config.image_token_id if sheet.still else config.video_token_id
        ids = sheet.histories.ids.to(self.device), sheet.followed.ids.to(self.device)
        return self._placed(ids[0], config.image_token_id, photos), self._placed(ids[1], pad, tokens)

    def _candidate_tokens(self, sheet: Sheet, shop: SeenShop) -> Tensor:
        rows, sets, blanks = (t.to(self.device) for t in (sheet.candidates, sheet.sets, sheet.blanks))
        seen = shop.photos[rows] if sheet.still else shop.clips[sets, rows]
        nothing = (shop.blank_photos if sheet.still else shop.blank_clips)[blanks.clamp(min=0)]
        tokens = torch.where((blanks < 0)[:, None, None], seen, nothing).float()
        if self.reader.brief:
            tokens = tokens.reshape(len(tokens), -1, N_PHOTO if sheet.still else N_FRAME, tokens.shape[-1]).mean(2)
        return tokens.flatten(0, 1)

    def _placed(self, ids: Tensor, pad: int, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.model.model.get_input_embeddings()(ids)
        return embedded.masked_scatter((ids == pad)[..., None], tokens.to(embedded.dtype))

    def losses(self, sheet: Sheet) -> dict[str, Tensor]:
        """The parts of one step's loss: those of the answers, and those of the scaffold."""
        history, videos = self.embedded(sheet, self.shops[sheet.shop])
        told, followed = sheet.histories.to(self.device), sheet.followed.to(self.device)
        answers, said = sheet.answers.to(self.device), sheet.said.to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            rubric = self.instructions(sheet)
            before, keys = think(self.mind, history, told, rubric)
            ahead = torch.arange(said.shape[1], device=self.device)
            only = (answers[:, None] + ahead).clamp(max=videos.shape[1] - 1)
            states, _ = think(self.mind, videos, followed, joined(rubric, keys), only)
            logits = self.model.lm_head(self.mind.norm(states[-1])).float()
        each = functional.cross_entropy(logits.transpose(1, 2), said, reduction="none", ignore_index=-1)
        early = states[1][torch.arange(len(answers), device=self.device), answers]
        return {
            "grades": each[:, 0].mean(),
            "words": 0.2 * each.sum() / (said >= 0).sum(),
            **self._scaffold_losses(
                sheet,
                torch.cat([before[0][told.ids == self.reader.mark], states[0][followed.ids == self.reader.mark]]),
                early,
                states[-1][:, 0],
            ),
        }

    def _scaffold_losses(self, sheet: Sheet, marks: Tensor, early: Tensor, late: Tensor) -> dict[str, Tensor]:
        n_levels = sheet.looks.shape[1]
        looks = torch.cat([sheet.looks, sheet.contents[:, n_levels:]]).to(self.device)
        return {
            "looks": self.scaffold.looks_loss(marks, looks),
            "contents": 0.5 * self.scaffold.contents_loss(early, sheet.contents.to(self.device)),
            "common": self.scaffold.common_loss(late, sheet.common.to(self.device)),
        }

    def run(self, sheets: Iterable[Sheet], minutes: float, begin: float = 0.0, end: float = 1.0) -> None:
        """Train for the given minutes of wall clock: the part from *begin* to *end* of a schedule of the rate."""
        groups: list[dict[str, Any]] = [
            {"params": [*self.mind.parameters()], "weight_decay": 0.02},
            {"params": [*self.scaffold.parameters()], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.98))
        pace = _Pace(minutes)
        for sheet in sheets:
            if (part := pace.part) >= 1:
                return
            share = begin + (end - begin) * part
            rate = self.rate * min(1.0, (self.step + 1) / 40) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = self.losses(sheet)
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
            optimizer.step()
            self.step += 1
            pace.note(self.step, losses)
            if pace.is_due:
                pace.pause(self.check)


class _Pace:
    """The wall clock of a run: what part has passed, without the checks; tells the mean losses now and then."""

    def __init__(self, minutes: float) -> None:
        self._started, self._minutes = time.monotonic(), minutes
        self._told = self._checked = 0.0
        self._recent: list[Tensor] = []

    @property
    def part(self) -> float:
        return (time.monotonic() - self._started) / (60 * self._minutes)

    @property
    def is_due(self) -> bool:
        return self.part - self._checked > 0.45

    def pause(self, check: Callable[[], None]) -> None:
        self._checked, paused = self.part, time.monotonic()
        check()
        self._started += time.monotonic() - paused

    def note(self, step: int, losses: dict[str, Tensor]) -> None:
        self._recent.append(torch.stack([loss.detach() for loss in losses.values()]))
        if self.part - self._told > 0.04:
            self._told = self.part
            means = torch.stack(self._recent).mean(0).tolist()
            told = ", ".join(f"{name} {mean:.3f}" for name, mean in zip(losses, means, strict=True))
            self._recent.clear()
            logger.info("mind: %.1f min, step %s: %s", self.part * self._minutes, step, told)


@torch.no_grad()
def grade(
    training: MindTraining, shop: SeenShop, n: int, seed: int, neutral: float = 1.0, blank: bool = False
) -> dict[str, float]:
    """Spearman's correlation of expected score and planted grade of *n* users of a shop with 10 candidates each.

    Candidates are drawn evenly over the grades.
    """
    rng, reader = np.random.default_rng(seed), training.reader
    firsts = torch.tensor([label[0] for label in reader.labels], device=training.device)
    scores = torch.arange(1.0, 6.0, device=training.device)
    if blank:
        shop = SeenShop(shop.facts, shop.photos * 0, shop.clips, shop.blank_photos, shop.blank_clips)
    expected, truth = [], []
    for _ in range(n // 8):
        questions = [ask(shop.facts, rng, 10, HISTORY_LENGTH, neutral) for _ in range(8)]
        sheet = lay_out(reader, shop.facts, questions, rng)
        history, videos = training.embedded(sheet, shop)
        rubric = training.instructions(sheet)
        _, keys = think(training.mind, history, sheet.histories.to(training.device), rubric)
        answers = sheet.answers.to(training.device)[:, None]
        followed = sheet.followed.to(training.device)
        states, _ = think(training.mind, videos, followed, joined(rubric, keys), answers)
        chances = training.model.lm_head(training.mind.norm(states[-1][:, 0]))[:, firsts].softmax(-1)
        expected.append((chances @ scores).cpu())
        truth.append(sheet.grades)
    e, t = torch.cat(expected).numpy(), torch.cat(truth).numpy()
    return {
        "spearman": spearman(e.astype(np.float64), t.astype(np.float64)),
        "accuracy": float((np.clip(np.rint(e), 1, 5) == t).mean()),
        "n": len(t),
    }
