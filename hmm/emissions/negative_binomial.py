"""Negative binomial emissions, counts of variance m + m²/r: p(x | k) = C(x + r − 1, x) (m/(r + m))ˣ (r/(r +
m))ʳ.

With the mean m and the size r as parameters the weighted maximum has m at the mean of x, and r where
Σ_n w_n [ψ(x_n + r) − ψ(r)] = Σ_n w_n log(1 + m/r).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import betaln, digamma

from hmm.coordinates import Domain, Positive
from hmm.emissions.columns import Columns
from hmm.emissions.independent import ABOVE_ZERO, COUNT, Independent, Range, column_means
from hmm.emissions.roots import falling_root

SIZES = (1e-4, 1e5)
"""Where ``fit`` looks for sizes, the upper end times the mean (if that is above one): there the distribution
is as good as Poisson's, which is where counts that vary less than Poisson's lead."""

LEAST_MEAN = 1e-9
"""Least mean of a state, as a share of the mean of all data, where it sees zeros only."""


@dataclass(frozen=True, eq=False)
class NegativeBinomial(Independent):
    """Negative binomial distributions of D counts in K states.

    Parameters
    ----------
    means, sizes : array, (K, D)
        Mean m and size r; scipy's parameters are n = r, p = r/(r + m).

    Examples
    --------
    >>> emission = NegativeBinomial(np.array([[3.0]]), np.array([[1.0]]))
    >>> np.exp(emission.log_density(emission.prepare(np.array([[0.0], [1.0], [np.nan]])))).round(4)
    array([[0.25  ],
           [0.1875],
           [1.    ]])
    """

    means: np.ndarray
    sizes: np.ndarray

    LETTERS: ClassVar[dict[str, str]] = {"m": "means", "r": "sizes"}
    RANGES: ClassVar[dict[str, Range]] = {"means": ABOVE_ZERO, "sizes": ABOVE_ZERO}
    SUPPORT: ClassVar[Range] = COUNT
    DISCRETE: ClassVar[bool] = True

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        return _log_density(x, self.means[:, d, None], self.sizes[:, d, None])

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        m, r = self.means[:, d, None], self.sizes[:, d, None]
        sizes = digamma(x + r) - digamma(r) - np.log1p(m / r) + (m - x) / (r + m)
        return {"means": (x / m - 1) * r / (r + m), "sizes": sizes}

    def maximise(self, x: np.ndarray, weights: np.ndarray, d: int, params: str) -> dict[str, np.ndarray]:
        means, sizes, mass = self.means[:, d], self.sizes[:, d], weights.sum(axis=1)
        average = weights @ x / mass
        if "m" in params:
            overall = float(x.mean())
            means = np.maximum(average, LEAST_MEAN * (overall if overall > 0 else 1.0))
        if "r" in params:

            def slope(r: np.ndarray) -> np.ndarray:
                ratio = digamma(x + r[:, None]) - digamma(r)[:, None]
                return (
                    np.einsum("kn,kn->k", weights, ratio) / mass
                    - np.log1p(means / r)
                    + (means - average) / (r + means)
                )

            found = falling_root(slope, np.full(len(mass), SIZES[0]), SIZES[1] * np.maximum(means, 1))
            before, after = (
                np.einsum("kn,kn->k", weights, _log_density(x, means[:, None], r[:, None]))
                for r in (sizes, found)
            )
            sizes = np.where(after >= before, found, sizes)
        return {"means": means, "sizes": sizes}

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D)."""
        return self.means

    def variance(self) -> np.ndarray:
        """Var[x | k], (K, D)."""
        return self.means + self.means**2 / self.sizes

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        m, r = self.means[states], self.sizes[states]
        return rng.poisson(rng.standard_gamma(r) * m / r)

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> NegativeBinomial:
        means = column_means(X, n_components)
        return cls(np.where(means > 0, means, 1.0), np.ones(means.shape), **settings)

    @classmethod
    def coordinates(cls, X: np.ndarray) -> np.ndarray:
        return np.sqrt(X)

    def domains(self, data: Columns) -> dict[str, Domain]:
        overall = np.array([c.values.mean() if len(c.values) else 0.0 for c in data.columns])
        return {
            "means": Positive(LEAST_MEAN * np.where(overall > 0, overall, 1.0)),
            "sizes": Positive(SIZES[0], SIZES[1] * np.maximum(self.means, 1)),
        }


def _log_density(x: np.ndarray, m: np.ndarray, r: np.ndarray) -> np.ndarray:
    # Γ(x + r)/Γ(r) x! = 1/((x + r) B(r, x + 1)): differences of log Γ would cancel at large sizes.
    choices = -np.log(x + r) - betaln(r, x + 1)
    return choices - r * np.log1p(m / r) - x * np.log1p(r / m)
