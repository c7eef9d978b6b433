"""Which rows of input columns a transition looks at."""

from __future__ import annotations

import numpy as np


def used_rows(lengths: list[int]) -> np.ndarray:
    """Rows that a transition leads into: all but the first of each sequence, a mask (T,).

    >>> used_rows([3, 1, 2]).astype(int)
    array([0, 1, 1, 0, 0, 1])
    """
    ends = np.cumsum(lengths)
    used = np.ones(ends[-1], bool)
    used[ends - lengths] = False
    return used
