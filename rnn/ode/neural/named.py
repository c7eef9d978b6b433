"""Weights that users name: values to start from, or shapes to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from msgpass.errors import DataError
from rnn.validation import UNDRAWN, real_array, whole


def named(initial, taken: tuple[str, ...], dtype: np.dtype) -> dict[str, Any]:
    """Name → array, or tuple of int: a shape. Checked."""
    if not isinstance(initial, Mapping):
        raise DataError(f"initial must be a dict from names to arrays, got {type(initial).__name__}")
    found: dict[str, Any] = {}
    for name, value in initial.items():
        if not isinstance(name, str) or not name or name in taken:
            raise DataError(f"a weight cannot be called {name!r}; the graph has that name already")
        if isinstance(value, tuple) and all(isinstance(n, int | np.integer) for n in value):
            found[name] = tuple(whole(f"the shape of {name!r}", n) for n in value)
            continue
        array = np.array(real_array(f"weight {name!r}", value, dtype), order="C")
        if not np.isfinite(array).all():
            raise DataError(f"weight {name!r} holds NaN or an infinite value")
        found[name] = array
    return found


def drawn(given: Mapping, bound: float, dtype: np.dtype, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values as they were given, and shapes drawn uniform on (−bound, bound)."""
    if rng is UNDRAWN:
        return {}
    return {
        name: rng.uniform(-bound, bound, value).astype(dtype) if isinstance(value, tuple) else value.copy()
        for name, value in given.items()
    }
