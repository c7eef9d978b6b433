"""Vectors in compiled code against NumPy, lane by lane, and the error bounds that the docstrings state."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from msgpass.kernels import simd
from msgpass.kernels.runtime import jit

DTYPES = [np.float32, np.float64]


def uncached(function):
    """Compile a function of a test module, which leaves no cache behind."""
    return jit(cache=False)(function)


def lanes(dtype):
    return simd.LANES[np.dtype(dtype)]


def unary(operation):
    """A compiled loop ``out[i] = operation(x[i])`` over vectors."""

    @uncached
    def loop(x, out, width):
        for i in range(0, x.size, width):
            simd.store(out, i, operation(simd.load(x, i)))

    def apply(x):
        out = np.empty_like(x)
        loop(x, out, lanes(x.dtype))
        return out

    return apply


def binary(operation):
    @uncached
    def loop(x, y, out, width):
        for i in range(0, x.size, width):
            simd.store(out, i, operation(simd.load(x, i), simd.load(y, i)))

    def apply(x, y):
        out = np.empty_like(x)
        loop(x, y, out, lanes(x.dtype))
        return out

    return apply


def ulp_error(got, x, function):
    """Largest error in units of the last place of the result, against extended precision."""
    exact = function(x.astype(np.longdouble))
    unit = np.spacing(np.abs(exact).astype(got.dtype)).astype(np.longdouble)
    return float(np.max(np.abs(got.astype(np.longdouble) - exact) / unit))


add, subtract, multiply, divide = (
    binary(f) for f in (operator.add, operator.sub, operator.mul, operator.truediv)
)
smaller, larger, signed_as = binary(simd.minimum), binary(simd.maximum), binary(simd.copysign)
negated, magnitude = unary(simd.negative), unary(simd.absolute)
logarithm = unary(simd.vlog)
exponential, tangent, logistic = unary(simd.vexp), unary(simd.vtanh), unary(simd.vsigmoid)


@st.composite
def pairs(draw):
    dtype = draw(st.sampled_from(DTYPES))
    width = np.dtype(dtype).itemsize * 8
    values = hnp.arrays(dtype, 2 * lanes(dtype), elements=st.floats(-1e6, 1e6, width=width))
    return draw(values), draw(values)


@given(pairs())
def test_arithmetic_is_numpys(pair):
    x, y = pair
    np.testing.assert_array_equal(add(x, y), x + y)
    np.testing.assert_array_equal(subtract(x, y), x - y)
    np.testing.assert_array_equal(multiply(x, y), x * y)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        np.testing.assert_array_equal(divide(x, y), x / y)
    np.testing.assert_array_equal(smaller(x, y), np.minimum(x, y))
    np.testing.assert_array_equal(larger(x, y), np.maximum(x, y))
    np.testing.assert_array_equal(signed_as(x, y), np.copysign(x, y))
    np.testing.assert_array_equal(negated(x), -x)
    np.testing.assert_array_equal(np.signbit(negated(x)), ~np.signbit(x))
    np.testing.assert_array_equal(magnitude(x), np.abs(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_loads_at_any_index_and_broadcasts(dtype):
    n = lanes(dtype)
    a = np.arange(3 * n, dtype=dtype)
    out = np.zeros(2 * n, dtype)

    @uncached
    def kernel(a, out):
        simd.store(out, 1, simd.load(a, 3))
        simd.store(out, a.size // 3, simd.broadcast(a, 5) + simd.splat_like(simd.load(a, 0), 0.5))

    kernel(a, out)
    np.testing.assert_array_equal(out[1:n], a[3 : n + 2])
    np.testing.assert_array_equal(out[n:], np.full(n, 5.5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_splat_keeps_the_scalars_precision(dtype):
    @uncached
    def kernel(x, out):
        simd.store(out, 0, simd.splat(x[0]))

    out = np.zeros(lanes(dtype), dtype)
    kernel(np.array([1 / 3], dtype), out)
    assert (out == dtype(1 / 3)).all()


def test_fma_rounds_once():
    x = np.full(8, 1 + 2.0**-30)

    @uncached
    def kernel(x, out):
        v = simd.load(x, 0)
        simd.store(out, 0, simd.fma(v, v, simd.negative(v * v)))

    out = np.empty(8)
    kernel(x, out)
    np.testing.assert_array_equal(out, np.full(8, 2.0**-60))  # what the product x·x lost by rounding


@uncached
def across(x, y):
    u, v = simd.load(x, 0), simd.load(y, 0)
    return simd.horizontal_sum(u), simd.horizontal_max(u), simd.first(u == v), simd.any_lane(u < v)


@given(pairs())
def test_across_lanes(pair):
    n = lanes(pair[0].dtype)
    x = pair[0][:n].copy()
    y = np.where(pair[1][:n] > 0, x, pair[1][:n])
    total, largest, index, some = across(x, y)
    scale = np.abs(x).sum(dtype=np.float64)
    assert abs(total - x.sum(dtype=np.float64)) <= 4 * np.finfo(x.dtype).eps * scale
    assert largest == x.max()
    assert index == (np.argmax(x == y) if (x == y).any() else n)
    assert some == (x < y).any()


@jit(cache=False)
def digits(x, y):
    """Which comparisons hold, as a decimal number."""
    total = zero = simd.splat_like(x, 0.0)
    total = total + simd.select(x < y, simd.splat_like(x, 1.0), zero)
    total = total + simd.select(x <= y, simd.splat_like(x, 10.0), zero)
    total = total + simd.select(x > y, simd.splat_like(x, 100.0), zero)
    total = total + simd.select(x >= y, simd.splat_like(x, 1000.0), zero)
    return total + simd.select(x == y, simd.splat_like(x, 10000.0), zero)


compared = binary(digits)


@given(pairs())
def test_comparisons(pair):
    x, y = pair
    y = np.where(y > 0, x, y)
    expected = 1 * (x < y) + 10 * (x <= y) + 100 * (x > y) + 1000 * (x >= y) + 10000 * (x == y)
    np.testing.assert_array_equal(compared(x, y), expected)


def test_transpose(rng):
    a = rng.normal(size=(8, 8))
    out = np.empty(64)

    @uncached
    def kernel(a, out):
        columns = simd.transpose8(
            simd.load(a, 0),
            simd.load(a, 8),
            simd.load(a, 16),
            simd.load(a, 24),
            simd.load(a, 32),
            simd.load(a, 40),
            simd.load(a, 48),
            simd.load(a, 56),
        )
        for i in range(8):
            simd.store(out, 8 * i, columns[i])

    kernel(a.ravel(), out)
    np.testing.assert_array_equal(out.reshape(8, 8), a.T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_scaling_by_the_exponent(dtype, rng):
    n = lanes(dtype)
    x = np.exp2(rng.uniform(-120, 120, n)).astype(dtype)

    @uncached
    def kernel(x, scaled, exponent):
        v = simd.load(x, 0)
        inverse, e = simd.split_exponent(v)
        simd.store(scaled, 0, v * inverse)
        simd.store(exponent, 0, e)

    scaled, exponent = np.empty_like(x), np.empty_like(x)
    kernel(x, scaled, exponent)
    assert ((scaled >= 1) & (scaled < 2)).all()
    np.testing.assert_array_equal(np.ldexp(scaled, exponent.astype(int)), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponential_error(dtype, rng):
    far = 708.0 if dtype is np.float64 else 87.3
    x = np.concatenate([rng.uniform(-far, far, 1 << 15), rng.normal(size=1 << 15)]).astype(dtype)
    assert ulp_error(exponential(x), x, np.exp) < 1.25


def test_logarithm_error(rng):
    x = np.concatenate([np.exp(rng.uniform(-708, 709, 1 << 15)), np.exp(0.1 * rng.normal(size=1 << 15))])
    assert ulp_error(logarithm(x), x, np.log) < 1.25
    found = logarithm(np.array([0.0, 1e-310, 1.0, np.nan, 2.0, 0.5, 1e-300, 1e300]))
    np.testing.assert_array_equal(found[:4], [-np.inf, -np.inf, 0, np.nan])


@pytest.mark.parametrize("dtype", DTYPES)
def test_tangent_and_logistic_error(dtype, rng):
    x = (rng.normal(size=1 << 16) * np.exp(3 * rng.normal(size=1 << 16))).astype(dtype)
    x = np.clip(x, -80, 80)
    assert ulp_error(tangent(x), x, np.tanh) < 3
    assert ulp_error(logistic(x), x, lambda v: 1 / (1 + np.exp(-v))) < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_and_nan(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-35, 800.0, -800.0] * 2, dtype)[: lanes(dtype)]
    tiny = dtype(1e-35)
    np.testing.assert_array_equal(
        exponential(x)[:8], np.array([np.nan, np.inf, 0, 1, 1, 1, np.inf, 0], dtype)
    )
    np.testing.assert_array_equal(tangent(x)[:8], np.array([np.nan, 1, -1, 0, -0.0, tiny, 1, -1], dtype))
    assert np.signbit(tangent(x)[4]), "tanh is odd at zero too"
    np.testing.assert_array_equal(logistic(x)[:8], np.array([np.nan, 1, 0, 0.5, 0.5, 0.5, 1, 0], dtype))


def test_other_dtypes_are_refused():
    @uncached
    def kernel(a):
        return simd.horizontal_sum(simd.load(a, 0))

    with pytest.raises(Exception, match="no vector type for int64"):
        kernel(np.zeros(8, np.int64))


@pytest.mark.parametrize("dtype", DTYPES)
def test_first_lanes_keeps_a_few_and_clears_the_rest(dtype):
    width = lanes(dtype)

    @uncached
    def cut(x, out, count):
        simd.store(out, 0, simd.first_lanes(simd.load(x, 0), count))

    x, out = np.arange(1, width + 1).astype(dtype), np.empty(width, dtype)
    x[-1] = np.nan
    for count in range(width):
        cut(x, out, count)
        np.testing.assert_array_equal(out, np.where(np.arange(width) < count, x, 0))
