"""Packages that only figures and frames need, imported when they are asked for."""

from __future__ import annotations

from importlib import import_module

from msgpass.errors import MissingDependencyError


def _require(module: str, package: str, what: str):
    try:
        return import_module(module)
    except ImportError as problem:
        raise MissingDependencyError(
            f"{what} need {package}, which cannot be imported ({problem}); install it with: pip install "
            f"{package}"
        ) from None


def pandas():
    """The module ``pandas``."""
    return _require("pandas", "pandas", "frames")


def matplotlib():
    """The module ``matplotlib``."""
    return _require("matplotlib", "matplotlib", "figures")


def figure(*args, **kwargs):
    """A matplotlib ``Figure`` that pyplot does not keep, so that making many leaks none."""
    return _require("matplotlib.figure", "matplotlib", "figures").Figure(*args, **kwargs)
