"""Gradients and expected sufficient statistics of a linear-Gaussian chain, from its messages.

    ∂ log Z/∂P_0 = ½(r rᵀ − N),  ∂/∂Q = ½(r′ r′ᵀ − N′),  ∂/∂F = r′ E[x]ᵀ − N′ F U,  ∂/∂b = r′

with r rᵀ, r′ E[x]ᵀ, … averaged over δ: the products of all columns. EM's Q for given F and b is

    Q + Q (Σ r′ r′ᵀ − N′) Q / S = Q + 2 Q (∂/∂Q) Q / S

which needs no second moments and keeps what is exactly zero.
"""

import numpy as np

from msgpass.kernels.gaussian_chain_noise import Noise
from msgpass.kernels.gaussian_chain_types import (
    AdjointPass,
    FilterPass,
    GaussianChainArrays,
    Statistics,
    Sums,
)


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ np.swapaxes(b, -1, -2)


def gradients(
    arrays: GaussianChainArrays, done: FilterPass, adjoint: AdjointPass, noise: Noise, columns: np.ndarray
) -> dict[str, np.ndarray]:
    """By name of the array, shaped like it: summed over what shares it."""
    (r, N), first, sources = adjoint, arrays.offsets[:-1], arrays.sources
    after, before, e = r[sources + 1], columns[sources], noise.e
    mean_only = e[..., :1]
    found = {
        "mean": r[first, :, 0],
        "cov": 0.5 * (_times(r[first], r[first]) - N[first]),
        "F": _times(after, before) - N[sources + 1] @ arrays.F @ done.filtered_cov[sources],
        "Q": 0.5 * (_times(after, after) - N[sources + 1]),
        "b": after[..., 0],
        "H": _times(mean_only, columns[..., :1]) - noise.X,
        "R": 0.5 * (_times(mean_only, mean_only) - noise.D),
        "y": -e[..., 0],
    }
    shared = {name: len(getattr(arrays, name)) == 1 for name in found}
    return {name: g.sum(0, keepdims=True) if shared[name] else g for name, g in found.items()}


def statistics(arrays: GaussianChainArrays, smoothed, lag_one: np.ndarray, noise: Noise) -> Statistics:
    """From smoothed moments (T, n), (T, n, n) and lag-one covariances (S, n, n)."""
    (mean, cov), sources, first = smoothed, arrays.sources, arrays.offsets[:-1]
    n = mean.shape[-1]
    pair_cov = np.zeros((2 * n, 2 * n))
    pair_cov[:n, :n], pair_cov[n:, n:] = cov[sources].sum(0), cov[sources + 1].sum(0)
    pair_cov[n:, :n] = lag_one.sum(0)
    pair_cov[:n, n:] = pair_cov[n:, :n].T
    return Statistics(
        _sums(np.hstack([mean[sources], mean[sources + 1]]), pair_cov),
        _rows(arrays, mean, cov, noise),
        _sums(mean[first], cov[first].sum(0)),
    )


def _rows(arrays: GaussianChainArrays, mean: np.ndarray, cov: np.ndarray, noise: Noise) -> Sums:
    missing = np.isnan(arrays.y)
    used = np.flatnonzero(~missing.all(1))
    gappy = used[missing[used].any(1)]
    n, p = mean.shape[-1], arrays.y.shape[1]
    H, R = (part if len(part) == 1 else part[gappy] for part in (arrays.H, arrays.R))
    y = arrays.y[used]
    own, P = missing[gappy], cov[gappy]
    expected = np.zeros((len(arrays.y), p))
    expected[gappy] = (H @ mean[gappy, :, None] + R @ noise.e[gappy][..., :1])[..., 0]
    y = np.where(missing[used], expected[used], y)
    with_x = (H @ P - R @ noise.X[gappy]) * own[..., None]
    HXR = H @ _times(np.swapaxes(noise.X[gappy], -1, -2), R)
    of_y = H @ _times(P, H) - HXR - np.swapaxes(HXR, -1, -2) + R - R @ noise.D[gappy] @ R
    total = np.zeros((n + p, n + p))
    total[:n, :n] = cov[used].sum(0)
    total[n:, :n] = with_x.sum(0)
    total[:n, n:] = total[n:, :n].T
    total[n:, n:] = (of_y * own[..., :, None] * own[..., None, :]).sum(0)
    return _sums(np.hstack([mean[used], y]), total)


def _sums(means: np.ndarray, cov: np.ndarray) -> Sums:
    """From the mean of every instance and the sum of their covariances."""
    count = len(means)
    average = means.sum(0) / max(count, 1)
    away = means - average
    return Sums(count, average, away.T @ away + (cov + cov.T) / 2)
