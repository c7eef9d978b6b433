"""Normal emissions, x_t | k ~ N(μ_k, Σ_k), with spherical, diagonal, full or tied covariances.

Missing cells are integrated out: the density of a row is that of its observed cells, and the M-step takes the
conditional moments of the others. Σ_k is kept above a floor, and flooring its eigenvalues is the constrained
maximum, so EM stays monotone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hmm.clustering import cluster
from hmm.emissions import diagonal_normal, matrix_normal
from hmm.emissions.base import Emission
from hmm.emissions.cells import Cells
from hmm.simplex import NEGLIGIBLE
from hmm.validation import one_of, parameter, prior
from msgpass.errors import DataError

COVARIANCE_TYPES = ("spherical", "diag", "full", "tied")

RELATIVE_FLOOR = 1e-6
"""Least variance of a state, as a share of the feature's variance, where the user set none."""


@dataclass(frozen=True, eq=False)
class GaussianPrior:
    """hmmlearn's prior on means and covariances; the defaults add nothing, which is maximum likelihood.

    The M-step maximises Q − ½ Σ_k [w (μ_k − m)ᵀ Σ_k⁻¹ (μ_k − m) + tr(Σ_k⁻¹ P) + ν log |Σ_k|] with m =
    ``means_prior``, w = ``means_weight``, P = ``covars_prior`` (a number p stands for p·I) and ν =
    max(``covars_weight`` − 1, 0) for spherical and diagonal covariances, max(``covars_weight`` − D, 0) for
    full and tied ones.
    """

    means_prior: float | np.ndarray = 0.0
    means_weight: float | np.ndarray = 0.0
    covars_prior: float | np.ndarray = 0.0
    covars_weight: float = 1.0

    @property
    def flat(self) -> bool:
        """Whether this is maximum likelihood."""
        return not np.any(self.means_weight) and not np.any(self.covars_prior) and self.covars_weight <= 1

    def check(self, n_components: int, n_features: int, matrices: bool) -> GaussianPrior:
        """Itself with arrays, or a typed error."""
        shape = (n_components, n_features)
        means = np.asarray(self.means_prior, np.float64)
        prior("means_prior", np.abs(means), shape)
        weights = prior("means_weight", self.means_weight, shape)
        if weights.ndim == 2 and weights.shape[1] > 1 and matrices:
            raise DataError(
                "means_weight must be a number or have shape (n_components, 1) with full and tied covariances"
            )
        covars = prior("covars_prior", np.abs(self.covars_prior), (*shape, n_features) if matrices else shape)
        if matrices and covars.ndim < 2:
            given = np.asarray(self.covars_prior) * np.eye(n_features)
        else:
            given = np.asarray(self.covars_prior, np.float64)
        weight = float(prior("covars_weight", self.covars_weight, ()))
        return GaussianPrior(means, weights, given, weight)


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
    prior: GaussianPrior = GaussianPrior()

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
        covars = {
            "spherical": lambda: np.full(n_components, np.diag(covariance).mean()),
            "diag": lambda: np.tile(np.diag(covariance), (n_components, 1)),
            "full": lambda: np.tile(covariance, (n_components, 1, 1)),
            "tied": lambda: covariance,
        }[covariance_type]()
        return cls(means, covars, covariance_type, floor)

    def floored_at(self, floor: np.ndarray) -> Gaussian:
        """The same distributions, to be kept above another floor."""
        return replace(self, floor=floor)

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
        return (
            self._fit_matrices(data, weights, params)
            if self.matrices
            else self._fit_variances(data, weights, params)
        )

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
            spread = (weight * gap**2 + p.covars_prior) / covars
            return -0.5 * float(np.sum(spread + max(p.covars_weight - 1, 0) * np.log(covars)))
        precision, (_, logdet) = np.linalg.inv(covars), np.linalg.slogdet(covars)
        far = np.sum(weight[:, 0] * np.einsum("ki,kij,kj->k", gap, precision, gap))
        kinds = slice(0, 1) if self.covariance_type == "tied" else slice(None)
        trace = np.sum(
            precision[kinds] * np.swapaxes(np.broadcast_to(p.covars_prior, covars.shape)[kinds], 1, 2)
        )
        return -0.5 * float(far + trace + max(p.covars_weight - D, 0) * logdet[kinds].sum())

    # -- the four structures ----------------------------------------------------------------------------

    def _stacked(self) -> np.ndarray:
        """One variance a cell, (K, D), or one matrix a state, (K, D, D)."""
        K, D = self.means.shape
        if self.covariance_type == "spherical":
            return np.repeat(self.covars[:, None], D, axis=1)
        return np.broadcast_to(self.covars, (K, D, D)) if self.covariance_type == "tied" else self.covars

    def _fit_variances(self, data: Cells, weights: np.ndarray, params: str) -> Gaussian:
        p = self.prior
        mass, sums = diagonal_normal.moments(data, weights)
        means = self.means
        if "m" in params:
            known = mass + p.means_weight > NEGLIGIBLE
            pulled = sums + p.means_weight * p.means_prior
            means = np.where(known, pulled / np.where(known, mass + p.means_weight, 1), means)
        if "c" not in params:
            return replace(self, means=means)
        scatter = diagonal_normal.scatter(data, weights, means)
        scatter = scatter + p.means_weight * (means - p.means_prior) ** 2 + p.covars_prior
        mass = mass + max(p.covars_weight - 1, 0)
        floor: float | np.ndarray = self.floor
        if self.covariance_type == "spherical":
            scatter, mass, floor = scatter.sum(axis=1), mass.sum(axis=1), float(np.mean(floor))
        known = mass > NEGLIGIBLE
        covars = np.where(known, np.maximum(scatter / np.where(known, mass, 1), floor), self.covars)
        return replace(self, means=means, covars=covars)

    def _fit_matrices(self, data: Cells, weights: np.ndarray, params: str) -> Gaussian:
        p, (K, D) = self.prior, self.means.shape
        pull = np.broadcast_to(p.means_weight, (K, D))[:, 0]
        toward = np.broadcast_to(p.means_prior, (K, D))
        means, scatter, mass = self.means.copy(), np.empty((K, D, D)), np.empty(K)
        for k, covariance in enumerate(self._stacked()):
            own = data.some * weights[:, k]
            rows, uncertainty = matrix_normal.completed(data, self.means[k], covariance, own)
            mass[k] = own.sum()
            if "m" in params and mass[k] + pull[k] > NEGLIGIBLE:
                means[k] = (own @ rows + pull[k] * toward[k]) / (mass[k] + pull[k])
            gap, off = rows - means[k], means[k] - toward[k]
            scatter[k] = (own * gap.T) @ gap + uncertainty + pull[k] * np.outer(off, off)
        if "c" not in params:
            return replace(self, means=means)
        extra = max(p.covars_weight - D, 0)
        if self.covariance_type == "tied":
            covars = self._floored((scatter.sum(axis=0) + p.covars_prior) / (mass.sum() + extra))
            return replace(self, means=means, covars=covars)
        known = (mass + extra > NEGLIGIBLE)[:, None, None]
        total = np.where(known, (mass + extra)[:, None, None], 1)
        return replace(
            self,
            means=means,
            covars=np.where(known, self._floored((scatter + p.covars_prior) / total), self.covars),
        )

    def _floored(self, covars: np.ndarray) -> np.ndarray:
        """argmax over Σ ⪰ diag(floor) of −log |Σ| − tr(Σ⁻¹ S): the eigenvalues of S in units of the floor, at
        least 1."""
        unit = np.sqrt(np.broadcast_to(self.floor, covars.shape[-1:]))
        covars = (covars + np.swapaxes(covars, -1, -2)) / 2
        if not (unit > 0).all():
            return covars
        scaled = covars / np.outer(unit, unit)
        values, vectors = np.linalg.eigh(scaled)
        low = values.min(axis=-1) < 1
        if not low.any():
            return covars
        raised = (
            (vectors * np.maximum(values, 1)[..., None, :])
            @ np.swapaxes(vectors, -1, -2)
            * np.outer(unit, unit)
        )
        return np.where(low[..., None, None], (raised + np.swapaxes(raised, -1, -2)) / 2, covars)


def check_covars(covars, covariance_type: str, n_components: int, n_features: int) -> np.ndarray:
    """Covariances of the type's shape, positive (definite)."""
    K, D = n_components, n_features
    shape = {"spherical": (K,), "diag": (K, D), "full": (K, D, D), "tied": (D, D)}[covariance_type]
    array = parameter(f"covars_ of type {covariance_type!r}", covars, shape)
    if covariance_type in ("spherical", "diag"):
        if (array <= 0).any():
            raise DataError(f"covars_ holds {array.min():.6g}; variances are above zero")
        return array
    if (
        not np.allclose(array, np.swapaxes(array, -1, -2), rtol=1e-6, atol=0)
        or np.linalg.eigvalsh(array).min() <= 0
    ):
        raise DataError(f"covars_ of type {covariance_type!r} must be symmetric and positive definite")
    return array


def variance_floor(X: np.ndarray, min_covar: float | None) -> np.ndarray:
    """Least variance of each feature, (D,): what the user set, or a millionth of the feature's own
    variance."""
    D = X.shape[1]
    if min_covar is not None:
        return np.full(D, float(prior("min_covar", min_covar, ())))
    seen = np.isfinite(X)
    n = np.maximum(seen.sum(axis=0), 1)
    filled = np.where(seen, X, 0)
    variance = (np.where(seen, X - filled.sum(axis=0) / n, 0) ** 2).sum(axis=0) / n
    rounding = 1e3 * np.finfo(float).eps * np.abs(filled).max(axis=0)
    return np.where(variance > rounding**2, RELATIVE_FLOOR * variance, RELATIVE_FLOOR)
