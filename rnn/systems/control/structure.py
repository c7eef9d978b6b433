"""Can the unstable modes be steered, and do they cost anything? The tests of Popov, Belevitch and Hautus.

(A, B) is stabilisable if [A − λI, B] has full row rank for every eigenvalue |λ| ≥ 1 of A; (A, C) is
detectable if (Aᵀ, Cᵀ) is stabilisable.
"""

from __future__ import annotations

import numpy as np

RANK = 1e-9  # of the largest singular value: below, a direction counts as missing
MARGIN = 1e-10  # |λ| above 1 − this counts as not stable


def stuck_modes(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Eigenvalues |λ| ≥ 1 of A that B does not reach; none if (A, B) is stabilisable.

    Examples
    --------
    >>> stuck_modes(np.diag([2.0, 0.5]), np.array([[0.0], [1.0]])).real
    array([2.])
    """
    eigenvalues = np.linalg.eigvals(A)
    found = []
    for value in eigenvalues[np.abs(eigenvalues) >= 1 - MARGIN]:
        sigma = np.linalg.svd(np.hstack([A - value * np.eye(len(A)), B]), compute_uv=False)
        if sigma[-1] <= RANK * max(sigma[0], 1.0):
            found.append(value)
    return np.array(found, dtype=complex)


def root(Q: np.ndarray) -> np.ndarray:
    """C with CᵀC = Q for a positive semi-definite Q (negative eigenvalues count as cost, too)."""
    values, vectors = np.linalg.eigh(Q)
    return np.sqrt(np.abs(values))[:, None] * vectors.T
