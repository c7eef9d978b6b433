"""Lyapunov exponents of a driven recurrence along a path, by QR decompositions.

    J_t Q_{t−1} = Q_t R_t,      λ_i = (1/T) Σ_t log |R_t[i, i]|

They are the mean logarithmic growth of volumes spanned by small differences of state: λ_1 > 0 is chaos, and
λ_1 < 0 says how fast a difference is forgotten. (Benettin, Galgani, Giorgilli & Strelcyn 1980; of recurrent
networks Engelken, Wolf & Abbott 2023.)
"""

from __future__ import annotations

import numpy as np


def lyapunov_exponents(steps: np.ndarray, burn: int = 0) -> np.ndarray:
    """Exponents of each sample, (B, n), the largest first; per step, in natural logarithms.

    Parameters
    ----------
    steps : array (T, B, n, n)
        Jacobians of single steps, in the order of time.
    burn : int
        Steps that only turn the directions and are not counted.

    Examples
    --------
    >>> steps = np.broadcast_to(np.diag([0.5, 2.0]), (50, 1, 2, 2))
    >>> lyapunov_exponents(steps, burn=20).round(6).tolist()
    [[0.693147, -0.693147]]
    """
    T, B, n, _ = steps.shape
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(B, n, n)))[0]
    total = np.zeros((B, n))
    for t, J in enumerate(steps):
        directions, R = np.linalg.qr(J @ directions)
        if t >= burn:
            with np.errstate(divide="ignore"):
                total += np.log(np.abs(np.diagonal(R, axis1=-2, axis2=-1)))
    return -np.sort(-total / (T - burn), axis=1)
