"""Normal densities and weighted moments with one variance a state and feature; missing cells simply do not
count."""

from __future__ import annotations

import numpy as np

from hmm.emissions.cells import Cells
from hmm.emissions.statistics import Moments
from hmm.kernels.policy import worth
from hmm.simplex import NEGLIGIBLE

LOG_2PI = float(np.log(2 * np.pi))


def log_density(data: Cells, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """−½ Σ_d [log 2πσ²_kd + (x_td − μ_kd)²/σ²_kd] over observed cells, (T, K)."""
    if worth(data.filled.shape[1], len(means)):
        from hmm.kernels.normal import diagonal_density

        constants = -0.5 * (LOG_2PI + np.log(variances))
        return diagonal_density(data.filled, data.observed, constants, means, 0.5 / variances)
    constant = LOG_2PI + np.log(variances)
    if data.observed is None:
        total = np.repeat(constant.sum(axis=1)[:, None], data.filled.shape[1], axis=1)
    else:
        total = constant @ data.observed
    for d, precision in enumerate(1 / variances.T):
        total += _squared_gap(data, d, means) * precision[:, None]
    total *= -0.5
    return total.T


def moments(data: Cells, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ_t w_tk and Σ_t w_tk x_td over observed cells, both (K, D)."""
    if worth(*weights.shape):
        from hmm.kernels.normal import weighted_sums

        both = weighted_sums(weights, data.counted)
        sums, mass = both[:, : len(data.filled)], both[:, len(data.filled) :]
        return np.broadcast_to(mass, sums.shape), sums
    sums = weights.T @ data.filled.T
    if data.observed is None:
        return np.repeat(weights.sum(axis=0)[:, None], len(data.filled), axis=1), sums
    return weights.T @ data.observed.T, sums


def scatter(data: Cells, weights: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Σ_t w_tk (x_td − c_kd)² over observed cells, (K, D), in a second pass so that nothing cancels."""
    if worth(*weights.shape):
        from hmm.kernels.normal import diagonal_scatter

        return diagonal_scatter(weights, data.filled, data.observed, centres)
    by_state = np.ascontiguousarray(weights.T)
    gaps = (_squared_gap(data, d, centres) for d in range(len(data.filled)))
    return np.stack([np.einsum("kt,kt->k", by_state, gap) for gap in gaps], axis=1)


def about_mean(data: Cells, weights: np.ndarray, otherwise: np.ndarray) -> Moments:
    """Moments of each state and feature, all (K, D); the mean is ``otherwise`` where there is no mass."""
    mass, sums = moments(data, weights)
    known = mass > NEGLIGIBLE
    means = np.where(known, sums / np.where(known, mass, 1), otherwise)
    return Moments(mass, means, scatter(data, weights, means))


def gradient(
    data: Cells, weights: np.ndarray, means: np.ndarray, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Σ_t w_tk ∂log p/∂μ_kd and ∂log p/∂σ²_kd, both (K, D)."""
    mass, sums = moments(data, weights)
    gaps = scatter(data, weights, means)
    return (sums - mass * means) / variances, 0.5 * (gaps / variances - mass) / variances


def _squared_gap(data: Cells, d: int, centres: np.ndarray) -> np.ndarray:
    """(x_td − c_kd)², (K, T), 0 where missing."""
    gap = data.filled[d] - centres[:, d, None]
    gap *= gap
    if data.observed is not None:
        gap *= data.observed[d]
    return gap
