"""``Scale``: λ̃ = c λ."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule
from msgpass.errors import DataError


class Scale(Rule):
    """Every message times ``factor``: 1 passes it on, −1 reverses a gradient (Ganin et al. 2016), a number
    below 1 on a time edge forgets.

    Examples
    --------
    >>> Scale(-1)
    Scale(-1.0)
    """

    linear = True

    def __init__(self, factor: float):
        try:
            self.factor = float(factor)
        except (TypeError, ValueError):
            raise DataError(f"Scale: the factor is a number, got {factor!r}") from None
        if not np.isfinite(self.factor):
            raise DataError(f"Scale: the factor is a finite number, got {factor!r}")

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """factor · λ."""
        return message * self.factor
