"""Logits of scores that only rank: Platt's line, and how vectors take it up."""

from dataclasses import dataclass

import numpy as np

from labelcraft.conventional.examples import Singles

STEPS = 50


@dataclass(frozen=True)
class Line:
    """logit = *slope* · score + *offset*."""

    slope: float
    offset: float

    def of_scores(self, scores: Singles) -> Singles:
        """The logits `(n,)` of scores."""
        return np.asarray(self.slope * scores + self.offset, np.float32)

    def of_vectors(self, vectors: Singles) -> Singles:
        """Videos' vectors `(n, dim)` whose dot products are the logits, since a user's last coordinate is 1."""
        moved = np.asarray(self.slope * vectors, np.float32)
        moved[:, -1] += self.offset
        return moved


IDENTITY = Line(1.0, 0.0)


def fit_line(scores: Singles, labels: Singles) -> Line:
    """The line of the least cross-entropy of *labels* `(n,)` in [0, 1] (Platt 1999), by Newton's method.

    A slope that is not above 0 would turn the ranking around: then the offset alone is fitted.
    """
    x = np.column_stack([np.asarray(scores, np.float64), np.ones(len(scores))])
    theta = _newton(x, labels)
    return Line(*map(float, theta)) if theta[0] > 0 else Line(1.0, _offset(scores, labels))


def _newton(x: np.ndarray, labels: Singles) -> np.ndarray:
    theta = np.zeros(2)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -30, 30)))
        gradient = x.T @ (p - labels)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        move = np.linalg.solve(hessian, gradient)
        theta -= move
        if np.abs(move).max() < 1e-10:
            break
    return theta


def _offset(scores: Singles, labels: Singles) -> float:
    mean = float(np.clip(np.mean(labels), 1e-6, 1 - 1e-6))
    return float(np.log(mean / (1 - mean)) - np.mean(scores))
