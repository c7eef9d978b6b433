"""Multiple-gradient descent (Désidéri 2012; Sener & Koltun 2018): the shortest vector in the hull of the
gradients.

d = Σ α_k g_k, α ≥ 0, Σ α = 1, ‖d‖ least. Then g_k·d ≥ ‖d‖² for every task, so that −d lowers all losses; d =
0 where none can be lowered without another (Pareto stationary)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.multitask.surgery.hull import nearest
from rnn.training.surgery import Surgery
from rnn.validation import flag


@dataclass(frozen=True)
class MGDA(Surgery):
    """The direction that lowers all losses at the same rate.

    Parameters
    ----------
    normalise : bool
        Take the hull of g_k / ‖g_k‖: no task is slow because its loss has small numbers. The direction is
        then one of the unit vectors' hull, times the mean length of the gradients.

    Examples
    --------
    >>> MGDA()([[2.0, 0.0], [0.0, 1.0]])
    Combination(direction=array([0.4, 0.8]), weights=array([0.2, 0.8]))
    """

    normalise: bool = False

    def __post_init__(self) -> None:
        flag("normalise", self.normalise)

    def weights(self, gradients: np.ndarray, count: int) -> np.ndarray:
        """α, or α_k mean‖g‖ / ‖g_k‖."""
        if not self.normalise:
            return nearest(gradients)
        lengths = np.linalg.norm(gradients, axis=1)
        if not lengths.all():  # the origin is in the hull
            return np.where(lengths == 0, 1.0, 0.0) / (lengths == 0).sum()
        return nearest(gradients / lengths[:, None]) * lengths.mean() / lengths
