"""Kullback-Leibler divergences from a posterior to its prior, KL(q ‖ p), and the expected logarithms that go
with them.

    Dirichlet   p ∝ Π θ_m^{α_m − 1}
    Wishart     p ∝ |Λ|^{(ν − D − 1)/2} exp(−½ tr S Λ), so E Λ = ν S⁻¹; in one dimension Gamma(ν/2, rate S/2)
"""

from __future__ import annotations

from typing import Any

import numpy as np


def expected_log(alpha: np.ndarray) -> np.ndarray:
    """E[log θ] = ψ(α_m) − ψ(Σ α) of each row; −∞ where α is 0, which is an outcome that cannot be.

    >>> expected_log(np.array([1.0, 1.0, 0.0])).round(3)
    array([ -1.,  -1., -inf])
    """
    from scipy.special import digamma

    inside = alpha > 0
    logs = digamma(np.where(inside, alpha, 1.0)) - digamma(alpha.sum(axis=-1, keepdims=True))
    return np.where(inside, logs, -np.inf)


def dirichlet(q: np.ndarray, p: np.ndarray) -> float:
    """Of rows of concentrations, summed over the rows; both are 0 at the same outcomes.

    >>> dirichlet(np.array([[2.0, 3.0], [1.0, 1.0]]), np.array([[2.0, 3.0], [1.0, 1.0]]))
    0.0
    """
    from scipy.special import gammaln

    inside = q > 0
    own, other = np.where(inside, q, 1.0), np.where(inside, p, 1.0)
    norms = gammaln(q.sum(axis=-1)) - gammaln(p.sum(axis=-1))
    terms = gammaln(other) - gammaln(own) + (own - other) * np.where(inside, expected_log(q), 0.0)
    return float(np.sum(norms) + np.sum(terms))


def slack(dof: np.ndarray, D: int = 1) -> np.ndarray:
    """E log |Λ| − log |E Λ| of Wishart distributions over D × D matrices, whatever their scale; below zero.

    Σ_{i<D} ψ((ν − i)/2) − D log(ν/2)
    """
    from scipy.special import digamma

    half = np.asarray(dof, np.float64)[..., None] / 2
    return np.sum(digamma(half - np.arange(D) / 2) - np.log(half), axis=-1)


def wishart(dof: Any, scale: np.ndarray, dof_prior: Any, scale_prior: np.ndarray) -> float:
    """Of Wishart distributions, (…,) degrees of freedom and (…, D, D) inverse scales, summed.

    >>> wishart(3.0, np.eye(2), 3.0, np.eye(2))
    0.0
    """
    D = scale.shape[-1]
    log_det, log_det_prior = np.linalg.slogdet(scale)[1], np.linalg.slogdet(scale_prior)[1]
    trace = np.trace(np.linalg.solve(scale, scale_prior), axis1=-2, axis2=-1)
    return _wishart(D, dof, log_det, dof_prior, log_det_prior, trace)


def gamma(dof: np.ndarray, scale: np.ndarray, dof_prior: np.ndarray, scale_prior: np.ndarray) -> float:
    """Of Wishart distributions in one dimension, summed."""
    return _wishart(1, dof, np.log(scale), dof_prior, np.log(scale_prior), scale_prior / scale)


def _wishart(D: int, dof, log_det, dof_prior, log_det_prior, trace) -> float:
    """From log determinants and tr(S_p S_q⁻¹)."""
    from scipy.special import gammaln

    dof, dof_prior = np.asarray(dof, np.float64), np.asarray(dof_prior, np.float64)

    def log_gammas(nu):
        return gammaln(nu[..., None] / 2 - np.arange(D) / 2).sum(axis=-1)

    digammas = slack(dof, D) + D * np.log(dof / 2)
    terms = (
        (dof - dof_prior) / 2 * digammas
        + dof_prior / 2 * (log_det - log_det_prior)
        + log_gammas(dof_prior)
        - log_gammas(dof)
        + dof / 2 * (trace - D)
    )
    return float(np.sum(terms))


def normal_means(beta: np.ndarray, beta_prior: np.ndarray, off: np.ndarray | float, D: int = 1) -> float:
    """Of means, N(m, (βΛ)⁻¹) from N(m₀, (β₀Λ)⁻¹), expected over Λ and summed.

        ½ [D (log β/β₀ + β₀/β − 1) + β₀ (m − m₀)ᵀ E Λ (m − m₀)]

    Parameters
    ----------
    off : array
        The squared distances (m − m₀)ᵀ E Λ (m − m₀).
    D : int
        Features that one β stands for.
    """
    ratio = beta_prior / beta
    return float(0.5 * np.sum(D * (ratio - 1 - np.log(ratio)) + beta_prior * off))
