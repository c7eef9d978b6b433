"""Optimisers: ``optimize(objective, start, n_iter, tol, lr, record)`` → :class:`Outcome`.

``objective(theta)`` is (loss, gradient); ``record(loss)`` is called once before and after every iteration.
A new optimiser is one function and a line in ``OPTIMIZERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
Record = Callable[[float], None]

PATIENCE = 10
"""Iterations of Adam that may pass without lowering the best loss by the tolerance."""

SMALLEST_TOLERANCE = 1e-15


class Outcome(NamedTuple):
    """Whether the tolerance was met, and why it stopped."""

    converged: bool
    reason: str


def lbfgs(
    objective: Objective, start: np.ndarray, n_iter: int, tol: float | None, lr: float, record: Record
) -> Outcome:
    """Limited-memory BFGS with a line search (Liu & Nocedal 1989), from SciPy; ``lr`` is not used."""
    from scipy.optimize import minimize

    def step(intermediate_result) -> None:
        record(intermediate_result.fun)

    first = objective(start)
    record(first[0])

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        return first if np.array_equal(theta, start) else objective(theta)

    options = {"maxiter": n_iter, "maxfun": 20 * n_iter, "ftol": tol or 0.0, "gtol": SMALLEST_TOLERANCE}
    found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", callback=step, options=options)
    if found.status == 0:
        return Outcome(True, "converged")
    return Outcome(
        False, f"{n_iter} iterations" if found.status == 1 else "no further decrease at this precision"
    )


def adam(
    objective: Objective, start: np.ndarray, n_iter: int, tol: float | None, lr: float, record: Record
) -> Outcome:
    """Adam (Kingma & Ba 2015) with β₁ = .9, β₂ = .999, ε = 1e-8."""
    theta, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    best, waited = np.inf, 0
    for k in range(n_iter + 1):
        value, gradient = objective(theta)
        record(value)
        if value < best - (tol or 0.0) * max(abs(value), 1.0):
            best, waited = value, 0
        else:
            waited += 1
        if tol is not None and waited >= PATIENCE:
            return Outcome(True, "converged")
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (gradient**2 - square)
        theta -= lr * (mean / (1 - 0.9 ** (k + 1))) / (np.sqrt(square / (1 - 0.999 ** (k + 1))) + 1e-8)
    return Outcome(False, f"{n_iter} iterations")


OPTIMIZERS: dict[str, Callable[..., Outcome]] = {"lbfgs": lbfgs, "adam": adam}
"""By the name that :func:`rnn.fit` takes."""
