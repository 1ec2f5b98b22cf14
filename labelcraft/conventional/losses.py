"""The losses of the tower as functions of logits."""

import torch
import torch.nn.functional as F
from torch import Tensor

from labelcraft.labels.protocol import Head


def pointwise(head: Head, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean loss of a label's head on σ(*logits*), all `(n,)`.

    With the target y/a of a row that is examined with probability a, both heads have the expectation of the loss on
    examined rows (Saito et al. 2020, eq. 9): the cross-entropy softplus(z) − t·z and the square are linear in what the
    target adds to the gradient, though a target may be above 1.
    """
    match head:
        case Head.BCE:
            losses = F.softplus(logits) - targets * logits
        case Head.MSE:
            losses = (torch.sigmoid(logits) - targets) ** 2
    return _mean(losses, weights)


def contrastive(positives: Tensor, negatives: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of −log softmax of each positive's logit `(n,)` among its own user's *negatives* `(n, m)`."""
    return _mean(torch.logsumexp(torch.cat([positives[:, None], negatives], dim=1), dim=1) - positives, weights)


def in_batch(scores: Tensor, log_q: Tensor, hidden: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean sampled softmax of each positive among the positives of its batch.

    Args:
        scores: `(n, n)`, of the user of row i and the video of row j.
        log_q: `(n,)`, the logarithm of how often training draws the video of row j: popular videos are drawn as
            negatives more often, and s(u, v_j) − log q_j takes that back (Yi et al. 2019, eq. 3).
        hidden: `(n, n)`, true where the video of row j is no negative of row i: another row of the same user, or of the
            same video.
    """
    corrected = (scores - log_q).masked_fill(hidden, -torch.inf)
    return _mean(torch.logsumexp(corrected, dim=1) - corrected.diagonal(), weights)


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum() / weights.sum()
