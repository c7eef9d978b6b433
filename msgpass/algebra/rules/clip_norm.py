"""``ClipNorm``: λ̃ = λ · min(1, c / ‖λ‖) (Pascanu, Mikolov & Bengio 2013), on an edge."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule, norms, per_what, positive


class ClipNorm(Rule):
    """A message longer than ``norm`` is shortened to it; its direction stays.

    Parameters
    ----------
    norm : float
    per : {"sample", "step"}
        Whose Euclidean norm: of each sample, the last axis of a row; or of the row as a whole.

    Examples
    --------
    >>> ClipNorm(1.0)
    ClipNorm(1.0, 'sample')
    """

    def __init__(self, norm: float, per: str = "sample"):
        self.norm, self.per = positive("ClipNorm", "norm", norm), per_what("ClipNorm", per)

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """λ · min(1, norm / ‖λ‖)."""
        length = norms(message, place, self.per)
        return message * np.where(length > self.norm, self.norm / np.maximum(length, self.norm), 1.0)
