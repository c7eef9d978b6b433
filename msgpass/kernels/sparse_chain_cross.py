"""One step of a message across a sparse transition, in either direction: along its runs, then over its loose
entries (:mod:`~msgpass.kernels.sparse_chain_runs`).
"""

import numpy as np

from msgpass.kernels.runtime import jit

FAST = {"contract", "reassoc", "nsz"}  # infinities and NaN are looked at, so no assumptions about them


@jit(fastmath=FAST)
def along(runs, kinds, loose, table, before, out):
    """out(j) = Σ_i before(i) A(i, j)."""
    out[:] = 0.0
    for r in range(kinds[2]):
        i, j, place, n = runs[r]
        own = table[place : place + n]
        if r < kinds[0]:
            left, right = before[i : i + n], out[j : j + n]
            for q in range(n):
                right[q] += own[q] * left[q]
        elif r < kinds[1]:
            left, total = before[i : i + n], 0.0
            for q in range(n):
                total += own[q] * left[q]
            out[j] += total
        else:
            weight, right = before[i], out[j : j + n]
            for q in range(n):
                right[q] += own[q] * weight
    own = table[table.size - loose.shape[1] :]
    for e in range(own.size):
        out[loose[1, e]] += own[e] * before[loose[0, e]]


@jit(fastmath=FAST)
def against(runs, kinds, loose, table, ahead, out):
    """out(i) = Σ_j A(i, j) ahead(j)."""
    out[:] = 0.0
    for r in range(kinds[2]):
        i, j, place, n = runs[r]
        own = table[place : place + n]
        if r < kinds[0]:
            left, right = out[i : i + n], ahead[j : j + n]
            for q in range(n):
                left[q] += own[q] * right[q]
        elif r < kinds[1]:
            left, weight = out[i : i + n], ahead[j]
            for q in range(n):
                left[q] += own[q] * weight
        else:
            right, total = ahead[j : j + n], 0.0
            for q in range(n):
                total += own[q] * right[q]
            out[i] += total
    own = table[table.size - loose.shape[1] :]
    for e in range(own.size):
        out[loose[0, e]] += own[e] * ahead[loose[1, e]]


@jit(fastmath=FAST)
def pairs(runs, kinds, loose, before, ahead, xi):
    """xi(i, j) += before(i) ahead(j)."""
    for r in range(kinds[2]):
        i, j, place, n = runs[r]
        own = xi[place : place + n]
        if r < kinds[0]:
            left, right = before[i : i + n], ahead[j : j + n]
            for q in range(n):
                own[q] += left[q] * right[q]
        elif r < kinds[1]:
            left, weight = before[i : i + n], ahead[j]
            for q in range(n):
                own[q] += left[q] * weight
        else:
            weight, right = before[i], ahead[j : j + n]
            for q in range(n):
                own[q] += weight * right[q]
    own = xi[xi.size - loose.shape[1] :]
    for e in range(own.size):
        own[e] += before[loose[0, e]] * ahead[loose[1, e]]


@jit
def best(runs, kinds, loose, table, before, out):
    """out(j) = max_i before(i) + A(i, j)."""
    out[:] = -np.inf
    for r in range(kinds[2]):
        i, j, place, n = runs[r]
        own = table[place : place + n]
        if r < kinds[0]:
            left, right = before[i : i + n], out[j : j + n]
            for q in range(n):
                value = own[q] + left[q]
                right[q] = value if value > right[q] else right[q]
        elif r < kinds[1]:
            left, top = before[i : i + n], out[j]
            for q in range(n):
                value = own[q] + left[q]
                top = value if value > top else top
            out[j] = top
        else:
            weight, right = before[i], out[j : j + n]
            for q in range(n):
                value = own[q] + weight
                right[q] = value if value > right[q] else right[q]
    own = table[table.size - loose.shape[1] :]
    for e in range(own.size):
        j = loose[1, e]
        value = own[e] + before[loose[0, e]]
        out[j] = value if value > out[j] else out[j]
