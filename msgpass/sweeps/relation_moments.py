"""Moments of all variables of a linear relation, from those of its latent ones and from data; by instance and
state.
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels.gaussian_chain_types import Sums
from msgpass.sweeps.linear_family import LinearFamily


def placed(means, covs, places, width: int, given=()) -> tuple[np.ndarray, np.ndarray]:
    """Latent moments (T, K, f), (T, K, f, f) at their ``places`` among ``width`` numbers, beside what is
    given as (columns, data)."""
    z, cov = np.zeros((*means.shape[:2], width)), np.zeros((*means.shape[:2], width, width))
    z[..., places] = means
    cov[..., places[:, None], places] = covs
    for columns, data in given:
        z[..., columns] = data[:, None]
    return z, cov


def with_sources(r: LinearFamily, x, P) -> tuple[np.ndarray, np.ndarray]:
    """Moments of all sources end to end."""
    return placed(x, P, r.places, r.width, [(columns, data) for _, columns, data in r.given])


def with_target(r: LinearFamily, weights, x, P) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weights, means, covariances) of sources and target where some of it is seen. A missing cell is F x + b
    and its noise, which hangs together with the noise of the cells that are there."""
    z, cov = with_sources(r, x, P)
    (count, K, k), p = z.shape, r.y.shape[1]
    means, covs = np.zeros((count, K, k + p)), np.zeros((count, K, k + p, k + p))
    means[..., :k], covs[..., :k, :k], means[..., k:] = z, cov, r.y[:, None]
    seen, own = ~np.isnan(r.y), r.places
    for pattern in np.unique(seen, axis=0):
        if pattern.all() or not pattern.any():
            continue
        rows = np.flatnonzero((seen == pattern).all(1))
        here, gone = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        F, Q, b = (np.asarray(part if len(part) == 1 else part[rows]) for part in (r.F, r.Q, r.b))
        tied = Q[..., gone[:, None], here] @ np.linalg.pinv(Q[..., here[:, None], here], hermitian=True)
        G = F[..., gone, :] - tied @ F[..., here, :]
        e = np.einsum("...pa,...a->...p", F, x[rows]) + b
        left = r.y[rows][:, None, here] - e[..., here]
        means[rows[:, None], :, k + gone] = np.moveaxis(
            e[..., gone] + np.einsum("...pq,...q->...p", tied, left), -1, 1
        )
        cross = G @ P[rows]  # with the latent source
        noise = Q[..., gone[:, None], gone] - tied @ Q[..., here[:, None], gone]
        block = np.zeros((len(rows), K, k + p, k + p))
        block[..., (k + gone)[:, None], own] = cross
        block[..., own[:, None], k + gone] = np.swapaxes(cross, -1, -2)
        block[..., (k + gone)[:, None], k + gone] = (
            G @ np.swapaxes(cross, -1, -2) + (noise + np.swapaxes(noise, -1, -2)) / 2
        )
        covs[rows] += block
    used = seen.any(1)
    return weights[used], means[used], covs[used]


def summed(weights: np.ndarray, means: np.ndarray, covs: np.ndarray) -> tuple[Sums, ...]:
    """Of (count, K) weights and moments by instance and state."""
    found = []
    for k in range(weights.shape[1]):
        w, z = weights[:, k], means[:, k]
        total = float(w.sum())
        mean = w @ z / total if total > 0 else np.zeros(z.shape[1])
        away = z - mean
        found.append(Sums(total, mean, np.einsum("t,tab->ab", w, covs[:, k]) + (w[:, None] * away).T @ away))
    return tuple(found)
