"""Von Mises emissions, the normal distribution of directions: log p(x | k) = κ cos(x − μ) − log 2π I₀(κ).

The weighted maximum has μ in the mean direction and I₁(κ)/I₀(κ) = the mean resultant length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import i0e, i1e

from hmm.coordinates import Circular, Domain, Positive
from hmm.emissions.diagonal_normal import LOG_2PI
from hmm.emissions.independent import NOT_NEGATIVE, REAL, Range
from hmm.emissions.roots import falling_root
from hmm.emissions.statistics import Part, Statistics, Sums
from hmm.emissions.summed import Summed

KAPPAS = (1e-9, 1e6)
"""Where ``fit`` looks for concentrations; at the upper end the standard deviation is a thousandth of a
radian."""


@dataclass(frozen=True, eq=False)
class VonMises(Summed):
    """Von Mises distributions of D angles (radians) in K states.

    Parameters
    ----------
    locs, kappas : array, (K, D)
        Mean direction and concentration; κ = 0 is uniform.

    Examples
    --------
    >>> emission = VonMises(np.array([[0.0], [1.0]]), np.array([[2.0], [0.0]]))
    >>> np.exp(emission.log_density(emission.prepare(np.array([[0.0], [np.nan]])))).round(4)
    array([[0.5159, 0.1592],
           [1.    , 1.    ]])
    """

    locs: np.ndarray
    kappas: np.ndarray

    LETTERS: ClassVar[dict[str, str]] = {"l": "locs", "k": "kappas"}
    RANGES: ClassVar[dict[str, Range]] = {"locs": REAL, "kappas": NOT_NEGATIVE}

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        kappa = self.kappas[:, d, None]
        # cos − 1 = −2 sin²(·/2): nothing cancels where directions are concentrated
        return -2 * kappa * np.sin((x - self.locs[:, d, None]) / 2) ** 2 - (np.log(i0e(kappa)) + LOG_2PI)

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        loc, kappa = self.locs[:, d, None], self.kappas[:, d, None]
        return {"locs": kappa * np.sin(x - loc), "kappas": np.cos(x - loc) - i1e(kappa) / i0e(kappa)}

    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        return {"cosine": Sums(weights @ np.cos(x)), "sine": Sums(weights @ np.sin(x))}

    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        mass = found["mass"].values
        cosine, sine = found["cosine"].values / mass, found["sine"].values / mass
        locs, kappas = self.locs[:, d], self.kappas[:, d]
        if "l" in params:
            locs = np.arctan2(sine, cosine)
        if "k" in params:
            length = cosine * np.cos(locs) + sine * np.sin(locs)
            low, high = (np.full(len(mass), end) for end in KAPPAS)
            kappas = falling_root(lambda k: length - i1e(k) / i0e(k), low, high)
        return {"locs": locs, "kappas": kappas}

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.vonmises(self.locs[states], self.kappas[states])

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> VonMises:
        shape = (n_components, X.shape[1])
        return cls(np.zeros(shape), np.ones(shape), **settings)

    @classmethod
    def coordinates(cls, X: np.ndarray) -> np.ndarray:
        return np.concatenate([np.cos(X), np.sin(X)], axis=1)

    def domains(self, data) -> dict[str, Domain]:
        return {"locs": Circular(), "kappas": Positive(*KAPPAS)}
