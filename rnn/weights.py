"""Weights by torch's keys: their names and shapes, how they are drawn, and how a state dict is taken in.

A key is a role of the cell and the ending of its layer and direction: ``weight_ih_l0``,
``bias_hh_l1_reverse``; a learned initial state is ``h0_l0``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.cells import Cell
from rnn.cells.base import Shapes
from rnn.validation import UNDRAWN, real_array


def suffixes(layer: int, bidirectional: bool) -> list[str]:
    """Endings of the names of a layer, one a direction."""
    return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + bidirectional]


def start_name(state: str, suffix: str) -> str:
    """Name of an initial state: "h0_l1_reverse"."""
    return f"{state}0{suffix}"


def recurrent_shapes(
    cell: Cell, inputs: int, hidden: int, layers: int, bidirectional: bool, learned: bool
) -> Shapes:
    """Shapes of all weights by key: torch's in torch's order, then learned initial states."""
    shapes: dict[str, tuple[int, ...]] = {}
    starts: dict[str, tuple[int, ...]] = {}
    sizes = cell.sizes(hidden)
    for layer in range(layers):
        width = inputs if layer == 0 else sizes[0] * (1 + bidirectional)
        for suffix in suffixes(layer, bidirectional):
            shapes |= {f"{role}{suffix}": shape for role, shape in cell.shapes(width, hidden).items()}
            starts |= {start_name(s, suffix): (n,) for s, n in zip(cell.states, sizes, strict=True)}
    return shapes | (starts if learned else {})


CONSTANT = (("norm_", 1.0), ("h0_", 0.0), ("c0_", 0.0))
"""Weights that start at a number: gains of a layer norm, learned initial states."""


def draw(shapes: Shapes, bound: float, dtype: np.dtype, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights uniform on (−bound, bound), drawn in the order of ``shapes``; gains are 1, learned starts 0."""
    weights: dict[str, np.ndarray] = {}
    if rng is UNDRAWN:
        return weights
    for key, shape in shapes.items():
        start = next((value for beginning, value in CONSTANT if key.startswith(beginning)), None)
        drawn = rng.uniform(-bound, bound, shape) if start is None else np.full(shape, start)
        weights[key] = drawn.astype(dtype)
    return weights


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
