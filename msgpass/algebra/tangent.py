"""``Tangent``: (value, tangent) pairs forward; crossing a step is a JVP. ``total`` is (loss, directional
derivative).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.algebra.base import Algebra
from msgpass.errors import GraphError


class Dual(NamedTuple):
    """A value and its tangent."""

    value: Any
    tangent: Any


class Tangent(Algebra):
    """Forward-mode sensitivities along one direction.

    Parameters
    ----------
    directions : dict
        Name of a parameter or observation → array of its shape: the direction in which the inputs move.
    """

    potentials = frozenset({"table", "quadratic", "step"})

    def __init__(self, directions: dict[str, Any]):
        if not isinstance(directions, dict) or not directions:
            raise GraphError('Tangent takes directions by name, such as Tangent({"w": direction})')
        self.directions = {name: np.asarray(d, dtype=float) for name, d in directions.items()}

    def __eq__(self, other) -> bool:
        return self is other

    __hash__ = object.__hash__
