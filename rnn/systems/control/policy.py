"""``LinearPolicy`` and ``CostToGo``: gains and feed-forward read from the cost-to-go of the next step.

Q_uu = R + BᵀP₊B,   Q_ux = Nᵀ + BᵀP₊A,   Q_u = r + Bᵀ(P₊b − p₊)
u = −K x + k,       K = Q_uu⁻¹Q_ux,      k = −Q_uu⁻¹Q_u
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import NumericalError
from rnn.systems.control.chain import QuadraticValue
from rnn.systems.control.checks import step_and_state
from rnn.systems.control.problem import Stages


class CostToGo(NamedTuple):
    """V_t(x) = ½ xᵀP_t x − p_t·x + constant_t: the least cost from x_t = x to the end.

    ``P`` (T + 1, n, n), ``p`` (T + 1, n) and ``constant`` (T + 1,).
    """

    P: np.ndarray
    p: np.ndarray
    constant: np.ndarray

    def __call__(self, t: int, x) -> float:
        """V_t(x)."""
        t, x = step_and_state(t, len(self.P), x, self.P.shape[-1])
        return float(0.5 * x @ self.P[t] @ x - self.p[t] @ x + self.constant[t])

    def costates(self, states: np.ndarray) -> np.ndarray:
        """λ_t = ∂V_t/∂x = P_t x_t − p_t."""
        return np.einsum("tij,tj->ti", self.P, states) - self.p


class LinearPolicy(NamedTuple):
    """u_t = −gain_t x + feedforward_t: ``gain`` (T, m, n), ``feedforward`` (T, m)."""

    gain: np.ndarray
    feedforward: np.ndarray

    def __call__(self, t: int, x) -> np.ndarray:
        """The control at step t in state x."""
        t, x = step_and_state(t, len(self.gain), x, self.gain.shape[-1])
        return self.feedforward[t] - self.gain[t] @ x


class Curvature(NamedTuple):
    """Second and first derivatives of cost now plus cost-to-go in u, at x = 0 and u = 0."""

    Quu: np.ndarray  # (T, m, m)
    Qux: np.ndarray  # (T, m, n)
    Qu: np.ndarray  # (T, m)


def curvature(stages: Stages, value: QuadraticValue) -> Curvature:
    """Of every step."""
    P, p = value.P[1:], value.p[1:]
    turned = np.swapaxes(stages.B, -1, -2)
    at_u = turned @ P
    ahead = (P @ stages.b[..., None])[..., 0] - p
    Qu = stages.r + (turned @ ahead[..., None])[..., 0]
    Qux = np.swapaxes(stages.N, -1, -2) + at_u @ stages.A
    return Curvature(stages.R + at_u @ stages.B, Qux, Qu)


def first_not_positive(matrices: np.ndarray) -> int | None:
    """The last step (the first that a backward sweep meets) whose matrix is not positive definite."""
    lowest = np.linalg.eigvalsh(matrices)
    bad = np.flatnonzero(~(lowest[:, 0] > 1e-13 * np.abs(lowest).max(axis=1)))
    return int(bad[-1]) if bad.size else None


def policy_of(stages: Stages, value: QuadraticValue) -> tuple[LinearPolicy, CostToGo]:
    """Gains, feed-forward and the constants of the cost-to-go."""
    Quu, Qux, Qu = curvature(stages, value)
    step = first_not_positive(Quu)
    if step is not None:
        raise NumericalError(
            "the problem is not convex in the controls: R + BᵀPB is not positive definite at step "
            f"{step}, so that costs fall without end along some control there; make Q (with N) or Q_final "
            "less negative, or R larger"
        )
    solved = np.linalg.solve(Quu, np.concatenate([Qux, Qu[..., None]], axis=-1))
    gain, k = solved[..., :-1], -solved[..., -1]
    P, p = value.P[1:], value.p[1:]
    shift = np.broadcast_to(stages.b, p.shape)
    change = 0.5 * np.einsum("ti,tij,tj->t", shift, P, shift) - (p * shift).sum(-1) + 0.5 * (Qu * k).sum(-1)
    constant = np.append(np.cumsum(change[::-1])[::-1], 0.0)
    return LinearPolicy(gain, k), CostToGo(value.P, value.p, constant)
