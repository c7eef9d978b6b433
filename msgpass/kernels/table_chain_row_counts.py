"""Posterior marginals added up by the row of evidence that each step uses: the expected counts of symbols.

Steps that use the same row wait for each other's store; four tables in turn, and one set of them a thread,
keep them apart.
"""

import numpy as np

from msgpass.kernels.runtime import jit, run_pair
from msgpass.kernels.table_chain_lane_places import TABLES


@jit
def add_rows(rows, gamma, first, last, counts):
    """``counts[t % 4, rows[t]] += gamma[t]`` for ``first <= t < last``."""
    n_states = gamma.shape[1]
    for t in range(first, last):
        table, r = t & 3, rows[t]
        if n_states == 2:
            counts[table, r, 0] += gamma[t, 0]
            counts[table, r, 1] += gamma[t, 1]
        elif n_states == 4:
            counts[table, r, 0] += gamma[t, 0]
            counts[table, r, 1] += gamma[t, 1]
            counts[table, r, 2] += gamma[t, 2]
            counts[table, r, 3] += gamma[t, 3]
        else:
            for k in range(n_states):
                counts[table, r, k] += gamma[t, k]


def row_counts(rows: np.ndarray, gamma: np.ndarray, n_rows: int) -> np.ndarray:
    """Σ γ_t over the steps of each row, shape (n_rows, K); the order of addition depends on sizes alone."""
    middle = len(rows) // 2
    counts = np.zeros((2, TABLES, n_rows, gamma.shape[1]))
    run_pair(
        add_rows, (rows, gamma, 0, middle, counts[0]), add_rows, (rows, gamma, middle, len(rows), counts[1])
    )
    return counts.sum(axis=(0, 1))
