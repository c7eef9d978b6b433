"""Products of small matrices inside compiled sweeps: ``out = start + left @ right``, with ``right`` packed
once.

A sweep multiplies by the same weights at every step. BLAS packs its operands anew at each call, which costs
more than the product itself at these sizes; here the right factor is laid out once in *panels* of two
vectors' width, each panel's rows one after the other, and is then read with unit stride. Columns are padded
with zeros to whole vectors; where their number of vectors is odd, the last panel is one vector wide.

All arrays are flat and contiguous, offsets count numbers. Nothing is checked: callers in this folder do that.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import LANES, load, store
from msgpass.kernels.tile import (
    add_interleaved,
    add_outer,
    fold_rows,
    load_tile,
    store_tile,
    tile_width,
    zero_tile_like,
)

TILE_ROWS = 8
"""Rows of the largest tile: its 8 × 2 sums and what is multiplied fit in 32 registers, and keep two
multiply-add units of four cycles' latency busy."""


class Rows(NamedTuple):
    """Rows in a flat array: row m begins at ``offset + m * stride``; a stride of 0 repeats one row."""

    array: np.ndarray
    offset: int
    stride: int


class Term(NamedTuple):
    """``left @ right``: the first ``inner`` numbers of rows as in `Rows`, times a packed matrix."""

    array: np.ndarray
    offset: int
    stride: int
    inner: int
    right: np.ndarray


def padded(columns: int, dtype) -> int:
    """``columns`` rounded up to whole vectors."""
    lanes = LANES[np.dtype(dtype)]
    return -(-columns // lanes) * lanes


@lean_jit
def pack(matrix, transposed, lanes, packed):
    """Lay out ``right = matrix`` (or its transpose) in panels; ``packed`` is rows × padded columns."""
    inner, columns = matrix.shape
    flat = matrix.reshape(-1)
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
            vectors = used // lanes * lanes
            for p in range(inner):
                for q in range(0, vectors, lanes):
                    store(packed, base + p * width + q, load(flat, p * columns + first + q))
                for q in range(vectors, used):
                    packed[base + p * width + q] = matrix[p, first + q]


@lean_jit(forceinline=True)
def _add_block(tile, left, i, row_stride, inner_stride, inner, right, j):
    """``tile + left @ right``, unrolled by four."""
    width = tile_width(tile)
    for _ in range(inner // 4):
        tile = add_outer(tile, 4, left, i, row_stride, inner_stride, right, j)
        i += 4 * inner_stride
        j += 4 * width
    for _ in range(inner % 4):
        tile = add_outer(tile, 1, left, i, row_stride, inner_stride, right, j)
        i += inner_stride
        j += width
    return tile


@lean_jit(forceinline=True)
def _add_term(tile, term, m, n):
    """``tile`` plus the term's rows from m on and columns from n on."""
    return _add_block(
        tile,
        term.array,
        term.offset + m * term.stride,
        term.stride,
        1,
        term.inner,
        term.right,
        n * term.inner,
    )


@lean_jit(forceinline=True)
def _add_term_to_row(tile, term, m, n):
    """As `_add_term` for a tile of one row: its terms go to four sums in turn, not to wait for each other."""
    quarters, width = zero_tile_like(tile, 4), tile_width(tile)
    i, j = term.offset + m * term.stride, n * term.inner
    for _ in range(term.inner // 4):
        quarters = add_interleaved(quarters, term.array, i, term.right, j)
        i += 4
        j += 4 * width
    for _ in range(term.inner % 4):
        tile = add_outer(tile, 1, term.array, i, 0, 1, term.right, j)
        i += 1
        j += width
    return fold_rows(quarters, tile)


def _make_block(rows, vectors):
    """Compiled code for one block of the result, of a size fixed here; cached with its callers."""
    add = _add_term if rows > 1 else _add_term_to_row

    @lean_jit(forceinline=True, cache=False)
    def block(start, first, second, out, m, n):
        tile = load_tile(rows, vectors, start.array, start.offset + m * start.stride + n, start.stride)
        tile = add(add(tile, first, m, n), second, m, n)
        store_tile(tile, out.array, out.offset + m * out.stride + n, out.stride)

    return block


_block_8x2, _block_8x1 = _make_block(8, 2), _make_block(8, 1)
_block_4x2, _block_4x1 = _make_block(4, 2), _make_block(4, 1)
_block_1x2, _block_1x1 = _make_block(1, 2), _make_block(1, 1)


@lean_jit
def product(start, first, second, out, rows, columns, lanes):
    """``out = start + first.left @ first.right + second.left @ second.right``.

    ``start`` and ``out`` are `Rows`, possibly the same; ``first`` and ``second`` are `Term` (one with
    ``inner`` 0 adds nothing). ``columns`` counts padded columns.
    """
    for n in range(0, columns, 2 * lanes):
        wide = n + 2 * lanes <= columns
        m = 0
        while m + 8 <= rows:
            if wide:
                _block_8x2(start, first, second, out, m, n)
            else:
                _block_8x1(start, first, second, out, m, n)
            m += 8
        if m + 4 <= rows:
            if wide:
                _block_4x2(start, first, second, out, m, n)
            else:
                _block_4x1(start, first, second, out, m, n)
            m += 4
        while m < rows:
            if wide:
                _block_1x2(start, first, second, out, m, n)
            else:
                _block_1x1(start, first, second, out, m, n)
            m += 1


@lean_jit
def add_outer_products(left, group_stride, rows, right, inner, out, columns, lanes):
    """``out[m, n] += Σ_p left[p, m] right[p, n]``: a sum of outer products, as in the gradient of a weight.

    ``left`` is cut into groups of eight columns, ``left[(m // 8) * group_stride + p * 8 + m % 8]``, so that a
    tile reads it in order: at 256 to 768 rows and columns that gave 77 to 87 % of peak, plain rows 50 to 78
    %. ``right`` is packed; ``out`` has ``rows`` rows, a multiple of eight, of ``columns`` padded numbers.
    """
    for n in range(0, columns, 2 * lanes):
        for m in range(0, rows, 8):
            i, o = (m // 8) * group_stride, m * columns + n
            if n + 2 * lanes <= columns:
                tile = load_tile(8, 2, out, o, columns)
                store_tile(_add_block(tile, left, i, 1, 8, inner, right, n * inner), out, o, columns)
            else:
                narrow = load_tile(8, 1, out, o, columns)
                store_tile(_add_block(narrow, left, i, 1, 8, inner, right, n * inner), out, o, columns)
