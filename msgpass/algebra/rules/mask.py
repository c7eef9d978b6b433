"""``Mask``: λ̃ = m ∘ λ."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.algebra.rules.base import Place, Rule
from msgpass.errors import DataError, ShapeError


class Mask(Rule):
    """Messages times an array, cell by cell.

    Parameters
    ----------
    mask : array
        Broadcasts against a row of the variable, (H,) or (B, 1) or (B, H); with one axis more than a row the
        first is the step, and a start, which has none, is passed on as it is.

    Examples
    --------
    >>> Mask([1.0, 0.0])
    Mask(array(2,))
    """

    linear = True

    def __init__(self, mask: Any):
        try:
            self.mask = np.asarray(mask, dtype=float)
        except (TypeError, ValueError):
            raise DataError(f"Mask: an array of numbers, got {type(mask).__name__}") from None
        if not np.isfinite(self.mask).all():
            raise DataError("Mask: the mask holds NaN or an infinite value")

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """mask ∘ λ."""
        mask = self.mask
        if mask.ndim == message.ndim:
            steps = place.times
            if steps.max(initial=-1) > len(mask):
                raise ShapeError(f"Mask: a mask of {len(mask)} steps, and a message at step {steps.max()}")
            inside = (steps >= 0) & (steps < len(mask))
            mask = mask[np.where(inside, steps, 0)]
            mask = np.where(inside.reshape(-1, *(1,) * (message.ndim - 1)), mask, 1.0)
        try:
            found = message * mask
        except ValueError:
            found = None
        if found is None or found.shape != message.shape:
            raise ShapeError(
                f"Mask: a mask of shape {self.mask.shape} does not fit messages of shape "
                f"{message.shape[1:]}; give one that broadcasts against a row, or one with a first axis of "
                "steps"
            )
        return found
