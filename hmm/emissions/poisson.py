"""Poisson emissions: log p(x_t | k) = Σ_d x_td log λ_kd − λ_kd − log x_td!, features independent given the
state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from hmm.clustering import cluster
from hmm.coordinates import Domain, Positive
from hmm.emissions.base import Emission, observed_cells
from hmm.emissions.statistics import Statistics, Sums
from hmm.simplex import NEGLIGIBLE, log
from hmm.validation import parameter, prior
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts with 0 where missing, (D, T), and which cells are observed."""

    filled: np.ndarray
    observed: np.ndarray | None

    @cached_property
    def log_factorials(self) -> np.ndarray:
        """Σ_d log x_td!, (T,)."""
        from scipy.special import gammaln

        return gammaln(self.filled + 1).sum(axis=0)


@dataclass(frozen=True, eq=False)
class Poisson(Emission):
    """Rates of D independent counts in K states, with a gamma prior p(λ) ∝ λ^total · exp(−weight·λ).

    Parameters
    ----------
    lambdas : array, (K, D)
    total, weight : float or array that broadcasts to (K, D)
        The prior counts as ``weight`` more observations that sum to ``total``; zero is maximum likelihood.

    Examples
    --------
    >>> emission = Poisson(np.array([[1.0], [4.0]]))
    >>> data = emission.prepare(np.array([[0.0], [np.nan]]))
    >>> emission.log_density(data)
    array([[-1., -4.],
           [ 0.,  0.]])
    """

    lambdas: np.ndarray
    total: float | np.ndarray = 0.0
    weight: float | np.ndarray = 0.0

    LETTERS: ClassVar[dict[str, str]] = {"l": "lambdas"}

    @classmethod
    def start(cls, X: np.ndarray, n_components: int, rng: np.random.Generator, **priors) -> Poisson:
        """Means of clusters of √x, whose variance does not depend on the rate, drawn a little to the overall
        mean."""
        seen = np.isfinite(X)
        filled = np.where(seen, X, 0)
        overall = filled.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        labels = cluster(np.sqrt(np.where(seen, X, overall)), n_components, rng)
        member = (labels == np.arange(n_components)[:, None]).astype(float)
        rates = (member @ filled + overall) / (member @ seen + 1)
        # States that got no cluster of their own must differ, or EM keeps them alike.
        return cls(rates * np.exp(0.05 * rng.standard_normal(rates.shape)), **priors)

    def check(self, n_components: int) -> Poisson:
        lambdas = np.asarray(self.lambdas)
        if lambdas.ndim == 1:
            lambdas = lambdas[:, None]
        shape = (n_components, lambdas.shape[-1] if lambdas.ndim else 0)
        lambdas = parameter("lambdas_", lambdas, shape)
        if (lambdas < 0).any():
            raise DataError(f"lambdas_ holds {lambdas.min():.6g}; Poisson rates are not negative")
        return replace(
            self,
            lambdas=lambdas,
            total=prior("lambdas_prior", self.total, shape),
            weight=prior("lambdas_weight", self.weight, shape),
        )

    @property
    def n_features(self) -> int:
        return self.lambdas.shape[1]

    def prepare(self, X: np.ndarray) -> Counts:
        observed = observed_cells(X)
        columns = np.ascontiguousarray(X.T, np.float64)
        return Counts(columns if observed is None else np.nan_to_num(columns), observed)

    def log_density(self, data: Counts) -> np.ndarray:
        logs = log(self.lambdas)
        if np.isinf(logs).any():  # a state of rate 0 emits zeros only, and 0·log 0 = 0
            impossible = (self.lambdas == 0) @ (data.filled > 0)
            density = np.where(logs == -np.inf, 0, logs) @ data.filled
            density[impossible] = -np.inf
        else:
            density = logs @ data.filled
        density -= (
            self.lambdas.sum(axis=1)[:, None] if data.observed is None else self.lambdas @ data.observed
        )
        density -= data.log_factorials
        return density.T

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.poisson(self.lambdas[states])

    def fit(self, data: Counts, weights: np.ndarray, params: str) -> Poisson:
        return self.from_statistics(self.statistics(data, weights), params) if "l" in params else self

    def statistics(self, data: Counts, weights: np.ndarray) -> Statistics:
        shown = weights.sum(axis=0)[:, None] if data.observed is None else weights.T @ data.observed.T
        return Statistics({"mass": Sums(shown), "total": Sums(weights.T @ data.filled.T)})

    def from_statistics(self, statistics: Statistics, params: str) -> Poisson:
        if "l" not in params:
            return self
        mass = statistics["mass"].values + self.weight
        known = mass > NEGLIGIBLE
        rates = (statistics["total"].values + self.total) / np.where(known, mass, 1)
        return replace(self, lambdas=np.where(known, rates, self.lambdas))

    def gradient(self, data: Counts, weights: np.ndarray) -> dict[str, np.ndarray]:
        counts = weights.T @ data.filled.T
        shown = weights.sum(axis=0)[:, None] if data.observed is None else weights.T @ data.observed.T
        slope = np.divide(counts, self.lambdas, out=np.zeros_like(counts), where=counts > 0)
        return {"lambdas": slope - shown}

    def n_parameters(self) -> dict[str, int]:
        return {"l": self.lambdas.size}

    def log_prior(self) -> float:
        if not np.any(self.total) and not np.any(self.weight):
            return 0.0
        logs = np.where(self.total == 0, 0, log(np.where(self.total == 0, 1, self.lambdas)))
        return float(np.sum(self.total * logs - self.weight * self.lambdas))

    def prior_gradient(self) -> dict[str, np.ndarray]:
        shape = self.lambdas.shape
        total, weight = np.broadcast_to(self.total, shape), np.broadcast_to(self.weight, shape)
        slope = np.divide(total, self.lambdas, out=np.zeros(shape), where=total > 0)
        return {"lambdas": slope - weight}

    def domains(self, data) -> dict[str, Domain]:
        return {"lambdas": Positive(least=1e-8, told=self.lambdas)}
