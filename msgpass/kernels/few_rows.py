"""One or a few rows at a time in compiled recurrences: small batches, where calls and copies would cost more
than sums.

Everything here is inlined into its callers. Rows are as long as the user's, whole vectors are read and
written where they fit, and the last, partial one goes through a scratch vector. Weights are packed as
`msgpass.kernels.product.pack` does it.
"""

import numpy as np

from msgpass.kernels.runtime import lean_jit as jit
from msgpass.kernels.simd import LANES, broadcast, first_lanes, fma, load, splat_like, store

MOST_ROWS = 3
"""Rows of a batch that go through these loops; from four on tiles of four rows are quicker."""

NOBODY = {dtype: np.empty((0, 0), dtype) for dtype in LANES}
"""Stands in for a mask, or a result that nobody wants."""


@jit(forceinline=True)
def aligned_start(work):
    """First place of ``work`` at a multiple of 64 bytes."""
    return (-work.ctypes.data % 64) // work.itemsize


@jit(forceinline=True)
def load_row(array, i, n, length, scratch, s, lanes):
    """Numbers n, n + 1, … of the row at ``i``, zeros beyond its length; ``scratch[s:]`` has one vector."""
    if n + lanes <= length:
        return load(array, i + n)
    if i + n + lanes <= len(array):
        return first_lanes(load(array, i + n), length - n)
    for q in range(lanes):
        scratch[s + q] = array[i + n + q] if n + q < length else 0
    return load(scratch, s)


@jit(forceinline=True)
def store_row(array, i, n, length, value, scratch, s, lanes):
    """Write numbers n, n + 1, … of the row at ``i``, none beyond its length."""
    if n + lanes <= length:
        store(array, i + n, value)
    else:
        store(scratch, s, value)
        for q in range(length - n):
            array[i + n + q] = scratch[s + q]


@jit(forceinline=True)
def add_row_product(total, row, i, inner, right, j, width):
    """``total`` plus ``row[i : i + inner]`` times one vector of columns of a packed right factor.

    Rows of the factor are ``width`` apart. The terms go to eight sums in turn, not to wait for each other.
    """
    a, b = total, splat_like(total, 0.0)
    c, d, e, f, g, h = b, b, b, b, b, b
    whole = inner - inner % 8
    for k in range(0, whole, 8):
        p, q = i + k, j + k * width
        a = fma(broadcast(row, p), load(right, q), a)
        b = fma(broadcast(row, p + 1), load(right, q + width), b)
        c = fma(broadcast(row, p + 2), load(right, q + 2 * width), c)
        d = fma(broadcast(row, p + 3), load(right, q + 3 * width), d)
        e = fma(broadcast(row, p + 4), load(right, q + 4 * width), e)
        f = fma(broadcast(row, p + 5), load(right, q + 5 * width), f)
        g = fma(broadcast(row, p + 6), load(right, q + 6 * width), g)
        h = fma(broadcast(row, p + 7), load(right, q + 7 * width), h)
    for k in range(whole, inner):
        b = fma(broadcast(row, i + k), load(right, j + k * width), b)
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@jit(forceinline=True)
def panel_place(n, inner, units, lanes):
    """(place, width): where the vector of columns n, n + 1, … of a packed factor begins, and its panel's
    width."""
    width = 2 * lanes
    first = n // width * width
    if first + width > units:
        width = lanes
    return first * inner + (n - first), width


@jit(forceinline=True)
def rows_to_panels(source, i, rows, length, panels, p, count, lanes):
    """Rows from ``source[i]`` on, one behind the other, as rows p, p + 1, … of panels of ``count`` rows.

    The last, partial vector of a row is read whole and cut, where there is something to read behind it.
    """
    units = -(-length // lanes) * lanes
    for n in range(0, units, lanes):
        j, width = panel_place(n, count, units, lanes)
        j += p * width
        if n + lanes <= length:
            for m in range(rows):
                store(panels, j + m * width, load(source, i + m * length + n))
            continue
        inside = length - n
        for m in range(rows):
            a, b = i + m * length + n, j + m * width
            if a + lanes <= len(source):
                store(panels, b, first_lanes(load(source, a), inside))
            else:
                for q in range(lanes):
                    panels[b + q] = source[a + q] if q < inside else 0


@jit(forceinline=True)
def states_before_to_panels(h0, h, hidden, batch, at_start, reverse, low, count, panels, lanes):
    """The states before those of rows ``low``, ``low + 1``, … as panels; at one end that is the start."""
    edge = batch if at_start else 0
    if reverse:
        rows_to_panels(h, (low + batch) * hidden, count - edge, hidden, panels, 0, count, lanes)
        rows_to_panels(h0, 0, edge, hidden, panels, count - edge, count, lanes)
    else:
        rows_to_panels(h0, 0, edge, hidden, panels, 0, count, lanes)
        rows_to_panels(h, (low + edge - batch) * hidden, count - edge, hidden, panels, edge, count, lanes)


@jit(forceinline=True)
def copy_trimmed(source, i, stride, rows, columns, target):
    """Rows of ``columns`` numbers, ``stride`` apart from ``i`` on, to the two-dimensional ``target``."""
    for m in range(rows):
        for q in range(columns):
            target[m, q] = source[i + m * stride + q]


def vectors_of(size: int, dtype) -> int:
    """``size`` rounded up to whole vectors."""
    lanes = LANES[dtype]
    return -(-size // lanes) * lanes
