"""Covariance of a stationary state, P = F P Fᵀ + V, and its derivative.

With Λ = Fᵀ Λ F + ∂f/∂P, the equation of the adjoint, ∂f/∂V = Λ and ∂f/∂F = (Λ + Λᵀ) F P.
"""

from __future__ import annotations

import numpy as np


def stationary_covariance(F: np.ndarray, V: np.ndarray) -> np.ndarray:
    """P (n, n), symmetric, of a stable F.

    >>> stationary_covariance(np.array([[0.8]]), np.array([[0.36]])).round(12)
    array([[1.]])
    """
    from scipy.linalg import solve_discrete_lyapunov

    P = solve_discrete_lyapunov(F, V)
    return (P + P.T) / 2


def stationary_pullback(F: np.ndarray, P: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(∂f/∂F, ∂f/∂V) from ∂f/∂P."""
    from scipy.linalg import solve_discrete_lyapunov

    adjoint = solve_discrete_lyapunov(F.T, slope)
    return (adjoint + adjoint.T) @ F @ P, adjoint
