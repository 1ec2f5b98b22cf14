"""The judge's prompt as tokens and places, piece by piece, held by a test to what the processor makes in one go."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2_5_VLProcessor

from judge.prompt import Line, Prompt, make_prompt
from judge.rubric import LABELS, Rubric
from sample_shop.catalogue import FACTORS
from sample_shop.judge_questions import STEPS
from sample_shop.small_judge import FRAME_CELLS, PHOTO_CELLS


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

    def to(self, device: torch.device) -> "Padded":
        return Padded(self.ids.to(device), self.places.to(device), self.present.to(device))


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
