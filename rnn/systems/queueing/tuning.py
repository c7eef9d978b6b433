"""Service rates under a cost of service, tuned on one path with common random numbers."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.descent import descend, warn_unless
from rnn.systems.queueing.results import Tuned
from rnn.validation import not_negative, real_array


def tune(line, price, delay, lower, upper, n_iter: int, tol: float) -> Tuned:
    """What :meth:`Line.tune` says."""
    mu, delay = line.service_rates, not_negative("delay", delay)
    price = prices_of(price, mu.shape)
    if lower is None:
        lower = line.arrival_rate / (0.999 * line.servers)
    if not (real_array("lower", lower, np.dtype(float)) > 0).all():
        raise DataError(f"lower must be > 0, got {lower!r}: a rate of 0 serves nobody")
    N, S = line.base_gaps.shape
    weight = delay * (np.arange(N) >= line.warm_up) / ((N - line.warm_up) * S)

    def value_and_slope(rates):
        m = line.messages(rates, weight=weight, price=price)
        return float(m.total), m.parameters["service_rate"]

    found = descend(value_and_slope, mu, lower, upper, n_iter, tol)
    warn_unless(found.converged, "the service rates", found.reason, "raise n_iter or tol, or bound the rates")
    gradient = line.gradient(found.x)
    return Tuned(found.x, found.value, gradient, found.values, found.converged, found.reason)


def prices_of(value, shape: tuple[int, ...]) -> np.ndarray:
    """Prices of service, one for all or one a station."""
    price = real_array("price", value, np.dtype(float))
    if price.shape not in ((), shape):
        raise ShapeError(f"price has shape {price.shape}, wanted {shape} or a number")
    if not (np.isfinite(price) & (price >= 0)).all():
        raise DataError(f"price must be finite and ≥ 0, got {price}")
    return price
