"""A block of a matrix product held in registers: ``rows × vectors`` accumulators as one Numba value.

A product ``C += A B`` runs at the speed of the multiply-add units only if its sums stay in registers while
the inner index runs: eight rows by two vectors need ten loads for sixteen multiply-adds. Numba has no value
for that; this module adds one. Inside compiled code, with the numbers of rows and vectors known at compile
time::

    tile = load_tile(8, 2, c, i, stride)
    for p in range(inner):
        tile = add_outer(tile, 1, a, j + p, row_stride, 1, b, k + p * width)
    store_tile(tile, c, i, stride)

Arrays are flat and contiguous, offsets count numbers and are not checked.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from msgpass.kernels.simd import call_fma, element_pointer, load_at, splat_at, store_at, vector_of


class Tile(types.Type):
    """Numba type of ``rows × vectors`` vectors."""

    def __init__(self, rows: int, vectors: int, vector):
        self.rows = rows
        self.vectors = vectors
        self.vector = vector
        super().__init__(name=f"tile{rows}x{vectors}({vector.name})")

    @property
    def cells(self) -> list[tuple[int, int]]:
        """(row, vector) of every accumulator, in the order in which they are kept."""
        return [(row, column) for row in range(self.rows) for column in range(self.vectors)]


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        super().__init__(manager, tile, ir.ArrayType(tile.vector.llvm, tile.rows * tile.vectors))


def _pointer(builder, base, row, stride, column, vector):
    """Pointer to vector ``column`` of row ``row``."""
    word = ir.IntType(64)
    offset = builder.mul(stride, ir.Constant(word, row))
    return builder.gep(base, [builder.add(offset, ir.Constant(word, column * vector.lanes))])


def _assemble(builder, tile, values):
    result = ir.Constant(ir.ArrayType(tile.vector.llvm, tile.rows * tile.vectors), ir.Undefined)
    for k, value in enumerate(values):
        result = builder.insert_value(result, value, k)
    return result


@intrinsic(prefer_literal=True)
def load_tile(typing, rows, vectors, array, offset, stride):
    """Tile whose row m is read at ``array[offset + m * stride]``; a stride of 0 repeats one row (a bias)."""
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    tile = Tile(rows.literal_value, vectors.literal_value, vector_of(array.dtype))

    def code(context, builder, sig, args):
        base = element_pointer(context, builder, sig.args[2], args[2], args[3])
        pointers = (_pointer(builder, base, m, args[4], v, tile.vector) for m, v in tile.cells)
        return _assemble(builder, tile, [load_at(builder, p, tile.vector) for p in pointers])

    return tile(rows, vectors, array, types.int64, types.int64), code


@intrinsic
def store_tile(typing, tile, array, offset, stride):
    """Write row m of the tile to ``array[offset + m * stride]`` and on."""

    def code(context, builder, sig, args):
        base = element_pointer(context, builder, sig.args[1], args[1], args[2])
        for k, (m, v) in enumerate(tile.cells):
            pointer = _pointer(builder, base, m, args[3], v, tile.vector)
            store_at(builder, pointer, builder.extract_value(args[0], k), tile.vector)
        return context.get_dummy_value()

    return types.void(tile, array, types.int64, types.int64), code


@intrinsic(prefer_literal=True)
def add_outer(typing, tile, depth, left, i, row_stride, inner_stride, right, j):
    """The tile plus ``depth`` outer products, of a column of ``left`` and a row of ``right`` each.

    Row m gains the sum over p < depth of ``left[i + m * row_stride + p * inner_stride] * right[j + p * width
    :]``, where ``width`` is that of the tile. The depth is known at compile time: the addresses of the rows
    are computed once for all of it, so that integer instructions do not take turns from the multiply-adds.
    """
    if not isinstance(depth, types.IntegerLiteral):
        return None
    vector, word = tile.vector, ir.IntType(64)

    def code(context, builder, sig, args):
        column = element_pointer(context, builder, sig.args[2], args[2], args[3])
        row = element_pointer(context, builder, sig.args[6], args[6], args[7])
        starts = [_pointer(builder, column, m, args[4], 0, vector) for m in range(tile.rows)]
        sums = [builder.extract_value(args[0], k) for k in range(len(tile.cells))]
        for p in range(depth.literal_value):
            first = p * tile.vectors * vector.lanes
            factors = [
                load_at(builder, builder.gep(row, [ir.Constant(word, first + v * vector.lanes)]), vector)
                for v in range(tile.vectors)
            ]
            step = builder.mul(args[5], ir.Constant(word, p))
            for m in range(tile.rows):
                scale = splat_at(builder, builder.gep(starts[m], [step]), vector)
                for v in range(tile.vectors):
                    k = m * tile.vectors + v
                    sums[k] = call_fma(builder, scale, factors[v], sums[k], vector)
        return _assemble(builder, tile, sums)

    return tile(tile, depth, left, types.int64, types.int64, types.int64, right, types.int64), code


@intrinsic
def add_interleaved(typing, tile, left, i, right, j):
    """One row of a product, its terms dealt out to the rows of the tile so that they do not wait for each
    other.

    Row m gains ``left[i + m] * right[j + m * width :]``; `fold_rows` adds the rows up at the end.
    """
    vector, word = tile.vector, ir.IntType(64)

    def code(context, builder, sig, args):
        scales = element_pointer(context, builder, sig.args[1], args[1], args[2])
        base = element_pointer(context, builder, sig.args[3], args[3], args[4])
        sums = []
        for k, (m, _) in enumerate(tile.cells):
            scale = splat_at(builder, builder.gep(scales, [ir.Constant(word, m)]), vector)
            factor = load_at(builder, builder.gep(base, [ir.Constant(word, k * vector.lanes)]), vector)
            sums.append(call_fma(builder, scale, factor, builder.extract_value(args[0], k), vector))
        return _assemble(builder, tile, sums)

    return tile(tile, left, types.int64, right, types.int64), code


@intrinsic
def fold_rows(typing, tile, onto):
    """The one-row tile ``onto`` plus the rows of ``tile``, by halves; their number is a power of two."""

    def code(context, builder, sig, args):
        rows = [
            [builder.extract_value(args[0], m * tile.vectors + v) for v in range(tile.vectors)]
            for m in range(tile.rows)
        ]
        while len(rows) > 1:
            half = len(rows) // 2
            pairs = zip(rows[:half], rows[half:], strict=True)
            rows = [[builder.fadd(a, b) for a, b in zip(*pair, strict=True)] for pair in pairs]
        sums = [builder.fadd(builder.extract_value(args[1], v), total) for v, total in enumerate(rows[0])]
        return _assemble(builder, onto, sums)

    return onto(tile, onto), code


@intrinsic
def tile_width(typing, tile):
    """Numbers in a row of the tile, a constant."""
    width = ir.Constant(ir.IntType(64), tile.vectors * tile.vector.lanes)
    return types.int64(tile), lambda context, builder, sig, args: width


@intrinsic(prefer_literal=True)
def zero_tile_like(typing, tile, rows):
    """Tile of zeros as wide as ``tile``."""
    if not isinstance(rows, types.IntegerLiteral):
        return None
    zeros = Tile(rows.literal_value, tile.vectors, tile.vector)

    def code(context, builder, sig, args):
        return ir.Constant(ir.ArrayType(tile.vector.llvm, len(zeros.cells)), None)

    return zeros(tile, rows), code
