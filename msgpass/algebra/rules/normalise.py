"""``Normalise``: λ̃ = c λ / ‖λ‖, and 0 for 0."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule, norms, per_what, positive


class Normalise(Rule):
    """Every message that is not zero gets length ``norm``.

    Parameters
    ----------
    norm : float
    per : {"sample", "step"}
        As for :class:`ClipNorm`.

    Examples
    --------
    >>> Normalise()
    Normalise(1.0, 'sample')
    """

    def __init__(self, norm: float = 1.0, per: str = "sample"):
        self.norm, self.per = positive("Normalise", "norm", norm), per_what("Normalise", per)

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """norm · λ / ‖λ‖."""
        length = norms(message, place, self.per)
        return message * np.where(length > 0, self.norm / np.where(length > 0, length, 1.0), 0.0)
