"""Peak memory of one call, as the Linux kernel counts it, compiled code and NumPy alike."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
from collections.abc import Callable


def peak_megabytes(call: Callable[[], object]) -> float:
    """Megabytes of resident memory that `call` needs at its peak beyond those held before; NaN if unknown."""
    try:
        _give_back()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # sets the peak back to the present
        before = _status("VmRSS")
        call()
        return max(0.0, _status("VmHWM") - before) / 1024
    except OSError:
        return math.nan


def _status(field: str) -> float:
    """A field of /proc/self/status, in KiB."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(float(line.split()[1]) for line in file if line.startswith(field + ":"))


def _give_back() -> None:
    """Hand freed memory back to the system, so that what the call takes is counted and not reused."""
    gc.collect()
    runtime = sys.modules.get("msgpass.kernels.runtime")
    if runtime is not None:
        runtime.forget_recycled()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
