"""Second moments of smoothed means and data over all rows and pairs: what EM needs besides covariances."""

from __future__ import annotations

import numpy as np

from msgpass.kernels.gaussian_chain_types import Sums
from msgpass.kernels.runtime import jit

BY_LOOPS = 12
"""States and outputs up to which compiled loops are quicker than BLAS on tall arrays."""


@jit
def _accumulate(x, y, centre, offsets, rows, pairs):
    """Add Σ (z − centre)(z − centre)' over rows, z = (x, y), and Σ (x⁺ − centre)(x − centre)' over pairs."""
    n, size = x.shape[1], len(centre)
    z, before = np.empty(size), np.empty(n)
    for k in range(len(offsets) - 1):
        for t in range(offsets[k], offsets[k + 1]):
            for i in range(n):
                z[i] = x[t, i] - centre[i]
            for a in range(size - n):
                z[n + a] = y[t, a] - centre[n + a]
            for i in range(size):
                for j in range(i, size):
                    rows[i, j] += z[i] * z[j]
            if t > offsets[k]:
                for i in range(n):
                    for j in range(n):
                        pairs[i, j] += z[i] * before[j]
            for i in range(n):
                before[i] = z[i]


@jit
def _average(x, y, out):
    n = x.shape[1]
    for t in range(len(x)):
        for i in range(n):
            out[i] += x[t, i]
        for a in range(len(out) - n):
            out[n + a] += y[t, a]
    for i in range(len(out)):
        out[i] /= len(x)


def moments(
    x: np.ndarray, y: np.ndarray, offsets: np.ndarray, pairs: np.ndarray, rows: np.ndarray, first: np.ndarray
) -> tuple[Sums, Sums, Sums]:
    """Sums over pairs, rows and starts of sequences without missing cells.

    Parameters
    ----------
    x, y : ndarrays, shapes (T, n), (T, p)
        Smoothed means and data.
    offsets : ndarray of int64, shape (N + 1,)
    pairs, rows, first : ndarrays, shapes (2n, 2n), (n + p, n + p), (n, n)
        Sums of the covariances of (x, x⁺), (x, y) and the first x.
    """
    (T, n), p = x.shape, y.shape[1]
    centre = np.zeros(n + p)
    _average(x, y, centre)
    scatter, lag = np.zeros((n + p, n + p)), np.zeros((n, n))
    if n + p <= BY_LOOPS:
        _accumulate(x, y, centre, offsets, scatter, lag)
        scatter = np.triu(scatter) + np.triu(scatter, 1).T
    else:
        d, e = x - centre[:n], y - centre[n:]
        scatter[:n, :n], scatter[n:, :n], scatter[n:, n:] = d.T @ d, e.T @ d, e.T @ e
        scatter[:n, n:] = scatter[n:, :n].T
        lag = d[1:].T @ d[:-1]
        inner = offsets[1:-1]
        lag -= d[inner].T @ d[inner - 1]
    lasts, firsts = x[offsets[1:] - 1] - centre[:n], x[offsets[:-1]] - centre[:n]
    count = T - len(firsts)
    shift = -np.concatenate([lasts.sum(0), firsts.sum(0)]) / max(count, 1)
    about = np.empty((2 * n, 2 * n))
    about[:n, :n] = scatter[:n, :n] - lasts.T @ lasts
    about[n:, n:] = scatter[:n, :n] - firsts.T @ firsts
    about[n:, :n], about[:n, n:] = lag, lag.T
    about -= count * np.outer(shift, shift)
    average = firsts.sum(0) / len(firsts)
    away = firsts - average
    return (
        Sums(count, (np.tile(centre[:n], 2) + shift) * (count > 0), about * (count > 0) + pairs),
        Sums(T, centre, scatter + rows),
        Sums(len(firsts), centre[:n] + average, away.T @ away + first),
    )
