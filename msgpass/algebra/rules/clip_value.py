"""``ClipValue``: λ̃ = max(−c, min(c, λ)), cell by cell."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule, positive


class ClipValue(Rule):
    """Every number of a message is kept within ± ``value``.

    Examples
    --------
    >>> ClipValue(5)
    ClipValue(5.0)
    """

    def __init__(self, value: float):
        self.value = positive("ClipValue", "value", value)

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """Clipped cell by cell."""
        return np.clip(message, -self.value, self.value)
