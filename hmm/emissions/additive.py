"""Normal emissions whose mean is a sum of what several chains contribute, x_t ~ N(Σ_m W_m[z_t^m], Σ).

A state stands for one assignment of all chains, the last chain's state running fastest. The M-step is least
squares on indicators of the chains' states (Ghahramani & Jordan 1997, eq. 11-12), from the moments of each
state. What moves from one chain's means to another's leaves the sum as it is; the solution of least norm is
taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from hmm.coordinates import Covariances, Domain, Real
from hmm.emissions import matrix_normal
from hmm.emissions.base import Emission
from hmm.emissions.cells import Cells
from hmm.emissions.covariance import floored
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.statistics import Moments, Statistics
from hmm.simplex import NEGLIGIBLE
from hmm.validation import one_of, parameter
from msgpass.errors import DataError

COVARIANCE_TYPES = ("full", "diag", "spherical")


@dataclass(frozen=True, eq=False)
class Additive(Emission):
    """Normal distributions of D features over Π K_m states.

    Parameters
    ----------
    means : array, (Σ K_m, D)
        Contributions of the chains' states, chain after chain.
    covars : array, (D, D)
        One for all states.
    sizes : tuple of int
        States K_m of every chain.
    covariance_type : {"full", "diag", "spherical"}
    floor : float or array, (D,)
        Σ − diag(floor) is kept positive semi-definite by ``fit``.

    Examples
    --------
    >>> emission = Additive(np.array([[0.0], [1.0], [0.0], [10.0]]), np.eye(1), (2, 2))
    >>> emission.joint_means.ravel()
    array([ 0., 10.,  1., 11.])
    """

    means: np.ndarray
    covars: np.ndarray
    sizes: tuple[int, ...]
    covariance_type: str = "full"
    floor: float | np.ndarray = 0.0

    LETTERS: ClassVar[dict[str, str]] = {"m": "means", "c": "covars"}

    @cached_property
    def indicators(self) -> np.ndarray:
        """Which contributions each joint state adds up, (Π K_m, Σ K_m)."""
        states = np.indices(self.sizes).reshape(len(self.sizes), -1)
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        found = np.zeros((states.shape[1], sum(self.sizes)))
        for start, own in zip(starts, states, strict=True):
            found[np.arange(len(own)), start + own] = 1
        return found

    @property
    def joint_means(self) -> np.ndarray:
        """Means of all joint states, (Π K_m, D)."""
        return self.indicators @ self.means

    @property
    def normal(self) -> Gaussian:
        """The same as a tied normal over joint states."""
        return Gaussian(self.joint_means, self.covars, "tied")

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    def check(self, n_components: int) -> Additive:
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        D = np.shape(self.means)[-1] if np.ndim(self.means) else 0
        means = parameter("means_", self.means, (sum(self.sizes), D))
        covars = parameter("covars_", self.covars, (D, D))
        if not np.allclose(covars, covars.T) or np.linalg.eigvalsh(covars).min() <= 0:
            raise DataError("covars_ must be symmetric and positive definite")
        return replace(self, means=means, covars=covars)

    def prepare(self, X: np.ndarray) -> Cells:
        return Cells.of(X)

    def log_density(self, data: Cells) -> np.ndarray:
        return self.normal.log_density(data)

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.normal.sample(states, rng)

    def fit(self, data: Cells, weights: np.ndarray, params: str) -> Additive:
        if not set(params) & set(self.LETTERS):
            return self
        return self.from_statistics(self.statistics(data, weights), params)

    def statistics(self, data: Cells, weights: np.ndarray) -> Statistics:
        covars = np.broadcast_to(self.covars, (weights.shape[1], *self.covars.shape))
        return Statistics({"x": matrix_normal.about_mean(data, weights, self.joint_means, covars)})

    def from_statistics(self, statistics: Statistics, params: str) -> Additive:
        found: Moments = statistics["x"]
        means, mass = self.means, found.mass
        if mass.sum() <= NEGLIGIBLE:
            return self
        if "m" in params:
            weight = np.sqrt(mass)[:, None]
            means = np.linalg.lstsq(weight * self.indicators, weight * found.mean, rcond=None)[0]
        if "c" not in params:
            return replace(self, means=means)
        covars = found.about(self.indicators @ means).sum(axis=0) / mass.sum()
        if self.covariance_type == "spherical":
            covars = np.diag(np.full(len(covars), np.trace(covars) / len(covars)))
        elif self.covariance_type == "diag":
            covars = np.diag(np.diag(covars))
        return replace(self, means=means, covars=floored(covars, self.floor))

    def gradient(self, data: Cells, weights: np.ndarray) -> dict[str, np.ndarray]:
        slopes = self.normal.gradient(data, weights)
        return {"means": self.indicators.T @ slopes["means"], "covars": slopes["covars"]}

    def domains(self, data) -> dict[str, Domain]:
        covars: Domain = Covariances(self.floor, by_state=False)
        return {"means": Real(np.sqrt(np.diag(self.covars))), "covars": covars}

    def by_state(self, letter: str) -> bool:
        return False

    def n_parameters(self) -> dict[str, int]:
        D = self.means.shape[1]
        covars = {"full": D * (D + 1) // 2, "diag": D, "spherical": 1}[self.covariance_type]
        return {"m": (sum(self.sizes) - len(self.sizes) + 1) * D, "c": covars}
