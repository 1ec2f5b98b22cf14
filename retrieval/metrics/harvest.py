"""Examination by position up to a factor, from the positives of videos at their positions: arrays in, arrays out.

All take P(positive | video v, position p) = q_p · γ_v (the position-based model) and give q relative to the first
position, NaN where nothing is known. Trials are delivered slots, for examination itself, or reached ones, for the
attention that reached slots get.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK_CELLS = 1 << 22  # of videos × positions × positions at a time
_EM_ROUNDS, _EM_TOLERANCE = 5000, 1e-6
_SCORING_ROUNDS, _TOLERANCE = 100, 1e-9
_TINY = 1e-300


@dataclass(frozen=True)
class Cells:
    """Trials by video and position, one row each: *positives* of *trials* at *position* (from 1) with *video* (a row).

    A pair may stand in several rows, which count together.
    """

    video: Ints
    position: Ints
    trials: Ints
    positives: Ints


def rates(cells: Cells, n: int) -> Floats:
    """Positives per trial at each of *n* positions, relative to the first (result randomisation).

    Assumes that what is shown at a position does not depend on the position: lists in random order. A ranking that
    puts relevant or new videos first makes the curve too steep.
    """
    positives = np.bincount(cells.position, cells.positives, n + 1)[1:]
    trials = np.bincount(cells.position, cells.trials, n + 1)[1:]
    rate = ratio(positives, trials)
    return np.asarray(ratio(rate, rate[0]))


@dataclass(frozen=True)
class Pairs:
    """Videos that stood at two positions, compared: *positives* and *trials* `(n, n)`, all trials weighted alike.

    A video with n_k trials at position k and n_l at l weighs n_k n_l / (n_k + n_l) in the pair (Mantel and Haenszel):
    trials[k, l] sums these weights, positives[k, l] the weights times the video's rate at k.
    """

    positives: Floats
    trials: Floats


def harvest(cells: Cells, n: int) -> Pairs:
    """All pairs of positions, as chance brought the same videos to both (intervention harvesting, Agarwal et al. 2019).

    What is made of pairs assumes that a video is as relevant to those who met it at one position as to those who met it
    at the other: true of several rankers in turn, or of rankings that do not know the user's taste; not of one ranker
    that shows each user first what this user likes.
    """
    positives, trials = np.zeros((n, n)), np.zeros((n, n))
    order = np.argsort(cells.video, kind="stable")
    distinct, row = np.unique(cells.video[order], return_inverse=True)
    per_block = max(1, _BLOCK_CELLS // n**2)
    for first in range(0, len(distinct), per_block):
        here = slice(*np.searchsorted(row, [first, first + per_block]))
        held, size = order[here], min(per_block, len(distinct) - first) * n
        place = (row[here] - first) * n + cells.position[held] - 1
        won = np.bincount(place, cells.positives[held], size).reshape(-1, n)
        tried = np.bincount(place, cells.trials[held], size).reshape(-1, n)
        both = np.maximum(tried[:, :, None] + tried[:, None, :], 1)
        positives += np.einsum("vk,vl,vkl->kl", won, tried, 1 / both)
        trials += np.einsum("vk,vl,vkl->kl", tried, tried, 1 / both)
    return Pairs(positives, trials)


def pivot(pairs: Pairs) -> Floats:
    """Each position against the first: q_k / q_1 = ĉ_k / ĉ_1 over the videos seen at both."""
    return np.asarray(ratio(pairs.positives[:, 0], pairs.positives[0]))


def adjacent_chain(pairs: Pairs) -> Floats:
    """Each position against the one before, multiplied up: more videos stood at both, but errors add up."""
    step = ratio(np.diagonal(pairs.positives, -1), np.diagonal(pairs.positives, 1))
    return np.asarray(np.concatenate([[1.0], np.cumprod(step)]))


def all_pairs(pairs: Pairs) -> Floats:
    """The curve under which all pairs are likeliest, each pair (k, l) with a relevance of its own.

    Maximises Σ ĉ log(q_k r_kl) + ¬ĉ log(1 − q_k r_kl) over q and r, r indexed by (min, max) of the pair, by Fisher's
    scoring: with logarithms as parameters r is eliminated in closed form, and a step solves for q alone.
    """
    used = linked(pairs)
    found = np.full(len(used), np.nan)
    found[used] = np.exp(_scored(pairs.positives[np.ix_(used, used)], pairs.trials[np.ix_(used, used)]))
    return found


def _scored(won: Floats, tried: Floats) -> Floats:
    """The likeliest log q, relative to the first; every position has positives in some pair, unless there is but one.

    p = q_k r_kl has the score s = (ĉ − trials · p)/(1 − p) and the information w = trials · p/(1 − p) about log p.
    """
    n = len(won)
    if n == 1:
        return np.zeros(1)
    won = np.where(np.eye(n) > 0, 0.0, won)
    # A pair without a positive is likeliest with a relevance of 0, whatever q is.
    tried = np.where((won + won.T > 0) & (np.eye(n) == 0), tried, 0.0)
    log_q = np.log(won.sum(axis=1) / tried.sum(axis=1))
    top = np.maximum(log_q[:, None], log_q)
    log_r = np.minimum(np.log(np.maximum(ratio(won + won.T, 2 * tried), _TINY)) - top, np.log(0.9) - top)
    log_r = np.where(tried > 0, log_r, -np.inf)
    for _ in range(_SCORING_ROUNDS):
        p = np.exp(log_q[:, None] + log_r)
        w, s = tried * p / (1.0 - p), (won - tried * p) / (1.0 - p)
        known = np.where(tried > 0, w + w.T, 1.0)
        both = (s + s.T) / known
        curvature = np.diag((w - w * w / known).sum(axis=1)) - w * w.T / known
        step = np.zeros(n)
        step[1:] = np.linalg.solve(curvature[1:, 1:], (s - w * both).sum(axis=1)[1:])
        step_r = both - (w * step[:, None] + w.T * step) / known
        share = _shortened(log_q[:, None] + log_r, step[:, None] + step_r)
        log_q, log_r = log_q + share * step, log_r + share * step_r
        if np.abs(share * step).max() < _TOLERANCE:
            break
    return np.asarray(log_q - log_q[0])


def _shortened(log_p: Floats, step: Floats) -> float:
    """The largest of 1, ½, ¼ … by which a step leaves all probabilities below 1."""
    share = 1.0
    while (log_p + share * step).max() >= 0:
        share /= 2
    return share


def regression_em(cells: Cells, n: int) -> Floats:
    """Examination and each video's relevance fitted at once by EM (Wang et al. 2018), the video the only feature.

    A trial without success was not examined, not relevant, or neither:
    P(E = 1 | 0) = q(1 − γ)/(1 − qγ), P(R = 1 | 0) = (1 − q)γ/(1 − qγ).
    Assumes what `harvest` does. Videos with few trials get a relevance that fits their luck.
    """
    _, video = np.unique(cells.video, return_inverse=True)
    column, lost = cells.position - 1, cells.trials - cells.positives
    won_video, won = np.bincount(video, cells.positives), np.bincount(column, cells.positives, n)
    tried_video, tried = np.bincount(video, cells.trials), np.bincount(column, cells.trials, n)
    if not won[0]:
        return np.full(n, np.nan)
    q, gamma = np.full(n, 0.9), np.full(len(won_video), 0.5)
    for _ in range(_EM_ROUNDS):
        q_cell, gamma_cell = q[column], gamma[video]
        examined = q_cell * (1.0 - gamma_cell)
        each = lost / np.maximum(examined + 1.0 - q_cell, _TINY)
        before = ratio(q, q[0])
        q = ratio(won + np.bincount(column, each * examined, n), tried)
        gamma = (won_video + np.bincount(video, each * (1.0 - q_cell) * gamma_cell)) / tried_video
        if np.nanmax(np.abs(ratio(q, q[0]) - before)) < _EM_TOLERANCE:
            break
    return np.where(linked(harvest(cells, n)), ratio(q, q[0]), np.nan)


def linked(pairs: Pairs) -> NDArray[np.bool_]:
    """Which positions can be compared with the first, by videos in common with it or with others that can.

    Two groups of positions without a positive of a common video have no common scale, though the likeliest fit gives
    them one.
    """
    shared = (pairs.positives > 0) & (pairs.positives.T > 0)
    found = np.arange(len(shared)) == 0
    for _ in range(len(shared)):
        found = found | shared[found].any(axis=0)
    return np.asarray(found)


def power(values: Floats, weights: ArrayLike) -> float:
    """η of q_p = p^(−η), by least squares of log *values* `(n,)` on log position through the origin; NaN of no pair.

    Assumes that examination falls by that law. One number is known far better than n are, right or wrong.

    Args:
        weights: `(n,)`, about the number of positives behind each value: the variance of its logarithm is one over it.
    """
    usable = np.isfinite(values) & (values > 0)
    x = np.log(np.arange(1, len(values) + 1)[usable])
    w = np.asarray(weights, np.float64)[usable]
    square = (w * x * x).sum()
    return float(-(w * x * np.log(values[usable])).sum() / square) if square > 0 else float("nan")


def powers(eta: float, n: int) -> Floats:
    """p^(−η) at the positions 1 … n."""
    return np.asarray(np.arange(1, n + 1, dtype=np.float64) ** -eta)


def ratio(over: ArrayLike, under: ArrayLike) -> Floats:
    """*over* / *under*, NaN where that is no number."""
    over, under = np.asarray(over, np.float64), np.asarray(under, np.float64)
    shape = np.broadcast_shapes(over.shape, under.shape)
    return np.asarray(np.divide(over, under, out=np.full(shape, np.nan), where=under > 0))
