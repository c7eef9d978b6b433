"""Canonical forms of all instances of a family."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Stacked(NamedTuple):
    """exp(g + hᵀx − ½ xᵀΛx) of every instance, or of all at once where the first axis is 1.

    Attributes
    ----------
    h : ndarray, shape (1 | instances, s)
    precision : ndarray, shape (1 | instances, s, s)
    log_scale : ndarray, shape (1 | instances,)
    """

    h: np.ndarray
    precision: np.ndarray
    log_scale: np.ndarray
