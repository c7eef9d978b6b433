"""Parameters of a user's function: one array, or a dict of arrays, handed over as they were given and known
to graphs by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.control.checks import real

ALONE = "params"  # the name of parameters that were given as one array

Given = Any  # None, an array, or a mapping from names to arrays


def named(given: Given) -> dict[str, np.ndarray]:
    """Name → float64 array."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return {ALONE: real(ALONE, given)}
    for name in given:
        if not isinstance(name, str) or not name:
            raise DataError(f"parameters are named by strings, got {name!r}")
    return {name: real(f"parameter {name!r}", value) for name, value in given.items()}


def handed(given: Given, values) -> tuple:
    """The last argument of the user's function, (), (array,) or (dict,), with other values."""
    if given is None:
        return ()
    return (dict(zip(given, values, strict=True)),) if isinstance(given, Mapping) else (next(iter(values)),)


def replaced(owner: str, parameters: dict[str, np.ndarray], others: Mapping) -> dict[str, np.ndarray]:
    """``parameters`` with some of them exchanged, of the same shapes."""
    found = dict(parameters)
    for name, value in others.items():
        if name not in found:
            has = ", ".join(found) or "none"
            raise DataError(f"{owner} has no parameter {name!r}; it has {has}")
        array = real(f"parameter {name!r}", value)
        if array.shape != found[name].shape:
            raise ShapeError(f"parameter {name!r} has shape {array.shape}, wanted {found[name].shape}")
        found[name] = array
    return found


def flattened(name: str, given: Given, found) -> list[np.ndarray]:
    """Cotangents by parameter, from what a user's own vjp returns for its last argument."""
    wanted = named(given)
    if isinstance(given, Mapping):
        if not isinstance(found, Mapping) or set(found) != set(wanted):
            raise ShapeError(
                f"the vjp of {name} must return a dict of cotangents of {', '.join(wanted)} for the "
                f"parameters, got {type(found).__name__}"
            )
        parts = [np.asarray(found[key], float) for key in wanted]
    else:
        parts = [np.asarray(found, float)]
    for key, part in zip(wanted, parts, strict=True):
        if part.shape != wanted[key].shape:
            raise ShapeError(
                f"the vjp of {name} returned shape {part.shape} for {key}, wanted {wanted[key].shape}"
            )
    return parts
