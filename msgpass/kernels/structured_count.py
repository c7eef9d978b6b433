"""Messages of a weight on the number of ones, compiled: counts from both ends, in O(a²) an instance.

Sums run on weights scaled by their largest, as in :mod:`~msgpass.kernels.structured_two_state`; under max the
same loops run in logarithms.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.structured_two_state import LARGE, LOST, SMALL


@jit
def sum_counts(weights, count_weights, out, lost):
    """Messages (n, a, 2) from weights (n, a, 2), the larger entry 1, and count weights (n or 1, a + 1)."""
    n, arity, shared = weights.shape[0], weights.shape[1], count_weights.shape[0] == 1
    behind, before = np.empty((arity + 1, arity + 1)), np.empty(arity + 1)
    for j in range(n):
        own = count_weights[0 if shared else j]
        for c in range(arity + 1):
            behind[arity, c] = own[c]
        for i in range(arity - 1, -1, -1):
            a, b, most = weights[j, i, 0], weights[j, i, 1], 0.0
            for c in range(i + 1):
                behind[i, c] = a * behind[i + 1, c] + b * behind[i + 1, c + 1]
                most = max(most, behind[i, c])
            factor = LARGE if most < SMALL else SMALL if most > LARGE else 1.0
            if factor != 1.0:
                for c in range(i + 1):
                    behind[i, c] *= factor
        before[0] = 1.0
        least = np.inf
        for i in range(arity):
            off = on = 0.0
            for c in range(i + 1):
                off += before[c] * behind[i + 1, c]
                on += before[c] * behind[i + 1, c + 1]
            out[j, i, 0], out[j, i, 1] = off, on
            least = min(least, min(off, on))
            a, b, most = weights[j, i, 0], weights[j, i, 1], 0.0
            before[i + 1] = before[i] * b
            for c in range(i, 0, -1):
                before[c] = a * before[c] + b * before[c - 1]
                most = max(most, before[c])
            before[0] *= a
            most = max(most, max(before[0], before[i + 1]))
            factor = LARGE if most < SMALL else SMALL if most > LARGE else 1.0
            if factor != 1.0:
                for c in range(i + 2):
                    before[c] *= factor
        lost[j] = least < LOST


@jit
def max_counts(logs, log_weights, out):
    """The same under max, in logarithms."""
    n, arity, shared = logs.shape[0], logs.shape[1], log_weights.shape[0] == 1
    behind, before = np.empty((arity + 1, arity + 1)), np.empty(arity + 1)
    for j in range(n):
        own = log_weights[0 if shared else j]
        for c in range(arity + 1):
            behind[arity, c] = own[c]
        for i in range(arity - 1, -1, -1):
            a, b = logs[j, i, 0], logs[j, i, 1]
            for c in range(i + 1):
                behind[i, c] = max(a + behind[i + 1, c], b + behind[i + 1, c + 1])
        before[0] = 0.0
        for i in range(arity):
            off = on = -np.inf
            for c in range(i + 1):
                off = max(off, before[c] + behind[i + 1, c])
                on = max(on, before[c] + behind[i + 1, c + 1])
            out[j, i, 0], out[j, i, 1] = off, on
            a, b = logs[j, i, 0], logs[j, i, 1]
            before[i + 1] = before[i] + b
            for c in range(i, 0, -1):
                before[c] = max(a + before[c], b + before[c - 1])
            before[0] += a
