"""Programs of arrays compute what the function does, and their VJPs are its derivatives."""

import numpy as np
import pytest

from msgpass.errors import TracingError
from msgpass.tracing import trace as trace_numbers
from msgpass.tracing.whole import evaluate, trace, vjp


def by_numbers(f, x):
    return trace_numbers(f, x.shape)(x)


FUNCTIONS = {
    "net": lambda x, y, w: np.tanh(x @ w.T + y),
    "where": lambda x, y, w: np.where(x > 0, x * y, np.exp(x)),
    "cumsum": lambda x, y, w: np.cumsum(x, axis=1)[:, ::-1].sum(axis=0) ** 2,
    "several": lambda x, y, w: (np.stack([x[0, 1] * y[2], np.maximum(x[1], y).max()]), x.mean(axis=0)),
    "einsum": lambda x, y, w: np.einsum("ij,j->i", x, y) / (1 + x[:, 0] ** 2),
    "parts": lambda x, y, w: np.concatenate([np.abs(x[:, :1]), np.clip(x, -0.5, 0.5)], axis=1)[1:, [0, 2]],
    "norm": lambda x, y, w: np.linalg.norm(x, axis=1) + np.var(x),
    "power": lambda x, y, w: np.power(np.abs(x) + 0.1, y),
    "columns": lambda x, y, w: np.stack([x[:, 0] * x[:, 1], np.sin(x[:, 2])], axis=-1),
    "batched": lambda x, y, w: np.einsum("bi,bj->bij", x, x) @ w,
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_values_and_derivatives(f):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=s) for s in ((3, 4), (4,), (4, 4))]
    program = trace(f, [x.shape for x in inputs])
    wanted = f(*inputs)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for one, other in zip(evaluate(program, *inputs), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    cotangents = [rng.normal(size=np.shape(w)) for w in wanted]
    found = evaluate(vjp(program, range(3)), *inputs, *cotangents)
    moves = [rng.normal(size=x.shape) for x in inputs]

    def at(s):
        made = f(*(x + s * m for x, m in zip(inputs, moves, strict=True)))
        made = made if isinstance(made, tuple) else (made,)
        return sum((a * c).sum() for a, c in zip(made, cotangents, strict=True))

    slope = (at(1e-6) - at(-1e-6)) / 2e-6
    told = sum((g * m).sum() for g, m in zip(found, moves, strict=True))
    np.testing.assert_allclose(told, slope, rtol=1e-6, atol=1e-8)


def test_what_cannot_be_traced():
    with pytest.raises(TracingError, match=r"np\.where"):
        trace(lambda x: x if x.sum() > 0 else -x, [(3,)])
    with pytest.raises(TracingError, match="in place"):
        trace(lambda x: x.__setitem__(0, 1.0), [(3,)])


PLACES = [
    lambda x: np.tile(x[:, :1], (1, 3)) + np.take(x, [2, 0, 1], axis=1)[:, :3],
    lambda x: np.concatenate(np.split(x, [1], axis=1)[::-1], axis=1),
    lambda x: np.moveaxis(x[:, :, None], [0, 1], [1, 0])[..., 0] + np.roll(x, (1, 2), axis=(0, 1)).T,
    lambda x: np.delete(x, [1], axis=1) * np.repeat(x[:1, 1:], [3], axis=0),
    lambda x: np.trace(x[:, :3, None] * x[:, None, :3]) + 0.1 * (1.0 * ((x > 0) + (x > 0.5)))[0, :3],
]


@pytest.mark.parametrize("f", PLACES)
@pytest.mark.parametrize("by", [lambda f, x: evaluate(trace(f, [x.shape]), x)[0], by_numbers])
def test_places_and_truth_values_are_numpys(f, by):
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(by(f, x), f(x), rtol=1e-13)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.min(x, initial=0.0),
        lambda x: x.max(initial=0.0),
        lambda x: np.mean(x, where=np.array([True, False, True])),
        lambda x: np.average(x, weights=np.ones(3)),
        lambda x: np.var(x, correction=1),
        lambda x: np.diff(x, append=0.0),
    ],
)
def test_options_without_a_rule_are_refused(f):
    with pytest.raises(TracingError):
        trace(f, [(3,)])
