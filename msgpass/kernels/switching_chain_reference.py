"""Kim's filter and smoother for switching linear-Gaussian chains: assumed density, so an approximation.

The exact posterior of x_t is a mixture of one Gaussian for every path of states, K^t of them. After each step
the filter keeps one Gaussian a state, with the moments of what it stands for (Kim 1994; Murphy 1998, GPB2):

    w_ij ∝ w_i A_ij N(y; H_j a_ij + d_j, S_ij),   a_ij = F_j m_i + b_j
    m_j = Σ_i w_{i|j} m_ij,   U_j = Σ_i w_{i|j} (U_ij + (m_ij − m_j)(m_ij − m_j)ᵀ)

The smoother supposes besides that x_{t+1} says nothing of s_t that s_{t+1} does not:

    J = U_i F_jᵀ P_ij⁺,   E[x_t | i, j] = m_i + J (E[x_{t+1} | j] − a_ij)
    Cov[x_t | i, j] = (I − J F_j) U_i (I − J F_j)ᵀ + J (Q_j + Cov[x_{t+1} | j]) Jᵀ

which is U + J (V − P) Jᵀ as a sum of squares. Both are exact for one state, for states that differ in
nothing, and the filter over the first two rows."""

from __future__ import annotations

import numpy as np

from msgpass.kernels.chain_reference import log_sum_exp
from msgpass.kernels.gaussian_chain_reference import SINGULAR as LEAST_PIVOT
from msgpass.kernels.gaussian_chain_types import at
from msgpass.kernels.switching_chain_types import (
    OVERFLOW,
    SINGULAR,
    Filtered,
    Mixtures,
    PairMixtures,
    SwitchingChainArrays,
)

LOG_2PI = float(np.log(2 * np.pi))

RANK = 1e-12
"""Eigenvalues of a predicted correlation matrix below this are zero to rounding."""

ZERO = 1e-15
"""Entries of I − C H that are zero to rounding: what is observed without noise is known."""


@np.errstate(over="ignore", invalid="ignore")
def kim_filter(arrays: SwitchingChainArrays) -> Filtered:
    """What rows up to and including t say, and the approximate log Z of each sequence."""
    T, K, n = len(arrays.y), len(arrays.log_init), arrays.mean.shape[-1]
    found = Mixtures(np.zeros((T, K)), np.zeros((T, K, n)), np.zeros((T, K, n, n)))
    log_z = np.zeros(len(arrays.offsets) - 1)
    for k, first in enumerate(arrays.offsets[:-1]):
        mean, cov = at(arrays.mean, k)[None], at(arrays.cov, k)[None]
        weight = arrays.log_init[None]
        for t in range(first, arrays.offsets[k + 1]):
            if t > first:
                mean, cov = predict(arrays, t - 1 - k, found.means[t - 1], found.covs[t - 1])
                weight = found.log_weights[t - 1][:, None] + at(arrays.log_transition, t - 1 - k)
            weight = weight + arrays.log_evidence[t]
            if not np.isfinite(cov).all():
                return Filtered(found, log_z, (OVERFLOW, k, int(t - first)))
            updated = update(arrays, t, mean, cov, np.isfinite(weight))
            if updated is None:
                return Filtered(found, log_z, (SINGULAR, k, int(t - first)))
            means, covs, log_density = updated
            weight = weight + log_density
            scale = log_sum_exp(weight.reshape(-1), 0)
            log_z[k] += scale
            if scale == -np.inf:
                break
            if not np.isfinite(scale):
                return Filtered(found, log_z, (OVERFLOW, k, int(t - first)))
            joined = log_sum_exp(weight, 0)
            found.log_weights[t] = joined - scale
            found.means[t], found.covs[t] = collapse(_shares(weight, joined, 0), means, covs, 0)
    return Filtered(found, log_z, None)


def predict(arrays: SwitchingChainArrays, pair: int, means, covs) -> tuple[np.ndarray, np.ndarray]:
    """Moments of x_{t+1} from state i to state j, (K, K, n) and (K, K, n, n)."""
    F, Q, b = at(arrays.F, pair), at(arrays.Q, pair), at(arrays.b, pair)
    mean = np.einsum("jab,ib->ija", F, means) + b
    return mean, symmetric(F @ covs[:, None] @ np.swapaxes(F, -1, -2)) + Q


def update(arrays: SwitchingChainArrays, t: int, mean, cov, possible):
    """Condition (I, K, n) moments on row t: means, covariances, and log densities of the row, (I, K); None
    where an innovation covariance is singular. Pairs that are not ``possible`` stay as they are."""
    seen = np.flatnonzero(~np.isnan(arrays.y[t]))
    if not seen.size:
        return mean, cov, np.zeros(mean.shape[:2])
    H, d = at(arrays.H, t)[:, seen], at(arrays.d, t)[:, seen]
    R = at(arrays.R, t)[:, seen][:, :, seen]
    v = arrays.y[t, seen] - np.einsum("kpa,ika->ikp", H, mean) - d
    S = symmetric(H @ cov @ np.swapaxes(H, -1, -2)) + R
    S[~possible] = np.eye(seen.size)
    scale = np.sqrt(np.maximum(np.diagonal(S, axis1=-2, axis2=-1), 0))
    if not scale.min() > 0:
        return None
    try:
        L = np.linalg.cholesky(S / (scale[..., :, None] * scale[..., None, :]))
    except np.linalg.LinAlgError:
        return None
    pivots = np.diagonal(L, axis1=-2, axis2=-1)
    if not pivots.min() ** 2 >= LEAST_PIVOT:
        return None
    half = np.linalg.inv(L) / scale[..., None, :]
    C = cov @ np.swapaxes(H, -1, -2) @ (np.swapaxes(half, -1, -2) @ half)
    C[~possible] = 0
    white = np.einsum("ikpq,ikq->ikp", half, v)
    log_density = -np.log(pivots * scale).sum(-1) - 0.5 * (seen.size * LOG_2PI + (white * white).sum(-1))
    product = C @ H
    A = np.eye(mean.shape[-1]) - product
    A[np.abs(A) < ZERO * np.abs(product)] = 0
    posterior = A @ cov @ np.swapaxes(A, -1, -2) + C @ R @ np.swapaxes(C, -1, -2)
    log_density = np.where(possible, log_density, 0.0)
    return mean + np.einsum("ikap,ikp->ika", C, v), symmetric(posterior), log_density


def collapse(weights, means, covs, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Moments of mixtures over ``axis``, whose weights add up to one."""
    mean = (weights[..., None] * means).sum(axis)
    away = means - np.expand_dims(mean, axis)
    spread = covs + away[..., :, None] * away[..., None, :]
    return mean, symmetric((weights[..., None, None] * spread).sum(axis))


def kim_smoother(arrays: SwitchingChainArrays, filtered: Mixtures) -> tuple[Mixtures, PairMixtures]:
    """What all rows say of each row, and of each pair of neighbours."""
    T, K, n = filtered.means.shape
    found = Mixtures(*(part.copy() for part in filtered))
    S, one = T - len(arrays.offsets) + 1, np.eye(n)
    pairs = PairMixtures(np.zeros((S, K, K)), np.zeros((S, K, 2 * n)), np.zeros((S, K, 2 * n, 2 * n)))
    for s in range(len(arrays.offsets) - 1):
        for t in range(arrays.offsets[s + 1] - 2, arrays.offsets[s] - 1, -1):
            pair = t - s
            F, m, U = at(arrays.F, pair), filtered.means[t], filtered.covs[t][:, None]
            a, P = predict(arrays, pair, m, filtered.covs[t])
            J = U @ np.swapaxes(F, -1, -2) @ pseudo_inverse(P)
            later, V = found.means[t + 1], found.covs[t + 1]
            means = m[:, None] + np.einsum("jkab,jkb->jka", J, later - a)
            A, JT = one - J @ F, np.swapaxes(J, -1, -2)
            covs = symmetric(A @ U @ np.swapaxes(A, -1, -2) + J @ (V + at(arrays.Q, pair)) @ JT)
            joint = filtered.log_weights[t][:, None] + at(arrays.log_transition, pair)
            backward = _shares(joint, log_sum_exp(joint, 0), 0)
            with np.errstate(divide="ignore"):
                log_pair = np.log(backward) + found.log_weights[t + 1]
            own = log_sum_exp(log_pair, 1)
            found.log_weights[t] = own
            found.means[t], found.covs[t] = collapse(_shares(log_pair, own, 1), means, covs, 1)
            pairs.weights[pair] = np.exp(log_pair)
            pairs.means[pair, :, :n], pairs.covs[pair, :, :n, :n] = collapse(backward, means, covs, 0)
            cross = V @ (backward[..., None, None] * JT).sum(0)
            pairs.means[pair, :, n:], pairs.covs[pair, :, n:, n:] = later, V
            pairs.covs[pair, :, n:, :n], pairs.covs[pair, :, :n, n:] = cross, np.swapaxes(cross, -1, -2)
    return found, pairs


def pseudo_inverse(P: np.ndarray) -> np.ndarray:
    """P⁻¹, or a generalised inverse that does not depend on the units of the coordinates."""
    scale = np.sqrt(np.diagonal(P, axis1=-2, axis2=-1))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    outer = inverse[..., :, None] * inverse[..., None, :]
    values, vectors = np.linalg.eigh(P * outer)
    size = np.divide(1.0, values, out=np.zeros_like(values), where=values > RANK)
    return outer * ((vectors * size[..., None, :]) @ np.swapaxes(vectors, -1, -2))


def _shares(log_parts: np.ndarray, log_whole: np.ndarray, axis: int) -> np.ndarray:
    """Weights of parts within their whole; equal ones where the whole is impossible."""
    whole = np.expand_dims(log_whole, axis)
    possible = np.isfinite(whole)
    shares = np.exp(log_parts - np.where(possible, whole, 0.0))
    return np.where(possible, shares, 1.0 / log_parts.shape[axis])


def symmetric(matrices: np.ndarray) -> np.ndarray:
    """(M + Mᵀ)/2 of the last two axes."""
    return (matrices + np.swapaxes(matrices, -1, -2)) / 2
