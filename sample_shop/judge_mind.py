"""The second stage of training the small judge: its language model learns to compare a video with a history.

The vision tower stands still, so that every picture is read once. Users are real shoppers of the drawn shops at random
times; candidates are drawn evenly over the planted grades. A step reads the rubric once, each history once and each
candidate after it, exactly the numbers of reading every prompt alone (a test holds it to the real processor).

Heads that are thrown away afterwards say how much of each factor is in the history, in the video, and in both: the
answer's own gradient is too faint to find that product on its own.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from judge.agreement import spearman
from judge.prompt import Line, Prompt, make_prompt
from judge.rubric import LABELS, Rubric
from sample_shop.arrays import Ints
from sample_shop.browsing import EVENT_NAMES, make_interactions
from sample_shop.catalogue import FACTORS
from sample_shop.judge_eyes import SEEN_LEVELS, level_shares, open_albums, pair_tokens, photo_tokens
from sample_shop.judge_pictures import shop_catalogue
from sample_shop.relevance import HISTORY_LENGTH, RECENCY, THRESHOLDS, matches
from sample_shop.shoppers import drifted, make_shoppers
from sample_shop.small_judge import FRAME_CELLS, PHOTO_CELLS
from sample_shop.wording import NEUTRAL_PRODUCT, NEUTRAL_VIDEO, product_title, query_text, video_title

logger = logging.getLogger(__name__)


STEPS = 4  # of eight frames, two at a time
SHOPPERS = 1200
N_PHOTO, N_FRAME = PHOTO_CELLS[0] * PHOTO_CELLS[1], FRAME_CELLS[0] * FRAME_CELLS[1]
_LIKED = [
    row for row, name in enumerate(EVENT_NAMES) if name in ("view", "click", "wishlist", "add_to_cart", "purchase")
]


@dataclass(frozen=True)
class SeenShop:
    """A drawn shop as the language model meets it.

    *photos* `(n_products, 12, width)` and *clips* `(2, n_videos, 60, width)` are the vision tower's tokens, of the
    clips those of two sets of eight frames. *codes* `(n_products, 6)`; *shown* `(n_videos, 4)` are the products of the
    videos and *histories* `(n, 12)` those of shoppers, −1 for none; *seconds* `(n_videos,)`; titles as the shop's.
    """

    photos: Tensor
    clips: Tensor
    codes: Ints
    shown: Ints
    seconds: np.ndarray
    product_titles: list[str]
    video_titles: list[str]
    histories: Ints

    @property
    def video_codes(self) -> Ints:
        """`(n_videos, 4, 6)`, −1 where there is no product."""
        return np.where(self.shown[..., None] >= 0, self.codes[self.shown], -1)


@torch.no_grad()
def see_shop(eyes: nn.Module, folder: Path, seed: int) -> SeenShop:
    """Read all pictures of a drawn shop once."""
    albums, catalogue = open_albums(folder, seed), shop_catalogue(seed)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        photos = torch.cat([photo_tokens(eyes, part).bfloat16() for part in torch.split(albums.photos.pixels, 100)])
        clips = torch.stack(
            [
                torch.cat([_clip_tokens(eyes, part[:, first::2]) for part in torch.split(albums.clips.pixels, 25)])
                for first in (0, 1)
            ]
        )
    videos, codes = catalogue.videos, catalogue.products.codes
    return SeenShop(
        photos,
        clips,
        codes,
        videos.products,
        videos.duration_s,
        [product_title(c) for c in codes.tolist()],
        [video_title(f, codes[p[0]].tolist()) for f, p in zip(videos.title_form, videos.products, strict=True)],
        shop_histories(seed),
    )


def _clip_tokens(eyes: nn.Module, frames: Tensor) -> Tensor:
    """`(n, 60, width)` of eight frames each, `(n, 8, 3, h, w)`."""
    tokens = pair_tokens(eyes, frames.reshape(-1, 2, *frames.shape[2:]))
    return tokens.reshape(len(frames), STEPS * N_FRAME, -1).bfloat16()


def shop_histories(seed: int) -> Ints:
    """Histories of a shop's shoppers at random events of theirs, `(n, 12)`, the most recent first, −1 beyond."""
    catalogue = shop_catalogue(seed)
    shoppers = drifted(make_shoppers(seed, catalogue, SHOPPERS), 1.0)
    log = make_interactions(seed, catalogue, shoppers)
    liked = np.isin(log.event, _LIKED)
    order = np.argsort(log.user[liked], kind="stable")
    user, product = log.user[liked][order], log.product[liked][order]
    rng, found = np.random.default_rng([seed, 77]), []
    for first, last in _spans(user):
        for end in rng.integers(first + 1, last + 1, size=2).tolist():
            recent = list(dict.fromkeys(product[first:end][::-1].tolist()))[:HISTORY_LENGTH]
            found.append(recent + [-1] * (HISTORY_LENGTH - len(recent)))
    return np.array(found)


def _spans(user: Ints) -> list[tuple[int, int]]:
    ends = [*np.flatnonzero(np.diff(user)).tolist(), len(user) - 1]
    return list(zip([0, *(end + 1 for end in ends[:-1])], [end + 1 for end in ends], strict=True))


@dataclass(frozen=True)
class Question:
    """One user with *videos* to grade: rows of products and videos, their titles as told, and the truth.

    *grades* `(k,)` 1 to 5; *parts* `(k, 6)` the share of each factor that the video has in common with the history.
    Where they are *still*, products' photos stand in place of videos; with a *query* there is no history.
    """

    products: list[int]
    titles: list[str]
    videos: list[int]
    video_titles: list[str]
    grades: Ints
    parts: np.ndarray
    query: str | None = None
    still: bool = False


def factor_parts(history: Ints, videos: Ints) -> np.ndarray:
    """`(n_videos, 6)`: mean over a video's products of the weighted share of the history that has the same level."""
    weights = RECENCY ** np.arange(len(history))
    alike = (videos[:, :, None, :] == history[None, None]) & (videos[:, :, None, :] >= 0)  # (n, 4, h, 6)
    shares = (alike * weights[:, None]).sum(axis=2) / weights.sum()
    return np.asarray(shares.sum(axis=1) / np.maximum((videos[:, :, 0] >= 0).sum(axis=1), 1)[:, None])


def ask(shop: SeenShop, rng: np.random.Generator, k: int, longest: int, neutral: float | None = None) -> Question:
    """A shopper of the shop, at most *longest* products, and *k* videos drawn evenly over the grades there are.

    Args:
        neutral: the chance that a title says nothing; by default all, none or half of a user's titles do.
    """
    row = shop.histories[rng.integers(len(shop.histories))]
    products = row[row >= 0][:longest]
    codes = shop.codes[products]
    padded = np.full((1, HISTORY_LENGTH, len(FACTORS)), -1)
    padded[0, : len(products)] = codes
    grades = 1 + np.searchsorted(np.array(THRESHOLDS), matches(padded, shop.video_codes)[0], side="right")
    counts = np.bincount(grades, minlength=6)[grades]
    videos = rng.choice(len(grades), k, p=(1 / counts) / (1 / counts).sum())
    share = (1.0, 0.0, 0.5)[rng.choice(3, p=(0.5, 0.25, 0.25))] if neutral is None else neutral
    plain = rng.random(len(products) + k) < share
    return Question(
        products.tolist(),
        [NEUTRAL_PRODUCT if plain[i] else shop.product_titles[p] for i, p in enumerate(products)],
        videos.tolist(),
        [NEUTRAL_VIDEO if plain[len(products) + i] else shop.video_titles[v] for i, v in enumerate(videos)],
        grades[videos],
        factor_parts(codes, shop.video_codes[videos]),
    )


QUERY_WEIGHTS = {"kind": 0.5, "colour": 0.35, "pattern": 0.15}
_QUERY_LEVELS = (0.15, 0.4, 0.7, 0.95)


def ask_pairs(shop: SeenShop, rng: np.random.Generator, k: int, longest: int) -> Question:
    """A shopper and *k* products: after what they looked at, or after a query that names one of the shop's products."""
    if rng.random() < 0.5:
        asked = ask(shop, rng, 1, longest)
        padded = np.full((1, HISTORY_LENGTH, len(FACTORS)), -1)
        padded[0, : len(asked.products)] = shop.codes[asked.products]
        grades = 1 + np.searchsorted(np.array(THRESHOLDS), matches(padded, shop.codes[:, None])[0], side="right")
        parts, query = factor_parts(shop.codes[asked.products], shop.codes[:, None]), None
    else:
        asked = Question([], [], [], [], np.zeros(0, np.int64), np.zeros(0))
        wanted, with_pattern = shop.codes[rng.integers(len(shop.codes))], bool(rng.random() < 0.5)
        query = query_text(int(wanted[0]), int(wanted[1]), int(wanted[2]) if with_pattern else -1)
        parts = (shop.codes == wanted) * 1.0
        grades = query_grades(parts, with_pattern and wanted[2] > 0)
        parts[:, 3:] = 0
    counts = np.bincount(grades, minlength=6)[grades]
    products = rng.choice(len(grades), k, p=(1 / counts) / (1 / counts).sum())
    plain = rng.random(k) < 0.6
    titles = [NEUTRAL_PRODUCT if plain[i] else shop.product_titles[p] for i, p in enumerate(products)]
    return Question(
        asked.products, asked.titles, products.tolist(), titles, grades[products], parts[products], query, still=True
    )


def query_grades(alike: np.ndarray, with_pattern: bool) -> Ints:
    """The planted grade of products for a query, from `(n, ≥3)` whether kind, colour and pattern are those asked for.

    >>> query_grades(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]), with_pattern=False)
    array([5, 3, 3, 1])
    """
    weights = np.array(list(QUERY_WEIGHTS.values())) * [1, 1, with_pattern]
    share = alike[:, :3] @ weights / weights.sum()
    return np.asarray(1 + np.searchsorted(np.array(_QUERY_LEVELS), share.round(9), side="right"))


@dataclass(frozen=True)
class Piece:
    """Tokens of a piece of the prompt: *ids* and *places* `(3, n)` from 0; the next piece begins at *ends*."""

    ids: list[int]
    places: Tensor
    ends: int


class Reader:
    """Turns the judge's prompt into tokens, piece by piece, as the processor does in one go."""

    def __init__(self, processor: Qwen2_5_VLProcessor, rubric: Rubric, pairs: Rubric, *, brief: bool = False) -> None:
        """Read with this processor's template and words; *pairs* is the rubric for products.

        A *brief* reader leaves the rubric out and gives each picture one token: six times as fast to learn from.
        """
        self._processor, self._rubric, self._pairs = processor, rubric, pairs
        self.brief = brief
        self._photo, self._frame = ((1, 1), (1, 1)) if brief else (PHOTO_CELLS, FRAME_CELLS)
        self._encode = lru_cache(100_000)(lambda text: processor.tokenizer.encode(text))
        self._candidate = lru_cache(100_000)(self._read_candidate)
        self.labels = [self._encode(label) for label in reversed(LABELS)]  # by score, from 1
        self.end = self._encode("<|im_end|>")
        (self.mark,) = self._encode("<|vision_end|>")
        self.because = self._encode(REASON)

    def instructions(self, order: Sequence[int], still: bool = False) -> Piece:
        """The beginning that all users share."""
        if self.brief:
            return self._piece("<|im_start|>system\n<|im_end|>\n<|im_start|>user\n", "<|image_pad|>", self._photo)
        rubric = (self._pairs if still else self._rubric).ordered(order)
        text = self._chat(make_prompt(rubric, [Line("x")], "x", still=still))
        return self._piece(text[: text.index("The only product")], "<|image_pad|>", self._photo)

    def history(self, titles: Sequence[str], query: str | None = None) -> Piece:
        """The user's products, or what they searched for."""
        text = self._chat(make_prompt(self._rubric, [Line(title) for title in titles], "x", query=query))
        opening = "The only product" if len(titles) == 1 else f"The {len(titles)} products the shopper"
        start = text.index(opening if query is None else "The shopper searched for: ")
        return self._piece(text[start : text.index("Video: <|vision_start|>")], "<|image_pad|>", self._photo)

    def candidate(self, title: str, seconds: float) -> Piece:
        """One video after the history, up to where the label begins."""
        return self._candidate(title, tuple(int(step * 2 * seconds / STEPS) for step in range(STEPS)))

    def product(self, title: str) -> Piece:
        """One product after the history, up to where the label begins."""
        return self._candidate(title, ())

    def _read_candidate(self, title: str, beats: tuple[int, ...]) -> Piece:
        """A product, or a video whose frames are read at these *beats*, of which a second has two."""
        text = self._chat(make_prompt(self._rubric, [Line("x")], title, still=not beats))
        if not beats:
            return self._piece(text[text.index("Product: <|vision_start|>") :], "<|image_pad|>", self._photo)
        return self._piece(text[text.index("Video: <|vision_start|>") :], "<|video_pad|>", self._frame, beats)

    def reason(self, parts: np.ndarray) -> list[int]:
        """The tokens of a short reason: which factors the video and the history have in common."""
        return list(self._encode(reason_text(parts)))

    def _chat(self, prompt: Prompt) -> str:
        return str(self._processor.apply_chat_template(prompt.messages, add_generation_prompt=True))

    def _piece(self, text: str, pad: str, cells: tuple[int, int], beats: Sequence[int] = (0,)) -> Piece:
        ids: list[int] = []
        places: list[Tensor] = []
        at = 0
        for number, words in enumerate(text.split(pad)):
            if number:
                picture = _picture_places(cells, tuple(beats)) + at
                ids += self._encode(pad) * picture.shape[1]
                places.append(picture)
                at += max(cells)
            told = self._encode(words)
            ids += told
            places.append((torch.arange(len(told)) + at).expand(3, -1))
            at += len(told)
        return Piece(ids, torch.cat(places, dim=1), at)


REASON = "\nReason:"
_ENOUGH = 0.3


def reason_text(parts: np.ndarray) -> str:
    """What the small judge learns to say.

    >>> reason_text(np.array([0.9, 0.1, 0.5, 0.0, 0.0, 0.4]))
    ' fits in kind, pattern, finish.'
    """
    fitting = [name for name, part in zip(FACTORS, parts, strict=True) if part >= _ENOUGH and name != "brand"]
    return f" fits in {', '.join(fitting)}." if fitting else " fits in nothing."


@lru_cache(100_000)
def _picture_places(cells: tuple[int, int], beats: tuple[int, ...]) -> Tensor:
    grids = torch.meshgrid(torch.tensor(beats), torch.arange(cells[0]), torch.arange(cells[1]), indexing="ij")
    return torch.stack(grids).reshape(3, -1)


@dataclass(frozen=True)
class Padded:
    """Pieces side by side: *ids* `(n, longest)`, *places* `(3, n, longest)`, *present* `(n, longest)`."""

    ids: Tensor
    places: Tensor
    present: Tensor


def padded(pieces: Sequence[Piece], starts: Sequence[int]) -> Padded:
    """Pieces of unequal length, padded on the right; *starts* are the places where each begins."""
    longest = max(len(piece.ids) for piece in pieces)
    ids = torch.zeros((len(pieces), longest), dtype=torch.long)
    places = torch.zeros((3, len(pieces), longest), dtype=torch.long)
    present = torch.zeros((len(pieces), longest), dtype=torch.bool)
    for row, (piece, start) in enumerate(zip(pieces, starts, strict=True)):
        n = len(piece.ids)
        ids[row, :n], places[:, row, :n], present[row, :n] = torch.tensor(piece.ids), piece.places + start, True
    return Padded(ids, places, present)


Keys = list[tuple[Tensor, Tensor]]
"""For each layer the keys and values, `(n, heads, length, size)`; a last column of the keys hides what is padding."""

_HIDDEN = -200.0


def think(
    mind: Any, hidden: Tensor, told: Padded, before: Keys | None = None, only: Tensor | None = None
) -> tuple[list[Tensor], Keys]:
    """The hidden states after each layer of texts `(n, length, width)` that follow what was read *before*.

    What was read before may be fewer texts: each of theirs is then the beginning of n / fewer neighbours here.

    Args:
        only: `(n, m)` places whose state the last layer is asked for; by default all.
    """
    cos, sin = mind.rotary_emb(hidden, told.places)
    causal = torch.full((hidden.shape[1],) * 2, _HIDDEN).triu(1)
    states, keys = [], []
    for number, layer in enumerate(mind.layers):
        normed = layer.input_layernorm(hidden)
        parts = (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
        shape = (*normed.shape[:2], -1, layer.self_attn.head_dim)
        query, key, value = (part(normed).view(shape).transpose(1, 2) for part in parts)
        query, key = apply_rotary_pos_emb(
            query * layer.self_attn.scaling, key, cos.to(query.dtype), sin.to(query.dtype)
        )
        key, mask = _with_padding(key, told.present), causal
        if only is not None and number == len(mind.layers) - 1:
            query, hidden, mask = _picked(query, only), _picked(hidden[:, None], only)[:, 0], causal[only][:, None]
        mixed = _attend(query, key, value, mask, before[number] if before else None)
        hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        keys.append((key, value))
        states.append(hidden)
    return states, keys


def _with_padding(key: Tensor, present: Tensor) -> Tensor:
    """The keys with eight columns more, of which the first hides padding: one pass less over every score."""
    n, heads, length, size = key.shape
    wider = key.new_zeros((n, heads, length, size + 8))
    wider[..., :size] = key
    wider[..., size] = torch.where(present, 0.0, _HIDDEN).to(key.dtype)[:, None]
    return wider


def _picked(values: Tensor, places: Tensor) -> Tensor:
    """`(n, heads, m, size)`: the rows *places* `(n, m)` of `(n, heads, length, size)`."""
    return values.gather(2, places[:, None, :, None].expand(-1, values.shape[1], -1, values.shape[3]))


def joined(before: Keys, after: Keys) -> Keys:
    """The keys of both; what was read before once goes before each text that was read after it."""
    n = len(after[0][0])
    return [
        (
            torch.cat([keys.expand(n, -1, -1, -1), more_keys], 2),
            torch.cat([values.expand(n, -1, -1, -1), more_values], 2),
        )
        for (keys, values), (more_keys, more_values) in zip(before, after, strict=True)
    ]


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, before: tuple[Tensor, Tensor] | None) -> Tensor:
    """Attention of `(n, heads, length, size)`; what was read before serves all neighbours that follow it at once.

    In plain products and bfloat16 throughout: the fused attention's backward pass on a CPU is three times as slow.
    """
    n, heads, length, _ = query.shape
    asking = torch.cat([query, query.new_ones((n, heads, length, 1)), query.new_zeros((n, heads, length, 7))], -1)
    with torch.autocast("cpu", enabled=False):
        scores = asking @ key.transpose(-1, -2) + mask.to(query.dtype)
        if before is None:
            return scores.softmax(-1) @ value
        fewer = len(before[0])
        together = _together(asking, fewer) @ before[0].transpose(-1, -2)
        scores = torch.cat([together, _together(scores, fewer)], -1)
        chances = scores.softmax(-1)
        n_before = before[0].shape[2]
        first = chances[..., :n_before] @ before[1]
        second = _apart(chances[..., n_before:], n, length) @ value
        return _apart(first, n, length) + second


def _together(values: Tensor, fewer: int) -> Tensor:
    """`(fewer, heads, each·length, …)` of `(n, heads, length, …)`: neighbours one after another."""
    n, heads, length, last = values.shape
    return values.reshape(fewer, n // fewer, heads, length, last).transpose(1, 2).reshape(fewer, heads, -1, last)


def _apart(values: Tensor, n: int, length: int) -> Tensor:
    """What `_together` made, undone."""
    fewer, heads, _, last = values.shape
    return values.reshape(fewer, heads, n // fewer, length, last).transpose(1, 2).reshape(n, heads, length, last)


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
