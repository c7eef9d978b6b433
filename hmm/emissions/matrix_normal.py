"""Normal densities and conditional moments with covariance matrices, pattern by pattern of missing cells.

With o the observed and u the missing features of a row, B = Σ_uo Σ_oo⁻¹:

    E[x_u | x_o] = μ_u + B (x_o − μ_o)        Cov[x_u | x_o] = Σ_uu − B Σ_ou
"""

from __future__ import annotations

import numpy as np

from hmm.emissions import diagonal_normal
from hmm.emissions.cells import Cells
from hmm.emissions.diagonal_normal import LOG_2PI
from hmm.emissions.statistics import Moments
from hmm.kernels.policy import worth
from hmm.simplex import NEGLIGIBLE


def log_density(data: Cells, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """log N(x_o; μ_o, Σ_oo), (T, K); 0 for rows without anything."""
    (n_features, n_steps), n_states = data.filled.shape, len(means)
    if data.observed is None and worth(n_steps, n_states, n_features):
        from hmm.kernels.normal import matrix_density

        factors = np.linalg.cholesky(covariances)
        diagonal = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        constant = -0.5 * LOG_2PI * n_features - diagonal
        return matrix_density(data.filled, constant, means, np.linalg.inv(factors))
    density = np.zeros((n_states, n_steps))
    for rows, shown in data.patterns:
        columns = data.filled if data.observed is None else data.filled[shown][:, rows]
        factors = np.linalg.cholesky(covariances[:, shown][:, :, shown])
        log_dets = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        for k, whiten in enumerate(np.linalg.inv(factors)):
            z = whiten @ (columns - means[k, shown, None])
            density[k, rows] = -0.5 * (LOG_2PI * shown.sum() + log_dets[k] + np.einsum("dt,dt->t", z, z))
    return density.T


def scatter(data: Cells, weights: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Σ_t w_tk (x_t − c_k)(x_t − c_k)ᵀ of data without missing cells, (K, D, D), in a second pass so that
    nothing cancels."""
    n_steps, n_states = weights.shape
    if worth(n_steps, n_states, len(data.filled)):
        from hmm.kernels.normal import matrix_scatter

        return matrix_scatter(weights, data.filled, centres)
    found = np.empty((*centres.shape, centres.shape[1]))
    for k, centre in enumerate(centres):
        gap = data.filled - centre[:, None]
        found[k] = (weights[:, k] * gap) @ gap.T
    return found


def completed(
    data: Cells, mean: np.ndarray, covariance: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows with conditional means in their missing cells, (T, D), and Σ_t w_t Cov[x_t | its observed cells],
    (D, D)."""
    rows_of_data = data.filled.T.copy()
    uncertainty = np.zeros_like(covariance)
    for rows, shown in data.patterns:
        hidden = ~shown
        if not hidden.any():
            continue
        cross = covariance[np.ix_(shown, hidden)]
        regression = np.linalg.solve(covariance[np.ix_(shown, shown)], cross)
        gap = data.filled[shown][:, rows].T - mean[shown]
        rows_of_data[np.ix_(rows, hidden)] = mean[hidden] + gap @ regression
        left = covariance[np.ix_(hidden, hidden)] - cross.T @ regression
        uncertainty[np.ix_(hidden, hidden)] += weights[rows].sum() * left
    return rows_of_data, uncertainty


def about_mean(data: Cells, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> Moments:
    """Moments of each state's completed rows: mass (K,), mean (K, D), scatter with what is uncertain (K, D,
    D)."""
    if data.observed is None:
        weight, sums = diagonal_normal.moments(data, weights)
        known = weight > NEGLIGIBLE
        centres = np.where(known, sums / np.where(known, weight, 1), means)
        return Moments(weight[:, 0], centres, scatter(data, weights, centres))
    centres, spread, mass = means.copy(), np.empty(covariances.shape), np.empty(len(means))
    for k, covariance in enumerate(covariances):
        own = data.some * weights[:, k]
        rows, uncertainty = completed(data, means[k], covariance, own)
        mass[k] = own.sum()
        if mass[k] > NEGLIGIBLE:
            centres[k] = own @ rows / mass[k]
        gap = rows - centres[k]
        spread[k] = (own * gap.T) @ gap + uncertainty
    return Moments(mass, centres, spread)


def gradient(
    data: Cells, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Σ_t w_tk ∂log p/∂μ_k, (K, D), and the same of Σ_k, (K, D, D).

    With g = Σ_oo⁻¹ (x_o − μ_o) they add up g and ½ (g gᵀ − Σ_oo⁻¹).
    """
    by_mean, by_covariance = np.zeros(means.shape), np.zeros(covariances.shape)
    for rows, shown in data.patterns:
        columns, block = data.filled[shown][:, rows], np.ix_(shown, shown)
        for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
            precision = np.linalg.inv(covariance[block])
            own, pull = weights[rows, k], precision @ (columns - mean[shown, None])
            by_mean[k, shown] += pull @ own
            by_covariance[k][block] += 0.5 * ((pull * own) @ pull.T - own.sum() * precision)
    return by_mean, by_covariance
