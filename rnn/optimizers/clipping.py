"""Gradients kept from being too long (Pascanu, Mikolov & Bengio 2013) or too large.

by value   g ← min(max(g, −c), c)            by norm   g ← g · min(1, c / ‖g‖)
"""

from __future__ import annotations

import numpy as np


def clip_by_value(gradient: np.ndarray, limit: float) -> np.ndarray:
    """Every number within ±limit.

    Examples
    --------
    >>> clip_by_value(np.array([3.0, -0.5]), 1.0)
    array([ 1. , -0.5])
    """
    return np.clip(gradient, -limit, limit)


def clip_by_norm(gradient: np.ndarray, limit: float) -> np.ndarray:
    """The same direction, no longer than limit; the norm is over all weights together.

    Examples
    --------
    >>> clip_by_norm(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    norm = float(np.linalg.norm(gradient))
    return gradient if norm <= limit else gradient * gradient.dtype.type(limit / norm)
