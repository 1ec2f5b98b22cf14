"""Questions laid out as tokens and rows, ready for the small judge's language model; drawn in processes of their own.

Laying out is plain Python and as slow as a step on a GPU is fast, so it may run in other processes while one trains.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import Qwen2_5_VLProcessor

from judge.rubric import Rubric
from sample_shop.judge_eyes import level_shares
from sample_shop.judge_questions import Question, ShopFacts, ask, ask_pairs
from sample_shop.judge_reader import Padded, Piece, Reader, padded
from sample_shop.relevance import RECENCY

BLANKS = 8  # plain pictures that every seen shop holds
BLANK_SHARE = 0.06  # of candidates that show nothing, whatever their title says
REASON_SHARE, TURNED_SHARE = 0.1, 0.3  # of sheets that ask for reasons, and whose rubric is in another order


@dataclass(frozen=True)
class Sheet:
    """Questions about one shop.

    *products* are the rows of all histories' products, in their order; *candidates* `(n·k,)` the rows of the videos
    (or, where *still*, of the products), *blanks* `(n·k,)` −1 or the plain picture shown instead, *sets* `(n·k,)` which
    eight frames. *looks* `(n_products, 33)` is what the histories' products show; *said* `(n·k, longest)` the tokens
    from the label on, −1 beyond the end, *answers* `(n·k,)` the place before them; *grades* `(n·k,)`; *contents*
    `(n·k, 66)` and *common* `(n·k, 6)` are the scaffold's.
    """

    shop: int
    still: bool
    instructions: Padded
    histories: Padded
    followed: Padded
    products: Tensor
    candidates: Tensor
    blanks: Tensor
    sets: Tensor
    looks: Tensor
    said: Tensor
    answers: Tensor
    grades: Tensor
    contents: Tensor
    common: Tensor


def lay_out(
    reader: Reader, shop: ShopFacts, questions: Sequence[Question], rng: np.random.Generator,
    order: Sequence[int] = range(5), reasons: bool = False, blank: float = 0.0, number: int = 0,
) -> Sheet:  # fmt: skip
    """The questions as a sheet.

    Args:
        order: of the rubric's grades.
        reasons: whether reasons are asked for too.
        blank: the share of candidates that show nothing.
        number: of the shop among those that are trained on.
    """
    still = questions[0].still
    rubric = reader.instructions(order, still)
    pieces = [reader.history(question.titles, question.query) for question in questions]
    blanks = [
        np.where(rng.random(len(q.videos)) < blank, rng.integers(BLANKS, size=len(q.videos)), -1) for q in questions
    ]
    shown = [_seen(question, empty) for question, empty in zip(questions, blanks, strict=True)]
    asked = [[_asked(reader, shop, question, i) for i in range(len(question.videos))] for question in shown]
    said = [[_said(reader, question, i, reasons) for i in range(len(question.videos))] for question in shown]
    followed = [
        _followed(a, s) for several, told in zip(asked, said, strict=True) for a, s in zip(several, told, strict=True)
    ]
    starts = [rubric.ends + piece.ends for piece, question in zip(pieces, shown, strict=True) for _ in question.videos]
    empty = np.concatenate(blanks)
    return Sheet(
        number, still, padded([rubric], [0]), padded(pieces, [rubric.ends] * len(pieces)), padded(followed, starts),
        torch.tensor([product for question in shown for product in question.products], dtype=torch.long),
        torch.tensor([video for question in shown for video in question.videos]),
        torch.from_numpy(empty),
        torch.from_numpy(rng.integers(2, size=len(empty))),
        level_shares(shop.codes[[product for question in shown for product in question.products]][:, None]),
        _side_by_side([[*told, *reader.end] for several in said for told in several]),
        torch.tensor([len(piece.ids) - 1 for several in asked for piece in several]),
        torch.from_numpy(np.concatenate([question.grades for question in shown])),
        _contents(shop, shown, empty),
        torch.from_numpy(np.concatenate([question.parts for question in shown])).float(),
    )  # fmt: skip


def _seen(question: Question, blanks: np.ndarray) -> Question:
    """The question's truth where some candidates show nothing: no match, whatever their title says."""
    there = blanks < 0
    return Question(
        question.products, question.titles, question.videos, question.video_titles,
        np.where(there, question.grades, 1), question.parts * there[:, None], question.query, question.still,
    )  # fmt: skip


def _asked(reader: Reader, shop: ShopFacts, question: Question, i: int) -> Piece:
    title = question.video_titles[i]
    return reader.product(title) if question.still else reader.candidate(title, float(shop.seconds[question.videos[i]]))


def _said(reader: Reader, question: Question, i: int, reasons: bool) -> list[int]:
    label = list(reader.labels[question.grades[i] - 1])
    return [*label, *reader.because, *reader.reason(question.parts[i])] if reasons else label


def _followed(piece: Piece, said: list[int]) -> Piece:
    n = len(said)
    return Piece(
        [*piece.ids, *said], torch.cat([piece.places, (torch.arange(n) + piece.ends).expand(3, -1)], 1), piece.ends + n
    )


def _side_by_side(texts: Sequence[list[int]]) -> Tensor:
    rows = torch.full((len(texts), max(map(len, texts))), -1)
    for row, text in enumerate(texts):
        rows[row, : len(text)] = torch.tensor(text)
    return rows


def _contents(shop: ShopFacts, questions: Sequence[Question], blanks: np.ndarray) -> Tensor:
    """`(n·k, 66)`: the weighted shares of the seen levels in the history, then those in the video or product."""
    rows = []
    for question in questions:
        weights = torch.tensor([RECENCY**j for j in range(len(question.products))])
        levels = level_shares(shop.codes[question.products][:, None])
        history = (levels * (weights / weights.sum())[:, None]).sum(0).expand(len(question.videos), -1)
        codes = shop.codes[question.videos][:, None] if question.still else shop.video_codes[question.videos]
        rows.append(torch.cat([history, level_shares(codes)], dim=1))
    contents = torch.cat(rows)
    contents[torch.from_numpy(blanks >= 0), contents.shape[1] // 2 :] = 0
    return contents


@dataclass(frozen=True)
class Draw:
    """How sheets are drawn: *users* questions of *k* candidates, a share of *pairs* about products.

    *lengths* are those of histories, each as likely as it is often.
    """

    users: int = 8
    k: int = 8
    pairs: float = 0.15
    lengths: tuple[int, ...] = (3, 6, 12, 12, 12)
    seed: int = 0


class Sheets(IterableDataset[Sheet]):
    """Sheets without end; each process that draws them has its own chance."""

    def __init__(
        self,
        processor: Qwen2_5_VLProcessor,
        rubrics: tuple[Rubric, Rubric],
        brief: bool,
        shops: list[ShopFacts],
        draw: Draw,
    ) -> None:
        """Draw from *shops*; the reader is made anew in each process."""
        self._make = (processor, rubrics, brief)
        self._shops, self._draw = shops, draw

    def __iter__(self) -> Iterator[Sheet]:
        worker = get_worker_info()
        torch.set_num_threads(1) if worker else None
        rng = np.random.default_rng([self._draw.seed, worker.id if worker else 0])
        processor, rubrics, brief = self._make
        reader = Reader(processor, *rubrics, brief=brief)
        while True:
            yield self._sheet(reader, rng)

    def _sheet(self, reader: Reader, rng: np.random.Generator) -> Sheet:
        draw, number = self._draw, int(rng.integers(len(self._shops)))
        question = ask_pairs if rng.random() < draw.pairs else ask
        longest = int(rng.choice(draw.lengths))
        shop = self._shops[number]
        questions = [question(shop, rng, draw.k, longest) for _ in range(draw.users)]
        order = rng.permutation(5).tolist() if rng.random() < TURNED_SHARE else range(5)
        return lay_out(reader, shop, questions, rng, order, bool(rng.random() < REASON_SHARE), BLANK_SHARE, number)


def load_sheets(sheets: Sheets, processes: int) -> Iterator[Sheet]:
    """Draw sheets here, or ahead in so many processes."""
    context = "spawn" if processes else None
    ahead = 4 if processes else None
    return iter(
        DataLoader(
            sheets, batch_size=None, num_workers=processes, multiprocessing_context=context, prefetch_factor=ahead
        )
    )
