"""Responses and covariates, laid out once for the regressions; and where a regression starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.clustering import cluster


@dataclass(frozen=True, eq=False)
class Design:
    """Responses (T, M) with 0 where missing, which are observed, (T, M), and covariates (T, P), 0 in rows
    without responses."""

    responses: np.ndarray
    observed: np.ndarray
    covariates: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, n_targets: int) -> Design:
        """From rows [responses, covariates]; missing responses are NaN."""
        X = np.asarray(X, np.float64)
        responses = X[:, :n_targets]
        observed = ~np.isnan(responses)
        used = observed.any(axis=1, keepdims=True)
        return cls(
            np.where(observed, responses, 0.0), observed, np.where(used, np.nan_to_num(X[:, n_targets:]), 0.0)
        )

    @property
    def covariate_sizes(self) -> np.ndarray:
        """Root mean square of each covariate, (P,), or 1 of one that is zero: what a coefficient's unit is
        the inverse of."""
        sizes = np.sqrt((self.covariates**2).mean(axis=0))
        return np.where(sizes > 0, sizes, 1.0)

    def columns(self, params: str) -> np.ndarray:
        """Covariates ("b") and a column of ones ("i"), those that ``params`` names, (T, up to P + 1)."""
        ones = np.ones((len(self.covariates), 1))
        parts = [self.covariates] * ("b" in params) + [ones] * ("i" in params)
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(self.covariates), 0))


def regimes(X: np.ndarray, n_targets: int, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """A guess at which rows belong together, (T, K) weights: short stretches of time are regressed on their
    own, and stretches of like coefficients and like noise are one cluster.

    Clusters of rows would cut along the covariates, where the same regression may hold on both sides.
    """
    data = Design.of(X, n_targets)
    T, P = len(X), data.covariates.shape[1]
    noise = rng.dirichlet(np.ones(n_components), T)
    length = 4 * (P + 1) + 4
    if n_components == 1 or length * n_components > T:
        return noise
    stretches = np.array_split(np.arange(T), T // length)
    rows = data.columns("bi")
    ridge = 1e-3 * np.diag((rows**2).mean(axis=0) + 1e-12)
    found = []
    for own in stretches:
        inner = rows[own].T @ rows[own] / len(own) + ridge
        coefficients = np.linalg.solve(inner, rows[own].T @ data.responses[own] / len(own))
        left = np.abs(data.responses[own] - rows[own] @ coefficients).mean(axis=0)
        found.append(np.concatenate([coefficients.ravel(), np.log(left + 1e-12)]))
    labels = np.repeat(cluster(np.stack(found), n_components, rng), [len(own) for own in stretches])
    return 0.8 * (labels[:, None] == np.arange(n_components)) + 0.2 * noise
