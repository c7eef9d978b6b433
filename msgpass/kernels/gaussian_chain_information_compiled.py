"""The backward information filter compiled: the loop of ``backward_reference``, elimination with row
pivots."""

import math

import numpy as np

from msgpass.kernels.runtime import jit


@jit(_nrt=False)
def _eliminate(M, X):
    """X ← M⁻¹ X in place by Gauss's elimination with partial pivoting; (sign, log) of |M|."""
    n, columns = X.shape
    sign, logdet = 1.0, 0.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(M[i, k]) > abs(M[pivot, k]):
                pivot = i
        if not abs(M[pivot, k]) > 0.0:
            return 0.0, -np.inf
        if pivot != k:
            sign = -sign
            for j in range(k, n):
                M[k, j], M[pivot, j] = M[pivot, j], M[k, j]
            for j in range(columns):
                X[k, j], X[pivot, j] = X[pivot, j], X[k, j]
        if M[k, k] < 0.0:
            sign = -sign
        logdet += math.log(abs(M[k, k]))
        inverse = 1.0 / M[k, k]
        for i in range(k + 1, n):
            factor = M[i, k] * inverse
            if factor != 0.0:
                for j in range(k + 1, n):
                    M[i, j] -= factor * M[k, j]
                for j in range(columns):
                    X[i, j] -= factor * X[k, j]
    for k in range(n - 1, -1, -1):
        inverse = 1.0 / M[k, k]
        for j in range(columns):
            X[k, j] *= inverse
        for i in range(k):
            factor = M[i, k]
            if factor != 0.0:
                for j in range(columns):
                    X[i, j] -= factor * X[k, j]
    return sign, logdet


@jit(_nrt=False)
def _sweep(F, Q, b, own_h, own_precision, own_scale, offsets, h, precision, scale, M, X, Y):
    n = h.shape[1]
    pair = h.shape[0] - offsets.size + 1
    for k in range(offsets.size - 2, -1, -1):
        for t in range(offsets[k + 1] - 2, offsets[k] - 1, -1):
            pair -= 1
            f, q, s = min(pair, F.shape[0] - 1), min(pair, Q.shape[0] - 1), min(pair, b.shape[0] - 1)
            # X = [P | rest], with P and h of the message at t + 1, and M = I + P Q
            level = scale[t + 1] + own_scale[t + 1]
            for i in range(n):
                rest = h[t + 1, i] + own_h[t + 1, i]
                level += 0.5 * b[s, i] * rest
                for j in range(n):
                    X[i, j] = precision[t + 1, i, j] + own_precision[t + 1, i, j]
                    rest -= X[i, j] * b[s, j]
                level += 0.5 * b[s, i] * rest
                X[i, n] = rest
                Y[i, n] = rest
            for i in range(n):
                for j in range(n):
                    M[i, j] = 1.0 if i == j else 0.0
                for l in range(n):
                    x = X[i, l]
                    for j in range(n):
                        M[i, j] += x * Q[q, l, j]
            sign, logdet = _eliminate(M, X)
            if not sign > 0.0:
                return t
            for i in range(n):
                x = 0.0
                for j in range(n):
                    x += Q[q, i, j] * Y[j, n]
                level += 0.5 * X[i, n] * x
            scale[t] = level - 0.5 * logdet
            # h = Fᵀ s, Λ = Fᵀ sym(X) F
            for i in range(n):
                x = 0.0
                for l in range(n):
                    x += F[f, l, i] * X[l, n]
                h[t, i] = x
                for j in range(n):
                    Y[i, j] = 0.0
                for l in range(n):
                    x = 0.5 * (X[i, l] + X[l, i])
                    for j in range(n):
                        Y[i, j] += x * F[f, l, j]
            for i in range(n):
                for j in range(n):
                    precision[t, i, j] = 0.0
                for l in range(n):
                    x = F[f, l, i]
                    for j in range(n):
                        precision[t, i, j] += x * Y[l, j]
            for i in range(n):
                for j in range(i):
                    x = 0.5 * (precision[t, i, j] + precision[t, j, i])
                    precision[t, i, j] = x
                    precision[t, j, i] = x
    return -1


def backward_compiled(F, Q, b, own_h, own_precision, own_scale, offsets, h, precision, scale) -> int:
    """:func:`~msgpass.kernels.gaussian_chain_information.backward_reference`, to rounding."""
    n = h.shape[1]
    work = np.empty((n, n)), np.empty((n, n + 1)), np.empty((n, n + 1))
    return int(_sweep(F, Q, b, own_h, own_precision, own_scale, offsets, h, precision, scale, *work))
