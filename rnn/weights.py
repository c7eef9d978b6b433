"""Weights by torch's keys: their names and shapes, how they are drawn, and how a state dict is taken in.

A layer l of direction d has ``weight_ih_l{l}{d}`` (gates · H, inputs), ``weight_hh_l{l}{d}`` (gates · H, H)
and, with biases, ``bias_ih_l{l}{d}`` and ``bias_hh_l{l}{d}`` (gates · H), where d is empty or ``_reverse``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import real_array

Shapes = Mapping[str, tuple[int, ...]]

ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def suffixes(layer: int, bidirectional: bool) -> list[str]:
    """Endings of the names of a layer, one a direction."""
    return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + bidirectional]


def layer_keys(suffix: str, bias: bool) -> list[str]:
    """Keys of one layer and direction, in the order of a cell's inputs."""
    return [f"{role}{suffix}" for role in (ROLES if bias else ROLES[:2])]


def recurrent_shapes(
    inputs: int, hidden: int, gates: int, layers: int, bias: bool, bidirectional: bool
) -> Shapes:
    """Shapes of all weights by key, in torch's order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        width = inputs if layer == 0 else hidden * (1 + bidirectional)
        rows = gates * hidden
        for suffix in suffixes(layer, bidirectional):
            each = ((rows, width), (rows, hidden), (rows,), (rows,))
            shapes |= dict(zip(layer_keys(suffix, bias), each, strict=False))
    return shapes


def draw(shapes: Shapes, bound: float, dtype: np.dtype, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights uniform on (−bound, bound), drawn in the order of ``shapes``."""
    return {key: rng.uniform(-bound, bound, shape).astype(dtype) for key, shape in shapes.items()}


def checked(given: Mapping, shapes: Shapes, dtype: np.dtype, owner: str) -> dict[str, np.ndarray]:
    """Copies of a state dict's arrays in the order of ``shapes``: keys and shapes right, numbers finite."""
    if not isinstance(given, Mapping):
        raise DataError(f"load_state_dict takes a dict from keys to arrays, got {type(given).__name__}")
    missing = [key for key in shapes if key not in given]
    unknown = [str(key) for key in given if key not in shapes]
    if missing or unknown:
        parts = [
            f"{what} {', '.join(keys)}"
            for what, keys in (("lacks", missing), ("has the unknown", unknown))
            if keys
        ]
        raise DataError(f"the state dict {' and '.join(parts)}; {owner} has the keys {', '.join(shapes)}")
    arrays = {}
    for key, shape in shapes.items():
        array = np.array(real_array(f"state dict entry {key!r}", given[key], dtype), order="C")
        if array.shape != shape:
            raise ShapeError(f"state dict entry {key!r} has shape {array.shape}, but {owner} wants {shape}")
        if not np.isfinite(array).all():
            raise DataError(f"state dict entry {key!r} holds NaN or an infinite value")
        arrays[key] = array
    return arrays
