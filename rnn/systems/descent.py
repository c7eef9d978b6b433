"""L-BFGS-B over one array, with its history and a warning where it does not converge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from msgpass.errors import ConvergenceWarning, NumericalError


class Descent(NamedTuple):
    """Where it ended and how: ``values`` are those at the start and after every iteration."""

    x: np.ndarray
    value: float
    values: np.ndarray
    converged: bool
    reason: str


def descend(
    value_and_slope: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    lower=-np.inf,
    upper=np.inf,
    n_iter: int = 500,
    tol: float = 1e-8,
) -> Descent:
    """scipy's L-BFGS-B from ``start``, within bounds that broadcast to its shape.

    ``tol`` is that of the projected gradient, relative to the largest slope at the start.
    """
    from scipy.optimize import minimize

    low, high = (np.broadcast_to(b, start.shape).ravel() for b in (lower, upper))
    values: list[float] = []

    def call(flat):
        value, slope = value_and_slope(flat.reshape(start.shape))
        if not np.isfinite(value):
            raise NumericalError(f"the cost is {value} at {flat.reshape(start.shape)}")
        return value, np.asarray(slope, float).ravel()

    first = np.clip(start.ravel(), low, high)
    value, slope = call(first)
    values.append(value)
    found = minimize(
        call,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([low, high], axis=1),
        callback=lambda intermediate_result: values.append(float(intermediate_result.fun)),
        options={"maxiter": n_iter, "maxfun": 20 * n_iter, "gtol": tol * max(np.abs(slope).max(), 1e-300),
                 "ftol": 1e-14, "maxcor": 20},
    )  # fmt: skip
    return Descent(
        found.x.reshape(start.shape), float(found.fun), np.array(values), bool(found.success), found.message
    )


def warn_unless(converged: bool, what: str, reason: str, way_out: str) -> None:
    """A ConvergenceWarning that says why not."""
    if not converged:
        warnings.warn(f"{what} did not converge: {reason}; {way_out}", ConvergenceWarning, stacklevel=3)
