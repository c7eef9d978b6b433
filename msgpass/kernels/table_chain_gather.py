"""Eight sequences of a ragged batch in the lanes of one vector: reading and writing states at eight places of
memory.

Where a whole block of eight states can be moved, an 8 × 8 transpose in registers does it; the rest goes lane
by lane.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import element_pointer, f64x8, load, store, transpose8

LANES = 8
_WORD = ir.IntType(64)


def _lane(number):
    return ir.Constant(ir.IntType(32), number)


def _address(context, builder, array_type, array, at_type, at, offset, lane):
    """Pointer to ``array[at[lane] + offset]``."""
    start = builder.load(element_pointer(context, builder, at_type, at, ir.Constant(_WORD, lane)))
    return element_pointer(context, builder, array_type, array, builder.add(start, offset))


@intrinsic
def gather(typing, array, at, offset):
    """Vector of ``array[at[lane] + offset]``."""

    def code(context, builder, sig, args):
        vector = ir.Constant(f64x8.llvm, ir.Undefined)
        for lane in range(LANES):
            pointer = _address(context, builder, sig.args[0], args[0], sig.args[1], args[1], args[2], lane)
            vector = builder.insert_element(vector, builder.load(pointer), _lane(lane))
        return vector

    return f64x8(array, at, types.int64), code


@intrinsic
def scatter(typing, array, at, offset, value):
    """Write lane after lane to ``array[at[lane] + offset]``, the lowest last."""

    def code(context, builder, sig, args):
        for lane in reversed(range(LANES)):
            pointer = _address(context, builder, sig.args[0], args[0], sig.args[1], args[1], args[2], lane)
            builder.store(builder.extract_element(args[3], _lane(lane)), pointer)
        return context.get_dummy_value()

    return types.void(array, at, types.int64, value), code


def _pieces(context, builder, array_type, array, rows_type, rows, first, width, stride=None):
    """Pointers to ``8 / width`` rows of an array, as short vectors: those that ``rows[first:]`` name."""
    short = ir.VectorType(ir.DoubleType(), width)
    for s in range(LANES // width):
        place = builder.add(first, ir.Constant(_WORD, s))
        row = builder.load(element_pointer(context, builder, rows_type, rows, place))
        start = builder.mul(row, ir.Constant(_WORD, width))
        if stride is not None:
            start = builder.add(start, builder.mul(stride, ir.Constant(_WORD, s)))
        pointer = element_pointer(context, builder, array_type, array, start)
        yield builder.bitcast(pointer, short.as_pointer())


def _shuffled(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes)))


def _joined(array, rows, first, width):
    """Intrinsics for rows of ``width`` numbers, several of which fill a vector."""

    def code(context, builder, sig, args):
        pointers = _pieces(context, builder, sig.args[0], args[0], sig.args[1], args[1], args[2], width)
        parts = [builder.load(pointer, align=8) for pointer in pointers]
        while len(parts) > 1:
            wide = range(2 * parts[0].type.count)
            parts = [_shuffled(builder, *parts[i : i + 2], wide) for i in range(0, len(parts), 2)]
        return parts[0]

    return f64x8(array, rows, types.int64), code


@intrinsic
def load_pairs(typing, array, rows, first):
    """Vector of the rows, two numbers each, of ``array`` that ``rows[first : first + 4]`` name."""
    return _joined(array, rows, first, 2)


@intrinsic
def load_fours(typing, array, rows, first):
    """Vector of the rows, four numbers each, of ``array`` that ``rows[first : first + 2]`` name."""
    return _joined(array, rows, first, 4)


def _adding(array, stride, rows, first, value, width):
    def code(context, builder, sig, args):
        pointers = _pieces(
            context, builder, sig.args[0], args[0], sig.args[2], args[2], args[3], width, args[1]
        )
        for s, pointer in enumerate(pointers):
            part = _shuffled(builder, args[4], args[4], range(s * width, (s + 1) * width))
            builder.store(builder.fadd(builder.load(pointer, align=8), part), pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, rows, types.int64, value), code


@intrinsic
def add_pairs_to_rows(typing, tables, stride, rows, first, value):
    """Add ``value`` by twos: part s to the row that ``rows[first + s]`` names of the table at ``s · stride``.

    A table for each part, so that steps which use the same row do not wait for each other's store.
    """
    return _adding(tables, stride, rows, first, value, 2)


@intrinsic
def add_fours_to_rows(typing, tables, stride, rows, first, value):
    """As :func:`add_pairs_to_rows`, by fours."""
    return _adding(tables, stride, rows, first, value, 4)


@jit(forceinline=True, _nrt=False)
def rows_in_a_vector(n_states):
    """Time steps that one transpose moves: 2 and 4 states fill a row of eight with four and two of them."""
    return 8 // n_states if n_states == 2 or n_states == 4 else 1


@jit(forceinline=True, _nrt=False)
def fetch(rows, at, n_states, out, o):
    """The rows of eight lanes, which start at ``at``, into ``out`` from ``o`` on: a vector for each state."""
    k = 0
    while k + LANES <= n_states:
        r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(
            load(rows, at[0] + k),
            load(rows, at[1] + k),
            load(rows, at[2] + k),
            load(rows, at[3] + k),
            load(rows, at[4] + k),
            load(rows, at[5] + k),
            load(rows, at[6] + k),
            load(rows, at[7] + k),
        )
        p = o + LANES * k
        store(out, p, r0), store(out, p + 8, r1), store(out, p + 16, r2), store(out, p + 24, r3)
        store(out, p + 32, r4), store(out, p + 40, r5), store(out, p + 48, r6), store(out, p + 56, r7)
        k += LANES
    while k < n_states:
        store(out, o + LANES * k, gather(rows, at, k))
        k += 1


@jit(forceinline=True, _nrt=False)
def fetch_steps(array, rows, first_row, t, n_states, out):
    """As :func:`fetch`, for 2 or 4 states: the steps from ``t`` on that fill a vector, of lanes all alive."""
    f0, f1, f2, f3 = first_row[0] + t, first_row[1] + t, first_row[2] + t, first_row[3] + t
    f4, f5, f6, f7 = first_row[4] + t, first_row[5] + t, first_row[6] + t, first_row[7] + t
    if rows.size == 0:
        r0, r1 = load(array, f0 * n_states), load(array, f1 * n_states)
        r2, r3 = load(array, f2 * n_states), load(array, f3 * n_states)
        r4, r5 = load(array, f4 * n_states), load(array, f5 * n_states)
        r6, r7 = load(array, f6 * n_states), load(array, f7 * n_states)
    elif n_states == 2:
        r0, r1 = load_pairs(array, rows, f0), load_pairs(array, rows, f1)
        r2, r3 = load_pairs(array, rows, f2), load_pairs(array, rows, f3)
        r4, r5 = load_pairs(array, rows, f4), load_pairs(array, rows, f5)
        r6, r7 = load_pairs(array, rows, f6), load_pairs(array, rows, f7)
    else:
        r0, r1 = load_fours(array, rows, f0), load_fours(array, rows, f1)
        r2, r3 = load_fours(array, rows, f2), load_fours(array, rows, f3)
        r4, r5 = load_fours(array, rows, f4), load_fours(array, rows, f5)
        r6, r7 = load_fours(array, rows, f6), load_fours(array, rows, f7)
    r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(r0, r1, r2, r3, r4, r5, r6, r7)
    store(out, 0, r0), store(out, 8, r1), store(out, 16, r2), store(out, 24, r3)
    store(out, 32, r4), store(out, 40, r5), store(out, 48, r6), store(out, 56, r7)


@jit(forceinline=True, _nrt=False)
def spread(values, v, at, n_states, rows):
    """The inverse of :func:`fetch`; the lowest lane is written last."""
    k = 0
    while k + LANES <= n_states:
        p = v + LANES * k
        r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(
            load(values, p),
            load(values, p + 8),
            load(values, p + 16),
            load(values, p + 24),
            load(values, p + 32),
            load(values, p + 40),
            load(values, p + 48),
            load(values, p + 56),
        )
        store(rows, at[7] + k, r7), store(rows, at[6] + k, r6), store(rows, at[5] + k, r5)
        store(rows, at[4] + k, r4), store(rows, at[3] + k, r3), store(rows, at[2] + k, r2)
        store(rows, at[1] + k, r1), store(rows, at[0] + k, r0)
        k += LANES
    while k < n_states:
        scatter(rows, at, k, load(values, v + LANES * k))
        k += 1


@jit(forceinline=True, _nrt=False)
def add_spread(values, v, at, n_states, tables):
    """Add what :func:`spread` would write: the row of each lane to the one that starts at ``tables[at]``."""
    k = 0
    while k + LANES <= n_states:
        p = v + LANES * k
        r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(
            load(values, p),
            load(values, p + 8),
            load(values, p + 16),
            load(values, p + 24),
            load(values, p + 32),
            load(values, p + 40),
            load(values, p + 48),
            load(values, p + 56),
        )
        _add(tables, at[0] + k, r0), _add(tables, at[1] + k, r1), _add(tables, at[2] + k, r2)
        _add(tables, at[3] + k, r3), _add(tables, at[4] + k, r4), _add(tables, at[5] + k, r5)
        _add(tables, at[6] + k, r6), _add(tables, at[7] + k, r7)
        k += LANES
    while k < n_states:
        for lane in range(LANES):
            tables[at[lane] + k] += values[v + LANES * k + lane]
        k += 1


@jit(forceinline=True, _nrt=False)
def _add(array, p, value):
    store(array, p, load(array, p) + value)


@jit(forceinline=True, _nrt=False)
def locate(at, first, last, t, rows, n_states):
    """Where the row of time step t of each lane starts; that of its last step when the sequence has ended."""
    for lane in range(LANES):
        at[lane] = min(first[lane] + t, last[lane])
    if rows.size:
        for lane in range(LANES):
            at[lane] = rows[at[lane]]
    for lane in range(LANES):
        at[lane] *= n_states
