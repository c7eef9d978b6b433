"""``stationary_lqr``: the infinite horizon, as the fixed point of the backward message, by doubling.

A stretch of the chain is one factor over its two ends, N(x′; A x + b, S) exp(−½ xᵀQx + h·x). Two equal
stretches in a row make one of twice the length, whose parts are messages over x₀ → x₁ → x₂:

    forward   at x₂ from x₀ = e_k and from x₀ = 0: the columns of A and b as means, S as covariance
    backward  at x₀ with its own factor: Q and h

so that 2^k steps of the Riccati recursion take k runs. The fixed point is verified by one more step of the
chain.

Sources: Anderson (1978), Second-order convergent algorithms for the steady-state Riccati equation; Särkkä &
García-Fernández (2023), Temporal parallelization of dynamic programming and linear quadratic control.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from msgpass import FactorGraph, Gaussian, Quadratic, run
from msgpass.errors import ConvergenceWarning, DataError, NumericalError, ShapeError
from rnn.systems.control.chain import reduce
from rnn.systems.control.checks import covariance, single, whole
from rnn.systems.control.finite import Regulator, Rollout, solve_stages
from rnn.systems.control.problem import LinearQuadratic
from rnn.systems.control.structure import root, stuck_modes

DOUBLINGS = 60
TOLERANCE = 1e-9  # of P, in the verification


class StationaryRegulator(NamedTuple):
    """What :func:`stationary_lqr` returns.

    Attributes
    ----------
    gain, feedforward : (m, n), (m,) arrays
        u = −K x + k.
    P, p : (n, n), (n,) arrays
        Cost-to-go ½ xᵀPx − p·x, relative to that of the equilibrium.
    closed_loop : (n, n) array
        A − BK; its ``radius``, the largest |eigenvalue|, is below 1.
    rate : float
        Cost a step in the long run; 0 without linear terms, offsets and noise.
    equilibrium : tuple of arrays
        State and control where the closed loop comes to rest.
    doublings : int
        Runs until the messages stood still: 2 to this power steps.
    residual : float
        Largest change of P in one more step, relative to P.
    """

    gain: np.ndarray
    feedforward: np.ndarray
    P: np.ndarray
    p: np.ndarray
    closed_loop: np.ndarray
    radius: float
    rate: float
    equilibrium: tuple[np.ndarray, np.ndarray]
    doublings: int
    residual: float
    problem: LinearQuadratic

    def __call__(self, x) -> np.ndarray:
        """The control in state x."""
        return self.feedforward - self.gain @ np.asarray(x, float)

    def over(self, horizon: int) -> Regulator:
        """The same policy over a finite horizon with the stationary cost-to-go at its end."""
        return _with_end(self.problem, self.P, self.p, whole("horizon", horizon))

    def rollout(self, start, horizon: int, disturbances=None) -> Rollout:
        """The plant under the policy; the last cost is the cost-to-go."""
        return self.over(horizon).rollout(start, disturbances)


class _Stretch(NamedTuple):
    A: np.ndarray
    b: np.ndarray
    S: np.ndarray
    Q: np.ndarray
    h: np.ndarray


class _Doubling:
    """The graph of two stretches, once from every unit vector and once from 0."""

    def __init__(self, n: int):
        self.n = n
        self.graph = g = FactorGraph()
        x = g.sequence("x", length=[3] * (n + 1), shape=(n,))
        zero = g.parameter("starts", np.vstack([np.eye(n), np.zeros((1, n))]))
        p = {name: g.parameter(name, np.zeros((n, n))) for name in ("A", "S", "Q")}
        p |= {name: g.parameter(name, np.zeros(n)) for name in ("b", "h")}
        g.factor(Quadratic.prior(zero, np.zeros((n, n))), x[0])
        g.factor(Quadratic.linear_gaussian(p["A"], p["S"], p["b"]), x[:-1], x[1:])
        g.factor(Quadratic(p["h"], p["Q"]), x[:-1])

    def __call__(self, one: _Stretch) -> _Stretch:
        n = self.n
        m = run(self.graph, Gaussian(), values=one._asdict())
        ends, said = m.forward["x"], m.backward["x"]
        mean = ends.mean[2::3]
        return _Stretch(
            (mean[:n] - mean[n]).T, mean[n], ends.cov[-1], said.precision[-3] + one.Q, said.h[-3] + one.h
        )


def stationary_lqr(problem: LinearQuadratic, noise=None, tol: float = 1e-13) -> StationaryRegulator:
    """The linear-quadratic regulator over an infinite horizon.

    Parameters
    ----------
    problem : LinearQuadratic
        Without a step axis. Its terminal cost plays no part. With linear costs or an offset the cost of every
        step in the long run, ``rate``, is what is minimised.
    noise : (n, n) array, optional
        Covariance of disturbances of the state. It changes ``rate`` alone (certainty equivalence).
    tol : float
        Doubling stops when P changes by less, relative to its largest entry.

    Returns
    -------
    StationaryRegulator

    Raises
    ------
    NumericalError
        When some unstable mode cannot be steered (not stabilisable), or costs nothing (not detectable); the
        message names its eigenvalues.

    Examples
    --------
    >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    >>> found = stationary_lqr(problem)
    >>> found.gain.round(7)
    array([[0.9170746, 1.6355962]])
    >>> from scipy.linalg import solve_discrete_are
    >>> np.allclose(found.P, solve_discrete_are(problem.A, problem.B, problem.Q, problem.R))
    True
    """
    if not isinstance(problem, LinearQuadratic):
        raise DataError(f"stationary_lqr takes a LinearQuadratic, got {type(problem).__name__}")
    if problem.steps is not None:
        raise ShapeError(
            "over an infinite horizon nothing may change with time, but the problem's arrays have "
            f"{problem.steps} steps; use lqr"
        )
    if not isinstance(tol, int | float | np.number) or not 0 <= tol < np.inf:
        raise DataError(f"tol must be a finite number ≥ 0, got {tol!r}")
    n = problem.states
    W = np.zeros((n, n)) if noise is None else covariance("noise", single("noise", noise, (n, n)))
    reduced = reduce(problem.stages(1))
    _check_modes(problem, reduced.A[0], reduced.Q[0])
    stretch = _Stretch(reduced.A[0], reduced.b[0], reduced.S[0], reduced.Q[0], -reduced.q[0])
    stretch, doublings = _fixed_point(stretch, tol)
    return _verified(problem, stretch.Q, stretch.h, W, doublings)


def _check_modes(problem: LinearQuadratic, A: np.ndarray, Q: np.ndarray) -> None:
    for stuck, what, why in (
        (stuck_modes(problem.A, problem.B), "stabilisable", "no control acts on"),
        (stuck_modes(A.T, root(Q)), "detectable", "no cost is put on"),
    ):
        if stuck.size:
            listed = ", ".join(f"{v.real:.6g}" if abs(v.imag) < 1e-12 else f"{v:.6g}" for v in stuck)
            raise NumericalError(
                f"the problem is not {what}: {why} the mode(s) of A with eigenvalue {listed}, not inside the "
                "unit circle; over an infinite horizon no policy is both optimal and stable. Take such "
                "modes out of the state, or use lqr with a finite horizon"
            )


def _fixed_point(stretch: _Stretch, tol: float) -> tuple[_Stretch, int]:
    double = _Doubling(len(stretch.b))
    for k in range(1, DOUBLINGS + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                longer = double(stretch)
            except (NumericalError, np.linalg.LinAlgError):
                raise _diverged(k) from None
        if not all(np.isfinite(part).all() for part in longer):
            raise _diverged(k)
        scale = max(np.abs(longer.Q).max(), 1e-300)
        gap = np.abs(longer.Q - stretch.Q).max() / scale
        shift = np.abs(longer.h - stretch.h).max() / max(np.abs(longer.h).max(), scale)
        stretch = longer
        # What is left after 2^k steps: quadratic convergence, so that A small means that both stand still.
        if max(gap, shift) <= tol and np.abs(stretch.A).max() < 1e-6:
            return stretch, k
    raise _diverged(DOUBLINGS)


def _diverged(k: int) -> NumericalError:
    return NumericalError(
        f"the backward message has no fixed point: it does not settle in 2^{k} steps. Either a mode on "
        "the unit circle is almost beyond the controls or the costs, or Q is indefinite and the cost "
        "unbounded below"
    )


def _with_end(problem: LinearQuadratic, P, p, horizon: int) -> Regulator:
    stages = problem.stages(horizon)._replace(Q_final=P, q_final=-p)
    return solve_stages(stages)


def _verified(problem, P, p, W, doublings) -> StationaryRegulator:
    """One more step of the chain must leave P and p as they are."""
    step = _with_end(problem, P, p, 1)
    refined, linear = step.cost_to_go.P[0], step.cost_to_go.p[0]
    scale = max(np.abs(P).max(), 1e-300)
    residual = float(np.abs(refined - P).max() / scale)
    gain, feedforward = step.policy.gain[0], step.policy.feedforward[0]
    loop = problem.A - problem.B @ gain
    radius = float(np.abs(np.linalg.eigvals(loop)).max())
    if radius >= 1:
        raise NumericalError(
            f"the closed loop is not stable: its spectral radius is {radius:.9g}; the problem has no "
            "stabilising solution"
        )
    if residual > TOLERANCE:
        warnings.warn(
            f"the stationary cost-to-go still changes by {residual:.1g} of itself in one step (closed "
            f"loop's radius {radius:.9g}): it is known to about that precision",
            ConvergenceWarning,
            stacklevel=3,
        )
    rest = np.linalg.solve(np.eye(len(P)) - loop, problem.b + problem.B @ feedforward)
    held = feedforward - gain @ rest
    stages = problem.stages(1)
    rate = float(
        stages.cost(np.stack([rest, np.zeros_like(rest)]), held[None])[0] + 0.5 * (refined * W).sum()
    )
    return StationaryRegulator(
        gain,
        feedforward,
        refined,
        linear,
        loop,
        radius,
        rate,
        (rest, held),
        doublings,
        residual,
        problem,
    )
