"""Stacks of Gaussian messages and beliefs, first axis time."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from msgpass.algebra.gaussian_forms import to_information, to_moments
from msgpass.errors import NumericalError


class GaussianMessages(NamedTuple):
    """Stacked Gaussian messages exp(h·x − ½ xᵀΛx); ``mean`` and ``cov`` where they exist."""

    items: tuple
    shape: tuple[int, ...]

    def _stack(self, pick, matrix: bool) -> np.ndarray:
        arrays = [pick(m) for m in self.items]
        if not self.shape:
            arrays = [a[0, 0] if matrix else a[0] for a in arrays]
        return np.stack(arrays)

    @property
    def h(self) -> np.ndarray:
        """Information vectors."""
        return self._stack(lambda m: to_information(m).h, False)

    @property
    def precision(self) -> np.ndarray:
        """Precision matrices."""
        return self._stack(lambda m: to_information(m).precision, True)

    @property
    def mean(self) -> np.ndarray:
        """Means."""
        return self._stack(lambda m: to_moments(m).mean, False)

    @property
    def cov(self) -> np.ndarray:
        """Covariances."""
        return self._stack(lambda m: to_moments(m).cov, True)


class GaussianBelief(NamedTuple):
    """Posterior mean and covariance, first axis time for a sequence."""

    mean: np.ndarray
    cov: np.ndarray


class StackedMoments:
    """Messages as stacked means (T, n) and covariances (T, n, n); the information form where it exists."""

    def __init__(self, mean: np.ndarray, cov: np.ndarray, shape: tuple[int, ...]):
        self._mean, self._cov, self._shape = mean, cov, shape

    @property
    def mean(self) -> np.ndarray:
        """Means."""
        return self._mean.reshape(len(self._mean), *self._shape)

    @property
    def cov(self) -> np.ndarray:
        """Covariances."""
        return self._cov if self._shape else self._cov[:, 0, 0]

    @cached_property
    def _precision(self) -> np.ndarray:
        return stacked_inverse(
            self._cov,
            "a Gaussian message with a singular covariance has no information form; ask for its mean and cov",
        )

    @property
    def h(self) -> np.ndarray:
        """Information vectors."""
        return np.einsum("tij,tj->ti", self._precision, self._mean).reshape(self.mean.shape)

    @property
    def precision(self) -> np.ndarray:
        """Precision matrices."""
        return self._precision if self._shape else self._precision[:, 0, 0]


class StackedInformation:
    """Messages as stacked h (T, n) and precisions (T, n, n); moments where they exist."""

    def __init__(self, h: np.ndarray, precision: np.ndarray, shape: tuple[int, ...]):
        self._h, self._precision, self._shape = h, precision, shape

    @property
    def h(self) -> np.ndarray:
        """Information vectors."""
        return self._h.reshape(len(self._h), *self._shape)

    @property
    def precision(self) -> np.ndarray:
        """Precision matrices."""
        return self._precision if self._shape else self._precision[:, 0, 0]

    @cached_property
    def _cov(self) -> np.ndarray:
        return stacked_inverse(
            self._precision,
            "a Gaussian message has no mean: its precision is singular or not positive, so some direction "
            "of the variable is not determined; add a prior (Quadratic.prior) or evidence about it",
        )

    @property
    def mean(self) -> np.ndarray:
        """Means."""
        return np.einsum("tij,tj->ti", self._cov, self._h).reshape(self.h.shape)

    @property
    def cov(self) -> np.ndarray:
        """Covariances."""
        return self._cov if self._shape else self._cov[:, 0, 0]


def stacked_inverse(matrices: np.ndarray, problem: str) -> np.ndarray:
    """Inverses of positive matrices, or a :class:`NumericalError` that says ``problem``."""
    try:
        half = np.linalg.inv(np.linalg.cholesky(matrices))
    except np.linalg.LinAlgError:
        raise NumericalError(problem) from None
    return np.swapaxes(half, -1, -2) @ half
