"""exp of a table of log potentials, each row scaled to a maximum of 1, in one pass over memory with vector polynomials."""

import math

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import load, store, vexp

_BLOCK = 2048  # numbers at a time: two first-level caches' worth would undo what blocking is for


@jit
def scaled_exponentials(log_table, first, last, out, peaks):
    """``peaks[r] = max log_table[r]`` (0 if that is −inf) and ``out[r] = exp(log_table[r] − peaks[r])``, rows first:last."""
    n_states = log_table.shape[1]
    flat = out.reshape(out.size)
    rows = max(_BLOCK // n_states // 8 * 8, 8)
    for start in range(first, last, rows):
        stop = min(start + rows, last)
        for r in range(start, stop):
            peak = log_table[r, 0]
            for k in range(1, n_states):
                value = log_table[r, k]
                peak = value if value > peak else peak
            peak = peak if peak > -np.inf else 0.0
            peaks[r] = peak
            for k in range(n_states):
                out[r, k] = log_table[r, k] - peak
        p = start * n_states
        while p + 8 <= stop * n_states:
            store(flat, p, vexp(load(flat, p)))
            p += 8
        while p < stop * n_states:
            flat[p] = math.exp(flat[p])
            p += 1
