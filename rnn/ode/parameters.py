"""Parameters as the user has them (an array, a dict of arrays, or none) and as the graph has them (named
arrays)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from msgpass.errors import DataError

SINGLE = "params"
"""Name of the only parameter where ``params`` is an array."""
TAKEN = (
    *("y", "y0", "t", "h", "theta", "saved", "loss", "step", "place", "before", "pick", "interpolate"),
    *("t_before", "h_around", "seed", "which", "seed0", "number"),
)
"""Names that the graph has already."""


class Packing:
    """How ``params`` is laid out: ``names``, and f as a function of the arrays in that order.

    Examples
    --------
    >>> packing = Packing.of({"rate": 1.0, "W": np.eye(2)})
    >>> packing.names
    ('rate', 'W')
    >>> packing.field(lambda t, y, p: p["rate"] * y)(0.0, 3.0, 2.0, np.eye(2))
    6.0
    """

    def __init__(self, names: tuple[str, ...], kind: str):
        self.names, self.kind = names, kind

    @classmethod
    def of(cls, params) -> Packing:
        """Of what the user handed over."""
        if params is None:
            return cls((), "none")
        if not isinstance(params, Mapping):
            return cls((SINGLE,), "array")
        for name in params:
            if not isinstance(name, str) or not name or name in TAKEN:
                raise DataError(
                    f"a parameter cannot be called {name!r}; names are strings, and the graph has "
                    f"{', '.join(TAKEN)} already"
                )
        return cls(tuple(params), "dict")

    def values(self, params) -> list:
        """As they are, in the order of ``names``."""
        return [params[name] for name in self.names] if self.kind == "dict" else [params] * len(self.names)

    def arrays(self, params, dtype=None) -> dict[str, np.ndarray]:
        """Values by name, checked and as real arrays."""
        found = {}
        for name, value in zip(self.names, self.values(params), strict=True):
            what = f"params[{name!r}]" if self.kind == "dict" else "params"
            found[name] = real(what, value, dtype)
        return found

    def user(self, arrays: Mapping[str, Any]):
        """Back to what the user handed over (for gradients, too)."""
        if self.kind == "none":
            return None
        if self.kind == "array":
            return arrays[SINGLE]
        return {name: arrays[name] for name in self.names}

    def joined(self, arrays) -> Any:
        """The third argument of f, from arrays in the order of ``names``."""
        if self.kind == "array":
            return arrays[0]
        return dict(zip(self.names, arrays, strict=True))

    def field(self, f: Callable) -> Callable:
        """f as ``field(t, y, *arrays)``."""

        def field(t, y, *arrays):
            return as_rate(f(t, y) if self.kind == "none" else f(t, y, self.joined(arrays)))

        field.__name__ = getattr(f, "__name__", type(f).__name__)
        return field


def as_rate(result):
    """What f returned; a list of numbers becomes an array, as ``solve_ivp`` takes it, and so does the array
    of objects that ``np.array([…])`` makes of traced numbers."""
    if isinstance(result, np.ndarray) and result.dtype == object and result.ndim:
        return np.stack(result.ravel().tolist()).reshape(result.shape)
    return np.stack(list(result)) if isinstance(result, list | tuple) else result


def real(what: str, value, dtype=None) -> np.ndarray:
    """A finite real array."""
    try:
        array = np.asarray(value)
        array = array.astype(float) if array.dtype.kind in "iub" else array
    except (TypeError, ValueError) as problem:
        raise DataError(f"{what} is not an array of numbers: {problem}") from None
    if array.dtype.kind != "f":
        raise DataError(f"{what} must hold real numbers, got dtype {array.dtype}")
    array = array.astype(dtype or (array.dtype if array.dtype == np.float32 else float))
    if not np.isfinite(array).all():
        raise DataError(f"{what} holds NaN or an infinite value")
    return array
