"""Linear tables of a chain a window of steps at a time, for sweeps that never hold them all."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from msgpass.kernels.table_chain_exponentiate import scaled_exponentials, scaled_whole

ALIGNED = 8
"""Windows begin at multiples of this, so that the vectorised exponential meets the same numbers together and
rounds as it does over all steps at once."""


class ChainLogs(NamedTuple):
    """Chains in logarithms, laid end to end; −∞ is a hard zero.

    Attributes
    ----------
    init : ndarray, shape (K,)
    transition : ndarray, shape (K, K) or (P, K, K)
    evidence : ndarray, shape (R, K)
    rows : ndarray of int64, shape (T,), or None
    offsets : ndarray of int64, shape (N + 1,)
        As in :class:`~msgpass.kernels.table_chain_types.ChainProblem`.
    """

    init: np.ndarray
    transition: np.ndarray
    evidence: np.ndarray
    rows: np.ndarray | None
    offsets: np.ndarray

    def local(self, first: int, last: int) -> np.ndarray:
        """Log evidence of steps ``first:last``, (last − first, K), a copy in float64."""
        chosen = slice(first, last) if self.rows is None else self.rows[first:last]
        return np.array(self.evidence[chosen], np.float64)

    def tables(self, first: int, last: int) -> np.ndarray:
        """Log transitions of pairs ``first:last`` in float64 with three axes, one if all share it."""
        chosen = self.transition[None] if self.transition.ndim == 2 else self.transition[first:last]
        return np.ascontiguousarray(chosen, np.float64)


class Windows:
    """What :class:`ChainLogs` are in linear numbers, each table scaled to a maximum of 1.

    Parameters
    ----------
    logs : ChainLogs
    dtype : dtype, optional
        What the logarithms are taken to before their exponential; each as it is by default.

    Attributes
    ----------
    init : ndarray, shape (K,)
    transition : ndarray, shape (K, K), or None where each pair has its own
    table : ndarray, shape (R, K), or None where evidence has a row a step
    """

    def __init__(self, logs: ChainLogs, dtype: type | None = None):
        self.logs, self.dtype = logs, dtype
        self.init, self.init_top = scaled_whole(np.asarray(logs.init, dtype))
        self.transition = self.table = None
        if logs.transition.ndim == 2:
            self.transition, self.transition_top = scaled_whole(np.asarray(logs.transition, dtype))
        else:
            self.pair_tops = np.zeros(len(logs.transition))
        if logs.rows is None:
            self.tops = np.zeros(len(logs.evidence), logs.evidence.dtype)
        else:
            self.table, tops = scaled_exponentials(np.asarray(logs.evidence, dtype))
            self.tops = tops.astype(logs.evidence.dtype, copy=False)[logs.rows]  # maxima lose nothing

    def evidence(self, first: int, last: int) -> tuple[int, np.ndarray, np.ndarray | None]:
        """(base, array, rows): step t in ``first:last`` has row ``rows[t − base]`` of the array, without
        rows row ``t − base``."""
        base = first // ALIGNED * ALIGNED
        if self.logs.rows is not None:
            return base, self.table, self.logs.rows[base:last]
        end = min(-(-last // ALIGNED) * ALIGNED, len(self.logs.evidence))
        window = np.asarray(self.logs.evidence[base:end], self.dtype)
        linear, self.tops[base:end] = scaled_exponentials(window)
        return base, linear, None

    def pairs(self, first: int, last: int) -> np.ndarray:
        """Transitions with three axes: the shared one, or those of pairs ``first:last``."""
        if self.transition is not None:
            return self.transition[None]
        window = np.asarray(self.logs.transition[first:last], self.dtype)
        linear, self.pair_tops[first:last] = scaled_whole(window)
        return linear

    @cached_property
    def float64(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """``init``, ``transition`` and ``table`` as the kernels take them."""
        arrays = (self.init, self.transition, self.table)
        init, transition, table = (None if a is None else np.ascontiguousarray(a, np.float64) for a in arrays)
        return init, transition, table

    def removed(self) -> np.ndarray:
        """What the scaling has taken out of each sequence's log Z, (N,), once all windows were made."""
        offsets, n_sequences = self.logs.offsets, len(self.logs.offsets) - 1
        tops = self.tops
        if n_sequences == 1:
            total = tops.sum(keepdims=True, dtype=np.float64)
        else:
            total = np.add.reduceat(tops, offsets[:-1], dtype=np.float64)
        total = self.init_top + total
        if self.transition is not None:
            return total + self.transition_top * (np.diff(offsets) - 1)
        sums = np.concatenate([[0.0], np.cumsum(self.pair_tops)])
        pairs = offsets - np.arange(len(offsets))
        return total + (sums[pairs[1:]] - sums[pairs[:-1]])
