"""A pattern that repeats itself and may change: seasonal dummies, or harmonics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hmm.state_space.components.base import (
    Blocks,
    Component,
    Parameter,
    Summary,
    Values,
    as_blocks,
    drawn,
    variance_of,
)
from hmm.validation import one_of, whole
from msgpass.errors import DataError


@dataclass(frozen=True)
class Seasonal(Component):
    """A seasonal component of some period s, from a flat start.

    "dummy": γ_{t+1} = −γ_t − … − γ_{t−s+2} + ω_t, s − 1 states. "trigonometric": a sum of harmonics of
    frequencies λ_j = 2πj/s, each of which turns and is disturbed in both its states (Harvey 1989, section
    2.3.4); smoother, and fewer states if only some harmonics are taken. The harmonic λ = π has one state.

    Parameters
    ----------
    name : str
        "seasonal" by default.
    period : float
        s; a whole number for dummies.
    form : {"dummy", "trigonometric"}
    harmonics : int, sequence of int or None
        Of the trigonometric form: how many, or which j; None is all up to s/2.
    separate : bool
        Whether each harmonic has a variance of its own.
    variance : float, sequence of float or None
        Of ω, None to estimate it; 0 is a pattern that is fixed.

    Examples
    --------
    >>> Seasonal(period=12).n_states, Seasonal(period=12, form="trigonometric", harmonics=2).n_states
    (11, 4)
    """

    KIND: ClassVar[str] = "seasonal"

    period: float = 12  # type: ignore[assignment]
    form: str = "dummy"
    harmonics: int | tuple[int, ...] | None = None
    separate: bool = False
    variance: float | tuple[float, ...] | None = None

    def check(self) -> None:
        one_of("form", self.form, ("dummy", "trigonometric"))
        if self.form == "dummy":
            whole("period of seasonal dummies", self.period, 2)
            if self.harmonics is not None or self.separate:
                raise DataError("harmonics and separate are for form='trigonometric'")
        elif not isinstance(self.period, int | float) or not 2 <= self.period < np.inf:
            raise DataError(f"period is a number ≥ 2, got {self.period!r}")
        else:
            self._orders()
        super().check()

    def _orders(self) -> np.ndarray:
        """j of the harmonics, (h,)."""
        most = int(self.period // 2)
        if self.harmonics is None:
            return np.arange(1, most + 1)
        orders = np.atleast_1d(np.asarray(self.harmonics))
        if orders.dtype.kind not in "iu" or orders.ndim != 1:
            raise DataError(f"harmonics are a whole number or some, got {self.harmonics!r}")
        if np.ndim(self.harmonics) == 0:
            orders = np.arange(1, int(orders[0]) + 1)
        if not len(orders) or orders.min() < 1 or orders.max() > most or len(set(orders)) < len(orders):
            raise DataError(
                f"harmonics of period {self.period} are different whole numbers from 1 to {most}, got "
                f"{self.harmonics!r}"
            )
        return orders

    def _sizes(self) -> list[int]:
        """States of each harmonic."""
        return [1 if 2 * j == self.period else 2 for j in self._orders()]

    @property
    def n_states(self) -> int:
        return int(self.period) - 1 if self.form == "dummy" else sum(self._sizes())

    def parameters(self) -> tuple[Parameter, ...]:
        return (variance_of("variance", self.variance, (len(self._orders()),) if self.separate else ()),)

    def _turning(self) -> np.ndarray:
        n = self.n_states
        if self.form == "dummy":
            F = np.eye(n, k=-1)
            F[0] = -1
            return F
        F, at = np.zeros((n, n)), 0
        for j, size in zip(self._orders(), self._sizes(), strict=True):
            c, s = np.cos(2 * np.pi * j / self.period), np.sin(2 * np.pi * j / self.period)
            F[at : at + size, at : at + size] = np.array([[c, s], [-s, c]])[:size, :size]
            at += size
        return F

    def _shares(self) -> np.ndarray:
        """(n, variances): which variance disturbs which state."""
        if self.form == "dummy":
            return np.eye(self.n_states, 1)
        if not self.separate:
            return np.ones((self.n_states, 1))
        return np.repeat(np.eye(len(self._orders())), self._sizes(), axis=0)

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        H = np.eye(1, self.n_states)[0]
        if self.form != "dummy":
            H[np.cumsum([0, *self._sizes()[:-1]])] = 1
        Q = np.diag(self._shares() @ np.atleast_1d(values["variance"]))
        return as_blocks(self._turning(), Q, H)

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        found = np.diagonal(slopes.Q) @ self._shares()
        return {"variance": found.reshape(np.shape(values["variance"]))}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        return {"variance": np.broadcast_to(drawn(rng, 0.01, about.noise, 1.5), self.parameters()[0].shape)}

    def breaks(self) -> dict[str, int]:
        return {self.label: 0} if self.form == "dummy" else {}
