"""The point of a convex hull that is nearest to a given one, exactly.

    min ‖Σ_k α_k g_k − p‖² with α ≥ 0, Σ α = 1

is non-negative least squares: with a_k = g_k − p, the u ≥ 0 that minimises ‖Σ u_k a_k‖² + (Σ u_k − 1)² is a
multiple of α (Lawson & Hanson 1974, chapter 23). Their active-set method ends after finitely many steps.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import NumericalError

TOLERANCE = 1e-9
"""How far from optimal an answer may be, relative to the squared length of the longest gradient."""


def nearest(gradients: np.ndarray, point: np.ndarray | None = None) -> np.ndarray:
    """(K,) weights α of the point of the hull of (K, r) gradients nearest to ``point``, the origin by
    default.

    Raises
    ------
    NumericalError
        Where the answer does not fulfil the conditions of optimality.

    Examples
    --------
    >>> nearest(np.array([[1.0, 0.0], [0.0, 1.0]]))
    array([0.5, 0.5])
    """
    a = gradients if point is None else gradients - point
    size = np.linalg.norm(a, axis=1).max()
    if not size:
        return np.full(len(a), 1 / len(a))
    a = a / size
    u = _least_squares(np.vstack([a.T, np.ones(len(a))]), np.append(np.zeros(a.shape[1]), 1.0))
    alpha = u / u.sum()
    gap = optimality_gap(a, alpha)
    if gap > TOLERANCE:
        raise NumericalError(f"no point of the gradients' hull was found nearest: it misses by {gap:.1e}")
    return alpha


def _least_squares(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """u ≥ 0 that minimises ‖A u − b‖."""
    from scipy import optimize

    try:
        return optimize.nnls(A, b)[0]
    except RuntimeError:  # where columns depend on each other it may go in circles
        found = optimize.lsq_linear(A, b, bounds=(0, np.inf), method="bvls", tol=1e-14, max_iter=1000).x
        return np.maximum(found, 0)


def optimality_gap(a: np.ndarray, alpha: np.ndarray) -> float:
    """‖d‖² − min_k a_k·d for d = Σ α_k a_k: 0 where d is the shortest, by which ‖d‖² is at most too large."""
    d = alpha @ a
    return float(d @ d - (a @ d).min())
