"""The affine map y = x Wᵀ + b of any number of leading axes, and its derivatives, as plain matrix products.

    VJP   x̄ = ȳ W,  W̄ = Σ ȳ xᵀ,  b̄ = Σ ȳ            JVP   ẏ = ẋ Wᵀ + x Ẇᵀ + ḃ

NumPy runs one product an instance over stacked matrices; flattening the leading axes makes it one product
in all.
"""

from __future__ import annotations

import numpy as np


def flat(x: np.ndarray) -> np.ndarray:
    """All leading axes as one."""
    return x.reshape(-1, x.shape[-1])


def times(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x Wᵀ."""
    return (flat(x) @ w.T).reshape(*x.shape[:-1], len(w))


def times_transposed(y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y W, the VJP of :func:`times` at x."""
    return (flat(y) @ w).reshape(*y.shape[:-1], w.shape[1])


def weight_cotangent(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Σ y xᵀ over the leading axes, the VJP of :func:`times` at W."""
    return flat(y).T @ flat(x)
