"""Crossing a table in log space, for any reduction over states: the part that SumProduct and MaxProduct
share.

A message is a log table η with the states on its last axis; leading axes are an aligned batch. With ⊕ for the
reduction,

    forward:   η_out[x_out] = ⊕_{ins} (table + Σ η_in)
    backward:  η_i[x_i]     = ⊕_{all but x_i} (table + Σ_{j≠i} η_j + η_out)
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.base import Algebra
from msgpass.dual_array import number


def spread(message: np.ndarray, axis: int, axes: int) -> np.ndarray:
    """Put the states of a message on ``axis`` of ``axes`` trailing axes."""
    shape = message.shape[:-1] + (1,) * axis + message.shape[-1:] + (1,) * (axes - axis - 1)
    return message.reshape(shape)


class TableAlgebra(Algebra):
    """Messages over tables; a subclass says how states are reduced."""

    potentials = frozenset({"table"})

    def reduce(self, logs: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """⊕ over ``axes``, all −∞ staying −∞."""
        raise TypeError("use SumProduct or MaxProduct")

    def unit(self, size: int, dtype) -> np.ndarray:
        """Zeros."""
        return np.zeros(size, dtype)

    def add(self, a, b):
        """Sum of log tables."""
        return a + b

    def combine(self, table: np.ndarray, ins, at_out=None) -> np.ndarray:
        """Table plus all messages, one trailing axis a variable."""
        axes = len(ins) + 1
        total = table
        for k, message in enumerate(ins):
            total = total + spread(message, k, axes)
        return total if at_out is None else total + spread(at_out, axes - 1, axes)

    def forward(self, table, ins):
        """⊕ over the ins."""
        axes = len(ins) + 1
        return self.reduce(self.combine(table, ins), tuple(range(-axes, -1)))

    def backward(self, table, ins, at_out):
        """For each in, ⊕ over everything else, its own message left out."""
        axes, result = len(ins) + 1, []
        for k in range(len(ins)):
            others = [np.zeros_like(m) if j == k else m for j, m in enumerate(ins)]
            over = tuple(a - axes for a in range(axes) if a != k)
            result.append(self.reduce(self.combine(table, others, at_out), over))
        return result

    def normalise(self, logs: np.ndarray, axes: int = 1) -> np.ndarray:
        """Subtract ⊕ over the trailing ``axes``."""
        over = tuple(range(-axes, 0))
        total = self.reduce(logs, over)
        with np.errstate(invalid="ignore"):
            return logs - total.reshape(total.shape + (1,) * axes)

    def close(self, message) -> float:
        """⊕ over the states, summed over the batch."""
        return number(np.sum(self.reduce(message, (-1,))))
