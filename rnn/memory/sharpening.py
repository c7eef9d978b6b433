"""Sharpening: w_i = v_i^γ / Σ_j v_j^γ with γ ≥ 1 (Graves et al. 2014, eq. 9).

Powers are taken of v / max v, so that a large γ neither overflows nor leaves 0 / 0: at least one term is 1.
"""

from __future__ import annotations

import numpy as np


def _parts(v: np.ndarray, gamma: np.ndarray):
    top = v.max(axis=-1, keepdims=True)
    p = v / top
    u = p**gamma
    total = u.sum(axis=-1, keepdims=True)
    return top, p, u, total


def _logs(p: np.ndarray) -> np.ndarray:
    """log p where p > 0; elsewhere 0, since p^γ log p is 0 there."""
    return np.log(np.where(p > 0, p, 1))


def sharpen(v: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Sharpened weighting (…, N) of v (…, N), non-negative with a positive sum, by γ (…, 1)."""
    _, _, u, total = _parts(v, gamma)
    return u / total


def sharpen_vjp(v, gamma, cotangent) -> tuple[np.ndarray, np.ndarray]:
    """Cotangents of v and γ."""
    top, p, u, total = _parts(v, gamma)
    centred = cotangent - (cotangent * u).sum(axis=-1, keepdims=True) / total
    at_v = gamma * p ** (gamma - 1) / (total * top) * centred
    at_gamma = (u / total * _logs(p) * centred).sum(axis=-1, keepdims=True)
    return at_v, at_gamma


def sharpen_jvp(v, gamma, v_dot, gamma_dot) -> np.ndarray:
    """Tangent of the sharpened weighting."""
    top, p, u, total = _parts(v, gamma)
    u_dot = gamma * p ** (gamma - 1) * v_dot / top + u * _logs(p) * gamma_dot
    return (u_dot - u / total * u_dot.sum(axis=-1, keepdims=True)) / total
