"""Gamma emissions: log p(x_t | k) = Σ_d (a − 1) log x − x/s − a log s − log Γ(a), with shape a_kd and scale
s_kd.

The weighted maximum solves log a − ψ(a) = log(mean of x) − mean of log x, and s = mean/a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import digamma, gammaln

from hmm.coordinates import Domain, Positive
from hmm.emissions.independent import ABOVE_ZERO, Range, column_means
from hmm.emissions.roots import falling_root
from hmm.emissions.statistics import Part, Statistics, Sums
from hmm.emissions.summed import Summed

SHAPES = (1e-3, 1e6)
"""Where ``fit`` looks for shapes; at the upper end the standard deviation is a thousandth of the mean, which
keeps a state that sees one value only from collapsing onto it."""


@dataclass(frozen=True, eq=False)
class Gamma(Summed):
    """Gamma distributions of D features in K states.

    Parameters
    ----------
    shapes, scales : array, (K, D)
        The mean is shape·scale.

    Examples
    --------
    >>> emission = Gamma(np.array([[1.0], [2.0]]), np.array([[1.0], [1.0]]))
    >>> emission.log_density(emission.prepare(np.array([[2.0], [np.nan]]))).round(4)
    array([[-2.    , -1.3069],
           [ 0.    ,  0.    ]])
    """

    shapes: np.ndarray
    scales: np.ndarray

    LETTERS: ClassVar[dict[str, str]] = {"a": "shapes", "b": "scales"}
    RANGES: ClassVar[dict[str, Range]] = {"shapes": ABOVE_ZERO, "scales": ABOVE_ZERO}
    SUPPORT: ClassVar[Range] = ABOVE_ZERO

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        a, s = self.shapes[:, d, None], self.scales[:, d, None]
        return (a - 1) * np.log(x) - x / s - (a * np.log(s) + gammaln(a))

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        a, s = self.shapes[:, d, None], self.scales[:, d, None]
        return {"shapes": np.log(x) - (np.log(s) + digamma(a)), "scales": x / s**2 - a / s}

    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        return {"total": Sums(weights @ x), "log": Sums(weights @ np.log(x))}

    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        mass = found["mass"].values
        mean, mean_log = found["total"].values / mass, found["log"].values / mass
        shapes, scales = self.shapes[:, d], self.scales[:, d]
        low, high = (np.full(len(mass), end) for end in SHAPES)
        if "a" in params and "b" in params:
            gap = np.log(mean) - mean_log
            shapes = falling_root(lambda a: np.log(a) - digamma(a) - gap, low, high)
        elif "a" in params:
            level = mean_log - np.log(scales)
            shapes = falling_root(lambda a: level - digamma(a), low, high)
        if "b" in params:
            scales = mean / shapes
        return {"shapes": shapes, "scales": scales}

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D)."""
        return self.shapes * self.scales

    def variance(self) -> np.ndarray:
        """Var[x | k], (K, D)."""
        return self.shapes * self.scales**2

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.standard_gamma(self.shapes[states]) * self.scales[states]
        return np.maximum(drawn, np.finfo(float).tiny)  # small shapes draw numbers that round to zero

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> Gamma:
        means = column_means(X, n_components)
        return cls(np.ones(means.shape), means, **settings)

    @classmethod
    def coordinates(cls, X: np.ndarray) -> np.ndarray:
        return np.log(X)

    def domains(self, data) -> dict[str, Domain]:
        return {"shapes": Positive(*SHAPES), "scales": Positive()}
