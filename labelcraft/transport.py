"""Entropic optimal transport of scores to sorted anchors: SOFT top-k, in logarithms, with its exact gradient."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK = 20  # iterations between two looks at the error
NUGGET = 1e-10  # of the trace: with all but hard choices, the system of the gradient is nearly singular
WARM_UP = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True)
class Transport:
    """*epsilon* is the entropy's weight beside costs of at most 1.

    It iterates until no score sends more than *tolerance* too much or too little of its mass, a user at a time leaving
    when done, and at most *most_iterations*. The published code stops at 1,000, converged or not.
    """

    epsilon: float = 1e-4
    tolerance: float = 1e-4
    most_iterations: int = 20_000

    def __call__(self, scores: Tensor, mask: Tensor, k: int) -> Tensor:
        """α `(U, N)` of *scores* `(U, N)`, each user having more than *k*."""
        if not len(scores):
            return scores
        anchors = torch.arange(k, -1, -1, dtype=torch.double)
        cost = (scores.double()[..., None] - anchors).square() * mask[..., None]  # (U, N, k + 1)
        cost = cost / cost.detach().amax((1, 2), keepdim=True)
        alpha: Tensor = _Chosen.apply(cost, mask, self)[0]
        return alpha.to(scores.dtype)


class _Problem(NamedTuple):
    """*cost* `(U, N, k + 1)` and the logarithms of the masses sent `(U, N)` and received `(U, k + 1)`."""

    cost: Tensor
    log_sent: Tensor
    log_received: Tensor

    def of(self, users: Tensor) -> "_Problem":
        return _Problem(*(tensor[users] for tensor in self))


class _Chosen(torch.autograd.Function):
    @staticmethod
    def forward(cost: Tensor, mask: Tensor, transport: Transport) -> Any:
        plan = _plan(_problem(cost, mask), transport)
        alpha = plan[..., :-1].sum(2) * mask.sum(1, keepdim=True)
        return alpha, plan

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.epsilon = inputs[2].epsilon
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1], inputs[1])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor, _: Tensor) -> Any:
        """From the conditions of optimality: the potentials' gradient solves one k × k system a user.

        With G = ∂L/∂Γ ⊙ Γ, its row sums g₁ and column sums g₂, and P = Γ without its last column,
        ∂L/∂C = (1/ε)(Γ ⊙ (g₁/μ + λ − Pλ/μ) − G), λ solving (diag ν − Pᵀdiag(1/μ)P) λ = g₂ − Pᵀ(g₁/μ), 0 at the last.
        """
        plan, mask = ctx.saved_tensors
        count = mask.sum(1)[:, None, None]
        first = plan[..., :-1]
        sending = cotangent[..., None] * first * count  # G; 0 in the last column
        rows = sending.sum(2, keepdim=True) * count  # g₁/μ, (U, N, 1)
        system = torch.diag_embed(first.sum(1)) - first.transpose(1, 2) @ first * count
        nugget = NUGGET * system.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(first.shape[2])
        right = sending.sum(1)[..., None] - first.transpose(1, 2) @ rows
        solved = torch.linalg.solve(system + nugget, right)  # (U, k, 1)
        inner = rows - first @ solved * count
        of_first = first * (inner + solved.transpose(1, 2)) - sending
        return torch.cat([of_first, plan[..., -1:] * inner], dim=2) / ctx.epsilon, None, None


def _problem(cost: Tensor, mask: Tensor) -> _Problem:
    """N scores send 1/n each; k anchors receive 1/n each, and the last the rest."""
    count = mask.sum(1, keepdim=True).double()
    k = cost.shape[2] - 1
    sent = torch.where(mask, -count.log(), -torch.inf)
    received = torch.cat([(-count.log()).expand(-1, k), ((count - k) / count).log()], dim=1)
    return _Problem(cost, sent, received)


def _plan(problem: _Problem, transport: Transport) -> Tensor:
    """Γ `(U, N, k + 1)`; columns are exact, rows to the tolerance."""
    received = _warm(problem, [epsilon for epsilon in WARM_UP if epsilon > transport.epsilon])
    plan = torch.empty_like(problem.cost)
    open_users = torch.arange(len(plan))
    for _ in range(0, transport.most_iterations, BLOCK):
        part = problem.of(open_users)
        received, made = _iterate(part, received, transport.epsilon)
        plan[open_users] = made
        error = (made.sum(2) / part.log_sent.exp() - 1).nan_to_num(0.0).abs().amax(1)  # padding: 0/0
        going = error > transport.tolerance
        open_users, received = open_users[going], received[going]
        if not len(open_users):
            break
    return plan


def _warm(problem: _Problem, epsilons: list[float]) -> Tensor:
    """The receivers' potentials `(U, k + 1)` at coarser problems, each solved roughly from the one before."""
    received = torch.zeros_like(problem.log_received)
    for epsilon in epsilons:
        received, _ = _iterate(problem, received, epsilon)
    return received


def _iterate(problem: _Problem, received: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """A block of Sinkhorn's iterations from the potentials *received*: the new ones, and the plan."""
    scaled = problem.cost / epsilon
    g = received / epsilon
    for _ in range(BLOCK):
        f = problem.log_sent - torch.logsumexp(g[:, None, :] - scaled, 2)
        g = problem.log_received - torch.logsumexp(f[..., None] - scaled, 1)
    return g * epsilon, torch.exp(f[..., None] + g[:, None, :] - scaled)
