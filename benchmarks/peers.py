"""The other libraries, imported only when a case asks for them; one that is absent is a note, no failure."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from types import ModuleType, SimpleNamespace

NAMES = (
    "hmmlearn",
    "statsmodels",
    "dynamax",
    "jax",
    "pykalman",
    "pomegranate",
    "torch",
    "torchdiffeq",
    "diffrax",
    "pgmpy",
    "pgmax",
)


class NotInstalledError(Exception):
    """A peer is not installed, so that it is left out."""


def require(module: str) -> ModuleType:
    """Import `module`.

    Raises
    ------
    NotInstalledError
        If its distribution is absent; a peer that is installed but broken raises its own error.
    """
    name = module.partition(".")[0]
    if importlib.util.find_spec(name) is None:
        raise NotInstalledError(f"{name} is not installed: left out")
    return importlib.import_module(module)


def jax_float64() -> ModuleType:
    """JAX with double precision, which it has to be told before its first array."""
    jax = require("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def pgmax() -> ModuleType:
    """PGMax, with the name that newer versions of JAX no longer have and that it asks for the platform."""
    jax = require("jax")
    require("pgmax")
    jaxlib = importlib.import_module("jax.lib")
    if not hasattr(jaxlib, "xla_bridge"):
        backend = SimpleNamespace(platform=jax.default_backend())
        jaxlib.xla_bridge = SimpleNamespace(get_backend=lambda: backend)  # type: ignore[attr-defined]
    return importlib.import_module("pgmax")


def versions() -> dict[str, str]:
    """Versions of the peers that are installed."""
    found = {}
    for name in NAMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
