"""The log softmax of rows and its derivatives.

    y = x − log Σ eˣ,  p = eʸ       VJP  ȳ − p Σ ȳ       JVP  ẋ − Σ p ẋ       HVP  −ṗ Σ ȳ,  ṗ = p (ẋ − Σ p ẋ)

Rows are short, and NumPy reduces a short last axis one row at a time: of (51200, 8) it takes the maximum in
1.9 ms and the sum in .66. Column by column the maximum takes .24, and the sum by einsum .14.
"""

from __future__ import annotations

import numpy as np

BY_COLUMN = 64
"""Columns up to which the maximum goes column by column."""


def peak(x: np.ndarray) -> np.ndarray:
    """Maximum over the last axis, which stays with length 1."""
    if not 0 < x.shape[-1] <= BY_COLUMN:
        return x.max(axis=-1, keepdims=True)
    top = x[..., 0].copy()
    for k in range(1, x.shape[-1]):
        np.maximum(top, x[..., k], out=top)
    return top[..., None]


def total(x: np.ndarray) -> np.ndarray:
    """Sum over the last axis, which stays with length 1."""
    return np.einsum("...k->...", x)[..., None]


def log_softmax(x: np.ndarray) -> np.ndarray:
    """x − log Σ exp x over the last axis."""
    z = x - peak(x)
    z -= np.log(total(np.exp(z)))
    return z


def pull(x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
    """Cotangent at x."""
    return cotangent - np.exp(log_softmax(x)) * total(cotangent)


def push(x: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """Tangent of the value."""
    return tangent - total(np.exp(log_softmax(x)) * tangent)


def bend(x: np.ndarray, cotangent: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """How the pulled cotangent moves with x."""
    return -np.exp(log_softmax(x)) * push(x, tangent) * total(cotangent)
