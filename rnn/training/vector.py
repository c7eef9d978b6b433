"""``Vector``: the weights of a network and of its loss as one vector, which is what optimisers move."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Vector:
    """Where each weight lies.

    Parameters
    ----------
    weights : dict
        Arrays by key, in order.

    Examples
    --------
    >>> vector = Vector({"w": np.zeros((2, 2)), "b": np.ones(2)})
    >>> vector.joined({"w": np.eye(2), "b": np.ones(2)})
    array([1., 0., 0., 1., 1., 1.])
    >>> vector.views(np.arange(6.0))["w"]
    array([[0., 1.],
           [2., 3.]])
    """

    def __init__(self, weights: Mapping[str, np.ndarray]):
        self.shapes = {key: w.shape for key, w in weights.items()}
        self.parts: dict[str, slice] = {}
        self.size = 0
        for key, w in weights.items():
            self.parts[key] = slice(self.size, self.size + w.size)
            self.size += w.size

    def joined(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Arrays by key end to end."""
        return np.concatenate([weights[key].ravel() for key in self.shapes])

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of a vector by key, not copied."""
        return {key: vector[self.parts[key]].reshape(shape) for key, shape in self.shapes.items()}

    def copies(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of a vector by key."""
        return {key: view.copy() for key, view in self.views(vector).items()}

    def first_bad(self, vector: np.ndarray) -> str | None:
        """Key of the first part that holds NaN or infinity."""
        if np.isfinite(vector).all():
            return None
        return next(key for key, part in self.parts.items() if not np.isfinite(vector[part]).all())
