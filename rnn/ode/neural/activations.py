"""Activations and their slopes, from the pre-activation z and the value a."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnn.cells.sigmoid import sigmoid


def softplus(z: np.ndarray) -> np.ndarray:
    """log(1 + exp z) without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "softplus": (softplus, lambda z, a: sigmoid(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (z > 0).astype(z.dtype)),
    "sigmoid": (sigmoid, lambda z, a: a * (1 - a)),
    "silu": (lambda z: z * sigmoid(z), lambda z, a: a + sigmoid(z) * (1 - a)),
}
"""By name: (function, slope)."""
