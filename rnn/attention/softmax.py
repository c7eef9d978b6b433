"""Softmax over the places of a source, with padding left out; and its derivatives.

    a = exp(e − max e) / Σ exp(e − max e)        over places that are no padding, else a = 0
    VJP   ē = a ⊙ (ā − Σ a ā)                    JVP   ȧ = a ⊙ (ė − Σ a ė)

The largest score is taken off, so that no score overflows. A softmax is its own transpose: VJP and JVP are
one map.
"""

from __future__ import annotations

import numpy as np


def softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Weights (n, B, S) of scores; ``mask`` (S, B, 1) is 0 where the source is padding."""
    if mask is not None:
        scores = np.where(mask[..., 0].T > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def through_softmax(weights: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The Jacobian of :func:`softmax`, which is symmetric, times ``moved``."""
    return weights * (moved - (weights * moved).sum(axis=-1, keepdims=True))
