"""One long chain with few states in segments, with neither γ nor all of the linear evidence ever held.

:mod:`~msgpass.kernels.table_chain_segments` computes the messages at every cut before it sweeps a segment, so
that its cuts are checkpoints of both directions, and no step is computed twice: K² + 2K numbers for some
2048 / K steps are kept, three bytes a step for K = 8. Groups of segments are taken batch after batch, by the
same kernels and in the same order, and give the same bits.
"""

import numpy as np

from msgpass.kernels import table_chain_lanes as lanes
from msgpass.kernels.runtime import aligned_empty, aligned_zeros, compiling, run_pair
from msgpass.kernels.table_chain_collected import Collected
from msgpass.kernels.table_chain_gather import LANES
from msgpass.kernels.table_chain_lane_places import TABLES
from msgpass.kernels.table_chain_lane_sweep import expected_counts
from msgpass.kernels.table_chain_segments import boundaries, in_lanes, segments_of, transfers
from msgpass.kernels.table_chain_windows import Windows

_NO_ROWS = np.empty(0, np.int64)


class _Batches:
    """The segments of steps ``start:stop``, an even number of groups of eight at a time."""

    def __init__(self, windows: Windows, start: int, stop: int, entries: int):
        self.windows, n_states = windows, len(windows.init)
        self.starts, self.lengths = segments_of(start, stop, lanes.padded_width(n_states))
        steps = 2 * LANES * int(self.lengths[0])
        self.size = 2 * LANES * max(entries // (steps * n_states), 1)

    def __iter__(self):
        """(segments, base, evidence, rows, their starts from base, their lengths, one past the last step)."""
        for first in range(0, len(self.starts), self.size):
            chosen = slice(first, min(first + self.size, len(self.starts)))
            last = int(self.starts[chosen.stop - 1] + self.lengths[chosen.stop - 1])
            base, evidence, rows = self.windows.evidence(int(self.starts[first]), last)
            table = self.windows.float64[2] if rows is not None else np.asarray(evidence, np.float64)
            index = _NO_ROWS if rows is None else rows
            yield chosen, base, table.ravel(), index, self.starts[chosen] - base, self.lengths[chosen], last


def sweep(
    windows: Windows, sequence: int, start: int, stop: int, lost: float, collected: Collected, entries: int
) -> tuple[float, float, np.ndarray, bool]:
    """(mantissa, exponent, Σ ξ without the factor A, failed) of steps ``start:stop`` of a chain with one
    transition; γ goes to ``collected`` in batches of some ``entries`` numbers.
    """
    init, transition, _ = windows.float64
    with compiling("the sweep over segments of a chain", transfers):
        batches = _Batches(windows, start, stop, entries)
        alpha, beta, mantissa, exponent = _cuts(batches, init, transition, start, lost)
        if mantissa <= 0:
            return 0.0, 0, np.zeros(transition.shape), True
        xi, failed = _swept(batches, transition, alpha, beta, sequence, lost, collected)
    return mantissa, exponent, xi, failed


def _cuts(batches: _Batches, init, transition, start: int, lost: float) -> tuple:
    """α and β at every cut, (segments + 1, K) each, and Z."""
    n_states, segments = len(init), len(batches.starts)
    width = lanes.padded_width(n_states)
    table, size = lanes.padded(transition, width), n_states * width
    matrices, exponents = aligned_empty(segments * size), np.empty(segments)
    alpha, beta = np.empty((segments + 1, n_states)), np.empty((segments + 1, n_states))
    local = aligned_empty((2, max(width, LANES) * LANES))
    for chosen, base, evidence, rows, starts, lengths, _ in batches:
        if chosen.start == 0:
            at = (rows[start - base] if rows.size else start - base) * n_states
            alpha[0] = init * evidence[at : at + n_states]
        where = matrices[chosen.start * size : chosen.stop * size], exponents[chosen]
        common = (table, n_states, width, evidence, rows, starts, lengths)
        run_pair(transfers, (*common, 0, *where, local[0]), transfers, (*common, 1, *where, local[1]))
    z = boundaries(matrices, exponents, n_states, width, segments, lost, alpha, beta)
    return alpha, beta, *z


def _swept(batches: _Batches, transition, alpha, beta, sequence: int, lost: float, collected: Collected):
    """Σ ξ and whether a scale was lost, from the messages at the cuts."""
    n_states = len(transition)
    width = lanes.padded_width(n_states)
    step, rows = width * LANES, collected.rows
    counted = rows is not None and 8 * len(collected.by_row) <= len(rows)
    by_row = aligned_zeros((2, TABLES * collected.by_row.size if counted else 0))
    xi, heads = aligned_zeros((2, width * step)), aligned_zeros((2, step))
    table, transposed = lanes.padded(transition, width), lanes.padded(transition.T, width)
    work = aligned_zeros((2, 2 * int(batches.lengths.max()) * step + step + max(width, LANES) * LANES))
    failed = False
    for chosen, base, evidence, index, starts, lengths, last in batches:
        z, gamma = np.zeros((3, len(starts))), aligned_empty((last - base, n_states))
        ends = in_lanes(alpha[chosen]), in_lanes(beta[chosen.start + 1 : chosen.stop + 1])
        before = (ends[0].ravel(), n_states * LANES, True, ends[1].ravel(), n_states * LANES)
        middle = (table, transposed, n_states, width, evidence, index, starts, lengths)
        after = (lost, z.ravel(), gamma.ravel(), by_row, heads, np.empty((0, 0, 0)), xi)
        first, second = ((*before, *middle, part, *after, work[part]) for part in (0, 1))
        run_pair(expected_counts, first, expected_counts, second)
        failed |= bool(z[2].any())
        begin = int(starts[0]) + 1
        if chosen.start == 0:
            begin -= 1
            joint = alpha[0] * beta[0]
            gamma[begin] = collected.first[sequence] = joint / joint.sum()
            if counted:
                collected.by_row[rows[base + begin]] += gamma[begin]
        collected.add(base, begin, last - base, gamma, counted)
    if counted:
        collected.by_row += by_row.reshape(2 * TABLES, *collected.by_row.shape).sum(axis=0)
    pairs = xi.reshape(2, width, width, LANES)[:, :n_states, :n_states]
    return (pairs[0] + pairs[1]).sum(axis=2), failed
