"""σ(z) = 1 / (1 + exp(−z)) without overflow, to full relative precision on both sides."""

from __future__ import annotations

import numpy as np


def sigmoid(z: np.ndarray) -> np.ndarray:
    """σ(z), from exp(−|z|)."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)
