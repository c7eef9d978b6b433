"""Normal emissions, x_t | k ~ N(μ_k, Σ_k), with spherical, diagonal, full or tied covariances.

Missing cells are integrated out: the density of a row is that of its observed cells, and the M-step takes the
conditional moments of the others. Σ_k is kept above a floor, and flooring its eigenvalues is the constrained
maximum, so EM stays monotone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from hmm.clustering import cluster
from hmm.coordinates import Covariances, Domain, Positive, Real
from hmm.emissions import diagonal_normal, matrix_normal
from hmm.emissions.base import Emission
from hmm.emissions.cells import Cells
from hmm.emissions.covariance import COVARIANCE_TYPES, check_covars, floored, spread
from hmm.emissions.gaussian_prior import GaussianPrior
from hmm.emissions.statistics import Moments, Statistics
from hmm.simplex import NEGLIGIBLE
from hmm.validation import one_of, parameter
from msgpass.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Gaussian(Emission):
    """Normal distributions of D features in K states.

    Parameters
    ----------
    means : array, (K, D)
    covars : array, (K,) spherical, (K, D) diag, (K, D, D) full, (D, D) tied
    covariance_type : {"spherical", "diag", "full", "tied"}
    floor : float or array, (D,)
        Σ_k − diag(floor) is kept positive semi-definite by ``fit``.
    prior : GaussianPrior

    Examples
    --------
    >>> emission = Gaussian(np.array([[0.0], [2.0]]), np.array([[1.0], [4.0]]))
    >>> data = emission.prepare(np.array([[0.0], [np.nan]]))
    >>> emission.log_density(data).round(4) + 0.0
    array([[-0.9189, -2.1121],
           [ 0.    ,  0.    ]])
    """

    means: np.ndarray
    covars: np.ndarray
    covariance_type: str = "diag"
    floor: float | np.ndarray = 0.0
    prior: GaussianPrior = field(default_factory=GaussianPrior)

    LETTERS: ClassVar[dict[str, str]] = {"m": "means", "c": "covars"}

    @classmethod
    def start(
        cls,
        X: np.ndarray,
        n_components: int,
        rng: np.random.Generator,
        covariance_type: str,
        floor: np.ndarray,
    ) -> Gaussian:
        """Means of clusters; the covariance of all data for every state, wide enough to reach everything."""
        seen = np.isfinite(X)
        overall = np.where(seen, X, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        rows = np.where(seen, X, overall)
        centred = rows - overall
        covariance = centred.T @ centred / len(X) + np.diag(floor)
        labels = cluster(rows, n_components, rng)
        member = (labels == np.arange(n_components)[:, None]).astype(float)
        size = member.sum(axis=1, keepdims=True)
        scale = np.sqrt(np.diag(covariance))
        means = np.where(size > 0, member @ rows / np.maximum(size, 1), overall)
        # States that got no cluster of their own must differ, or EM keeps them alike.
        means = means + 0.01 * scale * rng.standard_normal(means.shape)
        return cls(means, spread(covariance, covariance_type, n_components), covariance_type, floor)

    @property
    def matrices(self) -> bool:
        """Whether features are correlated given the state."""
        return self.covariance_type in ("full", "tied")

    def check(self, n_components: int) -> Gaussian:
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        D = np.shape(self.means)[-1] if np.ndim(self.means) else 0
        means = parameter("means_", self.means, (n_components, D))
        covars = check_covars(self.covars, self.covariance_type, n_components, D)
        return replace(
            self, means=means, covars=covars, prior=self.prior.check(n_components, D, self.matrices)
        )

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    def prepare(self, X: np.ndarray) -> Cells:
        return Cells.of(X)

    def log_density(self, data: Cells) -> np.ndarray:
        if self.matrices:
            return matrix_normal.log_density(data, self.means, self._stacked())
        return diagonal_normal.log_density(data, self.means, self._stacked())

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((len(states), self.means.shape[1]))
        if not self.matrices:
            return self.means[states] + np.sqrt(self._stacked())[states] * noise
        return self.means[states] + np.einsum(
            "nij,nj->ni", np.linalg.cholesky(self._stacked())[states], noise
        )

    def fit(self, data: Cells, weights: np.ndarray, params: str) -> Gaussian:
        if not set(params) & set(self.LETTERS):
            return self
        return self.from_statistics(self.statistics(data, weights), params)

    def statistics(self, data: Cells, weights: np.ndarray) -> Statistics:
        if self.matrices:
            found = matrix_normal.about_mean(data, weights, self.means, self._stacked())
        else:
            found = diagonal_normal.about_mean(data, weights, self.means)
        return Statistics({"x": found})

    def from_statistics(self, statistics: Statistics, params: str) -> Gaussian:
        if not set(params) & set(self.LETTERS):
            return self
        fitted = self._fit_matrices if self.matrices else self._fit_variances
        return fitted(statistics["x"], params)

    def gradient(self, data: Cells, weights: np.ndarray) -> dict[str, np.ndarray]:
        if not self.matrices:
            slopes = diagonal_normal.gradient(data, weights, self.means, self._stacked())
            if self.covariance_type == "spherical":
                return {"means": slopes[0], "covars": slopes[1].sum(axis=1)}
        else:
            slopes = matrix_normal.gradient(data, weights, self.means, self._stacked())
            if self.covariance_type == "tied":
                return {"means": slopes[0], "covars": slopes[1].sum(axis=0)}
        return {"means": slopes[0], "covars": slopes[1]}

    def n_parameters(self) -> dict[str, int]:
        K, D = self.means.shape
        covars = {"spherical": K, "diag": K * D, "full": K * D * (D + 1) // 2, "tied": D * (D + 1) // 2}
        return {"m": K * D, "c": covars[self.covariance_type]}

    def log_prior(self) -> float:
        if self.prior.flat:
            return 0.0
        p, D = self.prior, self.means.shape[1]
        weight, gap = np.broadcast_to(p.means_weight, self.means.shape), self.means - p.means_prior
        covars = self._stacked()
        if not self.matrices:
            pulled = (weight * gap**2 + p.covars_prior) / covars
            return -0.5 * float(np.sum(pulled + max(p.covars_weight - 1, 0) * np.log(covars)))
        precision, (_, logdet) = np.linalg.inv(covars), np.linalg.slogdet(covars)
        far = np.sum(weight[:, 0] * np.einsum("ki,kij,kj->k", gap, precision, gap))
        kinds = slice(0, 1) if self.covariance_type == "tied" else slice(None)
        trace = np.sum(
            precision[kinds] * np.swapaxes(np.broadcast_to(p.covars_prior, covars.shape)[kinds], 1, 2)
        )
        return -0.5 * float(far + trace + max(p.covars_weight - D, 0) * logdet[kinds].sum())

    def prior_gradient(self) -> dict[str, np.ndarray]:
        if self.prior.flat:
            return {}
        p, D, covars = self.prior, self.means.shape[1], self._stacked()
        weight, gap = np.broadcast_to(p.means_weight, self.means.shape), self.means - p.means_prior
        if not self.matrices:
            pulled, extra = weight * gap**2 + p.covars_prior, max(p.covars_weight - 1, 0)
            slope = 0.5 * (pulled / covars - extra) / covars
            by_type = slope.sum(axis=1) if self.covariance_type == "spherical" else slope
            return {"means": -weight * gap / covars, "covars": by_type}
        precision, kinds = np.linalg.inv(covars), 1 if self.covariance_type == "tied" else len(covars)
        pull = np.einsum("kij,kj->ki", precision, gap)
        slope = 0.5 * weight[:, :1, None] * pull[:, :, None] * pull[:, None, :]
        own, toward = precision[:kinds], np.broadcast_to(p.covars_prior, covars.shape)[:kinds]
        slope[:kinds] += 0.5 * (own @ toward @ own - max(p.covars_weight - D, 0) * own)
        return {
            "means": -weight[:, :1] * pull,
            "covars": slope.sum(axis=0) if self.covariance_type == "tied" else slope,
        }

    def domains(self, data) -> dict[str, Domain]:
        unit = np.sqrt(np.diagonal(self._stacked(), axis1=1, axis2=2) if self.matrices else self._stacked())
        if self.matrices:
            covars: Domain = Covariances(self.floor, by_state=self.covariance_type != "tied")
        else:
            covars = Positive(
                float(np.mean(self.floor)) if self.covariance_type == "spherical" else self.floor
            )
        return {"means": Real(unit), "covars": covars}

    def by_state(self, letter) -> bool:
        return letter != "c" or self.covariance_type != "tied"

    def with_states(self, letter, other, states, sources=None) -> Gaussian:
        if letter != "c" or self.covariance_type != "tied":
            return super().with_states(letter, other, states, sources)
        if sources is None and not states.all():
            raise UnsupportedError(
                "a tied covariance belongs to all states together: freeze it in all of them, or in none"
            )
        return replace(self, covars=other.covars)

    # -- the four structures ----------------------------------------------------------------------------

    def _stacked(self) -> np.ndarray:
        """One variance a cell, (K, D), or one matrix a state, (K, D, D)."""
        K, D = self.means.shape
        if self.covariance_type == "spherical":
            return np.repeat(self.covars[:, None], D, axis=1)
        return np.broadcast_to(self.covars, (K, D, D)) if self.covariance_type == "tied" else self.covars

    def _fit_variances(self, found: Moments, params: str) -> Gaussian:
        p, means = self.prior, self.means
        if "m" in params:
            total = found.mass + p.means_weight
            known = total > NEGLIGIBLE
            drawn = p.means_weight * (p.means_prior - found.mean) / np.where(known, total, 1)
            means = np.where(known, found.mean + drawn, means)
        if "c" not in params:
            return replace(self, means=means)
        scatter = found.about(means) + p.means_weight * (means - p.means_prior) ** 2 + p.covars_prior
        mass = found.mass + max(p.covars_weight - 1, 0)
        floor: float | np.ndarray = self.floor
        if self.covariance_type == "spherical":
            scatter, mass, floor = scatter.sum(axis=1), mass.sum(axis=1), float(np.mean(floor))
        known = mass > NEGLIGIBLE
        covars = np.where(known, np.maximum(scatter / np.where(known, mass, 1), floor), self.covars)
        return replace(self, means=means, covars=covars)

    def _fit_matrices(self, found: Moments, params: str) -> Gaussian:
        p, (K, D) = self.prior, self.means.shape
        mass, means = found.mass, self.means
        pull = np.broadcast_to(p.means_weight, (K, D))[:, 0]
        if "m" in params:
            known = (mass + pull > NEGLIGIBLE)[:, None]
            share = (pull / np.where(known[:, 0], mass + pull, 1))[:, None]
            means = np.where(known, found.mean + share * (p.means_prior - found.mean), means)
        if "c" not in params:
            return replace(self, means=means)
        off = means - p.means_prior
        scatter = found.about(means) + pull[:, None, None] * off[:, :, None] * off[:, None, :]
        extra = max(p.covars_weight - D, 0)
        if self.covariance_type == "tied":
            if mass.sum() + extra <= NEGLIGIBLE:
                return replace(self, means=means)
            covars = floored((scatter.sum(axis=0) + p.covars_prior) / (mass.sum() + extra), self.floor)
            return replace(self, means=means, covars=covars)
        known = (mass + extra > NEGLIGIBLE)[:, None, None]
        total = np.where(known, (mass + extra)[:, None, None], 1)
        return replace(
            self,
            means=means,
            covars=np.where(known, floored((scatter + p.covars_prior) / total, self.floor), self.covars),
        )
