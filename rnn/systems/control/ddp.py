"""``ddp``: differential dynamic programming, Newton's method in the controls (Jacobson & Mayne 1970)."""

from __future__ import annotations

from collections.abc import Callable

from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.result import ControlResult
from rnn.systems.control.solver import solve


def ddp(
    problem: OptimalControl,
    inputs=None,
    *,
    n_iter: int = 200,
    tol: float = 1e-6,
    damping: float = 0.0,
    progress: bool = True,
    callback: Callable | None = None,
) -> ControlResult:
    """Optimise the controls of a nonlinear plant, with the plant's own curvature Σ_k λ_k ∂²f_k in the model.

    The co-states λ that contract it are those of the plant's ``Adjoint`` run. Near an optimum convergence is
    quadratic; far from it the model may be indefinite, and is damped. Parameters, result and warnings are
    those of :func:`ilqr`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn.systems.control import OptimalControl, QuadraticCost, plants
    >>> cost = QuadraticCost(0.1 * np.eye(2), 0.1 * np.eye(1), target=[np.pi, 0])
    >>> problem = OptimalControl(plants.pendulum(), cost, start=[2, 0], horizon=40)
    >>> ddp(problem, tol=1e-9).converged
    True
    """
    return solve(problem, inputs, "ddp", n_iter, tol, damping, progress, callback)
