"""A generalised inverse of a covariance, compiled: Cholesky's factor where it is regular, Jacobi's rotations
where it is not."""

import math

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.switching_chain_reference import RANK

REGULAR = 1e-9
"""Least pivot of a correlation matrix that is inverted by its factor."""


@jit
def pseudo_inverse(P, out, work, scale):
    """:func:`~msgpass.kernels.switching_chain_reference.pseudo_inverse`.

    Parameters
    ----------
    P, out : arrays, (n, n)
    work, scale : arrays, (2, n, n) and (n,)
        Overwritten.
    """
    n = P.shape[0]
    regular = True
    for i in range(n):
        scale[i] = 1.0 / math.sqrt(P[i, i]) if P[i, i] > 0.0 else 0.0
        regular = regular and scale[i] > 0.0
    if not (regular and by_factor(P, out, work[0], scale)):
        by_rotations(P, out, work[0], work[1], scale)


@jit
def by_factor(P, out, L, scale):
    """out ← P⁻¹; False where a pivot of the correlation matrix is small."""
    n = P.shape[0]
    for i in range(n):
        for j in range(i + 1):
            x = P[i, j] * scale[i] * scale[j]
            for l in range(j):
                x -= L[i, l] * L[j, l]
            if j < i:
                L[i, j] = x * L[j, j]
            else:
                if not x > REGULAR:
                    return False
                L[i, i] = 1.0 / math.sqrt(x)  # the inverse of the factor's diagonal
    # L ← L⁻¹, in place
    for j in range(n):
        for i in range(j + 1, n):
            x = L[i, j] * L[j, j]
            for l in range(j + 1, i):
                x += L[i, l] * L[l, j]
            L[i, j] = -x * L[i, i]
    for i in range(n):
        for j in range(i + 1):
            x = 0.0
            for l in range(i, n):
                x += L[l, i] * L[l, j]
            x *= scale[i] * scale[j]
            out[i, j] = x
            out[j, i] = x
    return True


@jit
def by_rotations(P, out, M, V, scale):
    """out ← D M⁺ D for the correlation matrix M = D P D, by its eigenvalues above ``RANK``."""
    n = P.shape[0]
    for i in range(n):
        for j in range(n):
            M[i, j] = P[i, j] * scale[i] * scale[j]
            V[i, j] = 1.0 if i == j else 0.0
    for _ in range(60):
        off = 0.0
        for i in range(n):
            for j in range(i):
                off = max(off, abs(M[i, j]))
        if not off > 1e-16:
            break
        for i in range(n):
            for j in range(i):
                if abs(M[i, j]) <= 1e-17:
                    continue
                angle = (M[j, j] - M[i, i]) / (2.0 * M[i, j])
                sign = 1.0 if angle >= 0.0 else -1.0
                tangent = sign / (abs(angle) + math.sqrt(1.0 + angle * angle))
                c = 1.0 / math.sqrt(1.0 + tangent * tangent)
                s = tangent * c
                for l in range(n):
                    x, y = M[l, i], M[l, j]
                    M[l, i], M[l, j] = c * x - s * y, s * x + c * y
                for l in range(n):
                    x, y = M[i, l], M[j, l]
                    M[i, l], M[j, l] = c * x - s * y, s * x + c * y
                    x, y = V[l, i], V[l, j]
                    V[l, i], V[l, j] = c * x - s * y, s * x + c * y
    out[:] = 0.0
    for l in range(n):
        if M[l, l] > RANK:
            size = 1.0 / M[l, l]
            for i in range(n):
                for j in range(n):
                    out[i, j] += size * V[i, l] * V[j, l]
    for i in range(n):
        for j in range(n):
            out[i, j] *= scale[i] * scale[j]


def pseudo_inverses(P: np.ndarray) -> np.ndarray:
    """Of a stack (…, n, n)."""
    found = np.empty_like(P)
    n = P.shape[-1]
    for index in np.ndindex(P.shape[:-2]):
        pseudo_inverse(P[index], found[index], np.empty((2, n, n)), np.empty(n))
    return found
