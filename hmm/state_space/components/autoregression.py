"""A stationary autoregression."""

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


@dataclass(frozen=True)
class AR(Component):
    """z_t = φ_1 z_{t−1} + … + φ_p z_{t−p} + η_t, η ~ N(0, σ²), from its stationary distribution.

    Parameters
    ----------
    name : str
        "ar" by default.
    order : int
        p.
    coef : sequence of float or None
        φ (p,), None to estimate it; it is always stationary.
    variance : float or None
        σ², None to estimate it.

    Examples
    --------
    >>> AR(order=2).blocks({"coef": np.array([0.5, 0.3]), "variance": np.array(1.0)}, np.empty((4, 0))).F
    array([[0.5, 0.3],
           [1. , 0. ]])
    """

    KIND: ClassVar[str] = "ar"

    order: int = 1
    coef: tuple[float, ...] | None = None
    variance: float | None = None

    def check(self) -> None:
        whole("order", self.order, 1)
        super().check()

    @property
    def n_states(self) -> int:
        return self.order

    def parameters(self) -> tuple[Parameter, ...]:
        return polynomial("coef", self.order, self.coef, 1), variance_of("variance", self.variance)

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        p = self.order
        F, Q = np.eye(p, k=-1), np.zeros((p, p))
        F[0], Q[0, 0] = values["coef"], values["variance"]
        return as_blocks(F, Q, np.eye(1, p), cov=stationary_covariance(F, Q))

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        own = self.blocks(values, np.empty((0, 0)))
        F, Q = stationary_pullback(own.F, own.cov, slopes.cov)
        return {"coef": slopes.F[0] + F[0], "variance": slopes.Q[0, 0] + Q[0, 0]}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        partial = np.zeros(self.order)
        partial[0] = 0.5
        if rng is not None:
            partial = rng.uniform(-0.9, 0.9, self.order)
        return {"coef": from_partial(partial), "variance": drawn(rng, 0.5, about.noise)}

    def breaks(self) -> dict[str, int]:
        return {self.label: 0}
