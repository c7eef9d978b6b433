"""One hazard for all ages, 1/(1 + m): the durations of an ordinary chain."""

from __future__ import annotations

import numpy as np

from hmm.simplex import NEGLIGIBLE, log
from hmm.transitions.durations.base import Parametric


class Geometric(Parametric):
    """One number for each state, m = E[D] − 1.

    Examples
    --------
    >>> log_h, _ = Geometric(longest=1).logs(np.array([[4.0]]))
    >>> np.exp(log_h).round(4)
    array([[0.2]])
    """

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean of D − 1",)

    def start(self, mean: float) -> np.ndarray:
        return np.array([mean - 1])

    def problem(self, params: np.ndarray) -> str | None:
        return (
            None if (params >= 0).all() else f"they are {self.names[0]}, not negative; got {params.min():g}"
        )

    def logs(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        m = np.repeat(params[:, :1], self.longest, axis=1)
        return -np.log1p(m), log(m) - np.log1p(m)

    def learn(self, params: np.ndarray, exits: np.ndarray, stays: np.ndarray) -> np.ndarray:
        left, stayed = exits.sum(axis=1, keepdims=True), stays.sum(axis=1, keepdims=True)
        most = self.LIMITS[1]
        mean = np.where(left * most > stayed, stayed / np.where(left > 0, left, 1.0), most)
        return np.where(left + stayed > NEGLIGIBLE, mean, params)
