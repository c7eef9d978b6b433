"""The sum of the tasks, weighted or not: what a fit without surgery follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.training.surgery import Surgery


@dataclass(frozen=True)
class WeightedSum(Surgery):
    """Σ_k w_k g_k with w given.

    Parameters
    ----------
    task_weights : tuple of float, optional
        One a task, in the order of the losses; all 1 by default.

    Examples
    --------
    >>> WeightedSum((1.0, 0.5))([[1.0, 0.0], [0.0, 2.0]]).direction
    array([1., 1.])
    """

    task_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.task_weights is None:
            return
        array = np.asarray(self.task_weights, float)
        if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any():
            raise DataError(f"task_weights must be numbers ≥ 0, one a task, got {self.task_weights!r}")
        object.__setattr__(self, "task_weights", tuple(array.tolist()))

    def _of(self, G: np.ndarray, count: int) -> np.ndarray:
        return self.weights(G, count)

    def weights(self, gradients: np.ndarray, count: int) -> np.ndarray:
        """Those given."""
        if self.task_weights is None:
            return np.ones(len(gradients))
        if len(self.task_weights) != len(gradients):
            raise ShapeError(f"there are {len(self.task_weights)} task_weights for {len(gradients)} tasks")
        return np.array(self.task_weights)
