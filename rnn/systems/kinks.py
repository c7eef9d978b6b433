"""max(0, x) and min(x, y) with one sub-gradient on every path, and a smooth stand-in for optimisers.

    exact     x⁺ = x where x > 0, else 0                 slope 1 where x > 0, else 0 (so 0 at the kink itself)
    smooth    x⁺ ≈ (x + √(x² + w²)) / 2                  above x⁺ by at most w/2, and by less than w²/(4|x|)

Inventories and queues are written with these, never with ``np.maximum``, whose derivative at a tie differs
between differentiators. min(x, y) = x − (x − y)⁺, so at a tie the slope is all x's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Kink(NamedTuple):
    """A positive part and its slope, each a function of (x, width)."""

    positive: Callable
    slope: Callable


def positive(x, width=None):
    """x where x > 0, else 0."""
    return np.where(x > 0, x, 0.0)


def _step(x, width=None):
    return np.where(x > 0, 1.0, 0.0)


def _smooth(x, width):
    return 0.5 * (x + np.sqrt(x * x + width * width))


def _smooth_slope(x, width):
    return 0.5 * (1 + x / np.sqrt(x * x + width * width))


EXACT, SMOOTH = Kink(positive, _step), Kink(_smooth, _smooth_slope)


def larger(x, y):
    """max(x, y); the slope is y's at a tie."""
    return np.where(x > y, x, y)


def smaller(x, y):
    """min(x, y); the slope is y's at a tie."""
    return np.where(x < y, x, y)
