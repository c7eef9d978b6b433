"""Identity 5 as a table: one co-state by back-propagation, by Gaussian messages, and by scipy's Riccati
solver.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control.adjoint_pass import AdjointPass
from rnn.systems.control.chain import ControlChain
from rnn.systems.control.checks import vector, whole
from rnn.systems.control.costs import QuadraticCost
from rnn.systems.control.finite import lqr
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.plant import Plant
from rnn.systems.control.problem import LinearQuadratic


class Costates(NamedTuple):
    """λ_t (T + 1, n) along the optimal path, three times.

    Attributes
    ----------
    states : (T + 1, n) array
    adjoint : (T + 1, n) array
        Cotangents of the states: the plant under ``Adjoint``, with the optimal controls.
    gaussian : (T + 1, n) array
        Λ_t x_t − h_t, the backward Gaussian message (the step's own cost included) at the posterior mean.
    riccati : (T + 1, n) array
        P x_t, P from :func:`scipy.linalg.solve_discrete_are`; the problem ends with that cost.
    """

    states: np.ndarray
    adjoint: np.ndarray
    gaussian: np.ndarray
    riccati: np.ndarray

    @property
    def gap(self) -> float:
        """Largest difference, relative to the largest co-state."""
        three = np.stack([self.adjoint, self.gaussian, self.riccati])
        return float(np.ptp(three, axis=0).max() / max(np.abs(three).max(), 1e-300))

    def __str__(self) -> str:
        lines = [f"{'t':>4} {'':>3} {'Adjoint':>16} {'Gaussian':>16} {'scipy':>16}"]
        for t, rows in enumerate(zip(self.adjoint, self.gaussian, self.riccati, strict=True)):
            for k, (a, g, r) in enumerate(zip(*rows, strict=True)):
                lines.append(f"{t if k == 0 else '':>4} λ{k + 1:<2} {a:16.10f} {g:16.10f} {r:16.10f}")
        return "\n".join(lines)

    def plot(self, figure=None):
        """One axis a component: three lines that are one.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from msgpass import drawing, optional

        size = self.states.shape[1]
        with drawing.style():
            figure = figure or optional.figure(figsize=(3.2 * size, 2.6), layout="constrained")
            for k, axes in enumerate(np.atleast_1d(figure.subplots(1, size))):
                axes.plot(self.riccati[:, k], color=drawing.PALE, lw=5, label="P x_t (scipy)")
                axes.plot(self.gaussian[:, k], color=drawing.FIRST, lw=1.6, label="Λx − h (Gaussian)")
                axes.plot(self.adjoint[:, k], "o", ms=3, color=drawing.SECOND, label="λ (Adjoint)")
                axes.set(xlabel="step", title=f"Co-state of state {k + 1}")
            axes.legend(frameon=False)
        return figure


def compare_costates(problem: LinearQuadratic, start, horizon: int = 20) -> Costates:
    """The co-states of a linear-quadratic problem from two algebras and from scipy.

    Parameters
    ----------
    problem : LinearQuadratic
        Without a step axis, linear terms or offset; its terminal cost is scipy's P, so that P_t = P at every
        step.
    start : (n,) array
    horizon : int

    Returns
    -------
    Costates

    Examples
    --------
    >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    >>> found = compare_costates(problem, [1, 0], horizon=3)
    >>> found.gap < 1e-12
    True
    >>> print(found)
       t              Adjoint         Gaussian            scipy
       0 λ1     17.8349313222    17.8349313222    17.8349313222
         λ2     10.0124921973    10.0124921973    10.0124921973
    ...
    """
    from scipy.linalg import solve_discrete_are

    if not isinstance(problem, LinearQuadratic):
        raise DataError(f"compare_costates takes a LinearQuadratic, got {type(problem).__name__}")
    if problem.steps is not None or problem.q.any() or problem.r.any() or problem.b.any():
        raise ShapeError(
            "scipy solves problems without a step axis, linear costs and offset alone; compare others by lqr"
        )
    horizon, x0 = whole("horizon", horizon), vector("start", start, problem.states)
    A, B, Q, R, N = problem.A, problem.B, problem.Q, problem.R, problem.N
    try:
        P = solve_discrete_are(A, B, Q, R, s=N)
    except (np.linalg.LinAlgError, ValueError) as reason:
        raise NumericalError(
            f"scipy finds no stationary cost ({reason}): some mode is beyond the controls or costs nothing, "
            "or Q is indefinite; stationary_lqr names the mode"
        ) from reason
    P = (P + P.T) / 2
    stages = LinearQuadratic(A, B, Q, R, N, Q_final=P).stages(horizon)

    said, m = ControlChain.of(stages).cost_to_go(stages, x0)
    x = m.belief["x"].mean
    gaussian = np.einsum("tij,tj->ti", said.P, x) - said.p

    inputs = lqr(LinearQuadratic(A, B, Q, R, N, Q_final=P), horizon).rollout(x0).inputs
    plant = Plant(lambda x, u: x @ A.T + u @ B.T, len(A), B.shape[1], vectorized=True, name="linear plant")
    controlled = OptimalControl(plant, QuadraticCost(Q, R, N), QuadraticCost(P), start=x0, horizon=horizon)
    path = AdjointPass(controlled)(inputs)
    return Costates(path.states, path.costates, gaussian, path.states @ P)
