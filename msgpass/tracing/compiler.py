"""Generated source → compiled code."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
from numba import types

from msgpass.tracing.sweep_source import HEADER

FLAT = types.Array(types.float64, 1, "C")


@lru_cache(maxsize=256)
def compile_sweep(source: str, name: str, arrays: int) -> Any:
    """The compiled sweep ``name`` of (sequences, arrays…)."""
    namespace: dict[str, Any] = {"__name__": "msgpass.tracing.generated"}
    exec(compile(HEADER + source, f"<traced {name}>", "exec"), namespace)  # code that this package wrote
    signature = types.void(types.Array(types.int64, 2, "C"), *[FLAT] * arrays)
    return numba.njit(signature, nogil=True, error_model="numpy", fastmath={"contract"}, _nrt=False)(
        namespace[name]
    )
