"""Attention weights: the softmax over the places of a source, 0 where it is padding."""

from __future__ import annotations

import numpy as np

from rnn.softmax import softmax


def weights_of(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Weights (n, B, S) of scores; ``mask`` (S, B, 1) is 0 where the source is padding."""
    if mask is not None:
        scores = np.where(mask[..., 0].T > 0, scores, -np.inf)
    return softmax(scores)
