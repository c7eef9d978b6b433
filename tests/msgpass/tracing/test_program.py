"""Traced programs compute what the function computes, and their VJP is autograd's, kinks included."""

import numba
import numpy as np
import pytest
from hypothesis import given

from msgpass.errors import TracingError
from msgpass.interop.differentiators import autograd_vjp
from msgpass.tracing import trace
from tests.msgpass.table_models import seeds

UNARY = [
    np.tanh, np.sin, np.cos, np.arctan, np.exp, np.expm1, np.abs, np.square, np.sinh,
    lambda x: np.log1p(x * x), lambda x: np.sqrt(1 + x * x), lambda x: 1 / (2 + np.cos(x)), lambda x: -x,
    lambda x: np.log(1.5 + np.sin(x)), lambda x: x * (x > 0), lambda x: np.maximum(x, 0.0),
    lambda x: np.clip(x, -0.5, 0.5), lambda x: x**3, lambda x: np.floor(x) + x,
    lambda x: x - np.mean(x), lambda x: np.cumsum(x, axis=-1), lambda x: x[..., ::-1],
    lambda x: x[..., [2, 0, 1]], lambda x: x + np.sum(x, axis=-1, keepdims=True),
    lambda x: np.concatenate([x[..., 1:], x[..., :1]], axis=-1), lambda x: np.roll(x, 1, axis=-1),
    lambda x: np.stack([x[..., k] for k in (1, 2, 0)], axis=-1), lambda x: x.reshape(-1).reshape(x.shape),
    lambda x: x / (1 + np.max(np.abs(x))), lambda x: np.prod(1 + 0.1 * x) * x,
    lambda x: np.where(x > 0.1, x, 0.3 * x), lambda x: np.outer(x, x).sum(axis=0).reshape(x.shape) * 0.1,
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.arctan2, np.hypot,
    lambda x, y: x / (2 + np.tanh(y)), lambda x, y: (1 + x * x) ** np.tanh(y),
    lambda x, y: np.where(x > y, x, y * y), lambda x, y: np.logaddexp(x, y),
    lambda x, y: x * np.dot(x, y), lambda x, y: np.outer(x, y) @ x,
    lambda x, y: np.einsum("i,j,j->i", x, y, y), lambda x, y: np.heaviside(x, 0.5) * y,
]  # fmt: skip


def random_function(rng):
    """A composition of some of them, of two vectors, a matrix and a number."""
    plan = [(rng.integers(2), rng.integers(100), rng.integers(100), rng.integers(100)) for _ in range(6)]

    def f(x, y, W, s):
        known = [x, y, s * x, W @ y]
        for kind, which, a, b in plan:
            first, second = known[a % len(known)], known[b % len(known)]
            made = BINARY[which % len(BINARY)](first, second) if kind else UNARY[which % len(UNARY)](first)
            known.append(np.tanh(made) + 0.1 * made / (1 + np.abs(made)))
        return known[-1], np.sum(known[-2] * known[-1])

    return f


@given(seeds)
def test_value_and_vjp_of_random_programs(seed):
    rng = np.random.default_rng(seed)
    f = random_function(rng)
    inputs = [rng.normal(size=shape) for shape in ((3,), (3,), (3, 3), ())]
    program = trace(f, *[np.shape(v) for v in inputs])
    wanted = f(*inputs)
    for made, value in zip(program(*inputs), wanted, strict=True):
        np.testing.assert_allclose(made, value, rtol=1e-11, atol=1e-12)
    cotangents = [rng.normal(size=np.shape(v)) for v in wanted]
    found = program.vjp()(*inputs, *cotangents)

    def moved(e, k, direction):
        out = f(*[v + e * direction if j == k else v for j, v in enumerate(inputs)])
        return sum(np.sum(c * o) for c, o in zip(cotangents, out, strict=True))

    for k, g in enumerate(found):
        direction = rng.normal(size=np.shape(inputs[k]))
        slopes = [(moved(e, k, direction) - moved(-e, k, direction)) / (2 * e) for e in (1e-5, 1e-6)]
        if abs(slopes[0] - slopes[1]) < 1e-6 * (1 + abs(slopes[0])):  # no kink in between
            assert np.sum(g * direction) == pytest.approx(slopes[1], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("f", UNARY)
@given(seeds)
def test_each_function_as_autograd(f, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, 3) / 2.0  # ties and kinks are common
    agree(f, x, rng=rng)


@pytest.mark.parametrize("f", BINARY[:-4] + BINARY[-4:-1])
@given(seeds)
def test_each_function_of_two_as_autograd(f, seed):
    rng = np.random.default_rng(seed)
    agree(f, rng.integers(-2, 3, 3) / 2.0, rng.integers(-2, 3, 3) / 2.0, rng=rng)


def agree(f, *inputs, rng):
    program = trace(f, *[x.shape for x in inputs])
    value = f(*inputs)
    np.testing.assert_allclose(program(*inputs), value, rtol=1e-13, atol=1e-15)
    c = rng.normal(size=np.shape(value))
    with np.errstate(all="ignore"):
        wanted = autograd_vjp(f, inputs, range(len(inputs)))[1](c)
    for made, own in zip(program.vjp()(*inputs, c), wanted, strict=True):
        np.testing.assert_allclose(made, own, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (lambda x: np.maximum(x, 0.0), 0.0, 0.5),
        (lambda x: np.minimum(x, 0.0), 0.0, 0.5),
        (np.abs, 0.0, 0.0),
        (lambda x: x * (x > 0), 0.0, 0.0),
        (lambda x: np.clip(x, 0.0, 1.0), 0.0, 0.0),
        (np.floor, 0.3, 0.0),
        (np.sign, 0.0, 0.0),
        (lambda x: np.max(np.stack([x, x, x])), 1.0, 1.0),
        (lambda x: np.max(np.stack([x, 1.0 + 0 * x, 1.0 + 0 * x])), 1.0, 1 / 3),
    ],
)
def test_slopes_at_kinks(f, x, slope):
    assert trace(f, ()).vjp()(np.array(x), np.array(1.0))[0] == pytest.approx(slope)


def test_assignment_into_traced_arrays():
    def f(h):
        new = np.zeros_like(h)
        new[0] = h[1] * 2
        new[1:] += h[:-1]
        return new

    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(trace(f, (3,))(x), [4.0, 1.0, 2.0])
    np.testing.assert_array_equal(trace(f, (3,)).vjp()(x, np.ones(3))[0], [1.0, 3.0, 0.0])


def test_an_argument_is_not_changed_for_those_who_read_it_later():
    def f(h):
        h[0] = 0.0
        return h

    np.testing.assert_array_equal(trace(f, (2,)).vjp()(np.ones(2), np.ones(2))[0], [0.0, 1.0])


def test_a_numba_function_is_traced_by_its_python():
    f = numba.njit(lambda h, a: np.maximum(h + a, 0.0))
    assert trace(f, (), ())(np.array(1.0), np.array(2.0)) == 3.0


@pytest.mark.parametrize(
    "f",
    [
        lambda h: np.array([h[0], h[1] * h[0]]),
        lambda h: np.array([[h[0], 1.0], [2, h[1]]]) @ h,
        lambda h: np.sin(np.array([h[0], h[1]])) ** 2,
        lambda h: np.array([h, 2 * h]).sum(0) + 3 * np.array([h[1], 0]),
        lambda h: np.asarray(h) * h,
        lambda h: np.concatenate([np.array([h[0]]), h[1:]]),
        lambda h: np.where(h > 0, np.array([h[0], h[1]]), 0) * h,
    ],
)
def test_vectors_built_with_array(f):
    h, bar = np.array([0.5, -0.25]), np.array([1.0, 3.0])
    program = trace(f, (2,))
    np.testing.assert_allclose(program(h), f(h), rtol=1e-14)
    step = 1e-6 * np.eye(2)
    slope = [bar @ (f(h + d) - f(h - d)) / 2e-6 for d in step]
    np.testing.assert_allclose(program.vjp()(h, bar)[0], slope, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda h: h if h[0] > 0 else -h, "np.where"),
        (lambda h: max(h[0], h[1]), "np.maximum"),
        (lambda h: h[h > 0], "np.where"),
        (lambda h: np.array([h[0], h[1]], float), "np.stack"),
        (lambda h: np.asarray(h, float), "np.stack"),
        (lambda h: np.maximum(np.array([h[0], h[1]]), 0.0), "np.where"),
        (lambda h: np.arange(3)[h[0]], "indices"),
        (lambda h: np.sort(h), "np.sort cannot be traced"),
        (lambda h: np.where(h > 0), "np.where\\(c, a, b\\)"),
        (lambda h: np.interp(h, [0, 1], [0, 1]), "cannot be traced"),
        (lambda h: h + 1j, "real numbers"),
        (lambda h: int(h[0]) * h, "np.floor"),
        (lambda h: h @ np.ones(5), "ValueError"),
    ],
)
def test_what_cannot_be_traced_says_what_to_write(f, words):
    with pytest.raises(TracingError, match=words):
        trace(f, (3,))


def test_assignment_into_an_ordinary_array():
    def f(h):
        new = np.zeros(2)
        new[0] = h[0]
        return new

    with pytest.raises(TracingError, match=r"np\.zeros_like"):
        trace(f, (2,))


def test_too_much():
    W = np.arange(360_000.0).reshape(600, 600)
    with pytest.raises(TracingError, match="operations"):
        trace(lambda h: W @ h, (600,))
