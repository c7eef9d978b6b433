"""Dropout between layers (Srivastava et al. 2014): a number is kept with probability 1 − p and divided by it.

The mask is an observation of the graph, so that a run with dropout is a deterministic one given its mask.
"""

from __future__ import annotations

import numpy as np

from msgpass import Step
from msgpass.errors import DataError


def probability(value) -> float:
    """A number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise DataError(f"dropout must be a probability in [0, 1), got {value!r}")
    return float(value)


def draw_mask(p: float, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """1/(1 − p) where a number is kept, 0 where it is not."""
    return (rng.random(shape) >= p).astype(dtype) / dtype.type(1 - p)


def scale(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Number by number."""
    return values * mask


DROP = Step(
    scale,
    vjp=lambda inputs, cotangent: (cotangent * inputs[1], None),
    jvp=lambda inputs, tangents: tangents[0] * inputs[1],
    vectorized=True,
    hvp=lambda *_: (None, None),
)
