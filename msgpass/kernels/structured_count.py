"""Messages of a weight on the number of ones, compiled: counts from both ends, in O(a²) an instance.

Sums run on weights scaled by their largest, as in :mod:`~msgpass.kernels.structured_two_state`; under max the
same loops run in logarithms.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.structured_pairs import (
    BLOCK,
    differ,
    exponentiate,
    is_far,
    logarithms,
    signed_ratio,
    write,
)
from msgpass.kernels.structured_two_state import LARGE, LOST, SMALL


@jit(_nrt=False)
def rescale(counts, size, most):
    """Bring weights back into range, up to a constant."""
    factor = LARGE if most < SMALL else SMALL if most > LARGE else 1.0
    if factor != 1.0:
        for c in range(size):
            counts[c] *= factor


@jit
def sum_counts(messages, arity, weights, out, lost):
    """Messages from flat log messages and count weights (n or 1, arity + 1); ``lost`` as there."""
    n, some, shared = lost.size, max(1, BLOCK // arity), weights.shape[0] == 1
    d, r, ratios = np.zeros(some * arity + 8), np.zeros(some * arity + 8), np.zeros(some * arity + 8)
    behind, before = np.empty((arity + 1, arity + 1)), np.empty(arity + 1)
    for start in range(0, n, some):
        factors = min(some, n - start)
        differ(messages, start * arity, factors * arity, d)
        exponentiate(d, factors * arity, r)
        for j in range(factors):
            first, own = j * arity, weights[0 if shared else start + j]
            behind[arity] = own
            for i in range(arity - 1, -1, -1):
                a, b = (r[first + i], 1.0) if d[first + i] > 0 else (1.0, r[first + i])
                most = 0.0
                for c in range(i + 1):
                    behind[i, c] = a * behind[i + 1, c] + b * behind[i + 1, c + 1]
                    most = max(most, behind[i, c])
                rescale(behind[i], i + 1, most)
            before[0], least = 1.0, np.inf
            for i in range(arity):
                off = on = 0.0
                for c in range(i + 1):
                    off += before[c] * behind[i + 1, c]
                    on += before[c] * behind[i + 1, c + 1]
                ratios[first + i] = signed_ratio(off, on)
                least = min(least, min(off, on))
                a, b = (r[first + i], 1.0) if d[first + i] > 0 else (1.0, r[first + i])
                before[i + 1] = before[i] * b
                most = before[i + 1]
                for c in range(i, 0, -1):
                    before[c] = a * before[c] + b * before[c - 1]
                    most = max(most, before[c])
                before[0] *= a
                rescale(before, i + 2, max(most, before[0]))
            lost[start + j] = least < LOST or is_far(d, first, arity)
        logarithms(ratios, factors * arity)
        write(ratios, start * arity, factors * arity, out)


@jit
def max_counts(messages, arity, log_weights, out):
    """The same under max, in logarithms; −∞ is exact."""
    n, shared = messages.size // (2 * arity), log_weights.shape[0] == 1
    behind, before = np.empty((arity + 1, arity + 1)), np.empty(arity + 1)
    for j in range(n):
        first = 2 * j * arity
        behind[arity] = log_weights[0 if shared else j]
        for i in range(arity - 1, -1, -1):
            a, b = messages[first + 2 * i], messages[first + 2 * i + 1]
            for c in range(i + 1):
                behind[i, c] = max(a + behind[i + 1, c], b + behind[i + 1, c + 1])
        before[0] = 0.0
        for i in range(arity):
            off = on = -np.inf
            for c in range(i + 1):
                off = max(off, before[c] + behind[i + 1, c])
                on = max(on, before[c] + behind[i + 1, c + 1])
            top = max(off, on)
            if top == -np.inf:
                top = 0.0
            out[first + 2 * i], out[first + 2 * i + 1] = off - top, on - top
            a, b = messages[first + 2 * i], messages[first + 2 * i + 1]
            before[i + 1] = before[i] + b
            for c in range(i, 0, -1):
                before[c] = max(a + before[c], b + before[c - 1])
            before[0] += a
