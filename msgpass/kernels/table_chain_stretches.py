"""One long chain with checkpoints: α at some cuts, everything else made again stretch by stretch.

A stretch begins at the step on which the one before it ends. Given α there, and β at its last step, it is a
chain of its own: α is its first potential and β a factor of its last evidence, so that the ordinary sweeps do
the work. :func:`~msgpass.schedule.checkpointed.reverse` says in which order; β at the first step, for the
stretch before, is γ / α, and where α is zero nothing asks for it.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels.table_chain import _NO_ROWS, _sweep
from msgpass.kernels.table_chain_collected import Collected
from msgpass.kernels.table_chain_types import LN2
from msgpass.kernels.table_chain_windows import Windows
from msgpass.schedule.checkpointed import reach, reverse

REPEATS = 2
"""How often a step may be swept forward before the sweep that uses it; few slots make long stretches."""


class LostScaleError(Exception):
    """A scale fell so low that the sequence must be redone in log space."""


def cuts_of(start: int, stop: int, n_states: int, slots: int, entries: int) -> np.ndarray:
    """First steps of the stretches of ``start:stop``, and its last step: stretches of ``entries`` numbers, or
    as long as it takes for ``slots`` states to do with :data:`REPEATS`.
    """
    pairs = stop - 1 - start
    length = max(entries // n_states, -(-pairs // reach(slots, REPEATS)), 1)
    count = max(-(-pairs // length), 1)
    return start + np.arange(count + 1) * pairs // count


class _State(NamedTuple):
    """α at a cut with its evidence, times 2^exponent."""

    alpha: np.ndarray
    exponent: float


class Stretches:
    """Scaled sweeps over the stretches of sequence ``n``, steps ``start:stop``, two steps or more.

    Attributes
    ----------
    xi : ndarray, shape (K, K) or (P, K, K), or None
        Σ ξ with its factor A; those of a sequence's own pairs are written, not added.
    log_scale : float
        log Z of the scaled tables.
    """

    def __init__(self, windows: Windows, n: int, cuts: np.ndarray, lost: float, collected: Collected, xi):
        self.windows, self.n, self.cuts, self.lost = windows, n, cuts, lost
        self.collected, self.xi, self.log_scale = collected, xi, -np.inf
        self.shared = windows.transition is not None
        self.beta: np.ndarray | None = None

    def run(self, slots: int) -> None:
        """The whole reversal."""
        start = int(self.cuts[0])
        base, evidence, rows = self.windows.evidence(start, start + 1)
        row = start - base if rows is None else rows[start - base]
        alpha = self.windows.float64[0] * np.asarray(evidence[row], np.float64)
        reverse(len(self.cuts) - 1, slots, self._scaled(alpha, 0.0), self.advance, self.back)

    def _scaled(self, alpha: np.ndarray, exponent: float) -> _State:
        peak = alpha.max()
        if not peak >= self.lost:
            raise LostScaleError
        shift = int(np.frexp(peak)[1])
        return _State(np.ldexp(alpha, -shift), exponent + shift)

    def tables(self, s: int) -> np.ndarray:
        """Transitions of a stretch, three axes."""
        if self.shared:
            return self.windows.float64[1][None]
        first, last = self.cuts[s : s + 2] - self.n
        return np.ascontiguousarray(self.windows.pairs(int(first), int(last)), np.float64)

    def local(self, s: int, beta: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Evidence of a stretch and its rows: nothing at the first step, which α holds, β in at the last."""
        first, last = int(self.cuts[s]), int(self.cuts[s + 1]) + 1
        base, evidence, rows = self.windows.evidence(first, last)
        if rows is None:
            local = np.array(evidence[first - base : last - base], np.float64)
        else:
            rows, table = rows[first - base :], self.windows.float64[2]
            if len(table) < len(rows):
                ends = np.ones((2, table.shape[1]))
                ends[1] = table[rows[-1]] if beta is None else table[rows[-1]] * beta
                rows = rows.copy()
                rows[0], rows[-1] = len(table), len(table) + 1
                return np.concatenate([table, ends]), rows
            local = table[rows]
        local[0] = 1.0
        if beta is not None:
            local[-1] *= beta
        return local, None

    def advance(self, state: _State, first: int, last: int) -> _State:
        """State before stretch ``last`` from that before stretch ``first``."""
        for s in range(first, last):
            state = self._long(state, s) if self.shared and len(state.alpha) > 8 else self._step(state, s)
        return state

    def _step(self, state: _State, s: int) -> _State:
        from msgpass.kernels.runtime import compiling
        from msgpass.kernels.table_chain_scalar import forward

        tables, (evidence, rows) = self.tables(s), self.local(s)
        steps = int(self.cuts[s + 1] - self.cuts[s]) + 1
        alpha, pair = np.empty((steps, len(state.alpha))), -1 if self.shared else 0
        index = _NO_ROWS if rows is None else rows
        here = (state.alpha, tables, evidence, index, 0, steps, np.int64(pair), self.lost, alpha)
        with compiling("the forward chain sweep", forward):
            mantissa, exponent = forward(*here)
        if mantissa < 0:
            raise LostScaleError
        return _State(alpha[-1].copy(), state.exponent + exponent)

    def _long(self, state: _State, s: int) -> _State:
        from msgpass.kernels import table_chain_long as long
        from msgpass.kernels.runtime import aligned_zeros, compiling

        (table,), (evidence, rows) = self.tables(s), self.local(s)
        n_states, steps = len(table), int(self.cuts[s + 1] - self.cuts[s]) + 1
        width, depth = -(-n_states // long.COLUMNS) * long.COLUMNS, -(-n_states // 4) * 4
        padded, (first, alpha) = aligned_zeros((depth, width)), aligned_zeros((2, width))
        padded[:n_states, :n_states], first[:n_states] = table, state.alpha
        work, left = aligned_zeros(3 * width), aligned_zeros(24)
        index, nothing = _NO_ROWS if rows is None else rows, np.empty(0)
        here = (width, n_states, evidence.ravel(), index, 0, steps, self.lost, nothing)
        with compiling("the sweep over a long chain", long.forward_half):
            long.forward_half(first, padded.ravel(), depth, *here, alpha, work, left)
        if left[long.LOST]:
            raise LostScaleError
        return self._scaled(alpha[:n_states].copy(), state.exponent + left[long.EXPONENT] + _pending(left))

    def back(self, state: _State, s: int) -> None:
        """γ and ξ of a stretch, and β at its first step."""
        tables, (evidence, rows) = self.tables(s), self.local(s, self.beta)
        first, last = int(self.cuts[s]), int(self.cuts[s + 1]) + 1
        offsets = np.array([0, last - first], np.int64)
        mantissa, exponent, gamma, xi, failed, _ = _sweep(
            (state.alpha, tables, evidence, rows, offsets), self.lost
        )
        if failed[0]:
            raise LostScaleError
        if self.beta is None:
            self.log_scale = float(np.log(mantissa[0]) + (exponent[0] + state.exponent) * LN2)
        possible = state.alpha > 0
        beta = np.divide(gamma[0], state.alpha, out=np.zeros_like(state.alpha), where=possible)
        self.beta = beta / beta.max()
        if s == 0:
            self.collected.first[self.n] = gamma[0]
        self.collected.add(first, 0 if s == 0 else 1, last - first, gamma)
        if self.xi is not None and self.shared:
            self.xi += (xi * tables)[0]
        elif self.xi is not None:
            self.xi[first - self.n : last - 1 - self.n] = xi * tables


def _pending(state: np.ndarray) -> float:
    """What ``forward_half`` has counted in its exponent already, though its message was not yet scaled."""
    from msgpass.kernels.table_chain_long import INVERSE

    return float(np.log2(state[INVERSE]))
