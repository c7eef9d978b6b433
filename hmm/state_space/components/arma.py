"""A stationary and invertible ARMA process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hmm.coordinates.stationary import from_partial
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
from hmm.state_space.components.lyapunov import stationary_covariance, stationary_pullback
from hmm.state_space.components.polynomials import polynomial
from hmm.validation import whole
from msgpass.errors import DataError


@dataclass(frozen=True)
class ARMA(Component):
    """z_t = Σ_i φ_i z_{t−i} + η_t + Σ_j θ_j η_{t−j}, η ~ N(0, σ²), from its stationary distribution.

    In the form of Harvey (1989, section 3.4.1): max(p, q + 1) states of which the first is z_t.

    Parameters
    ----------
    name : str
        "arma" by default.
    p, q : int
        Orders of the autoregression and of the moving average.
    ar, ma : sequence of float or None
        φ (p,) and θ (q,), None to estimate them; the estimates are stationary and invertible.
    variance : float or None
        σ², None to estimate it.

    Examples
    --------
    >>> own = ARMA(p=1, q=1)
    >>> values = {"ar": np.array([0.5]), "ma": np.array([0.4]), "variance": np.array(1.0)}
    >>> own.blocks(values, np.empty((4, 0))).cov.round(3)  # the first is (1 + 2φθ + θ²)/(1 − φ²)
    array([[2.08, 0.4 ],
           [0.4 , 0.16]])
    """

    KIND: ClassVar[str] = "arma"

    p: int = 1
    q: int = 1
    ar: tuple[float, ...] | None = None
    ma: tuple[float, ...] | None = None
    variance: float | None = None

    def check(self) -> None:
        if whole("p", self.p, 0) + whole("q", self.q, 0) == 0:
            raise DataError("an ARMA process has p + q ≥ 1; noise alone is Irregular()")
        super().check()

    @property
    def n_states(self) -> int:
        return max(self.p, self.q + 1)

    def parameters(self) -> tuple[Parameter, ...]:
        ar, ma = polynomial("ar", self.p, self.ar, 1), polynomial("ma", self.q, self.ma, -1)
        return ar, ma, variance_of("variance", self.variance)

    def _into(self, values: Values) -> np.ndarray:
        """How a disturbance enters the states, (n,)."""
        found = np.zeros(self.n_states)
        found[0], found[1 : self.q + 1] = 1, values["ma"]
        return found

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        n, into = self.n_states, self._into(values)
        F = np.eye(n, k=1)
        F[: self.p, 0] = values["ar"]
        Q = values["variance"] * np.outer(into, into)
        return as_blocks(F, Q, np.eye(1, n), cov=stationary_covariance(F, Q))

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        own, into = self.blocks(values, np.empty((0, 0))), self._into(values)
        F, Q = stationary_pullback(own.F, own.cov, slopes.cov)
        F, Q = F + slopes.F, Q + slopes.Q
        pushed = values["variance"] * (Q + Q.T) @ into
        return {"ar": F[: self.p, 0], "ma": pushed[1 : self.q + 1], "variance": into @ Q @ into}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        ar, ma = np.full(self.p, 0.0), np.full(self.q, 0.0)
        ar[:1], ma[:1] = 0.5, -0.1  # not ∓ each other, where both would cancel
        if rng is not None:
            ar, ma = rng.uniform(-0.9, 0.9, self.p), rng.uniform(-0.9, 0.9, self.q)
        return {"ar": from_partial(ar), "ma": -from_partial(ma), "variance": drawn(rng, 0.7, about.noise)}

    def breaks(self) -> dict[str, int]:
        return {}
