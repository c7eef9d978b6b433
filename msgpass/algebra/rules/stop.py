"""``Stop``: λ̃ = 0; nothing is said through the edge."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule


class Stop(Rule):
    """No message passes: the variable counts as a constant there ("detach", "stop gradient").

    Examples
    --------
    >>> Stop()
    Stop()
    """

    linear = True

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """Zeros."""
        return np.zeros_like(message)
