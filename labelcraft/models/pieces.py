"""Functions of rows and their histories, evaluated a few rows at a time and again in the backward pass.

What a history of 100 videos makes of each row is large: `(n, 100, 36)` floats of one layer are 427 MB at 30,000 rows.
Kept for the backward pass, such tensors cost more in fresh pages than in arithmetic (17 of 22 ms were measured for one
sum over 4,096 rows); made again from the inputs, a few rows at a time, they stay in the cache and in the heap.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PIECE_ROWS = 96  # one tensor of a piece is 1.4 MB: two or three stay in the second caches of two cores
Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class RowFunction:
    """A function of rows, and its derivatives where they are known by hand; torch finds the others.

    `value(index, history, *tensors)` makes a tuple of tensors by row, of the *history* `(n, h, d)` that stands at
    *index* `(n, h)`, of *tensors* by row, and then of shared ones. `pull(cotangents, index, history, *tensors)` makes
    the gradients in history and tensors, and `push(tangents, index, history, *tensors)` the results' changes along the
    tangents of history and tensors.
    """

    value: Callable[..., Tensors]
    pull: Callable[..., Tensors] | None = None
    push: Callable[..., Tensors] | None = None

    def pulled(self, cotangents: Tensors, index: Tensor, *given: Tensor) -> Tensors:
        """The gradients in *given*: history and tensors."""
        if self.pull:
            with torch.inference_mode():  # without autograd's bookkeeping: a piece is eighty small calls
                return self.pull(cotangents, index, *given)
        leaves = [x.detach().requires_grad_() for x in given]
        with torch.enable_grad():
            made = self.value(index, *leaves)
        return torch.autograd.grad(made, leaves, cotangents, materialize_grads=True)

    def pushed(self, tangents: Tensors, index: Tensor, *given: Tensor) -> Tensors:
        """The change of the results along *tangents* of *given*: history and tensors."""
        if self.push:
            return self.push(tangents, index, *given)
        moved: Tensors = torch.func.jvp(lambda *x: self.value(index, *x), given, tangents)[1]
        return moved


def by_pieces(function: RowFunction, table: Tensor, index: Tensor, rows: Tensors, shared: Tensors) -> Tensors:
    """What *function* makes of all rows, whose histories are rows of *table* `(m, d)` at *index* `(n, h)`.

    Row i of each result depends on row i of *index* and of each of *rows* `(n, ...)` only, and on *shared*.
    Differentiable once in pieces, forward and backward; twice as a whole, without saving memory.
    """
    return tuple(_ByPieces.apply(function, len(rows), index, table, *rows, *shared))


def gather(table: Tensor, index: Tensor) -> Tensor:
    """Rows of *table* `(m, d)` at *index* `(n, h)`, `(n, h, d)`."""
    return table.index_select(0, index.reshape(-1)).view(*index.shape, table.shape[1])


class _ByPieces(torch.autograd.Function):
    @staticmethod
    def forward(function: RowFunction, n_rowwise: int, index: Tensor, table: Tensor, *tensors: Tensor) -> Any:
        rows, shared = tensors[:n_rowwise], tensors[n_rowwise:]
        made = [
            function.value(index[piece], gather(table, index[piece]), *(tensor[piece] for tensor in rows), *shared)
            for piece in _pieces(len(index))
        ]
        return tuple(torch.cat(parts) for parts in zip(*made, strict=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.function, ctx.n_rowwise = inputs[:2]
        ctx.save_for_backward(*inputs[2:])
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        index, table, *tensors = ctx.saved_tensors
        backward = _backward_whole if torch.is_grad_enabled() else _backward_in_pieces
        return None, None, None, *backward(ctx, index, table, tensors, cotangents)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        index, table, *tensors = ctx.saved_tensors
        n = ctx.n_rowwise
        along = [torch.zeros_like(x) if t is None else t for x, t in zip([table, *tensors], tangents[3:], strict=True)]
        made = []
        for piece in _pieces(len(index)):
            at = index[piece]
            primals = (gather(table, at), *(x[piece] for x in tensors[:n]), *tensors[n:])
            moved = (gather(along[0], at), *(t[piece] for t in along[1 : n + 1]), *along[n + 1 :])
            made.append(ctx.function.pushed(moved, at, *primals))
        return tuple(torch.cat(parts) for parts in zip(*made, strict=True))


def _pieces(n_rows: int) -> Iterator[slice]:
    """Slices of at most `PIECE_ROWS` rows; one, which is empty, of no rows."""
    return (slice(start, start + PIECE_ROWS) for start in range(0, max(n_rows, 1), PIECE_ROWS))


def _backward_whole(
    ctx: Any, index: Tensor, table: Tensor, tensors: list[Tensor], cotangents: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    """The gradient as a graph, for whoever differentiates it again.

    It is taken in views of the inputs: one input may be made of another, as a row's video is of the table, and what
    comes that way is not this function's to count.
    """
    inputs = [x.view_as(x) for x in (table, *tensors)]
    wanted = [i for i, needed in enumerate(ctx.needs_input_grad[3:]) if needed]
    made = ctx.function.value(index, gather(inputs[0], index), *inputs[1:])
    found = torch.autograd.grad(made, [inputs[i] for i in wanted], cotangents, create_graph=True, allow_unused=True)
    grads: list[Tensor | None] = [None] * len(inputs)
    for i, grad in zip(wanted, found, strict=True):
        grads[i] = grad
    return tuple(grads)


def _backward_in_pieces(
    ctx: Any, index: Tensor, table: Tensor, tensors: list[Tensor], cotangents: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    """The gradient, summed up piece by piece."""
    of_table = torch.zeros_like(table)
    grads = [torch.zeros_like(tensor) for tensor in tensors]
    for piece in _pieces(len(index)):
        _add_piece(ctx, index[piece], table, tensors, tuple(c[piece] for c in cotangents), piece, of_table, grads)
    return of_table, *grads


def _add_piece(
    ctx: Any,
    index: Tensor,
    table: Tensor,
    tensors: list[Tensor],
    cotangents: tuple[Tensor, ...],
    piece: slice,
    of_table: Tensor,
    grads: list[Tensor],
) -> None:
    """Add the gradient of one piece to *of_table* and *grads*."""
    n = ctx.n_rowwise
    given = [x[piece] if i < n else x for i, x in enumerate(tensors)]
    found = ctx.function.pulled(cotangents, index, gather(table, index), *given)
    of_table.index_add_(0, index.reshape(-1), found[0].view(-1, table.shape[1]))
    for i, grad in enumerate(found[1:]):
        (grads[i][piece] if i < n else grads[i]).add_(grad)
