"""Generated source → compiled code, which is kept on disk as Numba keeps that of files.

Numba finds kept code by the file of a function. The source is therefore written to the user's cache folder,
under a name that is a digest of it; it is never run from there.
Where nothing can be written, code is compiled anew in each process.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numba
from numba import types

from msgpass.tracing import select

HEADER = "import math\n\nimport numpy as np\n\nfrom msgpass.tracing.select import select\n\n\n"
FLAT = types.Array(types.float64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "_nrt": False}


@lru_cache(maxsize=256)
def compile_sweep(source: str, name: str, arrays: int) -> Any:
    """The compiled sweep ``name`` of (sequences, arrays…)."""
    return compiled(source, name, types.void(TABLE, *[FLAT] * arrays))


def compiled(source: str, name: str, signature) -> Any:
    """Function ``name`` of a source, compiled for one signature."""
    text = HEADER + source
    path = _written(text)
    if path is not None:
        try:
            return numba.njit(signature, cache=True, **OPTIONS)(_made(text, str(path), name))
        except Exception:  # a folder that has become unwritable, or code on disk that was cut short
            pass
    return numba.njit(signature, **OPTIONS)(_made(text, f"<traced {name}>", name))


def folder() -> Path:
    """Where generated sources lie: under ``NUMBA_CACHE_DIR``, or the user's cache folder."""
    given = getattr(numba.config, "CACHE_DIR", None) or os.environ.get("XDG_CACHE_HOME")
    return Path(given or Path.home() / ".cache") / "msgpass" / "traced"


@cache
def _version() -> str:
    """What compiled code depends on beside its own source."""
    return f"{numba.__version__} {sys.version} {Path(select.__file__).read_text()}"


def _written(text: str) -> Path | None:
    """The file that holds ``text``, or None where it cannot be written."""
    digest = hashlib.sha256((_version() + text).encode()).hexdigest()[:32]
    try:
        place = folder()
        path = place / f"traced_{digest}.py"
        if path.exists() and path.read_text() == text:
            return path
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=place, delete=False, suffix=".tmp") as file:
            file.write(text)
        os.replace(file.name, path)
    except (OSError, RuntimeError):
        return None
    return path


def _made(text: str, file: str, name: str):
    """The function, of this module, for Numba looks its module up; its code's place is the file."""
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(compile(text, file, "exec"), namespace)  # written by this package
    return namespace[name]
