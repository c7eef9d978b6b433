"""A machine for array programs of steps whose batch rows are independent: rows of the batch lie in lanes.

A block of rows (two vectors: 16 in double precision, 32 in single) goes through all steps of a sweep by
itself; number d of its state is the stretch ``memory[offset + d * L : … + L]``, one place a row. The program
is a table of instructions, each a loop over such stretches, so that nothing is compiled for a new step; going
from one instruction to the next costs some 5 ns. Products with shared matrices hold their sums in registers
(`tile.py`) and need no packing, for the lanes are rows.

Instructions are ``(code, out, a, b, c, n, p, q)``: offsets into ``memory``, a count, and what `lane_program`
says. Transfers between ``memory`` and the arrays of the sweep, which lie end to end in ``data``, are ``(kind,
memory, data, size, laned, shift, edge, other)``.
"""

import math

import numpy as np

from msgpass.kernels.runtime import jit, lean_jit
from msgpass.kernels.simd import (
    absolute,
    fma,
    horizontal_sum,
    load,
    negative,
    store,
    vexp,
    vtanh,
)
from msgpass.kernels.tile import add_outer, load_tile, store_tile, tile_width

GATHER, SCATTER, COPY, SUM, MOST, PRODUCT, OUTER, OUTER_LANES, GAIN = range(9)
ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATIVE, TANH, EXP, ABSOLUTE, WHERE = range(10, 19)
RARE = (
    "maximum", "minimum", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
    "logical_and", "logical_or", "logical_not", "sign", "floor", "sqrt", "log", "log1p", "expm1", "sinh",
    "cosh", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "power",
)  # fmt: skip
ELEMENTWISE = {name: 20 + k for k, name in enumerate(RARE)} | {
    "add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY, "divide": DIVIDE, "negative": NEGATIVE,
    "tanh": TANH, "exp": EXP, "absolute": ABSOLUTE, "where": WHERE,
}  # fmt: skip

STATE, ROWS, SHARED, OUTPUT, COTANGENT = range(5)
"""Kinds of transfers: a state's row before (or its edge), a row an instance, one for all, an output's row,
and the sum of its local and its carried cotangent."""


@lean_jit(forceinline=True)
def _inner(tile, memory, i, row_stride, inner_stride, inner, j):
    width = tile_width(tile)
    for _ in range(inner // 4):
        tile = add_outer(tile, 4, memory, i, row_stride, inner_stride, memory, j)
        i += 4 * inner_stride
        j += 4 * width
    for _ in range(inner % 4):
        tile = add_outer(tile, 1, memory, i, row_stride, inner_stride, memory, j)
        i += inner_stride
        j += width
    return tile


@lean_jit
def _product(memory, out, a, matrix, inner, columns, lanes):
    """out[j] = Σ_k matrix[k, j] a[k]."""
    for x in range(out, out + columns * lanes):
        memory[x] = 0
    j = 0
    while columns - j >= 8:
        tile = load_tile(8, 2, memory, out + j * lanes, lanes)
        store_tile(_inner(tile, memory, matrix + j, 1, columns, inner, a), memory, out + j * lanes, lanes)
        j += 8
    if columns - j >= 4:
        tile = load_tile(4, 2, memory, out + j * lanes, lanes)
        store_tile(_inner(tile, memory, matrix + j, 1, columns, inner, a), memory, out + j * lanes, lanes)
        j += 4
    if columns - j >= 2:
        tile = load_tile(2, 2, memory, out + j * lanes, lanes)
        store_tile(_inner(tile, memory, matrix + j, 1, columns, inner, a), memory, out + j * lanes, lanes)
        j += 2
    if columns - j >= 1:
        tile = load_tile(1, 2, memory, out + j * lanes, lanes)
        store_tile(_inner(tile, memory, matrix + j, 1, columns, inner, a), memory, out + j * lanes, lanes)


@lean_jit
def _outer(memory, out, left, right, rows, columns, lanes, scratch):
    """out[i, j] += Σ_l left[i, l] right[j, l]; ``out`` has columns in whole panels."""
    whole = -(-columns // lanes) * lanes
    for panel in range(0, whole, lanes):
        base = scratch + panel * lanes
        used = min(lanes, columns - panel)
        for q in range(used):
            for row in range(lanes):
                memory[base + row * lanes + q] = memory[right + (panel + q) * lanes + row]
        i = 0
        while rows - i >= 8:
            at = out + i * whole + panel
            tile = load_tile(8, 2, memory, at, whole)
            store_tile(_inner(tile, memory, left + i * lanes, lanes, 1, lanes, base), memory, at, whole)
            i += 8
        while rows - i >= 2:
            at = out + i * whole + panel
            tile = load_tile(2, 2, memory, at, whole)
            store_tile(_inner(tile, memory, left + i * lanes, lanes, 1, lanes, base), memory, at, whole)
            i += 2
        if rows - i >= 1:
            at = out + i * whole + panel
            tile = load_tile(1, 2, memory, at, whole)
            store_tile(_inner(tile, memory, left + i * lanes, lanes, 1, lanes, base), memory, at, whole)


@lean_jit
def _rare(memory, code, out, a, b, n):
    """Elementwise operations without vectors of their own."""
    for k in range(n):
        x, y = memory[a + k], memory[b + k]
        if code == 20:
            z = x if x >= y or x != x else y
        elif code == 21:
            z = x if x <= y or x != x else y
        elif code == 22:
            z = 1.0 if x < y else 0.0
        elif code == 23:
            z = 1.0 if x <= y else 0.0
        elif code == 24:
            z = 1.0 if x > y else 0.0
        elif code == 25:
            z = 1.0 if x >= y else 0.0
        elif code == 26:
            z = 1.0 if x == y else 0.0
        elif code == 27:
            z = 1.0 if x != y else 0.0
        elif code == 28:
            z = x * y
        elif code == 29:
            z = x if x >= y else y
        elif code == 30:
            z = 1 - x
        elif code == 31:
            z = 1.0 if x > 0 else (-1.0 if x < 0 else x)
        elif code == 32:
            z = math.floor(x)
        elif code == 33:
            z = math.sqrt(x)
        elif code == 34:
            z = math.log(x)
        elif code == 35:
            z = math.log1p(x)
        elif code == 36:
            z = math.expm1(x)
        elif code == 37:
            z = math.sinh(x)
        elif code == 38:
            z = math.cosh(x)
        elif code == 39:
            z = math.sin(x)
        elif code == 40:
            z = math.cos(x)
        elif code == 41:
            z = math.tan(x)
        elif code == 42:
            z = math.asin(x)
        elif code == 43:
            z = math.acos(x)
        elif code == 44:
            z = math.atan(x)
        elif code == 45:
            z = math.atan2(x, y)
        else:
            z = x**y
        memory[out + k] = z


@lean_jit
def _execute(program, tables, memory, lanes):
    """All instructions once."""
    half = lanes // 2
    for line in range(program.shape[0]):
        code, out, a, b = program[line, 0], program[line, 1], program[line, 2], program[line, 3]
        c, n, p, q = program[line, 4], program[line, 5], program[line, 6], program[line, 7]
        if code == ADD:
            for k in range(0, n, half):
                store(memory, out + k, load(memory, a + k) + load(memory, b + k))
        elif code == SUBTRACT:
            for k in range(0, n, half):
                store(memory, out + k, load(memory, a + k) - load(memory, b + k))
        elif code == MULTIPLY:
            for k in range(0, n, half):
                store(memory, out + k, load(memory, a + k) * load(memory, b + k))
        elif code == DIVIDE:
            for k in range(0, n, half):
                store(memory, out + k, load(memory, a + k) / load(memory, b + k))
        elif code == NEGATIVE:
            for k in range(0, n, half):
                store(memory, out + k, negative(load(memory, a + k)))
        elif code == ABSOLUTE:
            for k in range(0, n, half):
                store(memory, out + k, absolute(load(memory, a + k)))
        elif code == TANH:
            for k in range(0, n, half):
                store(memory, out + k, vtanh(load(memory, a + k)))
        elif code == EXP:
            for k in range(0, n, half):
                store(memory, out + k, vexp(load(memory, a + k)))
        elif code == GAIN:
            for k in range(0, n, half):
                store(memory, out + k, load(memory, out + k) + load(memory, a + k))
        elif code == PRODUCT:
            for m in range(q):
                _product(memory, out + m * p * lanes, a + m * n * lanes, b, n, p, lanes)
        elif code == OUTER:
            for m in range(q):
                _outer(memory, out, a + m * n * lanes, b + m * p * lanes, n, p, lanes, c)
        elif code == OUTER_LANES:
            for i in range(n):
                for k in range(0, lanes, half):
                    x = load(memory, a + i * lanes + k)
                    for j in range(p):
                        at = out + (i * p + j) * lanes + k
                        store(memory, at, fma(x, load(memory, b + j * lanes + k), load(memory, at)))
        elif code == GATHER:
            for d in range(n):
                source = a + tables[p + d] * lanes
                for k in range(0, lanes, half):
                    store(memory, out + d * lanes + k, load(memory, source + k))
        elif code == COPY:
            for k in range(0, n, half):
                store(memory, out + p + k, load(memory, a + k))
        elif code == SCATTER:
            for k in range(q * lanes):
                memory[out + k] = 0
            for d in range(n):
                target = out + tables[p + d] * lanes
                for k in range(0, lanes, half):
                    store(memory, target + k, load(memory, target + k) + load(memory, a + d * lanes + k))
        elif code == SUM:
            for d in range(n):
                for k in range(0, lanes, half):
                    total = load(memory, a + tables[p + d * q] * lanes + k)
                    for r in range(1, q):
                        total = total + load(memory, a + tables[p + d * q + r] * lanes + k)
                    store(memory, out + d * lanes + k, total)
        elif code == MOST:
            for d in range(n):
                for k in range(lanes):
                    best = memory[a + tables[p + d * q] * lanes + k]
                    for r in range(1, q):
                        x = memory[a + tables[p + d * q + r] * lanes + k]
                        best = best if best >= x or best != best else x
                    memory[out + d * lanes + k] = best
        elif code == WHERE:
            for k in range(n):
                memory[out + k] = memory[b + k] if memory[a + k] != 0 else memory[c + k]
        else:
            _rare(memory, code, out, a, b, n)


@lean_jit
def _place(move, n, base, i, length, first_instance):
    """Where the row of a transfer begins in ``data``."""
    kind, size, shift = move[0], move[3], move[5]
    if kind == STATE:
        r = i + shift
        if move[6] < 0 or (r >= 0 and r < length):
            return move[2] + (base + r) * size
        return move[6] + n * size
    if kind == ROWS:
        return move[2] + (first_instance + i) * size
    if kind == SHARED:
        return move[2]
    return move[2] + (base + i + shift) * size


@jit
def run_blocks(program, tables, memory, loads, stores, data, sequences, rows, first, last, lanes, downward):
    """Blocks first to last of the batch, each through all steps of all sequences; ``downward`` against the
    order of steps."""
    for block in range(first, last):
        row = block * lanes
        used = min(lanes, rows - row)
        for n in range(sequences.shape[0]):
            low, high = sequences[n, 0], sequences[n, 1]
            begin, base, length = sequences[n, 2], sequences[n, 3], sequences[n, 4]
            for s in range(high - low):
                i = high - 1 - s if downward else low + s
                for m in range(loads.shape[0]):
                    move = loads[m]
                    at, target, size = _place(move, n, base, i, length, begin), move[1], move[3]
                    if move[0] == COTANGENT:
                        width, more = size // rows, move[7] - move[2]
                        for d in range(width):
                            for k in range(lanes):
                                memory[target + d * lanes + k] = 0
                            for k in range(used):
                                x = at + (row + k) * width + d
                                memory[target + d * lanes + k] = data[x] + data[x + more]
                    elif move[4]:
                        width = size // rows
                        for d in range(width):
                            for k in range(lanes):
                                x = at + min(row + k, rows - 1) * width + d
                                memory[target + d * lanes + k] = data[x]
                    else:
                        for d in range(size):
                            for k in range(lanes):
                                memory[target + d * lanes + k] = data[at + d]
                _execute(program, tables, memory, lanes)
                for m in range(stores.shape[0]):
                    move = stores[m]
                    at, source, size = _place(move, n, base, i, length, begin), move[1], move[3]
                    if move[0] == OUTPUT:
                        width = size // rows
                        for d in range(width):
                            for k in range(used):
                                data[at + (row + k) * width + d] = memory[source + d * lanes + k]
                    elif move[4]:
                        width = size // rows
                        for d in range(width):
                            for k in range(used):
                                data[at + (row + k) * width + d] += memory[source + d * lanes + k]
                    else:
                        for d in range(size):
                            total = horizontal_sum(load(memory, source + d * lanes))
                            total += horizontal_sum(load(memory, source + d * lanes + lanes // 2))
                            data[at + d] += total


def lanes_of(dtype) -> int:
    """Rows in a block."""
    return 2 * (64 // np.dtype(dtype).itemsize)
