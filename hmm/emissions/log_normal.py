"""Log-normal emissions: log x_td | k ~ N(μ_kd, σ²_kd)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Domain, Positive, Real
from hmm.emissions.columns import Columns
from hmm.emissions.diagonal_normal import LOG_2PI
from hmm.emissions.independent import ABOVE_ZERO, REAL, Range, column_means, least_variance, least_variance_of
from hmm.emissions.statistics import Moments, Part, Spread, Statistics
from hmm.emissions.summed import Summed


@dataclass(frozen=True, eq=False)
class LogNormal(Summed):
    """Log-normal distributions of D features in K states.

    Parameters
    ----------
    locs, scales : array, (K, D)
        Mean and standard deviation of log x.

    Examples
    --------
    >>> emission = LogNormal(np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]]))
    >>> emission.log_density(emission.prepare(np.array([[np.e], [np.nan]]))).round(4)
    array([[-2.4189, -1.9189],
           [ 0.    ,  0.    ]])
    """

    locs: np.ndarray
    scales: np.ndarray

    LETTERS: ClassVar[dict[str, str]] = {"l": "locs", "c": "scales"}
    RANGES: ClassVar[dict[str, Range]] = {"locs": REAL, "scales": ABOVE_ZERO}
    SUPPORT: ClassVar[Range] = ABOVE_ZERO

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        scale, y = self.scales[:, d, None], np.log(x)
        return -0.5 * ((y - self.locs[:, d, None]) / scale) ** 2 - np.log(scale) - (y + LOG_2PI / 2)

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        scale, gap = self.scales[:, d, None], np.log(x) - self.locs[:, d, None]
        return {"locs": gap / scale**2, "scales": gap**2 / scale**3 - 1 / scale}

    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        y = np.log(x)
        return {"y": Moments.of(y, weights), "overall": Spread.of(y[:, None])}

    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        y = found["y"]
        locs, scales = self.locs[:, d], self.scales[:, d]
        if "l" in params:
            locs = y.mean
        if "c" in params:
            scales = np.sqrt(np.maximum(y.about(locs) / y.mass, least_variance_of(found["overall"])))
        return {"locs": locs, "scales": scales}

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D)."""
        return np.exp(self.locs + self.scales**2 / 2)

    def variance(self) -> np.ndarray:
        """Var[x | k], (K, D)."""
        return np.expm1(self.scales**2) * self.mean() ** 2

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((len(states), self.n_features))
        return np.exp(self.locs[states] + self.scales[states] * noise)

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> LogNormal:
        locs = column_means(np.log(X), n_components, 0.0)
        return cls(locs, np.ones(locs.shape), **settings)

    @classmethod
    def coordinates(cls, X: np.ndarray) -> np.ndarray:
        return np.log(X)

    def domains(self, data: Columns) -> dict[str, Domain]:
        least = [least_variance(np.log(c.values)) if len(c.values) else 0.0 for c in data.columns]
        return {"locs": Real(self.scales), "scales": Positive(np.sqrt(least))}
