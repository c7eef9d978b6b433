"""Mixtures of normal distributions: p(x_t | k) = Σ_m w_km N(x_t; μ_km, Σ_km).

Each state's components are a :class:`~hmm.emissions.gaussian.Gaussian`; the M-step fits it with the weights
of rows shared out by p(m | x_t, k).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from scipy.special import logsumexp

from hmm.coordinates import Covariances, Domain, Positive, Real, Rows
from hmm.emissions.base import Emission
from hmm.emissions.cells import Cells
from hmm.emissions.covariance import spread
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.gaussian_prior import GaussianPrior
from hmm.emissions.mixture_start import grouped_clusters
from hmm.emissions.statistics import Statistics, Sums
from hmm.simplex import dirichlet_log_density, dirichlet_slope, log, normalised
from hmm.validation import parameter, prior, probabilities

STACKED = {"spherical": 2, "diag": 3, "full": 4, "tied": 3}
"""Axes of covariances that are given for every state."""


@dataclass(frozen=True, eq=False)
class GaussianMixture(Emission):
    """Mixtures of M normal distributions in K states.

    Parameters
    ----------
    weights : array, (K, M)
    means : array, (K, M, D)
    covars : array, (K, M) spherical, (K, M, D) diag, (K, M, D, D) full, (K, D, D) tied within a state
    covariance_type : {"spherical", "diag", "full", "tied"}
    floor : float or array, (D,)
        Least variance, as in :class:`~hmm.emissions.gaussian.Gaussian`.
    concentration : float or array that broadcasts to (K, M)
        Of a Dirichlet prior on the weights; 1 is maximum likelihood.
    prior : GaussianPrior
        On means and covariances: numbers, or arrays for all components, with (K, M) of ``means_weight``.

    Examples
    --------
    >>> emission = GaussianMixture(
    ...     np.array([[0.5, 0.5]]), np.array([[[-1.0], [1.0]]]), np.array([[[1.0], [1.0]]])
    ... )
    >>> emission.log_density(emission.prepare(np.array([[0.0], [np.nan]]))).round(4) + 0.0
    array([[-1.4189],
           [ 0.    ]])
    """

    weights: np.ndarray
    means: np.ndarray
    covars: np.ndarray
    covariance_type: str = "diag"
    floor: float | np.ndarray = 0.0
    concentration: float | np.ndarray = 1.0
    prior: GaussianPrior = field(default_factory=GaussianPrior)

    LETTERS: ClassVar[dict[str, str]] = {"m": "means", "c": "covars", "w": "weights"}

    @classmethod
    def start(
        cls,
        X: np.ndarray,
        n_components: int,
        n_mix: int,
        rng: np.random.Generator,
        covariance_type: str,
        floor: np.ndarray,
    ) -> GaussianMixture:
        """Clusters, those of a state together; one covariance for all components."""
        K, M = n_components, n_mix
        means, covariance = grouped_clusters(X, K, M, rng, floor)
        covars = np.repeat(spread(covariance, covariance_type, M)[None], K, axis=0)
        return cls(np.full((K, M), 1 / M), means, covars, covariance_type, floor)

    def check(self, n_components: int) -> GaussianMixture:
        M = np.shape(self.weights)[-1] if np.ndim(self.weights) else 0
        D = np.shape(self.means)[-1] if np.ndim(self.means) else 0
        weights = probabilities("weights_", self.weights, (n_components, M))
        means = parameter("means_", self.means, (n_components, M, D))
        shape = {"spherical": (M,), "diag": (M, D), "full": (M, D, D), "tied": (D, D)}
        one = shape.get(self.covariance_type, ())
        covars = parameter(f"covars_ of type {self.covariance_type!r}", self.covars, (n_components, *one))
        concentration = prior("weights_prior", self.concentration, (n_components, M), positive=True)
        checked = replace(self, weights=weights, means=means, covars=covars, concentration=concentration)
        for part in checked.states():
            part.check(M)
        return checked

    @property
    def n_features(self) -> int:
        return self.means.shape[2]

    def states(self) -> list[Gaussian]:
        """The components of each state as normal emissions."""
        return [
            Gaussian(
                self.means[k],
                self.covars[k],
                self.covariance_type,
                self.floor,
                self._prior(k).check(M, D, mat),
            )
            for (M, D), mat in [(self.means.shape[1:], self.covariance_type in ("full", "tied"))]
            for k in range(len(self.means))
        ]

    def _prior(self, k: int) -> GaussianPrior:
        p = self.prior
        weight = np.asarray(p.means_weight)
        return replace(
            p,
            means_prior=_of_state(p.means_prior, k, 3),
            means_weight=np.broadcast_to(weight, self.means.shape[:2])[k, :, None] if weight.ndim else weight,
            covars_prior=_of_state(p.covars_prior, k, STACKED.get(self.covariance_type, 0)),
        )

    def prepare(self, X: np.ndarray) -> Cells:
        return Cells.of(X)

    def _joint(self, data: Cells) -> np.ndarray:
        """log w_km N(x_t; μ_km, Σ_km), (K, M, T)."""
        parts = np.stack([part.log_density(data).T for part in self.states()])
        return parts + log(self.weights)[:, :, None]

    def log_density(self, data: Cells) -> np.ndarray:
        return logsumexp(self._joint(data), axis=1).T

    def responsibilities(self, data: Cells) -> np.ndarray:
        """p(m | x_t, k), (K, M, T); that of a missing row are the weights."""
        joint = self._joint(data)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D)."""
        return np.einsum("km,kmd->kd", self.weights, self.means)

    def variance(self) -> np.ndarray:
        """Var[x_d | k], (K, D): within components, and between them."""
        K, M, D = self.means.shape
        if self.covariance_type in ("full", "tied"):
            shared = self.covars if self.covariance_type == "full" else self.covars[:, None]
            within = np.diagonal(np.broadcast_to(shared, (K, M, D, D)), axis1=2, axis2=3)
        else:
            within = np.broadcast_to(self.covars.reshape(K, M, -1), (K, M, D))
        between = (self.means - self.mean()[:, None]) ** 2
        return np.einsum("km,kmd->kd", self.weights, within + between)

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cdf = np.cumsum(self.weights, axis=1)
        mixed = (rng.random(len(states))[:, None] * cdf[states, -1:] >= cdf[states]).sum(axis=1)
        X = np.empty((len(states), self.n_features))
        for k, part in enumerate(self.states()):
            X[states == k] = part.sample(mixed[states == k], rng)
        return X

    def fit(self, data: Cells, weights: np.ndarray, params: str) -> GaussianMixture:
        if not set(params) & set(self.LETTERS):
            return self
        return self.from_statistics(self.statistics(data, weights), params)

    def statistics(self, data: Cells, weights: np.ndarray) -> Statistics:
        shares = self.responsibilities(data)
        shares *= weights.T[:, None]
        parts = zip(self.states(), shares, strict=True)
        components = Statistics.stacked([part.statistics(data, share.T) for part, share in parts])
        counts = Statistics({"": Sums((shares * data.some).sum(axis=2))})
        return Statistics.joined({"counts": counts, "component.": components})

    def from_statistics(self, statistics: Statistics, params: str) -> GaussianMixture:
        if not set(params) & set(self.LETTERS):
            return self
        found = statistics.under("component.")
        parts = [part.from_statistics(found.row(k), params) for k, part in enumerate(self.states())]
        mixing = self.weights
        if "w" in params:
            mixing = normalised(statistics["counts"].values, self.concentration, self.weights)
        return replace(
            self,
            weights=mixing,
            means=np.stack([part.means for part in parts]),
            covars=np.stack([part.covars for part in parts]),
        )

    def gradient(self, data: Cells, weights: np.ndarray) -> dict[str, np.ndarray]:
        shares = self.responsibilities(data) * weights.T[:, None]
        slopes = [part.gradient(data, share.T) for part, share in zip(self.states(), shares, strict=True)]
        counts = (shares * data.some).sum(axis=2)
        nothing = (weights.T * (1 - data.some)).sum(axis=1, keepdims=True)  # log Σ_m w_km of missing rows
        return {
            "means": np.stack([slope["means"] for slope in slopes]),
            "covars": np.stack([slope["covars"] for slope in slopes]),
            "weights": np.divide(counts, self.weights, out=np.zeros_like(counts), where=counts > 0) + nothing,
        }

    def n_parameters(self) -> dict[str, int]:
        K, M, D = self.means.shape
        covars = {"spherical": M, "diag": M * D, "full": M * D * (D + 1) // 2, "tied": D * (D + 1) // 2}
        return {"m": K * M * D, "c": K * covars[self.covariance_type], "w": K * (M - 1)}

    def log_prior(self) -> float:
        mixing = dirichlet_log_density(self.weights, self.concentration)
        return mixing + sum(part.log_prior() for part in self.states())

    def prior_gradient(self) -> dict[str, np.ndarray]:
        mixing = {"weights": dirichlet_slope(self.weights, self.concentration)}
        parts = [part.prior_gradient() for part in self.states()]
        return mixing | {name: np.stack([part[name] for part in parts]) for name in parts[0]}

    def domains(self, data) -> dict[str, Domain]:
        parts = [part.domains(data) for part in self.states()]
        units = np.stack([part["means"].unit for part in parts if isinstance(part["means"], Real)])
        covars: Domain = Covariances(self.floor)
        if self.covariance_type in ("spherical", "diag"):
            covars = Positive(
                float(np.mean(self.floor)) if self.covariance_type == "spherical" else self.floor
            )
        return {"means": Real(units), "covars": covars, "weights": Rows(self.concentration)}


def _of_state(value, k: int, axes: int):
    """A number for all, or row k of what is given for every state."""
    array = np.asarray(value, np.float64)
    return array[k] if array.ndim == axes else array
