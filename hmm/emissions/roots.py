"""Roots of many falling functions at once, for the M-steps that have no closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROUNDS = 40
TOLERANCE = 1e-13


def falling_root(f: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where each of the functions f falls through zero in [low, high], 0 < low < high, all arrays of one
    shape.

    Ridders' method (1979) on a logarithmic axis: a bracket is kept, and about twice as many digits are right
    after every round. Without a change of sign, the end that is nearer to one.

    >>> falling_root(lambda v: np.array([2.0, 50.0]) - v, np.full(2, 0.1), np.full(2, 10.0)).round(12)
    array([ 2., 10.])
    """
    a, b = np.log(low), np.log(high)
    at_a, at_b = f(low), f(high)
    below, above = at_a <= 0, at_b >= 0  # the root lies before, or after, the bracket
    root = (a + b) / 2
    for _ in range(ROUNDS):
        middle = (a + b) / 2
        value = f(np.exp(middle))
        bend = np.sqrt(value**2 + np.abs(at_a * at_b))
        x = middle + (b - a) / 2 * value / np.where(bend > 0, bend, 1)
        settled = below | above | (np.abs(x - root) < TOLERANCE)
        root = x
        if settled.all():
            break
        for point, level in ((middle, value), (x, f(np.exp(x)))):
            left, right = (level >= 0) & (point >= a), (level <= 0) & (point <= b)
            a, at_a = np.where(left, point, a), np.where(left, level, at_a)
            b, at_b = np.where(right, point, b), np.where(right, level, at_b)
    return np.where(below, low, np.where(above, high, np.exp(root)))
