"""``ilqr``: the iterative linear-quadratic regulator, Gauss-Newton in the plant (Li & Todorov 2004)."""

from __future__ import annotations

from collections.abc import Callable

from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.result import ControlResult
from rnn.systems.control.solver import solve


def ilqr(
    problem: OptimalControl,
    inputs=None,
    *,
    n_iter: int = 200,
    tol: float = 1e-6,
    damping: float = 0.0,
    progress: bool = True,
    callback: Callable | None = None,
) -> ControlResult:
    """Optimise the controls of a nonlinear plant.

    Each iteration linearises the plant along the path and solves the linear-quadratic problem there by
    messages. The plant's own curvature is left out, so that every model is convex where the cost is, at the
    price of slower (linear) convergence near the optimum: :func:`ddp` keeps it.

    Parameters
    ----------
    problem : OptimalControl
    inputs : (T, m) array, optional
        Controls to start from; zero by default. A plant at rest where the gradient vanishes needs others.
    n_iter : int
        Most iterations.
    tol : float
        Done when max |u − clip(u − ∂J/∂u)| ≤ tol · max(1, |J|), |J| at most that of the
        first path.
    damping : float
        First μ of the Levenberg-Marquardt term ½μ|δu|²; it adapts itself.
    progress : bool
        A bar on stderr, on a terminal, for what takes longer than a second.
    callback : callable, optional
        ``callback(iteration)`` after each :class:`Iteration`.

    Returns
    -------
    ControlResult
        Also when it was stopped by Ctrl-C.

    Warns
    -----
    ConvergenceWarning
        When it stopped before it met ``tol``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn.systems.control import QuadraticCost, plants
    >>> cost = QuadraticCost(0.01 * np.eye(2), 0.01 * np.eye(1), target=[np.pi, 0])
    >>> end = QuadraticCost(100 * np.eye(2), target=[np.pi, 0])
    >>> problem = OptimalControl(plants.pendulum(), cost, end, start=[0, 0], horizon=60, lower=-5, upper=5)
    >>> found = ilqr(problem)
    >>> found.converged, bool(abs(found.states[-1, 0] - np.pi) < 0.1)
    (True, True)
    """
    return solve(problem, inputs, "ilqr", n_iter, tol, damping, progress, callback)
