"""Products of rows of a decoder (n, B, ·) with rows of a source (S, B, ·), sequence by sequence.

    match    e[n, b, s] = q[n, b] · k[s, b]        mix    c[n, b] = Σ_s a[n, b, s] m[s, b]
    spread   k̄[s, b] = Σ_n a[n, b, s] g[n, b]

Each is a stack of B matrix products, half the time of ``einsum`` for one step; each is the VJP of another.
"""

from __future__ import annotations

import numpy as np


def match(query: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """q · k, (n, B, S)."""
    found = np.matmul(np.transpose(query, (1, 0, 2)), np.transpose(keys, (1, 2, 0)))
    return np.transpose(found, (1, 0, 2))


def mix(weights: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Σ_s a m, (n, B, ·)."""
    found = np.matmul(np.transpose(weights, (1, 0, 2)), np.transpose(memory, (1, 0, 2)))
    return np.transpose(found, (1, 0, 2))


def spread(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Σ_n a g, (S, B, ·)."""
    found = np.matmul(np.transpose(weights, (1, 2, 0)), np.transpose(rows, (1, 0, 2)))
    return np.transpose(found, (1, 0, 2))
