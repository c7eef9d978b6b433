"""``Continued``: the windows of ``Truncated`` over rows that go on from rows of an earlier run."""

from __future__ import annotations

import numpy as np

from msgpass import Truncated


class Continued(Truncated):
    """Windows whose losses begin at row ``context``; they reach back into the rows before it.

    Parameters
    ----------
    k1, k2 : int
        As in ``Truncated``.
    context : int
        Rows at the front that an earlier run has been through, ≥ 0.
    """

    def __init__(self, k1: int, k2: int, context: int):
        super().__init__(k1, k2)
        self.context = context

    def window(self, j: int, lengths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(first loss time, first factor time, end) of window j."""
        first, _, end = super().window(j, np.maximum(np.asarray(lengths) - self.context, 0))
        first, end = first + self.context, end + self.context
        return first, np.where(first < end, np.maximum(0, end - self.k2), end), end

    def count(self, longest: int) -> int:
        """Number of windows over the longest sequence."""
        return super().count(max(longest - self.context, 0))

    def horizon(self, length: int) -> np.ndarray:
        """For each time, the last window end that reaches it (−1 where none does)."""
        ends = np.full(length, -1)
        for j in range(self.count(length)):
            _, (low,), (end,) = self.window(j, (length,))
            ends[low:end] = end - 1
        return ends
