"""What a line of customers tells: a path, a gradient, tuned rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass import Messages
from msgpass.errors import ShapeError


@dataclass(frozen=True, repr=False, eq=False)
class QueuePath:
    """Times of each customer. Arrays begin with (samples,) where there are samples.

    Attributes
    ----------
    gap : (…, N) array
        Since the customer before.
    service : (…, N, K) array
    waiting, sojourn : (…, N) arrays
        Until service begins (in a tandem: all time without service), and until the customer leaves.
    """

    gap: np.ndarray
    service: np.ndarray
    waiting: np.ndarray
    sojourn: np.ndarray
    warm_up: int

    @property
    def mean_waiting(self) -> float:
        """After the warm-up."""
        return float(self.waiting[..., self.warm_up :].mean())

    @property
    def mean_sojourn(self) -> float:
        """After the warm-up."""
        return float(self.sojourn[..., self.warm_up :].mean())

    @property
    def arrivals(self) -> np.ndarray:
        """Times of arrival, (…, N)."""
        return np.cumsum(self.gap, axis=-1)

    def __repr__(self) -> str:
        N = self.gap.shape[-1]
        return f"<QueuePath: {N} customers, waiting {self.mean_waiting:.4g}, sojourn {self.mean_sojourn:.4g}>"

    def plot(self, figure=None):
        """Waiting and sojourn by time of arrival; of samples, the first.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from msgpass import drawing, optional

        first = (0,) * (self.gap.ndim - 1)
        with drawing.style():
            figure = figure or optional.figure(figsize=(7, 2.6), layout="constrained")
            axes = figure.subplots()
            axes.vlines(self.arrivals[first], 0, self.sojourn[first], color=drawing.PALE, label="sojourn")
            axes.plot(
                self.arrivals[first], self.waiting[first], ".", ms=3, color=drawing.FIRST, label="waiting"
            )
            axes.set(xlabel="time of arrival", title="Time of each customer")
            axes.legend()
        return figure


@dataclass(frozen=True, repr=False, eq=False)
class QueueGradient:
    """The mean time and its derivatives.

    Attributes
    ----------
    measure : str
    value : float
        The mean time.
    service_rates : (K,) array
        ∂/∂μ.
    arrival_rate : float
        ∂/∂λ.
    service, gap : (…, N, K), (…, N) arrays
        ∂/∂ each service and interarrival time: backward messages. With weight 1 on the waiting of one
        customer and one server: 1 for those before it in its busy period.
    messages : Messages
    """

    measure: str
    value: float
    service_rates: np.ndarray
    arrival_rate: float
    service: np.ndarray
    gap: np.ndarray
    messages: Messages

    @property
    def service_rate(self) -> float:
        """That of the only station."""
        if len(self.service_rates) > 1:
            raise ShapeError(f"there are {len(self.service_rates)} stations: service_rates[k]")
        return float(self.service_rates[0])

    def __repr__(self) -> str:
        mu = np.array2string(self.service_rates, precision=4)
        return (
            f"<QueueGradient: mean {self.measure} {self.value:.5g}, ∂/∂μ {mu}, ∂/∂λ {self.arrival_rate:.4g}>"
        )


@dataclass(frozen=True, repr=False, eq=False)
class Tuned:
    """Tuned service rates.

    Attributes
    ----------
    service_rates : (K,) array
    cost : float
        Delay and service together.
    gradient : QueueGradient
        Of the mean time alone, at these rates.
    values : (iterations + 1,) array
    converged, reason : bool, str
    """

    service_rates: np.ndarray
    cost: float
    gradient: QueueGradient
    values: np.ndarray
    converged: bool
    reason: str

    def __repr__(self) -> str:
        mu = np.array2string(self.service_rates, precision=4)
        return f"<Tuned: μ {mu}, cost {self.cost:.5g} after {len(self.values) - 1} iterations>"

    def plot(self, figure=None):
        """Cost by iteration.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from msgpass import drawing, optional

        with drawing.style():
            figure = figure or optional.figure(figsize=(4, 2.6), layout="constrained")
            axes = figure.subplots()
            axes.plot(self.values, ".-", color=drawing.FIRST)
            axes.set(xlabel="iteration", ylabel="cost")
        return figure
