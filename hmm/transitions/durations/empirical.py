"""A hazard for each age, h(a) = exits(a)/(exits(a) + stays(a)), as Kaplan and Meier (1958) estimate it."""

from __future__ import annotations

import numpy as np

from hmm.simplex import NEGLIGIBLE, log
from hmm.transitions.durations.base import Duration


class Empirical(Duration):
    """L numbers for each state. The prior, if ``smoothing`` is above zero, counts as so many states at each
    age that are left with hazard 2/(L + 1).

    Examples
    --------
    >>> log_h, _ = Empirical(longest=3).logs(np.array([[0.0, 0.5, 1.0]]))
    >>> np.exp(log_h)
    array([[0. , 0.5, 1. ]])
    """

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"hazard at age {a}" for a in range(self.longest))

    def start(self, mean: float) -> np.ndarray:
        return np.full(self.longest, 1 / mean)

    def problem(self, params: np.ndarray) -> str | None:
        inside = (params >= 0) & (params <= 1)
        return None if inside.all() else f"they are hazards, from 0 to 1; got {params[~inside][0]:g}"

    def logs(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return log(params), log(1 - params)

    def learn(self, params: np.ndarray, exits: np.ndarray, stays: np.ndarray) -> np.ndarray:
        before = 2 / (self.longest + 1)
        left, stayed = exits + self.smoothing * before, stays + self.smoothing * (1 - before)
        total = left + stayed
        known = total > NEGLIGIBLE
        return np.where(known, left / np.where(known, total, 1.0), params)

    def log_prior(self, params: np.ndarray) -> float:
        if not self.smoothing:
            return 0.0
        before = 2 / (self.longest + 1)
        inside = np.clip(params, 1e-300, 1.0)
        log_stay = np.log1p(-np.clip(params, 0, 1 - 1e-16))
        return float(self.smoothing * (before * np.log(inside) + (1 - before) * log_stay).sum())
