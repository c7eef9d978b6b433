"""The log softmax of rows and its derivatives.

y = x − log Σ eˣ,  p = eʸ        VJP  ȳ − p Σ ȳ        JVP  ẋ − Σ p ẋ        HVP  −ṗ Σ ȳ,  ṗ = p (ẋ − Σ p ẋ)
"""

from __future__ import annotations

import numpy as np


def log_softmax(x: np.ndarray) -> np.ndarray:
    """x − log Σ exp x over the last axis."""
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def pull(x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
    """Cotangent at x."""
    return cotangent - np.exp(log_softmax(x)) * cotangent.sum(axis=-1, keepdims=True)


def push(x: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """Tangent of the value."""
    return tangent - (np.exp(log_softmax(x)) * tangent).sum(axis=-1, keepdims=True)


def bend(x: np.ndarray, cotangent: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """How the pulled cotangent moves with x."""
    return -np.exp(log_softmax(x)) * push(x, tangent) * cotangent.sum(axis=-1, keepdims=True)
