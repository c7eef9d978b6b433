"""Priors: inverse Wishart for covariances, normal for coefficients, so that the fit is a maximum a
posteriori.

    log p(Σ) = −½ (ν + n + 1) log|Σ| − ½ tr(Ψ Σ⁻¹)
    log p(W | Σ) = −½ tr(Σ⁻¹ (W − M) Λ (W − M)ᵀ) − ½ rank(Λ) log|Σ|

up to constants; the second is the conjugate (matrix-normal) prior, of which Σ is the noise of the same
relation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hmm.state_space.space import COVARIANCES, StateSpace
from msgpass.errors import DataError, ShapeError
from msgpass.potentials.quadratic import check_covariance

COEFFICIENTS = {"transition_matrix": "transition_covariance", "observation_matrix": "observation_covariance"}
"""Matrices that may have a prior, and the noise of their relation."""


@dataclass(frozen=True, eq=False)
class Priors:
    """Checked priors.

    Parameters
    ----------
    wishart : dict of str to (ν, Ψ)
    normal : dict of str to (M, Λ)
    """

    wishart: dict[str, tuple[float, np.ndarray]] = field(default_factory=dict)
    normal: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @classmethod
    def of(cls, given, space: StateSpace) -> Priors:
        """From the setting ``priors``."""
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise DataError(f"priors is a dict by parameter, got {given!r}")
        wishart, normal = {}, {}
        for key, prior in given.items():
            name = str(key).removesuffix("_")
            if name not in (*COVARIANCES, *COEFFICIENTS):
                raise DataError(
                    f"priors names {key!r}; there are priors of {', '.join((*COVARIANCES, *COEFFICIENTS))}"
                )
            if not isinstance(prior, tuple | list) or len(prior) != 2:
                wanted = "(degrees, scale)" if name in COVARIANCES else "(mean, precision of the columns)"
                raise DataError(f"priors[{key!r}] is a pair {wanted}, got {prior!r}")
            shape = getattr(space, name).shape[-2:]
            if name in COVARIANCES:
                degrees = float(prior[0])
                if not np.isfinite(degrees) or degrees < 0:
                    raise DataError(f"priors[{key!r}] has {degrees} degrees of freedom, wanted a number ≥ 0")
                wishart[name] = degrees, _square(f"the scale of priors[{key!r}]", prior[1], shape[0])
            else:
                mean = np.broadcast_to(_numbers(f"the mean of priors[{key!r}]", prior[0], shape), shape)
                normal[name] = mean, _square(f"the precision of priors[{key!r}]", prior[1], shape[1])
        return cls(wishart, normal)

    def rank(self, name: str) -> float:
        """Rows that the prior of a matrix counts as."""
        return float(np.linalg.matrix_rank(self.normal[name][1])) if name in self.normal else 0.0

    def log_density(self, space: StateSpace) -> float:
        """Log prior up to a constant."""
        total = 0.0
        for name, (degrees, scale) in self.wishart.items():
            cov, n = getattr(space, name), len(scale)
            total -= 0.5 * (degrees + n + 1) * _log_det(cov) + 0.5 * np.trace(_solve(cov, scale))
        for name, (M, precision) in self.normal.items():
            cov, apart = getattr(space, COEFFICIENTS[name]), getattr(space, name) - M
            total -= 0.5 * np.trace(_solve(cov, apart @ precision @ apart.T)) + 0.5 * self.rank(
                name
            ) * _log_det(cov)
        return float(total)

    def slopes(self, space: StateSpace) -> dict[str, np.ndarray]:
        """∂ log prior/∂parameter by name."""
        found: dict[str, Any] = {}
        for name, (degrees, scale) in self.wishart.items():
            cov, n = getattr(space, name), len(scale)
            W = np.linalg.inv(cov)
            found[name] = 0.5 * (W @ scale @ W - (degrees + n + 1) * W)
        for name, (M, precision) in self.normal.items():
            noise = COEFFICIENTS[name]
            W, apart = np.linalg.inv(getattr(space, noise)), getattr(space, name) - M
            found[name] = -W @ apart @ precision
            slope = 0.5 * (W @ apart @ precision @ apart.T @ W - self.rank(name) * W)
            found[noise] = found.get(noise, 0.0) + slope
        return found


def _log_det(cov: np.ndarray) -> float:
    return float(np.linalg.slogdet(cov)[1])


def _solve(cov: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.linalg.solve(cov, right)


def _numbers(what: str, value, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
        np.broadcast_to(array, shape)
    except (TypeError, ValueError):
        raise ShapeError(f"{what} must be a number or an array of shape {shape}, got {value!r}") from None
    if not np.isfinite(array).all():
        raise DataError(f"{what} holds NaN or an infinite value")
    return array


def _square(what: str, value, n: int) -> np.ndarray:
    """A number stands for a multiple of the identity."""
    array = _numbers(what, value, (n, n))
    array = array * np.eye(n) if array.ndim == 0 else np.broadcast_to(array, (n, n))
    check_covariance(what, array)
    return array
