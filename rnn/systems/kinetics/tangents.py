"""Concentrations and their derivatives along directions, forward in one chain.

Row 0 of the state (1 + P, S) is c, row 1 + i is s_i = ∂c/∂θ_i, by the variational equation

    ds_i/dt = (∂f/∂c) s_i + N (∂ln k/∂θ_i · v)        ∂ln k_r/∂θ_i = a_ir + b_ir / (R T(t))

with a for ln k or ln A, and b = −1 for E.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.ode import odeint
from rnn.ode.field import Field
from rnn.systems.kinetics.rate_law import GAS_CONSTANT, RateLaw


@dataclass(frozen=True)
class Directions:
    """P directions: ``logs`` a and ``energies`` b (P, R), ``start`` ∂c(0)/∂θ (P, S)."""

    logs: np.ndarray
    energies: np.ndarray
    start: np.ndarray


class TangentField:
    """The right-hand side of (c, s_1, …, s_P); kept with its directions, for graphs go with it."""

    def __init__(self, law: RateLaw, logs: np.ndarray, energies: np.ndarray):
        self.law, self.logs, self.energies = law, logs, energies
        self.field = Field(self.forward, None, self.matrix)

    def _slopes(self, t, p) -> np.ndarray:
        if self.law.temperature is None:
            return self.logs
        temperature = np.sum(self.law.temperature(t) * p["T"])
        return self.logs + self.energies / (GAS_CONSTANT * temperature)

    def forward(self, t, y, *arrays):
        """(dc/dt, ds/dt)."""
        law, p = self.law, dict(zip(self.law.names, arrays, strict=True))
        c, k = y[0], self.law.rates(t, p)
        speeds = k * law.law.monomials(c)
        jacobian = law.law.jacobian(c, k)
        moved = y[1:] @ jacobian.T + (self._slopes(t, p) * speeds) @ law.law.stoichiometry.T
        return np.concatenate([law.of_arrays(t, c, *arrays)[None], moved])

    def matrix(self, t, y, *arrays) -> np.ndarray:
        """One block a row: how J itself moves with c is left to Newton's iteration."""
        return np.kron(np.eye(len(y)), self.law.matrix(t, y[0], *arrays))


def tangents(reactor, tangent_field: TangentField, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c (M, S) and ∂c/∂θ (M, P, S) at the reactor's times."""
    y0 = np.concatenate([reactor.y0[None], start])
    found = odeint(
        tangent_field.field,
        y0,
        reactor.stops,
        reactor.params,
        reactor.method,
        step=reactor.step,
        rtol=reactor.rtol,
        atol=reactor.atol,
        max_steps=reactor.max_steps,
    )
    saved = found.y[np.searchsorted(found.t, reactor.times)]
    return saved[:, 0], saved[:, 1:]
