"""Expected sufficient statistics of the factors of a switching chain, by state."""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.kernels.gaussian_chain_types import Sums
from msgpass.sweeps.switching_chain import Relation, SwitchingRun


def statistics_by_state(run: SwitchingRun, family) -> tuple[Sums, ...]:
    """Sums of a factor's variables end to end for each state, every instance weighted by what the smoother
    gives the state there."""
    if family is run.block.first:
        rows = run.row_numbers(family)
        mixtures = run.mixtures
        return _summed(np.exp(mixtures.log_weights[rows]), mixtures.means[rows], mixtures.covs[rows])
    if family is run.block.link:
        pairs = run.pairs
        n = run.n
        z, cov = _with_sources(run.link, pairs.means[..., :n], pairs.covs[..., :n, :n])
        q = z.shape[-1]
        z = np.concatenate([z, pairs.means[..., n:]], axis=-1)
        cov = np.pad(cov, [(0, 0), (0, 0), (0, n), (0, n)])
        own = _latent(run.link)
        cov[..., q:, q:] = pairs.covs[..., n:, n:]
        cov[..., q:, own] = pairs.covs[..., n:, :n]
        cov[..., own, q:] = pairs.covs[..., :n, n:]
        return _summed(pairs.weights.sum(1), z, cov)
    relation = next(r for r in run.local if r.family is family)
    if relation.y is None:
        raise UnsupportedError(f"{family.name!r} has no observed side, so it has no statistics")
    mixtures = run.mixtures
    rows = relation.rows
    x, P = mixtures.means[rows], mixtures.covs[rows]
    return _summed(*_with_target(relation, np.exp(mixtures.log_weights[rows]), x, P))


def _latent(r: Relation) -> np.ndarray:
    """Places of the latent source among all sources."""
    n = r.F.shape[-1]
    free = np.ones(n + sum(c.stop - c.start for _, c, _ in r.observed), bool)
    for _, columns, _ in r.observed:
        free[columns] = False
    return np.flatnonzero(free)


def _with_sources(r: Relation, x: np.ndarray, P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments of all sources end to end, by instance and state."""
    own = _latent(r)
    width = len(own) + sum(c.stop - c.start for _, c, _ in r.observed)
    z, cov = np.zeros((*x.shape[:2], width)), np.zeros((*x.shape[:2], width, width))
    z[..., own] = x
    cov[..., own[:, None], own] = P
    for _, columns, data in r.observed:
        z[..., columns] = data[:, None]
    return z, cov


def _with_target(r: Relation, weights, x, P) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weights, means, covariances) of sources and target where some of it is seen. A missing cell is F x + b
    and its noise, which hangs together with the noise of the cells that are there."""
    z, cov = _with_sources(r, x, P)
    (count, K, k), p = z.shape, r.y.shape[1]
    means, covs = np.zeros((count, K, k + p)), np.zeros((count, K, k + p, k + p))
    means[..., :k], covs[..., :k, :k], means[..., k:] = z, cov, r.y[:, None]
    seen, own = ~np.isnan(r.y), _latent(r)
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


def _summed(weights: np.ndarray, means: np.ndarray, covs: np.ndarray) -> tuple[Sums, ...]:
    """Of (count, K) weights and moments by instance and state."""
    found = []
    for k in range(weights.shape[1]):
        w, z = weights[:, k], means[:, k]
        total = float(w.sum())
        mean = w @ z / total if total > 0 else np.zeros(z.shape[1])
        away = z - mean
        found.append(Sums(total, mean, np.einsum("t,tab->ab", w, covs[:, k]) + (w[:, None] * away).T @ away))
    return tuple(found)
