"""Weighted least squares from a triangular factor.

The columns are [1, u, y]: below its first row the factor is that of centred covariates and responses, so that
the condition is that of their spread, wherever they lie. Normal equations would square it."""

from __future__ import annotations

import numpy as np


def regression(
    factor: np.ndarray, theta: np.ndarray, free: np.ndarray, count: float
) -> tuple[np.ndarray, float]:
    """Coefficients that minimise ‖R [θ, −1]‖², and the minimum.

    Parameters
    ----------
    factor : array, (P + 2, P + 2)
        R, upper triangular.
    theta : array, (P + 1,)
        Intercept and coefficients; what is not free stays.
    free : array of bool, (P + 1,)
    count : float
        Rows that the factor is of: rounding grows with it. A covariate that does not vary beyond that, where
        there is an intercept, keeps its coefficient.

    Examples
    --------
    >>> rows = np.array([[1.0, 1e6, 3.0], [1.0, 1e6 + 1, 5.0], [1.0, 1e6 + 2, 7.0]])
    >>> theta, left = regression(np.linalg.qr(rows, mode="r"), np.zeros(2), np.array([True, True]), 3)
    >>> theta[1].round(6), round(left, 6)
    (np.float64(2.0), 0.0)
    """
    theta, rounding = theta.copy(), np.finfo(float).eps * max(count, len(theta))
    top = 1 if free[0] else 0
    columns, norms = factor[top:, :-1], np.sqrt((factor[:, :-1] ** 2).sum(axis=0))
    spread = np.sqrt((columns**2).sum(axis=0))
    moving = free & (spread > rounding * norms)
    moving[0] = False
    if moving.any():
        held = ~moving
        held[0] = not free[0]
        left = factor[top:, -1] - columns[:, held] @ theta[held]
        scaled = columns[:, moving] / spread[moving]
        theta[moving] = np.linalg.lstsq(scaled, left, rcond=rounding)[0] / spread[moving]
    if free[0]:
        theta[0] = (factor[0, -1] - factor[0, 1:-1] @ theta[1:]) / factor[0, 0]
    gaps = factor[:, -1] - factor[:, :-1] @ theta
    return theta, float(gaps @ gaps)
