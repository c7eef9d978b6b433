"""The four structures of covariances that normal emissions can have, and the floor under them."""

from __future__ import annotations

import numpy as np

from hmm.emissions.statistics import Spread
from hmm.validation import parameter, prior
from msgpass.errors import DataError

COVARIANCE_TYPES = ("spherical", "diag", "full", "tied")

RELATIVE_FLOOR = 1e-6
"""Least variance of a state, as a share of the feature's variance, where the user set none."""


def spread(covariance: np.ndarray, covariance_type: str, n_components: int) -> np.ndarray:
    """One covariance matrix (D, D) for every state, in the shape of a type."""
    variances = np.diag(covariance)
    if covariance_type == "spherical":
        return np.full(n_components, variances.mean())
    if covariance_type == "tied":
        return covariance
    return np.repeat((variances if covariance_type == "diag" else covariance)[None], n_components, axis=0)


def floored(covars: np.ndarray, floor: float | np.ndarray) -> np.ndarray:
    """argmax over Σ ⪰ diag(floor) of −log |Σ| − tr(Σ⁻¹ S), for each S of ``covars`` (…, D, D).

    The eigenvalues of S in units of the floor are raised to 1.
    """
    unit = np.sqrt(np.broadcast_to(floor, covars.shape[-1:]))
    covars = (covars + np.swapaxes(covars, -1, -2)) / 2
    if not (unit > 0).all():
        return covars
    scale = np.outer(unit, unit)
    values, vectors = np.linalg.eigh(covars / scale)
    low = values.min(axis=-1) < 1
    if not low.any():
        return covars
    raised = (vectors * np.maximum(values, 1)[..., None, :]) @ np.swapaxes(vectors, -1, -2) * scale
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
    return variance_floor_of(Spread.of(X), min_covar)


def variance_floor_of(spread: Spread, min_covar: float | None) -> np.ndarray:
    """``variance_floor`` of data that spread so."""
    if min_covar is not None:
        return np.full(len(spread.count), float(prior("min_covar", min_covar, ())))
    variance = spread.variance
    return np.where(variance > spread.rounding**2, RELATIVE_FLOOR * variance, RELATIVE_FLOOR)
