"""What a timing was taken on: processor, cores, versions. No names of machines, users or folders."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform

from benchmarks import peers

OURS = ("msgpass", "numpy", "scipy", "numba")


def record() -> dict[str, object]:
    """Processor, cores, interpreter, library versions and the day."""
    return {
        "day": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": cores(),
        "vectors": vectors(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in OURS if _installed(name)}
        | peers.versions(),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Model name of the processor."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def vectors() -> str:
    """The widest vector instructions that the processor offers."""
    flags = _cpuinfo().get("flags", "").split()
    return next((name for name in ("avx512f", "avx2", "avx", "sse2") if name in flags), "unknown")


def _cpuinfo() -> dict[str, str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            pairs = (line.partition(":") for line in file)
            return {key.strip(): value.strip() for key, _, value in pairs}
    except OSError:
        return {}


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
