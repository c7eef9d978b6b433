"""Normal emissions whose means and precisions have a posterior (Gruhl & Sick 2016; Beal 2003, ch. 3).

With Σ̄ = S/ν, the inverse of the mean precision, the expected log density is a normal one and a constant:

    E log p(x | k) = log N(x; m_k, Σ̄_k) + ½ (E log |Λ_k| − log |E Λ_k|) − D/(2β_k)

Missing cells. With diagonal and spherical covariances features are independent given the parameters, and a
missing cell drops out, so β and ν count the observed cells of each feature. With full and tied ones the
missing cells x_u of a row are latent, q(z, x_u): integrated, exp E log p leaves the density N(x_o; m_o,
Σ̄_oo) and the whole constant, and x_u given k is normal with the conditional moments of N(m_k, Σ̄_k). That is
a lower bound, too, and the updates stay conjugate. A row that is missing altogether says nothing in any type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.emissions import diagonal_normal, matrix_normal
from hmm.emissions.cells import Cells
from hmm.emissions.covariance import COVARIANCE_TYPES
from hmm.emissions.gaussian import Gaussian
from hmm.validation import one_of, parameter
from hmm.variational import divergences
from hmm.variational.emission import VariationalEmission
from hmm.variational.normal_prior import check_strengths, checked_prior, scale_shape
from msgpass.errors import NumericalError


@dataclass(frozen=True, eq=False)
class NormalPosterior(VariationalEmission):
    """Normal-Wishart (full, tied) or normal-gamma (diag, spherical) distributions of K states' parameters.

    See :mod:`hmm.variational.normal_prior` for what the numbers mean.

    Parameters
    ----------
    covariance_type : {"spherical", "diag", "full", "tied"}
    means_prior, means_posterior : array, (K, D)
    beta_prior, beta_posterior : array, (K,)
        The posterior's is (K, D) where diagonal or spherical emissions had rows with some cells missing.
    dof_prior, dof_posterior : array, (K,), or a number (tied)
        The posterior's is (K, D) where diagonal emissions had such rows.
    scale_prior, scale_posterior : array, (K,) spherical, (K, D) diag, (K, D, D) full, (D, D) tied
    """

    covariance_type: str
    means_prior: Any
    means_posterior: Any
    beta_prior: Any
    beta_posterior: Any
    dof_prior: Any
    dof_posterior: Any
    scale_prior: Any
    scale_posterior: Any

    HELD: ClassVar[dict[str, tuple[str, ...]]] = {
        "m": ("means_prior", "means_posterior", "beta_prior", "beta_posterior"),
        "c": ("dof_prior", "dof_posterior", "scale_prior", "scale_posterior"),
    }

    def check(self, n_components: int) -> NormalPosterior:
        kind = one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        K, D = n_components, np.shape(self.means_posterior)[-1] if np.ndim(self.means_posterior) else 0
        prior = checked_prior(self.means_prior, self.beta_prior, self.dof_prior, self.scale_prior, kind, K, D)

        def array(name: str, *shapes: tuple[int, ...]) -> np.ndarray:
            value = getattr(self, name)
            return parameter(f"{name}_", value, np.shape(value) if np.shape(value) in shapes else shapes[0])

        by_feature = () if self.matrices else ((K, D),)
        beta = array("beta_posterior", (K,), *by_feature)
        dof = array("dof_posterior", () if kind == "tied" else (K,), *(by_feature if kind == "diag" else ()))
        scale = array("scale_posterior", scale_shape(kind, K, D))
        check_strengths("posterior_", beta, dof, scale, self.matrices)
        return NormalPosterior(
            kind,
            prior.means,
            array("means_posterior", (K, D)),
            prior.beta,
            beta,
            float(prior.dof) if kind == "tied" else prior.dof,
            float(dof) if kind == "tied" else dof,
            prior.scale,
            scale,
        )

    @property
    def matrices(self) -> bool:
        """Whether features are correlated given the state."""
        return self.covariance_type in ("full", "tied")

    @property
    def point(self) -> Gaussian:
        """Means, and inverses of the mean precisions, S/ν."""
        dof = self.dof_posterior
        if self.covariance_type == "full":
            dof = dof[:, None, None]
        elif self.covariance_type == "diag":
            dof = _columns(dof)
        return Gaussian(self.means_posterior, self.scale_posterior / dof, self.covariance_type)

    def prepare(self, X: np.ndarray) -> Cells:
        return Cells.of(X)

    def log_density(self, data: Cells) -> np.ndarray:
        density, lost = self.point.log_density(data), self._lost()
        if self.matrices:
            return density + np.multiply.outer(np.broadcast_to(data.some, len(density)), lost)
        if data.observed is None:
            return density + lost.sum(axis=1)
        return density + (lost @ data.observed).T

    def _lost(self) -> np.ndarray:
        """What E log p lacks to log N(x; m, Σ̄), (K,) of matrices, (K, D) of variances."""
        D = self.means_posterior.shape[1]
        beta, dof = _columns(self.beta_posterior), self.dof_posterior
        if self.matrices:
            return 0.5 * (divergences.slack(dof, D) - D / self.beta_posterior)
        if self.covariance_type == "spherical":
            dof = D * dof
        lost = 0.5 * (divergences.slack(_columns(dof)) - 1 / beta)
        return np.broadcast_to(lost, self.means_posterior.shape)

    def fit(self, data: Cells, weights: np.ndarray, params: str) -> NormalPosterior:
        """The conjugate update."""
        if not set(params) & set(self.HELD):
            return self
        return (self._fit_matrices if self.matrices else self._fit_variances)(data, weights, params)

    def _fit_variances(self, data: Cells, weights: np.ndarray, params: str) -> NormalPosterior:
        mass, sums = diagonal_normal.moments(data, weights)
        if all(shown.all() for _, shown in data.patterns):
            mass = mass[:, :1]
        pull, toward = self.beta_prior[:, None], self.means_prior
        beta, means = _columns(self.beta_posterior), self.means_posterior
        if "m" in params:
            beta = pull + mass
            means = (pull * toward + sums) / beta
        fitted = replace(self, means_posterior=means, beta_posterior=_squeezed(beta))
        if "c" not in params:
            return fitted
        # Squares about the posterior mean: right where the means are held, too, and nothing cancels.
        scatter = diagonal_normal.scatter(data, weights, means) + pull * (means - toward) ** 2
        dof = self.dof_prior[:, None] + mass
        if self.covariance_type == "spherical":
            dof, scatter = dof.mean(axis=1), scatter.mean(axis=1)
        return replace(fitted, dof_posterior=_squeezed(dof), scale_posterior=self.scale_prior + scatter)

    def _fit_matrices(self, data: Cells, weights: np.ndarray, params: str) -> NormalPosterior:
        K, D = self.means_posterior.shape
        covariances = np.broadcast_to(self.point.covars, (K, D, D))
        beta, means = self.beta_posterior, self.means_posterior.copy()
        scatter, masses = np.empty((K, D, D)), np.empty(K)
        for k, covariance in enumerate(covariances):
            own = data.some * weights[:, k]
            rows, uncertainty = matrix_normal.completed(data, self.means_posterior[k], covariance, own)
            pull, toward, masses[k] = self.beta_prior[k], self.means_prior[k], own.sum()
            if "m" in params:
                means[k] = (own @ rows + pull * toward) / (masses[k] + pull)
            gap, off = rows - means[k], means[k] - toward
            scatter[k] = (own * gap.T) @ gap + uncertainty + pull * np.outer(off, off)
        if "m" in params:
            beta = self.beta_prior + masses
        fitted = replace(self, means_posterior=means, beta_posterior=beta)
        if "c" not in params:
            return fitted
        mass: Any = masses
        if self.covariance_type == "tied":
            mass, scatter = float(masses.sum()), scatter.sum(axis=0)
        scale = self.scale_prior + (scatter + np.swapaxes(scatter, -1, -2)) / 2
        unit = np.sqrt(np.diagonal(scale, axis1=-2, axis2=-1))
        correlation = scale / (unit[..., :, None] * unit[..., None, :])
        if (np.linalg.eigvalsh(correlation)[..., 0] <= D * np.finfo(float).eps).any():
            raise NumericalError(
                "the scale of a state is singular to rounding: its spread is lost beside the distance to "
                "means_prior, or columns are copies of each other; bring means_prior nearer to the data, or "
                "raise scale_prior"
            )
        return replace(fitted, dof_posterior=self.dof_prior + mass, scale_posterior=scale)

    def log_prior(self) -> float:
        """−KL(q ‖ p)."""
        D, off = self.means_posterior.shape[1], self.means_posterior - self.means_prior
        dof, dof_prior = self.dof_posterior, self.dof_prior
        scale, scale_prior = self.scale_posterior, self.scale_prior
        if self.matrices:
            precision = np.linalg.inv(np.broadcast_to(self.point.covars, (len(off), D, D)))
            squared = np.einsum("ki,kij,kj->k", off, precision, off)
            means = divergences.normal_means(self.beta_posterior, self.beta_prior, squared, D)
            return -means - divergences.wishart(dof, scale, dof_prior, scale_prior)
        squared = off**2 / _columns(self.point.covars)
        means = divergences.normal_means(_columns(self.beta_posterior), self.beta_prior[:, None], squared)
        if self.covariance_type == "spherical":
            return -means - divergences.gamma(D * dof, D * scale, D * dof_prior, D * scale_prior)
        return -means - divergences.gamma(_columns(dof), scale, dof_prior[:, None], scale_prior)


def _columns(values: np.ndarray) -> np.ndarray:
    """(K,) as (K, 1)."""
    return values[:, None] if values.ndim == 1 else values


def _squeezed(values: np.ndarray) -> np.ndarray:
    """(K, 1) as (K,)."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
