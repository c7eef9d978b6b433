"""``Surgery``: what is made of the gradients of several tasks before an optimiser follows it. The contract.

Every method answers with weights: the direction is Σ_k w_k g_k, where the w_k depend on the inner products of
the g_k alone. So a method sees the K tasks in K coordinates, whatever the number of weights of the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.training.reach import reached
from rnn.training.vector import Vector


class Combination(NamedTuple):
    """One direction of several.

    Attributes
    ----------
    direction : (n,) array
        To be descended, Σ_k weights_k g_k.
    weights : (K,) array
        Of the tasks' gradients.
    """

    direction: np.ndarray
    weights: np.ndarray


class Surgery(ABC):
    """Abstract. A new one is a frozen dataclass of settings with ``weights``."""

    @abstractmethod
    def weights(self, gradients: np.ndarray, count: int) -> np.ndarray:
        """(K,) weights of gradients (K, r), in coordinates in which their inner products are what they were.

        Parameters
        ----------
        gradients : (K, r) array
            Of at least two tasks, scaled so that the longest has length one.
        count : int
            Number of the update, for what is drawn by chance.
        """

    def __call__(self, gradients, count: int = 0) -> Combination:
        """The direction for gradients (K, n).

        Parameters
        ----------
        gradients : (K, n) array
            One a task.
        count : int
            Number of the update.
        """
        G = np.asarray(gradients)
        if G.ndim != 2 or not G.size:
            raise ShapeError(f"gradients have shape {G.shape}, wanted (tasks, weights)")
        if G.dtype.kind != "f":
            G = G.astype(np.float64)
        bad = ~np.isfinite(G).all(axis=1)
        if bad.any():
            raise NumericalError(f"the gradient of task {int(np.argmax(bad))} holds NaN or an infinite value")
        exact = G.astype(np.float64)
        found = self._of(exact, count)
        return Combination((found @ exact).astype(G.dtype), found)

    def _of(self, G: np.ndarray, count: int) -> np.ndarray:
        size = np.abs(G).max()
        if len(G) == 1 or not size:
            return np.ones(len(G))
        reduced = G / size
        if G.shape[1] > len(G):
            reduced = np.asarray(np.linalg.qr(reduced.T, mode="r")).T
        return self.weights(reduced / np.linalg.norm(reduced, axis=1).max(), count)


def operated(surgery: Surgery, m: Messages, gradient: np.ndarray, vector: Vector, count: int) -> np.ndarray:
    """The gradient of all losses, with its part at shared weights replaced by the surgery's direction.

    What losses without a task say there is added as it is.
    """
    reach = reached(m.graph)
    tasks = {name: m.tasks[name].parameters for name in m.tasks}
    shared = shared_names({name: reach.get(name, set()) for name in tasks}, vector.parts)
    if not shared:
        return gradient
    shapes = {key: vector.shapes[key] for key in shared}
    part = Vector({key: np.empty(shape) for key, shape in shapes.items()})
    G = np.stack([part.joined(found) for found in tasks.values()])
    moved = surgery(G, count).direction
    if None in reach:
        moved = moved + part.joined(vector.views(gradient)) - G.sum(axis=0)
    gradient = gradient.copy()
    for key, direction in part.views(moved).items():
        gradient[vector.parts[key]] = direction.ravel()
    return gradient


def shared_names(reach: dict[str, set[str]], names) -> list[str]:
    """Of ``names``, those that at least two tasks reach; with one task, those that it reaches."""
    least = min(2, len(reach))
    return [key for key in names if sum(key in found for found in reach.values()) >= least]


def checked_surgery(value) -> Surgery | None:
    """A surgery or None."""
    if value is None or isinstance(value, Surgery):
        return value
    raise DataError(f"surgery must be a method such as rnn.multitask.PCGrad(), got {value!r}")
