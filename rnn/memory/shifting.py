"""Circular convolution of a weighting with a distribution over shifts (Graves et al. 2014, eq. 8).

w̃_i = Σ_j s_j w_{(i − j) mod N},      j = −S, …, S
"""

from __future__ import annotations

import numpy as np


def offsets(shifts: np.ndarray) -> range:
    """−S, …, S for 2 S + 1 shift probabilities."""
    reach = shifts.shape[-1] // 2
    return range(-reach, reach + 1)


def shift(w: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The shifted weighting (…, N) of w (…, N) by shifts (…, 2 S + 1); bilinear."""
    moved = np.zeros_like(w)
    for k, j in enumerate(offsets(shifts)):
        moved += shifts[..., k : k + 1] * np.roll(w, j, axis=-1)
    return moved


def shift_vjp(w, shifts, cotangent) -> tuple[np.ndarray, np.ndarray]:
    """Cotangents of the weighting and of the shifts."""
    at_w, at_shifts = np.zeros_like(w), np.empty_like(shifts)
    for k, j in enumerate(offsets(shifts)):
        back = np.roll(cotangent, -j, axis=-1)
        at_w += shifts[..., k : k + 1] * back
        at_shifts[..., k] = (back * w).sum(axis=-1)
    return at_w, at_shifts
