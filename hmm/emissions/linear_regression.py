"""Linear regression on covariates: y_tm | k, u_t ~ N(a_km + b_km · u_t, σ²_km), responses independent given
state and covariates.

The weighted maximum is weighted least squares. A missing response is left out; what covariates are there is
nobody's likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from hmm.coordinates import Domain, Positive, Real
from hmm.emissions.base import Emission
from hmm.emissions.design import Design, regimes
from hmm.emissions.diagonal_normal import LOG_2PI
from hmm.emissions.independent import least_variance, least_variance_of
from hmm.emissions.least_squares import regression
from hmm.emissions.statistics import Spread, Statistics, Sums, Triangle
from hmm.simplex import NEGLIGIBLE
from hmm.validation import parameter
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class LinearRegression(Emission):
    """Regressions of M responses on P covariates in K states; a row of X is [responses, covariates].

    Parameters
    ----------
    coef : array, (K, M, P)
    intercept : array, (K, M)
    covars : array, (K, M)
        Variances of the noise.
    inputs : array, (n, P), optional
        Covariates to sample with.

    Examples
    --------
    >>> emission = LinearRegression(np.array([[[2.0]]]), np.array([[1.0]]), np.array([[1.0]]))
    >>> emission.log_density(emission.prepare(np.array([[5.0, 2.0], [np.nan, 2.0]]))).round(4) + 0.0
    array([[-0.9189],
           [ 0.    ]])
    """

    coef: np.ndarray
    intercept: np.ndarray
    covars: np.ndarray
    inputs: np.ndarray | None = None

    LETTERS: ClassVar[dict[str, str]] = {"b": "coef", "i": "intercept", "c": "covars"}

    @classmethod
    def start(cls, X: np.ndarray, n_components: int, n_targets: int, rng: np.random.Generator) -> Self:
        """Fitted to stretches of time that look alike."""
        K, M, P = n_components, n_targets, X.shape[1] - n_targets
        flat = cls(np.zeros((K, M, P)), np.zeros((K, M)), np.ones((K, M)))
        return flat.fit(flat.prepare(X), regimes(X, M, K, rng), "bic")

    def check(self, n_components: int) -> Self:
        given = np.asarray(self.coef)
        M, P = given.shape[1:] if given.ndim == 3 else (1, given.shape[-1] if given.ndim else 0)
        coef = parameter("coef_", given[:, None] if given.ndim == 2 else given, (n_components, M, P))
        intercept, covars = (
            parameter(f"{name}_", value[:, None] if value.ndim == 1 else value, (n_components, M))
            for name, value in (
                ("intercept", np.asarray(self.intercept)),
                ("covars", np.asarray(self.covars)),
            )
        )
        if (covars <= 0).any():
            raise DataError(f"covars_ holds {covars.min():.6g}; variances are above zero")
        return replace(self, coef=coef, intercept=intercept, covars=covars)

    @property
    def n_features(self) -> int:
        return self.coef.shape[1] + self.coef.shape[2]

    def prepare(self, X: np.ndarray) -> Design:
        return Design.of(X, self.coef.shape[1])

    def _gaps(self, data: Design) -> np.ndarray:
        """y − a − b·u, (K, T, M), 0 where missing."""
        means = data.covariates @ np.swapaxes(self.coef, 1, 2) + self.intercept[:, None]
        return np.where(data.observed, data.responses - means, 0.0)

    def log_density(self, data: Design) -> np.ndarray:
        gaps = self._gaps(data)
        gaps *= gaps
        density = np.einsum("ktm,km->kt", gaps, -0.5 / self.covars)
        density -= 0.5 * (LOG_2PI + np.log(self.covars)) @ data.observed.T
        return density.T

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.inputs is None or len(self.inputs) != len(states):
            raise DataError(f"sampling {len(states)} responses needs as many rows of covariates")
        means = np.einsum("nmp,np->nm", self.coef[states], self.inputs) + self.intercept[states]
        noise = rng.standard_normal(means.shape) * np.sqrt(self.covars[states])
        return np.concatenate([means + noise, self.inputs], axis=1)

    def fit(self, data: Design, weights: np.ndarray, params: str) -> Self:
        if not set(params) & set(self.LETTERS):
            return self
        return self.from_statistics(self.statistics(data, weights), params)

    def statistics(self, data: Design, weights: np.ndarray) -> Statistics:
        found, ones = {}, np.ones((len(data.covariates), 1))
        for m in range(self.coef.shape[1]):
            seen = data.observed[:, m]
            own, y = weights[seen].T, data.responses[:, m, None]
            rows = np.concatenate([ones, data.covariates, y], axis=1)[seen]
            parts = {
                "mass": Sums(own.sum(axis=1)),
                "rows": Triangle.of(rows, own),
                "overall": Spread.of(y[seen]),
            }
            found[f"{m}."] = Statistics(parts)
        return Statistics.joined(found)

    def from_statistics(self, statistics: Statistics, params: str) -> Self:
        if not set(params) & set(self.LETTERS):
            return self
        coef, intercept, covars = self.coef.copy(), self.intercept.copy(), self.covars.copy()
        free = np.array(["i" in params, *["b" in params] * coef.shape[2]])
        for m in range(coef.shape[1]):
            own = statistics.under(f"{m}.")
            least, count = least_variance_of(own["overall"]), float(own["overall"].count[0])
            for k, mass in enumerate(own["mass"].values):
                if mass <= NEGLIGIBLE:
                    continue
                theta = np.append(intercept[k, m], coef[k, m])
                theta, left = regression(own["rows"].factor[k], theta, free, count)
                intercept[k, m], coef[k, m] = theta[0], theta[1:]
                if "c" in params:
                    covars[k, m] = max(left / mass, least)
        return replace(self, coef=coef, intercept=intercept, covars=covars)

    def gradient(self, data: Design, weights: np.ndarray) -> dict[str, np.ndarray]:
        gaps = self._gaps(data)
        pull = gaps * weights.T[:, :, None] / self.covars[:, None]
        squares = np.einsum("ktm,tk->km", gaps**2, weights)
        mass = weights.T @ data.observed
        return {
            "coef": np.einsum("ktm,tp->kmp", pull, data.covariates),
            "intercept": pull.sum(axis=1),
            "covars": 0.5 * (squares / self.covars - mass) / self.covars,
        }

    def n_parameters(self) -> dict[str, int]:
        return {letter: getattr(self, name).size for letter, name in self.LETTERS.items()}

    def domains(self, data: Design) -> dict[str, Domain]:
        least = [
            least_variance(y[seen]) if seen.any() else 0.0
            for y, seen in zip(data.responses.T, data.observed.T, strict=True)
        ]
        noise, sizes = np.sqrt(self.covars), data.covariate_sizes
        return {
            "coef": Real(noise[:, :, None] / sizes),
            "intercept": Real(noise),
            "covars": Positive(np.array(least)),
        }
