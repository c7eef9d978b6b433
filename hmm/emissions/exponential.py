"""Exponential emissions: log p(x_t | k) = Σ_d log λ_kd − λ_kd x_td."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Domain, Positive
from hmm.emissions.columns import Columns
from hmm.emissions.independent import ABOVE_ZERO, NOT_NEGATIVE, Range, column_means
from hmm.emissions.statistics import Part, Spread, Statistics, Sums
from hmm.emissions.summed import Summed
from hmm.validation import prior

LEAST_MEAN = 1e-9
"""Least mean waiting time of a state, as a share of the mean of all data: a state that sees only zeros has no
maximum."""


@dataclass(frozen=True, eq=False)
class Exponential(Summed):
    """Rates of D waiting times in K states, with a gamma prior p(λ) ∝ λ^weight · exp(−total·λ).

    Parameters
    ----------
    rates : array, (K, D)
    total, weight : float or array that broadcasts to (K, D)
        The prior counts as ``weight`` more waiting times that sum to ``total``; zero is maximum likelihood.

    Examples
    --------
    >>> emission = Exponential(np.array([[1.0], [0.5]]))
    >>> emission.log_density(emission.prepare(np.array([[2.0], [np.nan]]))).round(4)
    array([[-2.    , -1.6931],
           [ 0.    ,  0.    ]])
    """

    rates: np.ndarray
    total: float | np.ndarray = 0.0
    weight: float | np.ndarray = 0.0

    LETTERS: ClassVar[dict[str, str]] = {"r": "rates"}
    RANGES: ClassVar[dict[str, Range]] = {"rates": ABOVE_ZERO}
    SUPPORT: ClassVar[Range] = NOT_NEGATIVE

    def check(self, n_components: int) -> Exponential:
        checked = super().check(n_components)
        shape = checked.rates.shape
        return replace(
            checked,
            total=np.broadcast_to(prior("rates_prior", self.total, shape), shape),
            weight=np.broadcast_to(prior("rates_weight", self.weight, shape), shape),
        )

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        rate = self.rates[:, d, None]
        return np.log(rate) - rate * x

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        return {"rates": 1 / self.rates[:, d, None] - x}

    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        return {"total": Sums(weights @ x), "overall": Spread.of(x[:, None])}

    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        total, weight = (np.broadcast_to(v, self.rates.shape)[:, d] for v in (self.total, self.weight))
        mean = (found["total"].values + total) / (found["mass"].values + weight)
        overall = float(found["overall"].mean[0])
        return {"rates": 1 / np.maximum(mean, LEAST_MEAN * (overall if overall > 0 else 1.0))}

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D)."""
        return 1 / self.rates

    def variance(self) -> np.ndarray:
        """Var[x | k], (K, D)."""
        return 1 / self.rates**2

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_exponential((len(states), self.n_features)) / self.rates[states]

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> Exponential:
        means = column_means(X, n_components)
        return cls(1 / np.where(means > 0, means, 1.0), **settings)

    @classmethod
    def coordinates(cls, X: np.ndarray) -> np.ndarray:
        return np.sqrt(X)

    def log_prior(self) -> float:
        if not np.any(self.total) and not np.any(self.weight):
            return 0.0
        return float(np.sum(self.weight * np.log(self.rates) - self.total * self.rates))

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return {"rates": np.broadcast_to(self.weight / self.rates - self.total, self.rates.shape)}

    def domains(self, data: Columns) -> dict[str, Domain]:
        overall = np.array([c.values.mean() if len(c.values) else 0.0 for c in data.columns])
        return {"rates": Positive(high=1 / (LEAST_MEAN * np.where(overall > 0, overall, 1.0)))}
