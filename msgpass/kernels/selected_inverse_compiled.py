"""The recursion of :mod:`~msgpass.kernels.selected_inverse`, compiled."""

import numpy as np

from msgpass.kernels.runtime import jit


@jit
def selected_inverse(indptr, indices, lower, pivots):
    """Entries of A⁻¹ at those of L; columns with sorted rows, the diagonal first."""
    n = len(pivots)
    found = np.empty_like(lower)
    place = np.full(n, -1, np.int64)
    sums = np.empty(n)
    for j in range(n - 1, -1, -1):
        start, stop = indptr[j] + 1, indptr[j + 1]
        count = stop - start
        for a in range(count):
            place[indices[start + a]] = a
            sums[a] = 0.0
        for a in range(count):
            k = indices[start + a]
            own = lower[start + a]
            first = indptr[k]
            collected = found[first] * own
            for q in range(first + 1, indptr[k + 1]):
                b = place[indices[q]]
                if b >= 0:
                    sums[b] += found[q] * own
                    collected += found[q] * lower[start + b]
            sums[a] += collected
        diagonal = 1.0 / pivots[j]
        for a in range(count):
            place[indices[start + a]] = -1
            diagonal += lower[start + a] * sums[a]
            found[start + a] = -sums[a]
        found[indptr[j]] = diagonal
    return found
