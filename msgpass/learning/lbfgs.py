"""L-BFGS one iteration at a time, with bounds.

scipy's own keeps the loop to itself, so that a fit could neither be watched nor stopped between two
iterations; and it ends where a step leads to −∞, which here is only a step that was too long.

The direction is the two-loop recursion over the last pairs of steps and changes of slope (Liu & Nocedal
1989). The line search halves or doubles a bracket until a step satisfies the weak Wolfe conditions (Lewis &
Overton 2013), so that every pair has positive curvature. A step ends where it meets a bound; coordinates at a
bound that the slope pushes against stay there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

MEMORY = 20
"""Pairs that are kept. Likelihoods of hidden Markov models are ill-conditioned, and a pair costs nothing
beside a run."""

ARMIJO, WOLFE = 1e-4, 0.9
TRIALS = 40
LONGEST = 10.0
"""Most that a coordinate may move in the first trial of a step; coordinates are about one in size."""

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Climber:
    """A point that rises.

    Parameters
    ----------
    objective : callable
        Point (n,) → (value, slope); the value may be −∞ where it is not defined.
    start : array, (n,)
    value, slope
        Of ``objective`` there, finite.
    low, high : array, (n,)
        Bounds; −∞ and ∞ where there are none.
    curvature : array, (n,), optional
        A guess at minus the second derivatives, above zero; only their proportions count after the first
        step.

    Examples
    --------
    >>> def hill(v):
    ...     gap = v - np.array([1.0, -2.0])
    ...     return -float(gap @ (gap * [1, 100])), -2 * gap * [1, 100]
    >>> climber = Climber(hill, np.zeros(2), *hill(np.zeros(2)), np.full(2, -np.inf), np.array([0.5, 9]))
    >>> while climber.climb():
    ...     pass
    >>> climber.point.round(6)
    array([ 0.5, -2. ])
    """

    def __init__(
        self,
        objective: Function,
        start: np.ndarray,
        value: float,
        slope: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        curvature: np.ndarray | None = None,
    ):
        self._inverse = 1 / (np.ones(len(start)) if curvature is None else curvature)
        self.objective, self.low, self.high = objective, low, high
        self.point, self.value, self.slope = start, value, slope
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=MEMORY)

    def climb(self) -> bool:
        """One iteration; False where no step gains."""
        free = self._free()
        if not np.any(self.slope[free]):
            return False
        direction = self._direction(free)
        if not self.slope @ direction > 0:
            self._pairs.clear()
            direction = self._direction(free)
        if self._search(direction):
            return True
        if not self._pairs:
            return False
        self._pairs.clear()  # curvature of far-away points may mislead; the slope does not
        return self._search(self._direction(free))

    def _free(self) -> np.ndarray:
        """Coordinates that are not pushed against a bound."""
        down, up = (self.point <= self.low) & (self.slope < 0), (self.point >= self.high) & (self.slope > 0)
        return ~(down | up)

    def _direction(self, free: np.ndarray) -> np.ndarray:
        """Inverse curvature times slope, over free coordinates."""
        q, shares = np.where(free, self.slope, 0.0), []
        pairs = [(np.where(free, s, 0.0), np.where(free, y, 0.0)) for s, y in self._pairs]
        pairs = [(s, y) for s, y in pairs if s @ y > 1e-12 * (y @ y) ** 0.5 * (s @ s) ** 0.5]
        for s, y in reversed(pairs):
            share = (s @ q) / (s @ y)
            shares.append(share)
            q = q - share * y
        if pairs:
            s, y = pairs[-1]
            q = q * self._inverse * ((s @ y) / (y @ (self._inverse * y)))
        else:
            q = q * self._inverse
        for (s, y), share in zip(pairs, reversed(shares), strict=True):
            q = q + s * (share - (y @ q) / (s @ y))
        return q

    def _search(self, direction: np.ndarray) -> bool:
        """Move along a direction; False where nothing is gained."""
        rise = float(self.slope @ direction)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(direction > 0, (self.high - self.point) / direction, np.inf)
            room = np.where(direction < 0, (self.low - self.point) / direction, room)
        end = float(room.min())
        if end <= 0:  # a rounding away from the bound
            return False
        share, below, above = min(1.0, LONGEST / float(np.abs(direction).max()), end), 0.0, np.inf
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for _ in range(TRIALS):
            moved = np.clip(self.point + share * direction, self.low, self.high)
            value, slope = self.objective(moved)
            if not value >= self.value + ARMIJO * share * rise:
                above = share
            else:
                if best is None or value > best[0]:
                    best = value, moved, slope
                if share >= end or slope @ direction <= WOLFE * rise:
                    break
                below = share
            share = (below + above) / 2 if above < np.inf else min(2 * below, end)
        if best is None or not best[0] > self.value:
            return False
        value, moved, slope = best
        step, change = moved - self.point, self.slope - slope
        if step @ change > 0:
            self._pairs.append((step, change))
        self.point, self.value, self.slope = moved, value, slope
        return True
