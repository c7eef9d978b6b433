"""Where a parameter's numbers live, and free coordinates for them.

A domain has ``check(name, value)``, ``coordinates(value)`` → (n,), ``value(coordinates, like)`` and
``pull(value, slope)``, the gradient in coordinates from the one in values. Entries of −∞ are structure: they
have no coordinate and come from ``like``.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError
from msgpass.learning.distributions import Distributions


class Real:
    """Any number."""

    def check(self, name: str, value: np.ndarray) -> None:
        """Nothing to check."""

    def coordinates(self, value: np.ndarray) -> np.ndarray:
        """Finite entries."""
        return value[np.isfinite(value)]

    def value(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        """Back in place."""
        value = np.array(like, np.float64)
        value[np.isfinite(like)] = coordinates
        return value

    def pull(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Of finite entries."""
        return slope[np.isfinite(value)]


class Normalised(Real):
    """Log probabilities θ = u − log Σ exp u along a table's axes."""

    def __init__(self, distributions: Distributions):
        self.distributions = distributions

    def value(self, coordinates, like):
        """Normalised."""
        value = super().value(coordinates, like)
        top = np.max(value, where=np.isfinite(value), initial=-np.inf)
        total = self.distributions.totals(np.exp(value - top))
        return value - top - np.log(np.where(total > 0, total, 1.0))

    def pull(self, value, slope):
        """Less what each distribution gets in all."""
        p = np.exp(value)
        return super().pull(value, slope - p * self.distributions.totals(np.where(p > 0, slope, 0.0)))


class Positive:
    """Above zero: logarithms."""

    def check(self, name, value):
        """Above zero."""
        if not (value > 0).all():
            raise DataError(f"domains: {name!r} is to stay above zero, but starts at {value.min():.6g}")

    def coordinates(self, value):
        """log."""
        return np.log(value).ravel()

    def value(self, coordinates, like):
        """exp."""
        return np.exp(coordinates).reshape(like.shape)

    def pull(self, value, slope):
        """Times the value."""
        return (value * slope).ravel()


class Unit:
    """Between zero and one: logits."""

    def check(self, name, value):
        """Inside."""
        if not ((value > 0) & (value < 1)).all():
            raise DataError(f"domains: {name!r} is to stay between 0 and 1, but starts outside or at an end")

    def coordinates(self, value):
        """log p / (1 − p)."""
        return (np.log(value) - np.log1p(-value)).ravel()

    def value(self, coordinates, like):
        """1 / (1 + e^−u)."""
        return (1 / (1 + np.exp(-np.clip(coordinates, -700, None)))).reshape(like.shape)

    def pull(self, value, slope):
        """Times p (1 − p)."""
        return (value * (1 - value) * slope).ravel()


class Covariance:
    """Symmetric and positive definite, one matrix or several: Cholesky factors, their diagonal in
    logarithms."""

    def check(self, name, value):
        """Positive definite."""
        square = value.ndim >= 2 and value.shape[-1] == value.shape[-2]
        if not square or not np.allclose(value, np.swapaxes(value, -1, -2)):
            raise DataError(f"domains: {name!r} is to be a symmetric matrix, and has shape {value.shape}")
        if np.linalg.eigvalsh(value).min() <= 0:
            raise DataError(f"domains: {name!r} is to stay positive definite, but does not start so")

    def coordinates(self, value):
        """Lower triangles."""
        L = np.linalg.cholesky(value)
        d = np.arange(L.shape[-1])
        L[..., d, d] = np.log(L[..., d, d])
        return L[(..., *np.tril_indices(L.shape[-1]))].ravel()

    def value(self, coordinates, like):
        """L Lᵀ."""
        n = like.shape[-1]
        L = np.zeros(like.shape)
        L[(..., *np.tril_indices(n))] = coordinates.reshape(*like.shape[:-2], -1)
        d = np.arange(n)
        L[..., d, d] = np.exp(L[..., d, d])
        return L @ np.swapaxes(L, -1, -2)

    def pull(self, value, slope):
        """(G + Gᵀ) L, its diagonal times L's."""
        L = np.linalg.cholesky(value)
        found = (slope + np.swapaxes(slope, -1, -2)) @ L
        d = np.arange(L.shape[-1])
        found[..., d, d] *= L[..., d, d]
        return found[(..., *np.tril_indices(L.shape[-1]))].ravel()


Domain = Real | Positive | Unit | Covariance
DOMAINS: dict[str, type[Domain]] = {
    "real": Real,
    "positive": Positive,
    "unit": Unit,
    "covariance": Covariance,
}
