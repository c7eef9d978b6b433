"""Generated source → compiled code, which is kept on disk as Numba keeps that of files.

Numba finds kept code by the file of a function. The source is therefore written to the user's cache folder,
under a name that is a digest of it; a file is imported only if it holds to the byte what would be written.
Where nothing can be written, code is compiled anew in each process.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from functools import cache, lru_cache
from importlib.util import module_from_spec, spec_from_file_location
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
            return numba.njit(signature, cache=True, **OPTIONS)(_imported(path, text, name))
        except (OSError, RuntimeError):  # a folder that has become unwritable
            pass
    namespace: dict[str, Any] = {"__name__": "msgpass.tracing.generated"}
    exec(compile(text, f"<traced {name}>", "exec"), namespace)  # written by this package
    return numba.njit(signature, **OPTIONS)(namespace[name])


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


def _imported(path: Path, text: str, name: str):
    """The function, from the text itself, with the file as its place."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None:
        raise OSError(f"{path} is no module")
    module = module_from_spec(spec)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return getattr(module, name)
