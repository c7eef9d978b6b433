"""Cosine similarity of keys and slots, safe at zero.

    K(k, m) = k·m / (|k| |m|),      |v| = √(v·v + ε)

With ε under the root the similarity of an empty slot is 0 and its derivatives are finite. (Graves, Wayne &
Danihelka 2014, eq. 6, without ε.)
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-8


def norm(v: np.ndarray) -> np.ndarray:
    """√(v·v + ε) along the last axis, which stays."""
    return np.sqrt((v * v).sum(axis=-1, keepdims=True) + v.dtype.type(EPSILON))


def cosine(keys: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Similarities (…, H, N) of keys (…, H, W) and slots (…, N, W)."""
    return (keys / norm(keys)) @ np.swapaxes(memory / norm(memory), -1, -2)


def cosine_vjp(keys, memory, cotangent) -> tuple[np.ndarray, np.ndarray]:
    """Cotangents of keys and memory."""
    k_norm, m_norm = norm(keys), norm(memory)
    k, m = keys / k_norm, memory / m_norm
    at_k, at_m = cotangent @ m, np.swapaxes(cotangent, -1, -2) @ k
    return (
        (at_k - k * (at_k * k).sum(axis=-1, keepdims=True)) / k_norm,
        (at_m - m * (at_m * m).sum(axis=-1, keepdims=True)) / m_norm,
    )


def cosine_jvp(keys, memory, keys_dot, memory_dot) -> np.ndarray:
    """Tangent of the similarities."""
    k_norm, m_norm = norm(keys), norm(memory)
    k, m = keys / k_norm, memory / m_norm
    k_dot = (keys_dot - k * (k * keys_dot).sum(axis=-1, keepdims=True)) / k_norm
    m_dot = (memory_dot - m * (m * memory_dot).sum(axis=-1, keepdims=True)) / m_norm
    return k_dot @ np.swapaxes(m, -1, -2) + k @ np.swapaxes(m_dot, -1, -2)
