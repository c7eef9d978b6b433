"""L-BFGS-B over one array, with its history and a warning where it does not converge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from msgpass.errors import ConvergenceWarning, DataError, NumericalError
from rnn.validation import not_negative, real_array, whole

FLAT = 1e-4
"""A line search that fails where the projected slope is this small beside the first one has met rounding."""


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
    scale: float | None = None,
) -> Descent:
    """scipy's L-BFGS-B from ``start``, within bounds that broadcast to its shape.

    ``tol`` is that of the projected gradient, relative to ``scale``, by default the first slope.
    """
    from scipy.optimize import minimize

    n_iter, tol = whole("n_iter", n_iter), not_negative("tol", tol)
    low, high = bounds(lower, upper, start.shape)
    values: list[float] = []

    def call(flat):
        value, slope = value_and_slope(flat.reshape(start.shape))
        if not np.isfinite(value):
            raise NumericalError(f"the cost is {value} at {flat.reshape(start.shape)}")
        return value, np.asarray(slope, float).ravel()

    first = np.clip(start.ravel(), low, high)
    value, slope = call(first)
    values.append(value)
    scale = np.abs(slope).max() if scale is None else scale
    found = minimize(
        call,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([low, high], axis=1),
        callback=lambda intermediate_result: values.append(float(intermediate_result.fun)),
        options={"maxiter": n_iter, "maxfun": 20 * n_iter, "gtol": tol * max(scale, 1e-300),
                 "ftol": 1e-14, "maxcor": 20},
    )  # fmt: skip
    converged, reason = bool(found.success), str(found.message)
    if not converged and found.status == 2:
        move = np.abs(found.x - np.clip(found.x - found.jac, low, high)).max()
        if converged := bool(move <= FLAT * scale):
            reason = "what a step would gain is below rounding"
    return Descent(found.x.reshape(start.shape), float(found.fun), np.array(values), converged, reason)


def bounds(lower, upper, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Both ends, flat, checked."""
    ends = [real_array(what, b, np.dtype(float)) for what, b in (("lower", lower), ("upper", upper))]
    try:
        low, high = (np.broadcast_to(b, shape).ravel() for b in ends)
    except ValueError:
        raise DataError(f"bounds have shapes {ends[0].shape} and {ends[1].shape}, wanted {shape}") from None
    wrong = ~(low <= high)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise DataError(f"bounds must be numbers with lower ≤ upper, got {low[k]:g} and {high[k]:g}")
    return low, high


def warn_unless(converged: bool, what: str, reason: str, way_out: str) -> None:
    """A ConvergenceWarning that says why not."""
    if not converged:
        warnings.warn(f"{what} did not converge: {reason}; {way_out}", ConvergenceWarning, stacklevel=3)
