"""Control limits by projection (Bertsekas 1982): which controls are clamped, and how far a point is from optimal.

A control is clamped where it lies on a limit and the cost would fall beyond it. At a solution (KKT) the gradient is zero
at every free control and points outward at every clamped one, so that u = clip(u − ∂J/∂u).
"""

from __future__ import annotations

import numpy as np

from rnn.systems.control.adjoint_pass import Evaluated
from rnn.systems.control.optimal import OptimalControl


def free_controls(problem: OptimalControl, at: Evaluated) -> np.ndarray:
    """(T, m) booleans: not clamped."""
    low = (at.inputs <= problem.lower) & (at.gradient > 0)
    high = (at.inputs >= problem.upper) & (at.gradient < 0)
    return ~(low | high)


def kkt_residual(problem: OptimalControl, at: Evaluated) -> float:
    """max |u − clip(u − ∂J/∂u)|; without limits the largest gradient."""
    # Not by differences of u, which would round a small gradient away.
    g = at.gradient
    moved = np.where(g > 0, np.minimum(g, at.inputs - problem.lower), np.maximum(g, at.inputs - problem.upper))
    return float(np.abs(moved).max())
