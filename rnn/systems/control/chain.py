"""The Gaussian chain of a linear-quadratic problem, and the cost-to-go read from its backward messages.

With u = v − R⁻¹(Nᵀx + r) the cross terms and linear costs of u go into dynamics and state costs. Then exp(−½
vᵀRv) makes each step Gaussian, and exp(−cost) is a local factor:

    x_{t+1} ~ N(A′x_t + b′, B R⁻¹Bᵀ),   A′ = A − B R⁻¹Nᵀ,   b′ = b − B R⁻¹r
    local factor exp(−½ xᵀQ′x − q′·x),  Q′ = Q − N R⁻¹Nᵀ,   q′ = q − N R⁻¹r

The backward message at x_t, its own factor included, is exp(−V_t) up to a constant, V_t the cost-to-go.

Sources: Kalman (1960), A new approach to linear filtering and prediction problems (the duality); Todorov
(2008), General duality between optimal control and estimation; Hoffmann & Rostalski (2017), Linear optimal
control on factor graphs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import FactorGraph, Gaussian, Messages, Quadratic, run
from msgpass.errors import NumericalError
from rnn.systems.control.problem import Stages


class Reduced(NamedTuple):
    """A chain without cross terms: what stands in the graph."""

    A: np.ndarray  # (1|T, n, n)
    b: np.ndarray  # (1|T, n)
    S: np.ndarray  # (1|T, n, n), B R⁻¹Bᵀ
    Q: np.ndarray  # (1|T, n, n)
    q: np.ndarray  # (1|T, n)


def reduce(stages: Stages) -> Reduced:
    """Complete the square in u."""
    turned = np.swapaxes(stages.N, -1, -2)
    W = np.linalg.solve(stages.R, np.swapaxes(stages.B, -1, -2))  # R⁻¹Bᵀ
    S = stages.B @ W
    if stages.N.any() or stages.r.any():
        cross = np.linalg.solve(stages.R, turned)  # R⁻¹Nᵀ
        alone = np.linalg.solve(stages.R, stages.r[..., None])  # R⁻¹r
        A, Q = stages.A - stages.B @ cross, stages.Q - stages.N @ cross
        b, q = stages.b - (stages.B @ alone)[..., 0], stages.q - (stages.N @ alone)[..., 0]
    else:
        A, b, Q, q = stages.A, stages.b, stages.Q, stages.q
    return Reduced(A, b, _symmetric(S), _symmetric(Q), q)


def _symmetric(M: np.ndarray) -> np.ndarray:
    return (M + np.swapaxes(M, -1, -2)) / 2


class ControlChain:
    """The graph of one horizon and state size, kept and run with new values.

    ``timed`` tells which of the arrays of :class:`Reduced` have a step axis.

    Examples
    --------
    >>> from rnn.systems.control import LinearQuadratic
    >>> stages = LinearQuadratic(1.0, 1.0, 1.0, 1.0).stages(30)
    >>> cost_to_go, _ = ControlChain.of(stages).cost_to_go(stages)
    >>> cost_to_go.P[0].round(6)
    array([[1.618034]])
    """

    def __init__(self, horizon: int, states: int, timed: tuple[bool, ...]):
        self.horizon, self.states, self.timed = horizon, states, timed
        n = states
        shapes = {"A": (n, n), "b": (n,), "S": (n, n), "Q": (n, n), "q": (n,)}
        self.graph = g = FactorGraph()
        x = g.sequence("x", length=horizon + 1, shape=(n,))
        p = {
            name: g.parameter(name, np.zeros((horizon, *shape) if own else shape))
            for (name, shape), own in zip(shapes.items(), timed, strict=True)
        }
        start = g.parameter("start", np.zeros(n))
        Q_final, q_final = g.parameter("Q_final", np.zeros((n, n))), g.parameter("q_final", np.zeros(n))
        g.factor(Quadratic.prior(start, np.zeros((n, n))), x[0], name="first state")
        g.factor(Quadratic.linear_gaussian(p["A"], p["S"], p["b"]), x[:-1], x[1:], name="dynamics")
        g.factor(Quadratic(p["q"], p["Q"]), x[:-1], name="cost")
        g.factor(Quadratic(q_final, Q_final), x[horizon], name="terminal cost")

    @classmethod
    def of(cls, stages: Stages) -> ControlChain:
        """The graph of problems like this one."""
        timed = tuple(len(a) == stages.horizon and stages.horizon > 1 for a in reduce(stages))
        return cls(stages.horizon, stages.A.shape[-1], timed)

    def run(self, stages: Stages, start: np.ndarray | None = None) -> tuple[Messages, Reduced]:
        """Messages from ``start`` (zero by default), and the chain that they ran over."""
        reduced = reduce(stages)
        arrays = {
            # A precision's information vector is minus the linear cost.
            name: -array if name == "q" else array
            for name, array in reduced._asdict().items()
        }
        values = {
            name: array if own else array[0]
            for (name, array), own in zip(arrays.items(), self.timed, strict=True)
        }
        for name, array in values.items():
            shape = self.graph.nodes[name].shape
            values[name] = np.ascontiguousarray(np.broadcast_to(array, shape))
        values |= {"Q_final": stages.Q_final, "q_final": -stages.q_final}
        values["start"] = np.zeros(self.states) if start is None else start
        return run(self.graph, Gaussian(), values=values), reduced

    def cost_to_go(self, stages: Stages, start: np.ndarray | None = None) -> tuple[QuadraticValue, Messages]:
        """P and p of every step, without the constant: those are :func:`~.policy.policy_of`'s."""
        m, reduced = self.run(stages, start)
        try:
            said = m.backward["x"]
        except NumericalError as problem:
            raise NumericalError(
                "the problem is not convex in the controls, so that costs fall without end along some of "
                "them: make Q (with N) or Q_final less negative, or R larger"
            ) from problem
        P, p = said.precision.copy(), said.h.copy()
        P[:-1] += reduced.Q
        p[:-1] -= reduced.q
        P[-1] += stages.Q_final
        p[-1] -= stages.q_final
        return QuadraticValue(P, p), m


class QuadraticValue(NamedTuple):
    """½ xᵀP_t x − p_t·x, up to a constant."""

    P: np.ndarray  # (T + 1, n, n)
    p: np.ndarray  # (T + 1, n)
