"""The filter and the smoother of one sequence by orthogonal transformations of covariance factors.

A row of the tables is (noise, state); their Gram matrices are the joint covariances:

    [R^{½ᵀ}    0    ]     [S^{½ᵀ}  (C S^{½})ᵀ]       [U^{½ᵀ}Fᵀ  U^{½ᵀ}]
    [P^{½ᵀ}Hᵀ  P^{½ᵀ}]  →  [0       U^{½ᵀ}    ],      [Q^{½ᵀ}    0     ]  →  x | x′ ~ N(m + G (x′ − a′), YᵀY)

so that smoothed covariances are sums of squares, YᵀY + G P_s′ Gᵀ: none is a difference. The second one is
rank-revealing, for P′ may be singular.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_chain_types import FilterPass, GaussianChainArrays, at

RANK = 1e-13

COMPILED = 128
"""Rows times states from which on the compiled form runs, as far as ``MOST_STATES``. NumPy takes 10 to 20 ms
there for filter and smoother."""

MOST_STATES = 32
"""Filter and smoother take two thirds of NumPy's time there; with 64 states the filter takes longer."""


def root(cov: np.ndarray) -> np.ndarray:
    """B with B Bᵀ = cov (…, n, n), which may be singular."""
    scale = np.sqrt(np.maximum(np.diagonal(cov, axis1=-2, axis2=-1), 0))
    safe = np.where(scale > 0, scale, 1)
    values, vectors = np.linalg.eigh(cov / (safe[..., :, None] * safe[..., None, :]))
    kept = np.sqrt(np.where(values > 1e-15 * cov.shape[-1], values, 0))
    return scale[..., :, None] * vectors * kept[..., None, :]


def triangle(rows: np.ndarray) -> np.ndarray:
    """R of a QR factorisation, long rows first: reflections then keep the digits of short ones."""
    order = np.argsort(-np.abs(rows).max(1), kind="stable")
    return np.linalg.qr(rows[order], mode="r")


def compiled(rows: int, n: int) -> bool:
    """Whether the compiled form runs."""
    return rows * n >= COMPILED and n <= MOST_STATES


def filter_sequence(arrays: GaussianChainArrays, done: FilterPass, k: int) -> np.ndarray:
    """Overwrite sequence k of a pass; U^{½} of its rows, (L, n, n)."""
    if compiled(int(arrays.offsets[k + 1] - arrays.offsets[k]), arrays.mean.shape[-1]):
        from msgpass.kernels.gaussian_chain_square_root_compiled import filter_compiled

        return filter_compiled(arrays, done, k)
    return filter_reference(arrays, done, k)


def filter_reference(arrays: GaussianChainArrays, done: FilterPass, k: int) -> np.ndarray:
    """:func:`filter_sequence` in NumPy."""
    first, end = arrays.offsets[k], arrays.offsets[k + 1]
    n = arrays.mean.shape[-1]
    roots = np.zeros((end - first, n, n))
    done.singular[k] = -1
    for whole in (done.innovation, done.precision, done.gain, done.terms):
        whole[first:end] = 0
    a, B = at(arrays.mean, k), root(at(arrays.cov, k))
    m = a
    for t in range(first, end):
        if t > first:
            F = at(arrays.F, t - 1 - k)
            a = F @ m + at(arrays.b, t - 1 - k)
            B = triangle(np.vstack([(F @ B).T, root(at(arrays.Q, t - 1 - k)).T])).T
        done.predicted_mean[t], done.predicted_cov[t] = a, B @ B.T
        seen = np.flatnonzero(~np.isnan(arrays.y[t]))
        m = a
        if seen.size:
            p, H = seen.size, at(arrays.H, t)[seen]
            noise = root(at(arrays.R, t)[np.ix_(seen, seen)])
            top = np.hstack([noise.T, np.zeros((p, n))])
            whole = triangle(np.vstack([top, np.hstack([(H @ B).T, B.T])]))
            half, cross, below = whole[:p, :p], whole[:p, p:], whole[p:, p:]
            size = np.sqrt((noise**2).sum(1) + (np.abs(H) @ np.abs(B)).max(1) ** 2)
            if not (np.abs(np.diag(half)) > RANK * size).all():
                done.singular[k] = t - first
                break
            whiten = np.linalg.inv(half).T
            C = cross.T @ whiten
            v = arrays.y[t, seen] - H @ a
            m = a + C @ v
            B = below.T
            done.innovation[t, seen], done.gain[t][:, seen] = v, C
            done.precision[t][np.ix_(seen, seen)] = whiten.T @ whiten
            logdet = 2 * np.log(np.abs(np.diag(half))).sum()
            done.terms[t] = -0.5 * (p * math.log(2 * math.pi) + logdet + ((whiten @ v) ** 2).sum())
        roots[t - first] = B
        done.filtered_mean[t], done.filtered_cov[t] = m, B @ B.T
    return roots


class Backward(NamedTuple):
    """x_t given x_{t+1} and rows up to t: gain (n, n) and root of the covariance (n, 2n)."""

    gain: np.ndarray
    root: np.ndarray


def backward(B: np.ndarray, F: np.ndarray, Q: np.ndarray) -> Backward:
    """From U^{½}, F and Q.

    Pivoted by rows and columns, which keeps the digits of short rows (Cox & Higham 1998); singular vectors
    lose them.
    """
    from scipy.linalg import qr, solve_triangular

    n = len(F)
    rows = np.hstack([np.vstack([(F @ B).T, root(Q).T]), np.vstack([B.T, np.zeros((n, n))])])
    scale = np.sqrt((rows[:, :n] ** 2).sum(0))
    scale[scale == 0] = 1
    rows[:, :n] /= scale
    rows = rows[np.argsort(-np.abs(rows[:, :n]).max(1), kind="stable")]
    turn, upper, pivots = qr(rows[:, :n], pivoting=True)
    rank = int((np.abs(np.diag(upper)) > RANK).sum())
    turned = turn.T @ rows[:, n:]
    gain = np.zeros((n, n))
    gain[:, pivots[:rank]] = solve_triangular(upper[:rank, :rank], turned[:rank], check_finite=False).T
    return Backward(gain / scale, turned[rank:].T)


class Smoothed(NamedTuple):
    """Of one sequence of L rows.

    Attributes
    ----------
    gains : ndarray, shape (L − 1, n, n)
        G, so that E[x_t | x_{t+1}, rows up to t] = m_t + G (x_{t+1} − a_{t+1}).
    cov : ndarray, shape (L, n, n)
    lag : ndarray, shape (L − 1, n, n)
    """

    gains: np.ndarray
    cov: np.ndarray
    lag: np.ndarray


def smooth_sequence(arrays: GaussianChainArrays, roots: np.ndarray, k: int) -> Smoothed:
    """Gains, smoothed covariances and lag-one covariances of sequence k."""
    if compiled(*roots.shape[:2]):
        from msgpass.kernels.gaussian_chain_square_root_compiled import smooth_compiled

        return smooth_compiled(arrays, roots, k)
    return smooth_reference(arrays, roots, k)


def smooth_reference(arrays: GaussianChainArrays, roots: np.ndarray, k: int) -> Smoothed:
    """:func:`smooth_sequence` in NumPy."""
    L, n = roots.shape[:2]
    gains, factors, lag = np.zeros((L - 1, n, n)), np.zeros((L, n, n)), np.zeros((L - 1, n, n))
    factors[-1] = roots[-1]
    pair = arrays.offsets[k] - k
    for t in range(L - 2, -1, -1):
        given = backward(roots[t], at(arrays.F, pair + t), at(arrays.Q, pair + t))
        ahead = given.gain @ factors[t + 1]
        gains[t], lag[t] = given.gain, factors[t + 1] @ ahead.T
        factors[t] = triangle(np.vstack([given.root.T, ahead.T])).T
    return Smoothed(gains, factors @ np.swapaxes(factors, -1, -2), lag)


def smooth_means(gains: np.ndarray, predicted: np.ndarray, filtered: np.ndarray) -> np.ndarray:
    """m_s = m + G (m_s′ − a′) from the last row of a sequence to the first, for columns (L, n, c).

    It keeps digits that the adjoint loses to cancellation. But it multiplies an error by G at every step, and
    without noise in what is observed G may have eigenvalues above 1 (a moving average with coefficient θ:
    1/θ), where the adjoint is stable. See :func:`disagreement`.
    """
    mean = filtered.copy()
    for t in range(len(gains) - 1, -1, -1):
        mean[t] += gains[t] @ (mean[t + 1] - predicted[t + 1])
    return mean


def disagreement(arrays: GaussianChainArrays, k: int, means, r, e) -> float:
    """How far smoothed means (L, n) of sequence k are from what they satisfy, x′ − F x − b = Q r′ and
    y − H x = R e, in units of the terms."""
    first, L = int(arrays.offsets[k]), len(means)
    rows, pairs = slice(first, first + L), slice(first - k, first - k + L - 1)
    F, Q, b, H, R = (
        part if len(part) == 1 else part[of]
        for part, of in zip(arrays[3:8], (pairs, pairs, pairs, rows, rows), strict=True)
    )
    y = arrays.y[rows]
    parts = (
        (np.where(np.isnan(y), 0.0, y), H, means, R, e, ~np.isnan(y)),
        (
            means[1:] - b,
            F,
            means[:-1],
            Q,
            r[1:],
            True,
        ),
    )
    worst = 0.0
    for left, A, x, V, source, counts in parts:
        noise = (V @ source[..., None])[..., 0]
        size = np.abs(left) + (np.abs(A) @ np.abs(x)[..., None])[..., 0] + np.abs(noise)
        gap = np.abs(left - (A @ x[..., None])[..., 0] - noise) / np.where(size > 0, size, 1.0)
        worst = max(worst, float(np.where(counts, gap, 0.0).max(initial=0.0)))
    return worst
