"""The passes over a linear-Gaussian chain in plain NumPy: filter, columns and adjoint.

Filter in innovations form, covariances by Joseph's update, so that they are sums of squares:

    v = y − H a,  S = H P Hᵀ + R,  C = P Hᵀ S⁻¹,  m = a + C v,  U = (I − C H) P (I − C H)ᵀ + C R Cᵀ
    a′ = F m + b,  P′ = F U Fᵀ + Q

Adjoint (de Jong 1989; Durbin & Koopman 2012, ch. 4), which inverts neither Q nor R nor P:

    r⁺ = Fᵀ r′,  N⁺ = Fᵀ N′ F                                  (zero behind the last row)
    r = Hᵀ S⁻¹ v + (I − C H)ᵀ r⁺,  N = Hᵀ S⁻¹ H + (I − C H)ᵀ N⁺ (I − C H)

"""

import math

import numpy as np

from msgpass.kernels.gaussian_chain_types import CANCELLED, AdjointPass, FilterPass, GaussianChainArrays, at

SINGULAR = 1e-13
"""Least pivot of the innovations' correlation matrix."""


def empty_pass(arrays: GaussianChainArrays) -> FilterPass:
    """Room for :func:`filter_pass`; everything over cells is zero."""
    (T, p), n, N = arrays.y.shape, arrays.mean.shape[-1], len(arrays.offsets) - 1
    return FilterPass(
        np.zeros((T, n)),
        np.zeros((T, n, n)),
        np.zeros((T, n)),
        np.zeros((T, n, n)),
        np.zeros((T, p)),
        np.zeros((T, p, p)),
        np.zeros((T, n, p)),
        np.zeros(T),
        np.zeros(N, bool),
        np.full(N, -1),
    )


@np.errstate(over="ignore", invalid="ignore")
def filter_pass(arrays: GaussianChainArrays) -> FilterPass:
    """Every sequence from its first row to its last; see :class:`FilterPass`."""
    done, cells, one = empty_pass(arrays), ~np.isnan(arrays.y), np.eye(arrays.mean.shape[-1])
    for k, start in enumerate(arrays.offsets[:-1]):
        a, P = at(arrays.mean, k), at(arrays.cov, k)
        m, U = a, P
        for t in range(start, arrays.offsets[k + 1]):
            if t > start:
                F = at(arrays.F, t - 1 - k)
                a, P = F @ m + at(arrays.b, t - 1 - k), symmetric(F @ U @ F.T) + at(arrays.Q, t - 1 - k)
                done.suspicious[k] |= cancelled(P, F, U)
            done.predicted_mean[t], done.predicted_cov[t] = a, P
            if not np.isfinite(P).all():
                done.singular[k] = t - start
                break
            seen = cells[t].nonzero()[0]
            m, U = a, P
            if seen.size:
                H, R = at(arrays.H, t)[seen], at(arrays.R, t)[seen[:, None], seen]
                S = symmetric(H @ P @ H.T) + R
                inverse = inverse_and_logdet(S)
                done.suspicious[k] |= inverse is None or cancelled(S, H, P)
                if inverse is None:
                    done.singular[k] = t - start
                    break
                v, C = arrays.y[t, seen] - H @ a, P @ H.T @ inverse[0]
                A = remainder(C, H, one)
                m, U = a + C @ v, symmetric(A @ P @ A.T + C @ R @ C.T)
                done.suspicious[k] |= cancelled(U, A, P)
                done.innovation[t, seen], done.gain[t][:, seen] = v, C
                done.precision[t][seen[:, None], seen] = inverse[0]
                done.terms[t] = -0.5 * (seen.size * math.log(2 * math.pi) + inverse[1] + v @ inverse[0] @ v)
            done.filtered_mean[t], done.filtered_cov[t] = m, U
    return done


def symmetric(matrix: np.ndarray) -> np.ndarray:
    """(M + Mᵀ)/2 of the last two axes."""
    return 0.5 * (matrix + matrix.swapaxes(-1, -2))


def inverse_and_logdet(S: np.ndarray) -> tuple[np.ndarray, float] | None:
    """S⁻¹ and log|S| by Cholesky's factor of the correlation matrix; None where that is singular."""
    scale = np.sqrt(np.maximum(S.diagonal(), 0))
    if not scale.min() > 0:
        return None
    if len(S) == 1:
        return 1 / S, math.log(S[0, 0])
    try:
        L = np.linalg.cholesky(S / (scale[:, None] * scale))
    except np.linalg.LinAlgError:
        return None
    pivots = L.diagonal()
    if pivots.min() ** 2 < SINGULAR:
        return None
    half = np.linalg.inv(L) / scale
    return half.T @ half, 2 * float(np.log(pivots * scale).sum())


def cancelled(result: np.ndarray, A: np.ndarray, P: np.ndarray) -> bool:
    """Whether a variance of ``result`` ⊇ A P Aᵀ is far below (Σ_j |A_ij| √P_jj)²: digits have cancelled."""
    size = np.abs(A) @ np.sqrt(np.maximum(P.diagonal(), 0))
    return bool((result.diagonal() < CANCELLED * size * size).any())


def remainder(C: np.ndarray, H: np.ndarray, one: np.ndarray) -> np.ndarray:
    """I − C H; what is zero to rounding is zero, for what is observed without noise is known."""
    product = C @ H
    A = one - product
    A[np.abs(A) < 1e-15 * np.abs(product)] = 0
    return A


def forward_columns(arrays: GaussianChainArrays, done: FilterPass, start: np.ndarray, y=None):
    """Means alone, for several starts and data at once, with the gains of a pass and without offsets.

    Parameters
    ----------
    start : ndarray, shape (n, c), or (N, n, c)
        The first predicted mean of every sequence, one column each.
    y : ndarray, shape (T, p, c), optional
        Data; zero where the pass has a missing cell. Default: zero everywhere.

    Returns
    -------
    predicted, filtered, innovations : ndarrays, shapes (T, n, c), (T, n, c), (T, p, c)
    """
    T, p = arrays.y.shape
    n, c = start.shape[-2:]
    predicted, filtered, innovations = np.zeros((T, n, c)), np.zeros((T, n, c)), np.zeros((T, p, c))
    missing = np.isnan(arrays.y)
    for k, first in enumerate(arrays.offsets[:-1]):
        a = start if start.ndim == 2 else start[k]
        for t in range(first, arrays.offsets[k + 1]):
            if t > first:
                a = at(arrays.F, t - 1 - k) @ filtered[t - 1]
            v = (0 if y is None else y[t]) - at(arrays.H, t) @ a
            v[missing[t]] = 0
            predicted[t], filtered[t], innovations[t] = a, a + done.gain[t] @ v, v
    return predicted, filtered, innovations


def adjoint_columns(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray) -> np.ndarray:
    """r of every row for several columns of innovations, (T, n, c)."""
    T, n, c = len(arrays.y), arrays.mean.shape[-1], innovations.shape[-1]
    r = np.zeros((T, n, c))
    for k, first in enumerate(arrays.offsets[:-1]):
        after = np.zeros((n, c))
        for t in range(arrays.offsets[k + 1] - 1, first - 1, -1):
            inner = done.precision[t] @ innovations[t] - done.gain[t].T @ after
            r[t] = after + at(arrays.H, t).T @ inner
            if t > first:
                after = at(arrays.F, t - 1 - k).T @ r[t]
    return r


def adjoint_pass(arrays: GaussianChainArrays, done: FilterPass, innovations: np.ndarray) -> AdjointPass:
    """r for every column of innovations, (T, p, 1 + d), and N."""
    T, n = done.predicted_mean.shape
    one = np.eye(n)
    N = np.zeros((T, n, n))
    for k, first in enumerate(arrays.offsets[:-1]):
        after = np.zeros((n, n))
        for t in range(arrays.offsets[k + 1] - 1, first - 1, -1):
            H = at(arrays.H, t)
            A = remainder(done.gain[t], H, one)
            N[t] = symmetric(H.T @ done.precision[t] @ H + A.T @ after @ A)
            if t > first:
                F = at(arrays.F, t - 1 - k)
                after = F.T @ N[t] @ F
    return AdjointPass(adjoint_columns(arrays, done, innovations), N)
