"""Kim's filter and smoother for switching linear-Gaussian chains: assumed density, so an approximation.

The exact posterior of x_t is a mixture of one Gaussian for every path of states, K^t of them. After each step
the filter keeps one Gaussian a state, with the moments of what it stands for (Kim 1994; Murphy 1998, GPB2):

    w_ij ∝ w_i A_ij N(y; H_j a_ij + d_j, S_ij),   a_ij = F_j m_i + b_j
    m_j = Σ_i w_{i|j} m_ij,   U_j = Σ_i w_{i|j} (U_ij + (m_ij − m_j)(m_ij − m_j)ᵀ)

The smoother supposes besides that x_{t+1} says nothing of s_t that s_{t+1} does not. Both are exact for one
state, for states that differ in nothing, and the filter over the first two rows."""

from __future__ import annotations

import numpy as np

from msgpass.kernels.chain_reference import log_sum_exp
from msgpass.kernels.gaussian_chain_types import at
from msgpass.kernels.switching_chain_types import Mixtures, PairMixtures, SwitchingChainArrays

LOG_2PI = float(np.log(2 * np.pi))


def kim_filter(arrays: SwitchingChainArrays) -> tuple[Mixtures, np.ndarray]:
    """What rows up to and including t say, and the approximate log Z of each sequence, (N,).

    A row that no state allows leaves −∞ in its sequence's log Z, and its later rows without meaning.
    """
    T, K, n = len(arrays.y), len(arrays.log_init), arrays.mean.shape[-1]
    found = Mixtures(np.zeros((T, K)), np.zeros((T, K, n)), np.zeros((T, K, n, n)))
    log_z = np.zeros(len(arrays.offsets) - 1)
    for k, first in enumerate(arrays.offsets[:-1]):
        prior = at(arrays.mean, k)[None], at(arrays.cov, k)[None]
        weight = arrays.log_init[None]
        for t in range(first, arrays.offsets[k + 1]):
            if t > first:
                prior = predict(arrays, t - 1 - k, found.means[t - 1], found.covs[t - 1])
                weight = found.log_weights[t - 1][:, None] + at(arrays.log_transition, t - 1 - k)
            means, covs, log_density = update(arrays, t, *prior)
            weight = weight + log_density + arrays.log_evidence[t]
            scale = log_sum_exp(weight.reshape(-1), 0)
            log_z[k] += scale
            if scale == -np.inf:
                break
            joined = log_sum_exp(weight, 0)
            found.log_weights[t] = joined - scale
            found.means[t], found.covs[t] = collapse(_shares(weight, joined, 0), means, covs, 0)
    return found, log_z


def predict(arrays: SwitchingChainArrays, pair: int, means, covs) -> tuple[np.ndarray, np.ndarray]:
    """Moments of x_{t+1} from state i to state j, (K, K, n) and (K, K, n, n)."""
    F, Q, b = at(arrays.F, pair), at(arrays.Q, pair), at(arrays.b, pair)
    mean = np.einsum("jab,ib->ija", F, means) + b
    return mean, symmetric(F @ covs[:, None] @ np.swapaxes(F, -1, -2)) + Q


def update(arrays: SwitchingChainArrays, t: int, mean, cov) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Condition (I, K, n) moments on row t: means, covariances, and log densities of the row, (I, K)."""
    seen = np.flatnonzero(~np.isnan(arrays.y[t]))
    mean, cov = (
        np.broadcast_to(part, (len(part), len(arrays.log_init), *part.shape[2:])) for part in (mean, cov)
    )
    if not seen.size:
        return mean, cov, np.zeros(mean.shape[:2])
    H, d = at(arrays.H, t)[:, seen], at(arrays.d, t)[:, seen]
    R = at(arrays.R, t)[:, seen][:, :, seen]
    v = arrays.y[t, seen] - np.einsum("kpa,ika->ikp", H, mean) - d
    S = symmetric(H @ cov @ np.swapaxes(H, -1, -2)) + R
    half = np.linalg.inv(np.linalg.cholesky(S))
    C = cov @ np.swapaxes(H, -1, -2) @ (np.swapaxes(half, -1, -2) @ half)
    white = np.einsum("ikpq,ikq->ikp", half, v)
    logdet = np.log(np.diagonal(half, axis1=-2, axis2=-1)).sum(-1)
    log_density = logdet - 0.5 * (seen.size * LOG_2PI + (white * white).sum(-1))
    A = np.eye(mean.shape[-1]) - C @ H
    posterior = A @ cov @ np.swapaxes(A, -1, -2) + C @ R @ np.swapaxes(C, -1, -2)
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
    S = T - len(arrays.offsets) + 1
    pairs = PairMixtures(np.zeros((S, K, K)), np.zeros((S, K, K, 2 * n)), np.zeros((S, K, K, 2 * n, 2 * n)))
    for s in range(len(arrays.offsets) - 1):
        for t in range(arrays.offsets[s + 1] - 2, arrays.offsets[s] - 1, -1):
            pair = t - s
            m, U = filtered.means[t], filtered.covs[t]
            a, P = predict(arrays, pair, m, U)
            J = U[:, None] @ np.swapaxes(at(arrays.F, pair), -1, -2) @ np.linalg.pinv(P, hermitian=True)
            later, V = found.means[t + 1], found.covs[t + 1]
            means = m[:, None] + np.einsum("jkab,jkb->jka", J, later - a)
            covs = U[:, None] + symmetric(J @ (V - P) @ np.swapaxes(J, -1, -2))
            joint = filtered.log_weights[t][:, None] + at(arrays.log_transition, pair)
            with np.errstate(divide="ignore"):
                log_pair = np.log(_shares(joint, log_sum_exp(joint, 0), 0)) + found.log_weights[t + 1]
            own = log_sum_exp(log_pair, 1)
            found.log_weights[t] = own
            found.means[t], found.covs[t] = collapse(_shares(log_pair, own, 1), means, covs, 1)
            pairs.weights[pair] = np.exp(log_pair)
            pairs.means[pair, ..., :n], pairs.means[pair, ..., n:] = means, later
            cross = V @ np.swapaxes(J, -1, -2)
            pairs.covs[pair, ..., :n, :n], pairs.covs[pair, ..., n:, n:] = covs, V
            pairs.covs[pair, ..., n:, :n], pairs.covs[pair, ..., :n, n:] = cross, np.swapaxes(cross, -1, -2)
    return found, pairs


def _shares(log_parts: np.ndarray, log_whole: np.ndarray, axis: int) -> np.ndarray:
    """Weights of parts within their whole; equal ones where the whole is impossible."""
    whole = np.expand_dims(log_whole, axis)
    possible = np.isfinite(whole)
    shares = np.exp(log_parts - np.where(possible, whole, 0.0))
    return np.where(possible, shares, 1.0 / log_parts.shape[axis])


def symmetric(matrices: np.ndarray) -> np.ndarray:
    """(M + Mᵀ)/2 of the last two axes."""
    return (matrices + np.swapaxes(matrices, -1, -2)) / 2
