"""Lag polynomials as parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.coordinates.stationary import Stationary, to_partial
from hmm.state_space.components.base import Parameter, held
from msgpass.errors import DataError


def polynomial(name: str, order: int, fixed: Any, sign: int) -> Parameter:
    """Coefficients (order,) of a stationary autoregression (sign 1) or an invertible moving average (−1)."""
    value = held(name, fixed, (order,))
    if value is not None and order and np.abs(to_partial(sign * value)).max() >= 1:
        what = "stationary" if sign == 1 else "invertible"
        raise DataError(
            f"{name}={fixed!r} is not {what}: a root of its polynomial is on or in the unit circle"
        )
    return Parameter(name, Stationary(sign), (order,), value)
