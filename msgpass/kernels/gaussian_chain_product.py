"""Products of the matrices of one Gaussian step, which change from step to step: nothing is packed.

All matrices are flat, row after row, with rows padded to whole vectors; rows begin at any offset and stride.
The left factor is read by scalars, so that its transpose costs nothing; of a symmetric result only the blocks
on and above the diagonal are computed and the others mirrored, which also keeps rounding symmetric.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import (
    call_fma,
    element_pointer,
    f64x8,
    load,
    load_at,
    select,
    splat,
    splat_at,
    store,
    store_at,
    transpose8,
)
from msgpass.kernels.tile import (
    _assemble,
    _pointer,
    fold_rows,
    load_tile,
    store_tile,
    zero_tile_like,
)

LANES = 8


def padded(size: int) -> int:
    """``size`` rounded up to whole vectors."""
    return -(-size // LANES) * LANES


@intrinsic(prefer_literal=True)
def add_products(typing, tile, depth, sign, left, i, row_stride, inner_stride, right, j, right_stride):
    """The tile plus or minus ``depth`` outer products of a column of ``left`` and a row of ``right``.

    As :func:`msgpass.kernels.tile.add_outer`, with rows of ``right`` that lie ``right_stride`` apart.
    """
    if not (isinstance(depth, types.IntegerLiteral) and isinstance(sign, types.IntegerLiteral)):
        return None
    vector, word = tile.vector, ir.IntType(64)

    def code(context, builder, sig, args):
        column = element_pointer(context, builder, sig.args[3], args[3], args[4])
        row = element_pointer(context, builder, sig.args[7], args[7], args[8])
        starts = [_pointer(builder, column, m, args[5], 0, vector) for m in range(tile.rows)]
        sums = [builder.extract_value(args[0], k) for k in range(len(tile.cells))]
        for p in range(depth.literal_value):
            factors = [
                load_at(builder, _pointer(builder, row, p, args[9], v, vector), vector)
                for v in range(tile.vectors)
            ]
            step = builder.mul(args[6], ir.Constant(word, p))
            for m in range(tile.rows):
                scale = splat_at(builder, builder.gep(starts[m], [step]), vector)
                if sign.literal_value < 0:
                    scale = builder.fneg(scale)
                for v in range(tile.vectors):
                    k = m * tile.vectors + v
                    sums[k] = call_fma(builder, scale, factors[v], sums[k], vector)
        return _assemble(builder, tile, sums)

    index = types.int64
    return tile(tile, depth, sign, left, index, index, index, right, index, index), code


@intrinsic(prefer_literal=True)
def deal_products(typing, tile, sign, left, i, inner_stride, right, j, right_stride):
    """One row of a product, its terms dealt out to the rows of the tile, which `fold_rows` adds up."""
    if not isinstance(sign, types.IntegerLiteral):
        return None
    vector, word = tile.vector, ir.IntType(64)

    def code(context, builder, sig, args):
        scales = element_pointer(context, builder, sig.args[2], args[2], args[3])
        base = element_pointer(context, builder, sig.args[5], args[5], args[6])
        sums = []
        for k, (m, v) in enumerate(tile.cells):
            step = builder.mul(args[4], ir.Constant(word, m))
            scale = splat_at(builder, builder.gep(scales, [step]), vector)
            if sign.literal_value < 0:
                scale = builder.fneg(scale)
            factor = load_at(builder, _pointer(builder, base, m, args[7], v, vector), vector)
            sums.append(call_fma(builder, scale, factor, builder.extract_value(args[0], k), vector))
        return _assemble(builder, tile, sums)

    index = types.int64
    return tile(tile, sign, left, index, index, right, index, index), code


def _make_block(rows, vectors, sign):
    """Compiled code for one block of ``out = start ± left @ right``."""

    @jit(forceinline=True, cache=False)
    def block(
        inner,
        left,
        i,
        row_stride,
        inner_stride,
        right,
        j,
        right_stride,
        start,
        s,
        start_stride,
        out,
        o,
        stride,
    ):
        tile = load_tile(rows, vectors, start, s, start_stride)
        for _ in range(inner // 4):
            tile = add_products(tile, 4, sign, left, i, row_stride, inner_stride, right, j, right_stride)
            i += 4 * inner_stride
            j += 4 * right_stride
        for _ in range(inner % 4):
            tile = add_products(tile, 1, sign, left, i, row_stride, inner_stride, right, j, right_stride)
            i += inner_stride
            j += right_stride
        store_tile(tile, out, o, stride)

    @jit(forceinline=True, cache=False)
    def row(
        inner,
        left,
        i,
        row_stride,
        inner_stride,
        right,
        j,
        right_stride,
        start,
        s,
        start_stride,
        out,
        o,
        stride,
    ):
        tile = load_tile(1, vectors, start, s, start_stride)
        quarters = zero_tile_like(tile, 4)
        for _ in range(inner // 4):
            quarters = deal_products(quarters, sign, left, i, inner_stride, right, j, right_stride)
            i += 4 * inner_stride
            j += 4 * right_stride
        for _ in range(inner % 4):
            tile = add_products(tile, 1, sign, left, i, 0, inner_stride, right, j, right_stride)
            i += inner_stride
            j += right_stride
        store_tile(fold_rows(quarters, tile), out, o, stride)

    return block if rows > 1 else row


def _make(sign):
    """``out = start ± left @ right`` and its half for symmetric results."""
    b82, b81 = _make_block(8, 2, sign), _make_block(8, 1, sign)
    b42, b41 = _make_block(4, 2, sign), _make_block(4, 1, sign)
    b12, b11 = _make_block(1, 2, sign), _make_block(1, 1, sign)

    @jit(cache=False)
    def product(
        rows,
        columns,
        inner,
        left,
        i,
        row_stride,
        inner_stride,
        right,
        j,
        right_stride,
        start,
        s,
        start_stride,
        out,
        o,
        stride,
        upper,
    ):
        m = 0
        while m < rows:
            count = 8 if m + 8 <= rows else 4 if m + 4 <= rows else 1
            a, b, c = i + m * row_stride, s + m * start_stride, o + m * stride
            n = m // 8 * 8 if upper else 0
            while n < columns:
                wide = n + 16 <= columns
                if count == 8:
                    if wide:
                        b82(
                            inner,
                            left,
                            a,
                            row_stride,
                            inner_stride,
                            right,
                            j + n,
                            right_stride,
                            start,
                            b + n,
                            start_stride,
                            out,
                            c + n,
                            stride,
                        )
                    else:
                        b81(
                            inner,
                            left,
                            a,
                            row_stride,
                            inner_stride,
                            right,
                            j + n,
                            right_stride,
                            start,
                            b + n,
                            start_stride,
                            out,
                            c + n,
                            stride,
                        )
                elif count == 4:
                    if wide:
                        b42(
                            inner,
                            left,
                            a,
                            row_stride,
                            inner_stride,
                            right,
                            j + n,
                            right_stride,
                            start,
                            b + n,
                            start_stride,
                            out,
                            c + n,
                            stride,
                        )
                    else:
                        b41(
                            inner,
                            left,
                            a,
                            row_stride,
                            inner_stride,
                            right,
                            j + n,
                            right_stride,
                            start,
                            b + n,
                            start_stride,
                            out,
                            c + n,
                            stride,
                        )
                elif wide:
                    b12(
                        inner,
                        left,
                        a,
                        row_stride,
                        inner_stride,
                        right,
                        j + n,
                        right_stride,
                        start,
                        b + n,
                        start_stride,
                        out,
                        c + n,
                        stride,
                    )
                else:
                    b11(
                        inner,
                        left,
                        a,
                        row_stride,
                        inner_stride,
                        right,
                        j + n,
                        right_stride,
                        start,
                        b + n,
                        start_stride,
                        out,
                        c + n,
                        stride,
                    )
                n += 16
            m += count

    return product


add = _make(1)
subtract = _make(-1)


_ORDER = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)


@jit(forceinline=True)
def _block_of(a, o, stride):
    """Eight rows of eight numbers."""
    return (
        load(a, o),
        load(a, o + stride),
        load(a, o + 2 * stride),
        load(a, o + 3 * stride),
        load(a, o + 4 * stride),
        load(a, o + 5 * stride),
        load(a, o + 6 * stride),
        load(a, o + 7 * stride),
    )


@jit(cache=False)
def transpose(a, o, stride, rows, columns, out, q, out_stride):
    """``out = a.T`` by blocks of eight; whole blocks are read and written."""
    for m in range(0, rows, 8):
        for n in range(0, columns, 8):
            r = _block_of(a, o + m * stride + n, stride)
            c0, c1, c2, c3, c4, c5, c6, c7 = transpose8(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
            store_block(out, q + n * out_stride + m, out_stride, 8, c0, c1, c2, c3, c4, c5, c6, c7)


@jit(forceinline=True)
def store_block(out, o, stride, rows, c0, c1, c2, c3, c4, c5, c6, c7):
    """The first ``rows`` of eight rows of eight numbers."""
    store(out, o, c0)
    if rows > 1:
        store(out, o + stride, c1)
    if rows > 2:
        store(out, o + 2 * stride, c2)
    if rows > 3:
        store(out, o + 3 * stride, c3)
    if rows > 4:
        store(out, o + 4 * stride, c4)
    if rows > 5:
        store(out, o + 5 * stride, c5)
    if rows > 6:
        store(out, o + 6 * stride, c6)
    if rows > 7:
        store(out, o + 7 * stride, c7)


@jit(forceinline=True)
def _lower(order, i, mine, other):
    """Lanes before i from ``other``."""
    return select(order < splat(float(i)), other, mine)


@jit(cache=False)
def mirror(a, o, stride, size, lanes):
    """Copy what lies above the diagonal of a square matrix below it; ``lanes`` holds 0, 1, …, 7."""
    order = load(lanes, 0)
    for m in range(0, size, 8):
        for n in range(0, m, 8):
            r = _block_of(a, o + n * stride + m, stride)
            c0, c1, c2, c3, c4, c5, c6, c7 = transpose8(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
            store_block(a, o + m * stride + n, stride, size - m, c0, c1, c2, c3, c4, c5, c6, c7)
        at = o + m * stride + m
        r = _block_of(a, at, stride)
        c = transpose8(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
        store_block(
            a,
            at,
            stride,
            size - m,
            r[0],
            _lower(order, 1, r[1], c[1]),
            _lower(order, 2, r[2], c[2]),
            _lower(order, 3, r[3], c[3]),
            _lower(order, 4, r[4], c[4]),
            _lower(order, 5, r[5], c[5]),
            _lower(order, 6, r[6], c[6]),
            _lower(order, 7, r[7], c[7]),
        )


@jit(cache=False)
def place(a, o, rows, columns, out, q, stride):
    """Copy a matrix without padding to rows ``stride`` apart."""
    for i in range(rows):
        for j in range(columns):
            out[q + i * stride + j] = a[o + i * columns + j]


@jit(cache=False)
def place_transposed(a, o, rows, columns, out, q, stride):
    """As `place`, transposed."""
    for i in range(rows):
        for j in range(columns):
            out[q + j * stride + i] = a[o + i * columns + j]


@jit(cache=False)
def copy_padded(a, o, out, q, count):
    """Copy whole vectors."""
    for i in range(0, count, 8):
        store(out, q + i, load(a, o + i))


@intrinsic
def _stream(typing, array, index, value):
    """Write a vector past the caches, to an address that is a multiple of its size."""

    def code(context, builder, sig, args):
        pointer = builder.bitcast(
            element_pointer(context, builder, sig.args[0], args[0], args[1]), f64x8.llvm.as_pointer()
        )
        written = builder.store(args[2], pointer, align=64)
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        written.set_metadata("nontemporal", once)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), code


@intrinsic
def _prefetch(typing, array, index):
    """Fetch the line of ``array[index]``, which need not exist."""

    def code(context, builder, sig, args):
        byte = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        pointer = builder.bitcast(element_pointer(context, builder, sig.args[0], args[0], args[1]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        name = "llvm.prefetch.p0i8" if not str(byte).startswith("ptr") else "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [pointer, *(ir.Constant(word, k) for k in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@jit(cache=False)
def stream_padded(a, o, out, q, count):
    """Copy whole vectors past the caches: what is read again only after megabytes of others."""
    for i in range(0, count, 8):
        _stream(out, q + i, load(a, o + i))


@jit(cache=False)
def fetch(a, o, count):
    """Fetch what will be read a step later; rows that are visited backwards are not foreseen by the
    processor."""
    for i in range(0, count, 8):
        _prefetch(a, o + i)


@intrinsic(prefer_literal=True)
def _sweep_block(typing, count, a, o, stride, pivots, q):
    """Invert an 8 × 8 matrix in registers, sweeping the first ``count`` pivots; the others have to be units.

    Gauss-Jordan without row exchanges, for positive matrices: pivot k is the conditional variance of
    coordinate k given the ones before.
    """
    if not isinstance(count, types.IntegerLiteral):
        return None
    vector, word, lane = f64x8, ir.IntType(64), ir.IntType(32)
    pivot_count = count.literal_value

    def code(context, builder, sig, args):
        base = element_pointer(context, builder, sig.args[1], args[1], args[2])
        kept = element_pointer(context, builder, sig.args[4], args[4], args[5])
        rows = [load_at(builder, _pointer(builder, base, i, args[3], 0, vector), vector) for i in range(8)]
        one, zero = ir.Constant(vector.llvm, [1.0] * 8), ir.Constant(vector.llvm, [0.0] * 8)
        for k in range(pivot_count):
            here = ir.Constant(ir.VectorType(ir.IntType(1), 8), [int(i == k) for i in range(8)])
            pick = ir.Constant(ir.VectorType(lane, 8), [k] * 8)
            pivot = builder.shuffle_vector(rows[k], rows[k], pick)
            builder.store(
                builder.extract_element(pivot, ir.Constant(lane, 0)),
                builder.gep(kept, [ir.Constant(word, k)]),
            )
            inverse = builder.fdiv(one, pivot)
            own = builder.fmul(builder.select(here, one, rows[k]), inverse)
            for i in range(8):
                if i != k:
                    scale = builder.fneg(builder.shuffle_vector(rows[i], rows[i], pick))
                    rows[i] = call_fma(builder, scale, own, builder.select(here, zero, rows[i]), vector)
            rows[k] = own
        for i in range(8):
            store_at(builder, _pointer(builder, base, i, args[3], 0, vector), rows[i], vector)
        return context.get_dummy_value()

    return types.void(count, a, types.int64, types.int64, pivots, types.int64), code


@jit(cache=False)
def _sweep(count, a, o, stride, pivots, q):
    if count > 4:
        _sweep_block(8, a, o, stride, pivots, q)
    elif count > 2:
        _sweep_block(4, a, o, stride, pivots, q)
    elif count == 2:
        _sweep_block(2, a, o, stride, pivots, q)
    else:
        _sweep_block(1, a, o, stride, pivots, q)


@jit(cache=False)
def invert(size, a, whole, pivots, work, zeros):
    """Invert a positive matrix in place, by blocks of eight; ``whole`` rows and columns with units behind
    ``size``.

    ``pivots`` are left behind: the inverse is good if all are positive. ``work`` holds 8 · whole + 64
    numbers.
    """
    for k in range(0, whole, 8):
        for i in range(8):
            pivots[k + i] = 1.0
        _sweep(size - k, a, k * whole + k, whole, pivots, k)
        if whole == 8:
            return
        block = 8 * whole
        for i in range(8):
            store(work, block + 8 * i, load(a, (k + i) * whole + k))
        add(8, whole, 8, work, block, 8, 1, a, k * whole, whole, zeros, 0, 0, work, 0, whole, False)
        for i in range(8):
            store(work, i * whole + k, load(work, block + 8 * i))
        for m in range(0, whole, 8):
            if m != k:
                for i in range(8):
                    store(work, block + 8 * i, load(a, (m + i) * whole + k))
                    store(a, (m + i) * whole + k, splat(0.0))
                subtract(
                    8,
                    whole,
                    8,
                    work,
                    block,
                    8,
                    1,
                    work,
                    0,
                    whole,
                    a,
                    m * whole,
                    whole,
                    a,
                    m * whole,
                    whole,
                    False,
                )
        copy_padded(work, 0, a, k * whole, block)
