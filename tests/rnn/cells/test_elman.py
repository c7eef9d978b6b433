"""Elman's cell: its value, and its VJP and JVP against central differences and each other."""

import numpy as np
import pytest

from rnn.cells import ELMAN
from tests.rnn.differences import central


def inputs_of(rng, biases: bool, steps: int = 2, batch: int = 2, inputs: int = 3, hidden: int = 2):
    """Two instances of every stepped input, and the shared weights."""
    arrays = [(steps, batch, hidden), (steps, batch, inputs), (hidden, inputs), (hidden, hidden)]
    return tuple(rng.normal(size=s) for s in arrays + [(hidden,), (hidden,)] * biases)


@pytest.fixture(params=["tanh", "relu"])
def step(request):
    return ELMAN[request.param].step


@pytest.mark.parametrize("biases", [False, True])
def test_value_is_the_formula(step, biases, rng):
    h, x, w_ih, w_hh, *rest = given = inputs_of(rng, biases)
    act = {"tanh": np.tanh, "relu": lambda z: z * (z > 0)}[step.kernel]
    z = np.einsum("nbi,hi->nbh", x, w_ih) + np.einsum("nbk,hk->nbh", h, w_hh) + sum(rest)
    np.testing.assert_allclose(step.f(*given), act(z), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("biases", [False, True])
def test_vjp_is_the_gradient(step, biases, rng):
    given = inputs_of(rng, biases)
    cotangent = rng.normal(size=(2, 2, 2))
    for k, found in enumerate(step.vjp(given, cotangent)):
        moved = lambda v, k=k: float((step.f(*given[:k], v, *given[k + 1 :]) * cotangent).sum())  # noqa: E731
        np.testing.assert_allclose(found, central(moved, given[k]), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("biases", [False, True])
def test_jvp_is_the_transpose_of_vjp(step, biases, rng):
    given = inputs_of(rng, biases)
    tangents = inputs_of(rng, biases)
    cotangent = rng.normal(size=(2, 2, 2))
    forward = (step.jvp(given, tangents) * cotangent).sum()
    backward = sum((v * t).sum() for v, t in zip(step.vjp(given, cotangent), tangents, strict=True))
    assert forward == pytest.approx(backward, rel=1e-12)


def test_single_precision_stays(step, rng):
    given = tuple(v.astype(np.float32) for v in inputs_of(rng, True))
    assert step.f(*given).dtype == np.float32
    assert {g.dtype.name for g in step.vjp(given, given[0])} == {"float32"}
    assert step.jvp(given, given).dtype == np.float32
