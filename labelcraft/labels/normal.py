"""The normal distribution; the only module of the labels that needs torch, which has what numpy lacks."""

import numpy as np

from labelcraft.feedback import Floats
from retrieval.errors import import_extra


def normal_cdf(z: Floats) -> Floats:
    """Φ(z) of each number.

    >>> normal_cdf(np.array([0.0])).tolist()
    [0.5]
    """
    torch = import_extra("torch", "train")
    return np.asarray(torch.special.ndtr(torch.from_numpy(np.array(z, np.float64))).numpy())


def normal_quantile(probability: Floats) -> Floats:
    """Φ⁻¹ of each number in [0, 1], infinite at its ends; beyond them that of the nearer.

    >>> normal_quantile(np.array([0.5, 1.0])).tolist()
    [0.0, inf]
    """
    torch = import_extra("torch", "train")
    inside = np.clip(np.array(probability, np.float64), 0.0, 1.0)
    return np.asarray(torch.special.ndtri(torch.from_numpy(inside)).numpy())
