"""Anderson acceleration of a fixed-point iteration s ← G(s) (Anderson 1965; Walker & Ni 2011).

With r = G(s) − s and differences of the last few passes side by side in ΔS and ΔR,

    s ← s + r − (ΔS + ΔR) γ,   γ = argmin |r − ΔR γ|
"""

from __future__ import annotations

import numpy as np

MEMORY = 8
Paths = dict[str, np.ndarray]


class Anderson:
    """The last passes over paths by name."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.residuals: list[np.ndarray] = []

    def mix(self, means: Paths, target: Paths) -> Paths | None:
        """The next path, after one pass from ``means`` to ``target``; None while there is nothing to mix."""
        names = list(means)
        s = np.concatenate([means[n].ravel() for n in names])
        r = np.concatenate([target[n].ravel() for n in names]) - s
        self.points, self.residuals = [*self.points, s][-MEMORY:], [*self.residuals, r][-MEMORY:]
        if len(self.points) < 2:
            return None
        moved, changed = np.diff(self.points, axis=0), np.diff(self.residuals, axis=0)
        weights = np.linalg.lstsq(changed.T, r, rcond=1e-12)[0]
        mixed = s + r - weights @ (moved + changed)
        if not np.isfinite(mixed).all():
            return None
        parts = np.split(mixed, np.cumsum([means[n].size for n in names])[:-1])
        return {n: part.reshape(means[n].shape) for n, part in zip(names, parts, strict=True)}
