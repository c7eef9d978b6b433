"""Autoregressive emissions, AR(p) with coefficients that switch: x_t | k ~ N(a_k + Σ_i A_ki x_{t−i}, diag
σ²_k).

This is :class:`~hmm.emissions.linear_regression.LinearRegression` of rows on those before them. The density
is conditional on the first p rows of each sequence, and on any row that a missing one comes before within p
steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.emissions.linear_regression import LinearRegression


@dataclass(frozen=True, eq=False)
class Autoregressive(LinearRegression):
    """Autoregressions of D features in K states; prepared by :func:`with_lags`.

    Parameters
    ----------
    coef : array, (K, D, D·p)
        Columns D·(i − 1) to D·i belong to lag i.
    intercept, covars : array, (K, D)
    """

    @property
    def n_features(self) -> int:
        return self.coef.shape[1]

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A series that starts from nothing: rows before the first are zero."""
        D, lagged = self.coef.shape[1:]
        noise = rng.standard_normal((len(states), D)) * np.sqrt(self.covars[states])
        past, X = np.zeros(lagged), np.empty((len(states), D))
        for t, k in enumerate(states):
            X[t] = self.intercept[k] + self.coef[k] @ past + noise[t]
            past = np.concatenate([X[t], past])[:lagged]
        return X


def with_lags(X: np.ndarray, lengths: list[int], order: int) -> np.ndarray:
    """Rows [x_t, x_{t−1}, …, x_{t−p}], (T, D·(p + 1)); x_t is made missing where it has not all of its past.

    >>> with_lags(np.array([[1.0], [2.0], [3.0], [4.0]]), [3, 1], 1).tolist()
    [[nan, nan], [2.0, 1.0], [3.0, 2.0], [nan, nan]]
    """
    X = np.asarray(X, np.float64)
    D = X.shape[1]
    rows = np.full((len(X), D * (order + 1)), np.nan)
    start = 0
    for length in lengths:
        for lag in range(order + 1):
            kept = slice(start + lag, start + length)
            rows[kept, D * lag : D * (lag + 1)] = X[start : start + max(length - lag, 0)]
        start += length
    rows[np.isnan(rows[:, D:]).any(axis=1), :D] = np.nan
    return rows
