"""Student t emissions: x_td | k = μ + σ·t with ν degrees of freedom, so that outliers cost little.

A t variable is a normal one whose precision is drawn, E[precision | x] = (ν + 1)/(ν + δ²) with δ = (x − μ)/σ.
The M-step takes weighted moments with it (PX-EM: Liu, Rubin & Wu 1998), then ν at the maximum of the t
likelihood itself (ECME: Liu & Rubin 1995). It raises the likelihood; iterations of EM bring it to the
maximum. The latter has no finite statistics: from sums over batches, ν maximises the expected log density of
the precisions in place of it, which rises, too, if more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import digamma, gammaln

from hmm.coordinates import Domain, Positive, Real
from hmm.emissions.columns import Columns
from hmm.emissions.independent import (
    ABOVE_ZERO,
    REAL,
    Independent,
    Range,
    column_means,
    least_variance,
    least_variance_of,
    least_variances,
)
from hmm.emissions.roots import falling_root
from hmm.emissions.statistics import Moments, Part, Spread, Statistics, Sums

DOFS = (0.2, 1e3)
"""Where ``fit`` looks for degrees of freedom: from tails far beyond Cauchy's to as good as normal."""


@dataclass(frozen=True, eq=False)
class StudentT(Independent):
    """Student t distributions of D features in K states.

    Parameters
    ----------
    locs, scales, dofs : array, (K, D)

    Examples
    --------
    >>> emission = StudentT(np.array([[0.0]]), np.array([[1.0]]), np.array([[1.0]]))
    >>> np.exp(emission.log_density(emission.prepare(np.array([[0.0], [np.nan]])))).round(4)
    array([[0.3183],
           [1.    ]])
    """

    locs: np.ndarray
    scales: np.ndarray
    dofs: np.ndarray

    LETTERS: ClassVar[dict[str, str]] = {"l": "locs", "c": "scales", "d": "dofs"}
    RANGES: ClassVar[dict[str, Range]] = {"locs": REAL, "scales": ABOVE_ZERO, "dofs": ABOVE_ZERO}

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        return _log_density(x, *(v[:, d, None] for v in (self.locs, self.scales, self.dofs)))

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        loc, scale, dof = (v[:, d, None] for v in (self.locs, self.scales, self.dofs))
        gap = (x - loc) / scale
        precision = (dof + 1) / (dof + gap**2)
        return {
            "locs": precision * gap / scale,
            "scales": (precision * gap**2 - 1) / scale,
            "dofs": _slope_of_dof(gap**2, dof),
        }

    def maximise(self, x: np.ndarray, weights: np.ndarray, d: int, params: str) -> dict[str, np.ndarray]:
        locs, scales, dofs = self.locs[:, d], self.scales[:, d], self.dofs[:, d]
        gap = (x - locs[:, None]) / scales[:, None]
        own = weights * (dofs[:, None] + 1) / (dofs[:, None] + gap**2)
        if "l" in params:
            locs = own @ x / own.sum(axis=1)
        if "c" in params:
            variance = np.einsum("kn,kn->k", own, (x - locs[:, None]) ** 2) / own.sum(axis=1)
            scales = np.sqrt(np.maximum(variance, least_variance(x)))
        if "d" in params:
            dofs = self._best_dofs(x, weights, locs, scales, dofs)
        return {"locs": locs, "scales": scales, "dofs": dofs}

    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        loc, scale, dof = (v[:, d, None] for v in (self.locs, self.scales, self.dofs))
        rate = (dof + ((x - loc) / scale) ** 2) / 2
        own = weights * (dof + 1) / (2 * rate)
        logs = np.einsum("kn,kn->k", weights, digamma((dof + 1) / 2) - np.log(rate))
        return {"x": Moments.of(x, own), "log": Sums(logs), "overall": Spread.of(x[:, None])}

    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        x, mass = found["x"], found["mass"].values
        locs, scales, dofs = self.locs[:, d], self.scales[:, d], self.dofs[:, d]
        precision, log_precision = x.mass / mass, found["log"].values / mass
        if "l" in params:
            locs = x.mean
        if "c" in params:
            scales = np.sqrt(np.maximum(x.about(locs) / x.mass, least_variance_of(found["overall"])))
            # The mean precision is a free parameter of PX-EM, and goes into the scale.
            log_precision, precision = log_precision - np.log(precision), np.ones(len(mass))
        if "d" in params:
            low, high = (np.full(len(mass), end) for end in DOFS)
            gap = 1 + log_precision - precision
            dofs = falling_root(lambda v: np.log(v / 2) - digamma(v / 2) + gap, low, high)
        return {"locs": locs, "scales": scales, "dofs": dofs}

    @staticmethod
    def _best_dofs(
        x: np.ndarray, weights: np.ndarray, locs: np.ndarray, scales: np.ndarray, dofs: np.ndarray
    ) -> np.ndarray:
        """Degrees of freedom where the slope is zero, if they are better than those before: the likelihood
        need not have one maximum only."""
        squared = ((x - locs[:, None]) / scales[:, None]) ** 2
        low, high = (np.full(len(dofs), end) for end in DOFS)
        mass = weights.sum(axis=1)
        found = falling_root(
            lambda v: np.einsum("kn,kn->k", weights, _slope_of_dof(squared, v[:, None])) / mass, low, high
        )
        before, after = (
            np.einsum("kn,kn->k", weights, _log_density(x, locs[:, None], scales[:, None], v[:, None]))
            for v in (dofs, found)
        )
        return np.where(after >= before, found, dofs)

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.locs[states] + self.scales[states] * rng.standard_t(self.dofs[states])

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> StudentT:
        locs = column_means(X, n_components, 0.0)
        scales = np.sqrt(column_means((X - locs[0]) ** 2, n_components))
        return cls(locs, np.where(scales > 0, scales, 1.0), np.full(locs.shape, 10.0), **settings)

    def domains(self, data: Columns) -> dict[str, Domain]:
        return {
            "locs": Real(self.scales),
            "scales": Positive(np.sqrt(least_variances(data))),
            "dofs": Positive(*DOFS),
        }


def _log_density(x: np.ndarray, loc: np.ndarray, scale: np.ndarray, dof: np.ndarray) -> np.ndarray:
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * np.log(np.pi * dof) - np.log(scale)
    return constant - (dof + 1) / 2 * np.log1p(((x - loc) / scale) ** 2 / dof)


def _slope_of_dof(squared: np.ndarray, dof: np.ndarray) -> np.ndarray:
    """∂log p/∂ν for squared gaps δ²."""
    constant = digamma((dof + 1) / 2) - digamma(dof / 2) - 1 / dof
    return 0.5 * (constant - np.log1p(squared / dof) + (dof + 1) * squared / (dof * (dof + squared)))
