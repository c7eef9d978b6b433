"""Losses that are a sum over cells, each of one output and one target, of a function of the two.

A loss is then four functions of a cell: ℓ(o, y), ∂ℓ/∂o, ∂²ℓ/∂o² and ∂²ℓ/∂o∂y. NaN among the targets is
missing, cell by cell, and is replaced by a harmless value before the functions see it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.validation import real_array


class ElementwiseLoss(OutputLoss):
    """Abstract: a loss has ``cell(o, y)`` → (ℓ, ∂ℓ/∂o) and ``bend(o, y)`` → (∂²ℓ/∂o², ∂²ℓ/∂o∂y), arrays of
    the shape of o; ``neutral`` is the target that stands for a missing one."""

    name = "target"
    target: Any
    neutral = 0.0

    @abstractmethod
    def cell(self, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and slope of every cell."""

    @abstractmethod
    def bend(self, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How the slope moves with the output and with the target."""

    def function(self, output: np.ndarray, target: np.ndarray, *count: np.ndarray):
        """Σ ℓ over the targets that are not NaN (divided by ``count``), and its gradients."""
        missing = np.isnan(target)
        gaps = missing.any()
        losses, slope = self.cell(output, np.where(missing, self.neutral, target) if gaps else target)
        if gaps:
            losses, slope = np.where(missing, 0, losses), np.where(missing, 0, slope)
        total = losses.sum(dtype=np.float64)
        for n in count:
            total, slope = total / float(n), slope / n
        return total, (slope, None, *(None for _ in count))

    def curvature(self, values, tangents):
        """How the gradient moves."""
        (output, target, *count), (output_dot, target_dot, *_) = values, tangents
        missing = np.isnan(target)
        own, cross = self.bend(output, np.where(missing, self.neutral, target))
        moved = np.where(missing, 0, own * output_dot + cross * np.where(missing, 0, target_dot))
        for n in count:
            moved = moved / n
        return moved, None, *(None for _ in count)

    def check(self, target: np.ndarray) -> None:
        """Raise where a target is out of range."""

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Targets as (T, B, width)."""
        target = layout.inward(self.named("target"), real_array("target", self.target, dtype), width)
        target = layout.hidden(target, np.nan)
        self.check(target)
        return self.with_count(target, ~np.isnan(target) if self.reduction == "mean" else None, dtype)
