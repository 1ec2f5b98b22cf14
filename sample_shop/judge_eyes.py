"""The first stage of training the small judge: its vision tower learns to name what garments look like.

The judge must see before it can compare. Heads that are thrown away afterwards read kind, colour, pattern, style and
finish from the mean of a picture's tokens, so that each token's own place in the language model carries them.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sample_shop.arrays import Ints
from sample_shop.catalogue import BRAND, FACTORS, LEVELS
from sample_shop.judge_pictures import load_pictures, pictures_file, shop_catalogue
from sample_shop.small_judge import CELL, FRAME_CELLS, PHOTO_CELLS, patches, see

logger = logging.getLogger(__name__)

SEEN = [factor for factor in range(len(FACTORS)) if factor != BRAND]  # what a picture can tell
SEEN_LEVELS = [LEVELS[factor] for factor in SEEN]


@dataclass(frozen=True)
class Album:
    """Pictures and what they show: `(n, time, 3, height, width)` bytes and shares of the levels `(n, 33)`."""

    pixels: Tensor
    shares: Tensor


@dataclass(frozen=True)
class ShopAlbums:
    """One shop's photos (one picture each), and its clips (16 pictures each, the shares of each in `(n, 16, 33)`)."""

    photos: Album
    clips: Album


class AttributeHeads(nn.Module):
    """Reads the seen factors from a picture's tokens; thrown away after the stage."""

    def __init__(self, width: int) -> None:
        """One linear reading of all levels."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, sum(SEEN_LEVELS))

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities of the levels `(n, 33)`, each factor's summing to 1, from `(n, n_tokens, width)`."""
        logits = self.read(self.norm(tokens.float().mean(dim=1)))
        return torch.cat([part.log_softmax(-1) for part in logits.split(SEEN_LEVELS, dim=-1)], dim=-1)


def open_albums(folder: Path, seed: int, device: torch.device | None = None) -> ShopAlbums:
    """A drawn shop's pictures with their truth, on the given device."""
    pictures, codes = load_pictures(folder, seed), shop_catalogue(seed).products.codes
    photos = torch.from_numpy(pictures.photos).permute(0, 3, 1, 2)[:, None]
    frames = torch.from_numpy(pictures.frames).permute(0, 1, 4, 2, 3)
    shown = codes[pictures.shown] * (pictures.shown >= 0)[..., None] - (pictures.shown < 0)[..., None]
    return ShopAlbums(
        Album(photos.to(device), level_shares(codes[:, None]).to(device)),
        Album(frames.to(device), level_shares(shown).to(device)),
    )


def level_shares(codes: Ints) -> Tensor:
    """The share of each seen level among the garments, `(..., 33)`, from `(..., n_garments, 6)` codes, −1 for none."""
    present = torch.from_numpy(codes[..., :1] >= 0)
    ones = [functional.one_hot(torch.from_numpy(codes[..., factor]).clamp(min=0), LEVELS[factor]) for factor in SEEN]
    summed = (torch.cat(ones, dim=-1) * present).sum(dim=-2).float()
    return summed / present.sum(dim=-2).clamp(min=1)


def varied(pixels: Tensor, cells: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Bytes `(n, time, 3, h, w)` as pictures in 0 to 1 of the judge's size, cropped, mirrored and lit otherwise."""
    n, time_steps = pixels.shape[:2]
    draw = torch.rand((n, 7), generator=generator, device=generator.device)
    size = 1.0 - 0.2 * draw[:, 0] * (draw[:, 6] < 0.7)
    stretch = 1 + 0.06 * (draw[:, 1] - 0.5)
    flip = torch.where(draw[:, 2] < 0.5, -1.0, 1.0)
    slack = 1 - size
    theta = torch.zeros((n, 2, 3), device=draw.device)
    theta[:, 0, 0], theta[:, 1, 1] = size * flip, size * stretch
    theta[:, 0, 2], theta[:, 1, 2] = slack * (2 * draw[:, 3] - 1), slack * (2 * draw[:, 4] - 1)
    shape = (n, 3 * time_steps, cells[0] * CELL, cells[1] * CELL)
    grid = functional.affine_grid(theta, list(shape), align_corners=False)
    flat = pixels.reshape(n, -1, *pixels.shape[3:]).float() / 255
    cut = functional.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    light = 1 + 0.2 * (draw[:, 5] - 0.5)[:, None, None, None]
    return (cut * light).clamp(0, 1).reshape(n, time_steps, 3, *shape[2:])


def plain(pixels: Tensor, cells: tuple[int, int]) -> Tensor:
    """The same pictures as the judge's processor sees them, whole."""
    flat = pixels.flatten(0, 1).float() / 255
    small = functional.interpolate(flat, [cells[0] * CELL, cells[1] * CELL], mode="bicubic", antialias=True)
    return small.clamp(0, 1).reshape(*pixels.shape[:3], *small.shape[2:])


Looks = Callable[[Tensor, tuple[int, int]], Tensor]


def photo_tokens(eyes: nn.Module, photos: Tensor, looks: Looks = plain) -> Tensor:
    """`(n, 12, width)` tokens of photos `(n, 1, 3, h, w)`: a still picture is the same frame twice."""
    return see(eyes, patches(looks(photos, PHOTO_CELLS).expand(-1, 2, -1, -1, -1)), PHOTO_CELLS)


def pair_tokens(eyes: nn.Module, pairs: Tensor, looks: Looks = plain) -> Tensor:
    """`(n, 15, width)` tokens of two neighbouring frames each, `(n, 2, 3, h, w)`."""
    return see(eyes, patches(looks(pairs, FRAME_CELLS)), FRAME_CELLS)


def _pairs(clips: Album, rows: Tensor, first: Tensor) -> Album:
    """Frames *first* and two later of the clips in *rows*: neighbours among eight."""
    both = torch.stack([first, first + 2], dim=1)  # (n, 2)
    return Album(clips.pixels[rows[:, None], both], clips.shares[rows[:, None], both].mean(dim=1))


def _together(albums: list[Album]) -> Album:
    return Album(torch.cat([album.pixels for album in albums]), torch.cat([album.shares for album in albums]))


@dataclass
class EyeTraining:
    """Trains *eyes* on the shops that are drawn so far; more are opened as they come."""

    eyes: nn.Module
    heads: AttributeHeads
    folder: Path
    seeds: Sequence[int]
    n_photos: int = 64
    n_pairs: int = 64
    n_shops: int = 1  # that a step's pictures are of
    rate: float = 1.5e-3
    seed: int = 0

    def __post_init__(self) -> None:
        self._shops: dict[int, ShopAlbums] = {}
        self._device = next(self.eyes.parameters()).device
        self._draw = torch.Generator(self._device).manual_seed(self.seed)
        self._choose = np.random.default_rng(self.seed)

    def _open_new(self) -> None:
        for seed in self.seeds:
            if seed not in self._shops and pictures_file(self.folder, seed).exists():
                self._shops[seed] = open_albums(self.folder, seed, self._device)

    def _rows(self, n_rows: int, count: int) -> Tensor:
        return torch.randint(n_rows, (count,), generator=self._draw, device=self._device)

    def _sample(self) -> ShopAlbums:
        """A batch of photos and of pairs of frames."""
        chosen = self._choose.choice(list(self._shops), min(self.n_shops, len(self._shops)), replace=False)
        parts = [self._sample_of(self._shops[seed], len(chosen)) for seed in chosen.tolist()]
        photos, pairs = [part.photos for part in parts], [part.clips for part in parts]
        return ShopAlbums(_together(photos), _together(pairs))

    def _sample_of(self, shop: ShopAlbums, n_shops: int) -> ShopAlbums:
        n_pairs = self.n_pairs // n_shops
        rows = self._rows(len(shop.photos.pixels), self.n_photos // n_shops)
        pairs = _pairs(shop.clips, self._rows(len(shop.clips.pixels), n_pairs), self._rows(14, n_pairs))
        return ShopAlbums(Album(shop.photos.pixels[rows], shop.photos.shares[rows]), pairs)

    def _loss(self) -> Tensor:
        batch = self._sample()
        looks: Looks = lambda pixels, cells: varied(pixels, cells, self._draw)  # noqa: E731
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            photos = photo_tokens(self.eyes, batch.photos.pixels, looks)
            pairs = pair_tokens(self.eyes, batch.clips.pixels, looks)
        losses = [
            -(album.shares * self.heads(tokens)).sum(-1).mean()
            for album, tokens in ((batch.photos, photos), (batch.clips, pairs))
        ]
        return torch.stack(losses).sum()

    def run(self, minutes: float) -> None:
        """Train for the given minutes of wall clock."""
        parameters = [*self.eyes.parameters(), *self.heads.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=self.rate, betas=(0.9, 0.98), weight_decay=0.03)
        started, step, told = time.monotonic(), 0, 0.0
        mean = torch.zeros((), device=self._device)
        while (part := (time.monotonic() - started) / (60 * minutes)) < 1:
            if step % 50 == 0:
                self._open_new()
            rate = self.rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = self._loss()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            mean, step = 0.98 * mean + 0.02 * loss.detach(), step + 1
            if part - told > 0.05:
                told = part
                logger.info(
                    "eyes: %.1f min, step %s, %s shops, loss %.2f", part * minutes, step, len(self._shops), float(mean)
                )


@torch.no_grad()
def naming(eyes: nn.Module, heads: AttributeHeads, shop: ShopAlbums, n: int = 300) -> dict[str, dict[str, float]]:
    """The share of pictures whose factor is named rightly: photos, and pairs of frames that show one garment."""
    rows = torch.arange(n, device=shop.clips.pixels.device)
    pairs = _pairs(shop.clips, rows, torch.full_like(rows, 6))
    alone = pairs.shares[:, : SEEN_LEVELS[0]].amax(dim=1) == 1
    return {
        "photos": _named(heads(photo_tokens(eyes, shop.photos.pixels[:n])), shop.photos.shares[:n]),
        "frames": _named(heads(pair_tokens(eyes, pairs.pixels[alone])), pairs.shares[alone]),
    }


def _named(told: Tensor, shares: Tensor) -> dict[str, float]:
    names, levels = list(FACTORS), list(SEEN_LEVELS)
    pieces = zip(SEEN, torch.split(told, levels, dim=-1), torch.split(shares, levels, dim=-1), strict=True)
    return {
        names[factor]: round(float((guess.argmax(-1) == true.argmax(-1)).float().mean()), 3)
        for factor, guess, true in pieces
    }
