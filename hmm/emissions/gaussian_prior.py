"""hmmlearn's conjugate prior on the means and covariances of normal emissions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.validation import prior
from msgpass.errors import DataError


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
        means = prior("means_prior", self.means_prior, shape, signed=True)
        weights = prior("means_weight", self.means_weight, shape)
        if weights.ndim == 2 and weights.shape[1] > 1 and matrices:
            raise DataError(
                "means_weight must be a number or have shape (n_components, 1) with full and tied covariances"
            )
        whole = (*shape, n_features) if matrices else shape
        given = prior("covars_prior", self.covars_prior, whole, signed=matrices)
        if matrices and given.ndim < 2:
            given = given * np.eye(n_features)
        weight = float(prior("covars_weight", self.covars_weight, ()))
        return GaussianPrior(means, weights, given, weight)
