"""Means with intervals by batch means, and the warning that there is no long run."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import positive, whole


class UnstableQueueWarning(UserWarning):
    """ρ ≥ 1: work comes faster than it is done, and means grow with the length of the path."""


class Estimate(NamedTuple):
    """A mean, and half the width of its interval."""

    value: float
    half_width: float
    level: float
    batches: int

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.value - self.half_width, self.value + self.half_width

    def covers(self, value: float) -> bool:
        """Whether the interval does."""
        return abs(value - self.value) <= self.half_width

    def __str__(self) -> str:
        return f"{self.value:.5g} ± {self.half_width:.2g} ({100 * self.level:g} %)"


class LongRun(NamedTuple):
    """Estimates of the mean time and of its derivatives, one a station for service rates."""

    measure: str
    value: Estimate
    service_rates: tuple[Estimate, ...]
    arrival_rate: Estimate

    @property
    def service_rate(self) -> Estimate:
        """That of the only station."""
        if len(self.service_rates) > 1:
            raise ShapeError(f"there are {len(self.service_rates)} stations: service_rates[k]")
        return self.service_rates[0]

    def __repr__(self) -> str:
        rates = ", ".join(map(str, self.service_rates))
        return f"<LongRun: mean {self.measure} {self.value}, ∂/∂μ {rates}, ∂/∂λ {self.arrival_rate}>"


def batch_means(each: np.ndarray, batches: int, level: float) -> Estimate:
    """The mean of a stationary (N, samples) series, with Student's interval over means of batches.

    A batch is a stretch of one sample; there are ``batches`` in all, or one a sample if that is more.
    """
    from scipy.stats import t

    batches = whole("batches", batches, least=2)
    if positive("level", level) >= 1:
        raise DataError(f"level must be between 0 and 1, got {level!r}")
    N, S = each.shape
    cuts = max(1, -(-batches // S))
    if cuts > N:
        raise ShapeError(f"{N} customers after the warm-up are too few for {cuts} batches")
    size = N // cuts
    means = each[N - size * cuts :].reshape(cuts, size, S).mean(axis=1).ravel()
    half = t.ppf(0.5 + level / 2, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return Estimate(float(means.mean()), float(half), level, len(means))


def check_stable(rho: float) -> None:
    """Warn where there is no long run."""
    if rho >= 1:
        warnings.warn(
            f"the load is ρ = {rho:.4g} ≥ 1: there is no long run, and what is said of this path grows with "
            "its length; raise the service rate or the number of servers",
            UnstableQueueWarning,
            stacklevel=3,
        )
