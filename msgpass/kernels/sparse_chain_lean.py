"""The sparse sweeps without an array of all messages: every √T-th one is kept, and stretches between them are
swept again when the second message comes by.

Marginals are added up where they arrive, so that memory is of the order of S √T and a third sweep is the
price. ``sums`` is (3, S): marginals added up over first steps, last steps and all steps. ``counts`` is
(R, G), as the evidence.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.sparse_chain_cross import FAST
from msgpass.kernels.sparse_chain_sweep import (
    backward,
    collect_backward,
    collect_forward,
    forward,
    marginals,
)


@jit(fastmath=FAST)
def add(local, n, t, gamma, counts, sums):
    """Add the marginals of step t where they arrive."""
    _, _, rows, groups, offsets = local
    out, every = counts[rows[t] if rows.size else t], sums[2]
    if groups.size:
        for s in range(gamma.size):
            out[groups[s]] += gamma[s]
            every[s] += gamma[s]
    else:
        for s in range(gamma.size):
            out[s] += gamma[s]
            every[s] += gamma[s]
    if t == offsets[n]:
        sums[0] += gamma
    if t == offsets[n + 1] - 1:
        sums[1] += gamma


@jit
def mark_forward(entries, init, local, n, upto, lost, stride, marks, ring, scale):
    """Forward to row ``upto``; ``marks[k]`` is a at the k-th stride from the first row, ``ring`` ends with
    the last two.
    """
    start = local[4][n]
    for low in range(start, upto, stride):
        if not forward(entries, init, local, n, low, low + 1, lost, ring, scale):
            return False
        marks[(low - start) // stride] = ring[low % 2]
        if not forward(entries, init, local, n, low + 1, min(low + stride, upto), lost, ring, scale):
            return False
    return True


@jit
def mark_backward(entries, local, n, downto, lost, stride, marks, ring, scale):
    """The same from the last row back to row ``downto``; ``marks[k]`` is b at the k-th stride from the last
    row.
    """
    end = local[4][n + 1] - 1
    top = end
    while top >= downto:
        if top == end:
            ring[top % 2] = 1.0  # as backward itself starts
        elif not backward(entries, local, n, top + 1, top, lost, ring, scale):
            return False
        marks[(end - top) // stride] = ring[top % 2]
        if not backward(entries, local, n, top, max(top - stride + 1, downto), lost, ring, scale):
            return False
        top -= stride
    return True


@jit
def back_over_marks(
    entries, init, local, n, last, beta, lost, stride, marks, block, scale, xi, stepped, counts, sums
):
    """Backward from row ``last``, where b is ``beta`` with Σ a b = 1, over stretches swept forward again."""
    start, kept, total, top = local[4][n], block.shape[0], 0.0, last
    for k in range((last - start) // stride, -1, -1):
        low = start + k * stride
        block[low % kept] = marks[k]
        if not forward(entries, init, local, n, low + 1, top + 1, lost, block, scale):
            return False
        if total == 0.0:
            total = marginals(block[last % kept], beta)
            add(local, n, last, block[last % kept], counts, sums)
        total = collect_backward(entries, local, n, low, top, total, beta, lost, block, scale, xi, stepped)
        if not total > 0.0:
            return False
        for t in range(low, top):
            add(local, n, t, block[t % kept], counts, sums)
        top = low
    return True


@jit
def on_over_marks(
    entries, local, n, first, before, lost, stride, marks, block, scale, xi, stepped, counts, sums
):
    """Forward from row ``first``, the row before which has a ``before`` with Σ a b = 1."""
    end, kept, total, low = local[4][n + 1] - 1, block.shape[0], 1.0, first
    for k in range((end - first) // stride, -1, -1):
        top = end - k * stride
        block[top % kept] = marks[k]
        if not backward(entries, local, n, top, low, lost, block, scale):
            return False
        total = collect_forward(
            entries, local, n, low, top + 1, total, before, lost, block, scale, xi, stepped
        )
        if not total > 0.0:
            return False
        for t in range(low, top + 1):
            add(local, n, t, block[t % kept], counts, sums)
        low = top + 1
    return True


@jit
def sequences(entries, init, local, first, last, lost, stride, scale, xi, stepped, counts, sums, failed):
    """Whole sequences, one after another; a failed one may have left counts."""
    longest = 0
    for n in range(first, last):
        longest = max(longest, local[4][n + 1] - local[4][n])
    marks = np.empty(((longest + stride - 1) // stride, init.size))
    ring, block = np.empty((2, init.size)), np.empty((stride + 1, init.size))
    for n in range(first, last):
        if failed[n]:
            continue
        end = local[4][n + 1] - 1
        fine = mark_forward(entries, init, local, n, end + 1, lost, stride, marks, ring, scale)
        if fine:
            beta = np.full(init.size, 1.0 / scale[end])
            fine = back_over_marks(
                entries, init, local, n, end, beta, lost, stride, marks, block, scale, xi, stepped, counts,
                sums,
            )  # fmt: skip
        failed[n] = not fine
