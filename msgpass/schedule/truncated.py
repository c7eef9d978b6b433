"""``Truncated`` and ``FixedLag``: backward messages that leave a window of time are dropped.

With window ends e = k1 − 1, 2 k1 − 1, … and the last step: a loss at a time in (e − k1, e] reaches factors at
times in
(e − k2, e]. Truncated back-propagation through time (Williams & Peng 1990) is this under ``Adjoint``;
fixed-lag smoothing is k1 = 1 under ``SumProduct``, whose belief at t uses the evidence up to the last window
end before t + k2.
"""

from __future__ import annotations

import itertools

import numpy as np

from msgpass.errors import DataError
from msgpass.schedule.base import Schedule


class Truncated(Schedule):
    """Every k1 steps, the losses of these k1 steps run back at most k2 steps.

    Parameters
    ----------
    k1, k2 : int
        Whole numbers ≥ 1.
    """

    def __init__(self, k1: int, k2: int):
        for name, k in (("k1", k1), ("k2", k2)):
            if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
                raise DataError(f"Truncated: {name} must be a whole number ≥ 1, got {k!r}")
        self.k1, self.k2 = int(k1), int(k2)

    @property
    def windowed(self) -> bool:
        """True."""
        return True

    def window(self, j: int, lengths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(first loss time, first factor time, end) of window j in sequences of ``lengths``; empty windows
        have end = first.
        """
        lengths = np.asarray(lengths)
        end = np.minimum((j + 1) * self.k1, lengths)
        first_loss = np.minimum(j * self.k1, lengths)
        alive = first_loss < lengths
        return first_loss, np.where(alive, np.maximum(0, end - self.k2), end), end

    def count(self, longest: int) -> int:
        """Number of windows over the longest sequence."""
        return -(-longest // self.k1)

    def horizon(self, length: int) -> np.ndarray:
        """For each time, the last window end that reaches it (−1 where none does)."""
        t = np.arange(length)
        # The largest j with end_j − k2 < t, where end_j = min((j+1) k1, length) − 1.
        j = (t + self.k2) // self.k1 - 1
        end = np.minimum((j + 1) * self.k1, length) - 1
        final = length - 1
        end = np.where(t > final - self.k2, final, end)
        return np.where((end >= t) & (end - self.k2 < t), end, -1)

    def horizons(self, offsets: np.ndarray) -> np.ndarray:
        """:meth:`horizon` of every row of sequences laid end to end (−1: none)."""
        parts = []
        for first, last in itertools.pairwise(offsets):
            end = self.horizon(int(last - first))
            parts.append(np.where(end >= 0, end + first, -1))
        return np.concatenate(parts)


class FixedLag(Truncated):
    """Fixed-lag smoothing and its gradient twin: ``FixedLag(lag)`` is ``Truncated(1, lag + 1)``.

    Parameters
    ----------
    lag : int
        Steps of later evidence that a belief uses, ≥ 0.
    """

    def __init__(self, lag: int):
        if isinstance(lag, bool) or not isinstance(lag, int | np.integer) or lag < 0:
            raise DataError(f"FixedLag: lag must be a whole number ≥ 0, got {lag!r}")
        super().__init__(1, int(lag) + 1)

    def __repr__(self) -> str:
        return f"FixedLag({self.k2 - 1})"
