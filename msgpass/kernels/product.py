"""Products of small matrices inside compiled sweeps: ``out = start + left @ right``, with ``right`` packed once.

A sweep multiplies by the same weights at every step. BLAS packs its operands anew at each call, which costs more
than the product itself at these sizes; here the right factor is laid out once in *panels* of two vectors' width,
each panel's rows one after the other, and is then read with unit stride. Columns are padded with zeros to whole
vectors; where their number of vectors is odd, the last panel is one vector wide.

All arrays are flat and contiguous, offsets count numbers. Nothing is checked: callers in this folder do that.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import LANES, load, store
from msgpass.kernels.tile import add_interleaved, add_outer, fold_rows, load_tile, store_tile, tile_width, zero_tile

TILE_ROWS = 8
"""Rows of the largest tile: 8 × 2 sums and what is multiplied fit in 32 registers, with two units × four
cycles of latency to fill."""


def padded(columns: int, dtype) -> int:
    """``columns`` rounded up to whole vectors."""
    lanes = LANES[np.dtype(dtype)]
    return -(-columns // lanes) * lanes


@jit
def pack(matrix, transposed, lanes, packed):
    """Lay out ``right = matrix`` (or its transpose) in panels; ``packed`` has rows × padded columns numbers."""
    inner, columns = matrix.shape[0], matrix.shape[1]
    if transposed:
        inner, columns = columns, inner
    whole = -(-columns // lanes) * lanes
    for first in range(0, whole, 2 * lanes):
        width = min(2 * lanes, whole - first)
        used = min(width, columns - first)
        base = first * inner
        for p in range(inner):
            for q in range(used, width):
                packed[base + p * width + q] = 0
        if transposed:
            for q in range(used):
                for p in range(inner):
                    packed[base + p * width + q] = matrix[first + q, p]
        else:
            for p in range(inner):
                for q in range(used):
                    packed[base + p * width + q] = matrix[p, first + q]


def _make_block(rows, vectors):
    """Compiled product for one tile of fixed size; its inner loop is unrolled by four."""

    @jit(forceinline=True)
    def block(start, s, start_stride, left, i, row_stride, inner_stride, inner, right, j, out, o, out_stride):
        tile = load_tile(rows, vectors, start, s, start_stride)
        width = tile_width(tile)
        for _ in range(inner // 4):
            tile = add_outer(tile, 4, left, i, row_stride, inner_stride, right, j)
            i += 4 * inner_stride
            j += 4 * width
        for _ in range(inner % 4):
            tile = add_outer(tile, 1, left, i, row_stride, inner_stride, right, j)
            i += inner_stride
            j += width
        store_tile(tile, out, o, out_stride)

    return block


def _make_row(vectors):
    """Compiled product for a single row, whose terms go to four sums each: one would wait for its own latency."""

    @jit(forceinline=True)
    def row(start, s, left, i, inner, right, j, out, o):
        quarters = zero_tile(4, vectors, start)
        width = tile_width(quarters)
        rest = load_tile(1, vectors, start, s, 0)
        for _ in range(inner // 4):
            quarters = add_interleaved(quarters, left, i, right, j)
            i += 4
            j += 4 * width
        for _ in range(inner % 4):
            rest = add_outer(rest, 1, left, i, 0, 1, right, j)
            i += 1
            j += width
        store_tile(fold_rows(quarters, rest), out, o, 0)

    return row


_block_8x2, _block_8x1 = _make_block(8, 2), _make_block(8, 1)
_block_4x2, _block_4x1 = _make_block(4, 2), _make_block(4, 1)
_row_2, _row_1 = _make_row(2), _make_row(1)


@jit
def product(start, s, start_stride, left, i, row_stride, inner, right, out, o, out_stride, rows, columns, lanes):
    """``out[m, n] = start[m, n] + Σ_p left[m, p] right[p, n]`` for ``rows`` rows and ``columns`` padded columns.

    Row m of ``start``, ``left`` and ``out`` begins at ``s + m * start_stride``, ``i + m * row_stride`` and
    ``o + m * out_stride``; ``right`` is packed. ``out`` may be ``start``.
    """
    for n in range(0, columns, 2 * lanes):
        j = n * inner
        wide = n + 2 * lanes <= columns
        m = 0
        while m + 8 <= rows:
            sm, im, om = s + m * start_stride + n, i + m * row_stride, o + m * out_stride + n
            if wide:
                _block_8x2(start, sm, start_stride, left, im, row_stride, 1, inner, right, j, out, om, out_stride)
            else:
                _block_8x1(start, sm, start_stride, left, im, row_stride, 1, inner, right, j, out, om, out_stride)
            m += 8
        if m + 4 <= rows:
            sm, im, om = s + m * start_stride + n, i + m * row_stride, o + m * out_stride + n
            if wide:
                _block_4x2(start, sm, start_stride, left, im, row_stride, 1, inner, right, j, out, om, out_stride)
            else:
                _block_4x1(start, sm, start_stride, left, im, row_stride, 1, inner, right, j, out, om, out_stride)
            m += 4
        while m < rows:
            sm, im, om = s + m * start_stride + n, i + m * row_stride, o + m * out_stride + n
            if wide:
                _row_2(start, sm, left, im, inner, right, j, out, om)
            else:
                _row_1(start, sm, left, im, inner, right, j, out, om)
            m += 1


@jit
def add_outer_products(left, group_stride, rows, right, inner, out, columns, lanes):
    """``out[m, n] += Σ_p left[p, m] right[p, n]``: a sum of outer products, as in the gradient of a weight.

    ``left`` is cut into groups of eight columns, ``left[(m // 8) * group_stride + p * 8 + m % 8]``, so that a tile
    reads it in order (from plain rows the product ran at 50 to 75 % of the speed). ``right`` is packed; ``out`` has
    ``rows`` rows, a multiple of eight, of ``columns`` padded numbers.
    """
    for n in range(0, columns, 2 * lanes):
        wide = n + 2 * lanes <= columns
        j = n * inner
        for m in range(0, rows, 8):
            i, o = (m // 8) * group_stride, m * columns + n
            if wide:
                _block_8x2(out, o, columns, left, i, 1, 8, inner, right, j, out, o, columns)
            else:
                _block_8x1(out, o, columns, left, i, 1, 8, inner, right, j, out, o, columns)
