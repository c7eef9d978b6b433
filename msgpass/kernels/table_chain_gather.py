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
    """Write lane after lane to ``array[at[lane] + offset]``."""

    def code(context, builder, sig, args):
        for lane in range(LANES):
            pointer = _address(context, builder, sig.args[0], args[0], sig.args[1], args[1], args[2], lane)
            builder.store(builder.extract_element(args[3], _lane(lane)), pointer)
        return context.get_dummy_value()

    return types.void(array, at, types.int64, value), code


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
def spread(values, v, at, n_states, rows):
    """The inverse of :func:`fetch`."""
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
        store(rows, at[0] + k, r0), store(rows, at[1] + k, r1), store(rows, at[2] + k, r2)
        store(rows, at[3] + k, r3), store(rows, at[4] + k, r4), store(rows, at[5] + k, r5)
        store(rows, at[6] + k, r6), store(rows, at[7] + k, r7)
        k += LANES
    while k < n_states:
        scatter(rows, at, k, load(values, v + LANES * k))
        k += 1


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
