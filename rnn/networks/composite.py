"""``Composite``: a network of parts that have weights, each under its own prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from msgpass.errors import DataError
from rnn.networks.base import Network
from rnn.validation import generator
from rnn.weights import checked

Self = TypeVar("Self", bound="Composite")


class Composite(Network):
    """A network whose weights are those of its parts. Abstract.

    Parameters
    ----------
    parts : dict
        Prefix → what has ``shapes``, ``weights``, ``load_state_dict`` and ``reset``. Keys are prefix and key,
        "encoder." and "weight_ih_l0".
    """

    def __init__(self, parts: Mapping[str, Any]):
        self.parts = dict(parts)
        first: dict[int, str] = {}
        for prefix, part in self.parts.items():
            other = first.setdefault(id(part), prefix)
            if other != prefix:
                raise DataError(
                    f"{part!r} is both {other.rstrip('.')!r} and {prefix.rstrip('.')!r}, and its weights "
                    "would get two gradients, of which training keeps one; give each its own, as "
                    "copy.deepcopy does"
                )
        super().__init__()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:  # type: ignore[override]
        """Shapes of all weights by key."""
        return {p + key: shape for p, part in self.parts.items() for key, shape in part.shapes.items()}

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """All weights by key: the parts' own arrays."""
        return {p + key: value for p, part in self.parts.items() for key, value in part.weights.items()}

    @weights.setter
    def weights(self, given: Mapping[str, np.ndarray]) -> None:
        for prefix, part in self.parts.items():
            if given:
                part.weights = {key: given[prefix + key] for key in part.shapes}

    def load_state_dict(self: Self, state: Mapping) -> Self:
        """Take in weights of all parts; see :meth:`Network.load_state_dict`."""
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    def reset(self: Self, random_state=None) -> Self:
        """Draw the weights of all parts anew, in their order, from one generator."""
        rng = generator(random_state)
        for part in self.parts.values():
            part.reset(rng)
        return self
