"""Small matrices as Numba values: every row a vector in a register, every operation written out.

For matrices of two to four rows the loops, calls and stores around a product cost several times as much as
the product. The value of a `Matrix` lives in registers, its size is part of its type, and LLVM sees straight
code. Inside compiled code only, with sizes known at compile time::

    a = load_matrix(2, 2, array, offset)
    store_matrix(minus(a, cross(b, c)), out, offset)  # a - b.T @ c

Arrays are flat and contiguous, offsets count numbers and are not checked.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from msgpass.kernels.simd import element_pointer

_LANE, _WORD, _DOUBLE = ir.IntType(32), ir.IntType(64), ir.DoubleType()


class Matrix(types.Type):
    """Numba type of a ``rows × columns`` matrix of float64."""

    def __init__(self, rows: int, columns: int):
        self.rows = rows
        self.columns = columns
        super().__init__(name=f"matrix{rows}x{columns}")

    @property
    def row(self) -> ir.VectorType:
        return ir.VectorType(_DOUBLE, self.columns)

    @property
    def llvm(self) -> ir.ArrayType:
        return ir.ArrayType(self.row, self.rows)


@register_model(Matrix)
class _MatrixModel(models.PrimitiveModel):
    def __init__(self, manager, matrix):
        super().__init__(manager, matrix, matrix.llvm)


# --- helpers that write LLVM code


def _rows(builder, value, matrix):
    return [builder.extract_value(value, i) for i in range(matrix.rows)]


def _value(builder, rows, matrix):
    result = ir.Constant(matrix.llvm, ir.Undefined)
    for i, row in enumerate(rows):
        result = builder.insert_value(result, row, i)
    return result


def _entry(builder, row, j):
    return builder.extract_element(row, ir.Constant(_LANE, j))


def _splat(builder, row, j, lanes):
    """All lanes hold lane j of ``row``."""
    pick = ir.Constant(ir.VectorType(_LANE, lanes), [j] * lanes)
    return builder.shuffle_vector(row, ir.Constant(row.type, ir.Undefined), pick)


def _fma(builder, a, b, c):
    kind = a.type
    name = f"llvm.fma.v{kind.count}f64"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(kind, [kind] * 3), name
    )
    return builder.call(function, [a, b, c])


def _sum_of_products(builder, scales, rows, start=None):
    total = start
    for scale, row in zip(scales, rows, strict=True):
        total = builder.fmul(scale, row) if total is None else _fma(builder, scale, row, total)
    return total


def _sqrt(builder, value):
    name = "llvm.sqrt.f64"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(_DOUBLE, [_DOUBLE]), name
    )
    return builder.call(function, [value])


def _abs(builder, value):
    name = "llvm.fabs.f64"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(_DOUBLE, [_DOUBLE]), name
    )
    return builder.call(function, [value])


def _any(builder, tests):
    found = ir.Constant(ir.IntType(1), 0)
    for test in tests:
        found = builder.or_(found, test)
    return found


def _pointer(builder, base, i, matrix):
    return builder.bitcast(
        builder.gep(base, [ir.Constant(_WORD, i * matrix.columns)]), matrix.row.as_pointer()
    )


# --- memory


@intrinsic(prefer_literal=True)
def load_matrix(typing, rows, columns, array, offset):
    """Matrix whose entries lie row after row from ``offset`` on."""
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(columns, types.IntegerLiteral)):
        return None
    matrix = Matrix(rows.literal_value, columns.literal_value)

    def code(context, builder, sig, args):
        base = element_pointer(context, builder, sig.args[2], args[2], args[3])
        loaded = [builder.load(_pointer(builder, base, i, matrix), align=8) for i in range(matrix.rows)]
        return _value(builder, loaded, matrix)

    return matrix(rows, columns, array, types.int64), code


@intrinsic
def store_matrix(typing, matrix, array, offset):
    """Write the entries row after row from ``offset`` on."""

    def code(context, builder, sig, args):
        base = element_pointer(context, builder, sig.args[1], args[1], args[2])
        for i, row in enumerate(_rows(builder, args[0], matrix)):
            builder.store(row, _pointer(builder, base, i, matrix), align=8)
        return context.get_dummy_value()

    return types.void(matrix, array, types.int64), code


@intrinsic(prefer_literal=True)
def unit_matrix(typing, size):
    """The identity."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    matrix = Matrix(size.literal_value, size.literal_value)

    def code(context, builder, sig, args):
        rows = [
            ir.Constant(matrix.row, [float(i == j) for j in range(matrix.columns)])
            for i in range(matrix.rows)
        ]
        return _value(builder, rows, matrix)

    return matrix(size), code


@intrinsic(prefer_literal=True)
def zero_matrix(typing, rows, columns):
    """Zeros."""
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(columns, types.IntegerLiteral)):
        return None
    matrix = Matrix(rows.literal_value, columns.literal_value)
    return matrix(rows, columns), lambda context, builder, sig, args: ir.Constant(matrix.llvm, None)


# --- arithmetic


def _elementwise(method):
    @intrinsic
    def operation(typing, a, b):
        def code(context, builder, sig, args):
            pairs = zip(_rows(builder, args[0], a), _rows(builder, args[1], a), strict=True)
            return _value(builder, [getattr(builder, method)(x, y) for x, y in pairs], a)

        return (a(a, a), code) if a == b else None

    return operation


plus, minus, times = _elementwise("fadd"), _elementwise("fsub"), _elementwise("fmul")


@intrinsic
def product(typing, a, b):
    """``a @ b``."""
    result = Matrix(a.rows, b.columns)

    def code(context, builder, sig, args):
        right = _rows(builder, args[1], b)
        rows = [
            _sum_of_products(builder, [_splat(builder, row, k, b.columns) for k in range(a.columns)], right)
            for row in _rows(builder, args[0], a)
        ]
        return _value(builder, rows, result)

    return (result(a, b), code) if a.columns == b.rows else None


@intrinsic
def cross(typing, a, b):
    """``a.T @ b``."""
    result = Matrix(a.columns, b.columns)

    def code(context, builder, sig, args):
        left, right = _rows(builder, args[0], a), _rows(builder, args[1], b)
        rows = [
            _sum_of_products(builder, [_splat(builder, row, i, b.columns) for row in left], right)
            for i in range(a.columns)
        ]
        return _value(builder, rows, result)

    return (result(a, b), code) if a.rows == b.rows else None


@intrinsic
def transposed(typing, a):
    """``a.T``."""
    result = Matrix(a.columns, a.rows)

    def code(context, builder, sig, args):
        given, rows = _rows(builder, args[0], a), []
        for j in range(a.columns):
            row = ir.Constant(result.row, ir.Undefined)
            for i in range(a.rows):
                row = builder.insert_element(row, _entry(builder, given[i], j), ir.Constant(_LANE, i))
            rows.append(row)
        return _value(builder, rows, result)

    return result(a), code


@intrinsic
def mirrored(typing, a):
    """What lies above the diagonal, below it too."""

    def code(context, builder, sig, args):
        rows = _rows(builder, args[0], a)
        for i in range(1, a.rows):
            for j in range(i):
                rows[i] = builder.insert_element(rows[i], _entry(builder, rows[j], i), ir.Constant(_LANE, j))
        return _value(builder, rows, a)

    return a(a), code


@intrinsic
def inverted(typing, a):
    """``(a⁻¹, pivots)`` of a positive matrix, by Gauss-Jordan sweeps; good if the pivots, (1, n), are
    positive."""
    pivots = Matrix(1, a.rows)
    result = types.Tuple((a, pivots))

    def code(context, builder, sig, args):
        rows, size = _rows(builder, args[0], a), a.rows
        kept = ir.Constant(pivots.row, ir.Undefined)
        one, zero = ir.Constant(a.row, [1.0] * size), ir.Constant(a.row, [0.0] * size)
        for k in range(size):
            here = ir.Constant(ir.VectorType(ir.IntType(1), size), [int(i == k) for i in range(size)])
            kept = builder.insert_element(kept, _entry(builder, rows[k], k), ir.Constant(_LANE, k))
            inverse = builder.fdiv(one, _splat(builder, rows[k], k, size))
            own = builder.fmul(builder.select(here, one, rows[k]), inverse)
            for i in range(size):
                if i != k:
                    scale = builder.fneg(_splat(builder, rows[i], k, size))
                    rows[i] = _fma(builder, scale, own, builder.select(here, zero, rows[i]))
            rows[k] = own
        parts = [_value(builder, rows, a), _value(builder, [kept], pivots)]
        return context.make_tuple(builder, result, parts)

    return (result(a), code) if a.rows == a.columns else None


@intrinsic
def dot(typing, a, b):
    """Sum of the products of corresponding entries of two rows."""

    def code(context, builder, sig, args):
        row = builder.fmul(builder.extract_value(args[0], 0), builder.extract_value(args[1], 0))
        total = _entry(builder, row, 0)
        for j in range(1, a.columns):
            total = builder.fadd(total, _entry(builder, row, j))
        return total

    return (types.float64(a, b), code) if a == b and a.rows == 1 else None


@intrinsic
def where_known(typing, y, v):
    """``v``, and zero where ``y`` is NaN."""

    def code(context, builder, sig, args):
        rows = [
            builder.select(builder.fcmp_ordered("ord", a, a), b, ir.Constant(y.row, [0.0] * y.columns))
            for a, b in zip(_rows(builder, args[0], y), _rows(builder, args[1], y), strict=True)
        ]
        return _value(builder, rows, y)

    return (y(y, v), code) if y == v else None


# --- tests


@intrinsic
def entries_product(typing, a):
    """Product of the entries of a row."""

    def code(context, builder, sig, args):
        row = builder.extract_value(args[0], 0)
        total = _entry(builder, row, 0)
        for j in range(1, a.columns):
            total = builder.fmul(total, _entry(builder, row, j))
        return total

    return (types.float64(a), code) if a.rows == 1 else None


@intrinsic
def diagonal_of(typing, a):
    """The diagonal as a row."""
    result = Matrix(1, a.rows)

    def code(context, builder, sig, args):
        row = ir.Constant(result.row, ir.Undefined)
        for i, given in enumerate(_rows(builder, args[0], a)):
            row = builder.insert_element(row, _entry(builder, given, i), ir.Constant(_LANE, i))
        return _value(builder, [row], result)

    return result(a), code


@intrinsic
def below(typing, a, b, share):
    """Whether some entry of a row is not at least ``share`` times that of the other, NaN included."""

    def code(context, builder, sig, args):
        x, y = builder.extract_value(args[0], 0), builder.extract_value(args[1], 0)
        tests = []
        for j in range(a.columns):
            bound = builder.fmul(args[2], _entry(builder, y, j))
            tests.append(builder.fcmp_unordered("<", _entry(builder, x, j), bound))
        return _any(builder, tests)

    return (types.boolean(a, b, types.float64), code) if a == b and a.rows == 1 else None


@intrinsic
def moved(typing, new, old, tolerance):
    """Whether an entry moved by more than ``tolerance`` against its row's and column's standard
    deviations."""

    def code(context, builder, sig, args):
        a, b = _rows(builder, args[0], new), _rows(builder, args[1], new)
        tests = []
        for i in range(new.rows):
            for j in range(i, new.rows):
                x = _entry(builder, a[i], j)
                step = _abs(builder, builder.fsub(x, _entry(builder, b[i], j)))
                if i == j:
                    scale = _abs(builder, x)
                else:
                    scale = _sqrt(builder, builder.fmul(_entry(builder, a[i], i), _entry(builder, a[j], j)))
                tests.append(builder.fcmp_unordered(">", step, builder.fmul(args[2], scale)))
        return _any(builder, tests)

    return (types.boolean(new, old, types.float64), code) if new == old else None
