"""A small quasi-Newton ascent for M-steps without a formula: a few numbers, a cheap function, never
downhill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEP = 1e-4
"""Of the differences that give slopes and curvatures; coordinates are scaled to about one."""

HALVINGS = 25
ENOUGH = 1e-12
"""A relative gain that ends the climb."""


def climb(objective: Callable[[np.ndarray], float], start: np.ndarray, rounds: int) -> np.ndarray:
    """A point (P,) at which ``objective`` is not lower than at ``start``, by BFGS with backtracking.

    The objective may be −∞ where it is not defined; at the start it must be finite.

    >>> climb(lambda v: -float((v[0] - 1) ** 2 + 10 * (v[1] + 2) ** 2), np.zeros(2), 30).round(6)
    array([ 1., -2.])
    """
    point, value = start, objective(start)
    slope, curvature = _differences(objective, point, value)
    inverse = np.diag(1 / np.maximum(curvature, 1e-3))
    for _ in range(rounds):
        direction = inverse @ slope
        if direction @ slope <= 0:
            inverse = np.diag(1 / np.maximum(curvature, 1e-3))
            direction = inverse @ slope
        rise = float(direction @ slope)
        if rise <= ENOUGH * max(1.0, abs(value)):
            break
        for halving in range(HALVINGS):
            share = 0.5**halving
            moved = point + share * direction
            level = objective(moved)
            if level >= value + 1e-4 * share * rise:
                break
        else:
            break
        gain, step, before = level - value, moved - point, slope
        point, value = moved, level
        if gain <= ENOUGH * max(1.0, abs(value)):
            break
        slope, curvature = _differences(objective, point, value)
        bend = before - slope
        if (turn := float(step @ bend)) > 1e-12 * np.linalg.norm(step) * np.linalg.norm(bend):
            left = np.eye(len(point)) - np.outer(step, bend) / turn
            inverse = left @ inverse @ left.T + np.outer(step, step) / turn
    return point


def _differences(
    objective: Callable[[np.ndarray], float], point: np.ndarray, value: float
) -> tuple[np.ndarray, np.ndarray]:
    """Slope and minus the curvature along each axis; where the objective ends, an axis counts as flat."""
    slope, curvature = np.zeros(len(point)), np.ones(len(point))
    for i in range(len(point)):
        step = np.zeros(len(point))
        step[i] = STEP * max(1.0, abs(point[i]))
        up, down = objective(point + step), objective(point - step)
        if np.isfinite(up) and np.isfinite(down):
            slope[i] = (up - down) / (2 * step[i])
            curvature[i] = max((2 * value - up - down) / step[i] ** 2, 0.0)
    return slope, curvature
