"""Limited-memory BFGS with a line search (Liu & Nocedal 1989), from SciPy.

It needs the loss itself and its gradient, over all data and without chance: no batches, no truncation, no
dropout. Its memory is SciPy's own, so that a fit cannot be resumed within it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnn.validation import whole

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

SMALLEST_TOLERANCE = 1e-15


class Outcome(NamedTuple):
    """Whether the tolerance was met, and why it stopped."""

    converged: bool
    reason: str


@dataclass(frozen=True)
class LBFGS:
    """Quasi-Newton steps; the learning rate is the line search's.

    Parameters
    ----------
    memory : int
        Pairs of steps and changes of gradient that are kept.
    """

    memory: int = 10

    def __post_init__(self) -> None:
        whole("memory", self.memory)

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        n_iter: int,
        tol: float | None,
        record: Callable[[float, np.ndarray], str | None],
    ) -> Outcome:
        """Minimise from ``start``.

        Parameters
        ----------
        objective : callable
            Weights (n,) → (loss, gradient).
        start : array (n,)
        n_iter : int
        tol : float or None
            Stop when an iteration lowers the loss by less than tol · max(loss, 1).
        record : callable
            Told the loss and the weights, once before and after every iteration; a reason stops there.
        """
        from scipy.optimize import minimize

        stopped: list[str] = []

        def told(value: float, theta: np.ndarray) -> None:
            reason = record(value, theta)
            if reason is not None:
                stopped.append(reason)

        def step(intermediate_result) -> None:
            told(intermediate_result.fun, intermediate_result.x)
            if stopped:
                raise StopIteration

        first = objective(start)
        told(first[0], start)
        if stopped:
            return Outcome(False, stopped[0])

        def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
            return first if np.array_equal(theta, start) else objective(theta)

        options = {
            "maxiter": n_iter,
            "maxfun": 20 * n_iter,
            "maxcor": self.memory,
            "ftol": tol or 0.0,
            "gtol": SMALLEST_TOLERANCE,
        }
        found = minimize(
            value_and_gradient, start, jac=True, method="L-BFGS-B", callback=step, options=options
        )
        if stopped:
            return Outcome(False, stopped[0])
        if found.status == 0:
            return Outcome(True, "converged")
        return Outcome(
            False, f"{n_iter} iterations" if found.status == 1 else "no further decrease at this precision"
        )
