"""First controls at random: smooth, for noise from step to step averages out in what a plant does."""

from __future__ import annotations

import numpy as np

from rnn.systems.control.optimal import OptimalControl

KNOT_STEPS = 10


def random_controls(
    problem: OptimalControl, around: np.ndarray, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """(T, m): numbers drawn every ten steps with straight lines between, uniform between limits where both
    are finite, else normal around ``around``."""
    T, m = around.shape
    knots = max(2, T // KNOT_STEPS + 1)
    at = np.linspace(0, knots - 1, T)
    k = np.minimum(at.astype(int), knots - 2)
    part = (at - k)[:, None]
    uniform, normal = rng.random((knots, m)), rng.normal(size=(knots, m))
    uniform, normal = ((1 - part) * a[k] + part * a[k + 1] for a in (uniform, normal))
    low, high = problem.lower, problem.upper
    both = np.isfinite(low) & np.isfinite(high)
    inside = np.where(both, low, 0.0) + uniform * np.where(both, high - low, 0.0)
    return problem.clip(np.where(both, inside, around + spread * normal))
