"""The conjugate prior of normal emissions: hmmlearn's names, checked and spread out to one row a state.

    μ_k | Λ_k ~ N(m_k, (β_k Λ_k)⁻¹)        Λ_k ~ Wishart(ν_k, S_k)        E Λ_k = ν_k S_k⁻¹

With diagonal covariances each feature's precision is Gamma(ν_k/2, S_kd/2), with spherical ones a state's is
Gamma(D ν_k/2, D S_k/2), so that ν counts observations, and S/ν is a variance, whatever the type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.covariance import spread
from hmm.validation import prior
from msgpass.errors import DataError

SHARE = 1e-3
"""Of the data's variance in the default of ``scale_prior``."""


@dataclass(frozen=True, eq=False)
class NormalPrior:
    """Arrays of the attributes' shapes.

    Parameters
    ----------
    means : array, (K, D)
    beta : array, (K,)
    dof : array, (K,), or () tied
    scale : array, (K,) spherical, (K, D) diag, (K, D, D) full, (D, D) tied
    """

    means: np.ndarray
    beta: np.ndarray
    dof: np.ndarray
    scale: np.ndarray


def scale_shape(covariance_type: str, K: int, D: int) -> tuple[int, ...]:
    """Shape of ``scale`` and of covariances."""
    return {"spherical": (K,), "diag": (K, D), "full": (K, D, D), "tied": (D, D)}[covariance_type]


def checked_prior(means, beta, dof, scale, covariance_type: str, K: int, D: int) -> NormalPrior:
    """From what a user set: numbers, or arrays that broadcast; a number s as ``scale`` of matrices is s·I.

    Raises
    ------
    ShapeError, DataError
        If one does not fit, or is no prior: β > 0, ν > D − 1 (0 for variances), S positive definite.
    """
    matrices = covariance_type in ("full", "tied")
    if matrices and np.ndim(scale) == 0:
        scale = np.eye(D) * _spread("scale_prior", scale, ())
    found = NormalPrior(
        _spread("means_prior", means, (K, D)),
        _spread("beta_prior", beta, (K,)),
        _spread("dof_prior", dof, () if covariance_type == "tied" else (K,)),
        _spread("scale_prior", scale, scale_shape(covariance_type, K, D)),
    )
    check_strengths("prior", found.beta, found.dof, found.scale, matrices)
    return found


def check_strengths(which: str, beta: np.ndarray, dof: np.ndarray, scale: np.ndarray, matrices: bool) -> None:
    """Raise where these are not those of a distribution."""
    least = scale.shape[-1] - 1 if matrices else 0
    if (beta <= 0).any():
        raise DataError(f"beta_{which} holds {beta.min():.6g}, wanted numbers above zero")
    if (dof <= least).any():
        raise DataError(f"dof_{which} holds {dof.min():.6g}, wanted numbers above {least}")
    if not matrices:
        if (scale <= 0).any():
            raise DataError(f"scale_{which} holds {scale.min():.6g}, wanted numbers above zero")
    elif (
        not np.allclose(scale, np.swapaxes(scale, -1, -2), rtol=1e-6, atol=0)
        or np.linalg.eigvalsh(scale).min() <= 0
    ):
        raise DataError(f"scale_{which} must be symmetric and positive definite")


def default_prior(X: np.ndarray, covariance_type: str, K: int) -> dict[str, Any]:
    """Where nothing is set: the mean of the data, with the weight of one observation; D degrees of freedom; a
    thousandth of the data's variances as scale, so that units do not matter."""
    D = X.shape[1]
    seen = np.isfinite(X)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, X, 0).sum(axis=0) / n
    variance = (np.where(seen, X - mean, 0) ** 2).sum(axis=0) / n
    rounding = 1e3 * np.finfo(float).eps * np.abs(np.where(seen, X, 0)).max(axis=0)
    unit = np.where(variance > rounding**2, variance, 1.0)
    return {
        "means_prior": mean,
        "beta_prior": 1.0,
        "dof_prior": float(D),
        "scale_prior": SHARE * spread(np.diag(unit), covariance_type, K),
    }


def _spread(name: str, value, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(np.broadcast_to(prior(name, value, shape, signed=True), shape))
