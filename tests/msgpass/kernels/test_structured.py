"""Compiled messages of factors with structure, against the NumPy reference, from single nats to thousands,
with hard zeros."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Parity
from msgpass.kernels.structured import parity_messages, topped
from msgpass.kernels.structured_reference import link_messages
from tests.msgpass.structured_models import KINDS, factors, make, seeds


@pytest.mark.parametrize("maximise", [False, True], ids=["sum", "max"])
@given(drawn=factors())
def test_kernel_is_reference(maximise, drawn):
    potential, incoming = drawn
    wanted = topped(potential.log_messages(incoming, maximise, compiled=False))
    found = topped(potential.log_messages(incoming, maximise, compiled=True))
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("maximise", [False, True], ids=["sum", "max"])
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"potts"}))
@given(
    scale=st.sampled_from([0.1, 3.0, 100.0, 1000.0]), shift=st.sampled_from([-50.0, 0.0, 50.0]), seed=seeds
)
def test_long_factors(kind, maximise, scale, shift, seed):
    """Products of hundreds of numbers, all of them small or large."""
    rng = np.random.default_rng(seed)
    potential, states = make(kind, rng, 2, 150, inside=True)
    maximise = maximise and potential.deterministic
    incoming = scale * rng.normal(size=(2, 150, states))
    incoming[..., 1] += shift
    wanted = topped(potential.log_messages(incoming, maximise, compiled=False))
    found = topped(potential.log_messages(incoming, maximise, compiled=True))
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)


def test_large_work_goes_to_the_kernel(rng, monkeypatch):
    potential, asked = Parity(), []
    monkeypatch.setattr(Parity, "compiled_messages", lambda *_: asked.append(1))
    potential.log_messages(rng.normal(size=(100, 4, 2)))
    assert not asked
    potential.log_messages(rng.normal(size=(2000, 4, 2)))
    assert asked


@given(seeds, st.integers(1, 7), st.booleans())
def test_checks_of_nearly_certain_bits(seed, arity, odd):
    """Log-ratios of any size, far beyond exp, known bits among them."""
    rng = np.random.default_rng(seed)
    messages = rng.normal(size=(40, arity, 2)) * rng.choice([1, 5, 200, 900, 1e4], size=(40, arity, 1))
    messages -= messages.max(axis=-1, keepdims=True)
    kind = rng.random((40, arity))
    messages[kind < 0.05], messages[kind > 0.97] = (0.0, -np.inf), (-np.inf, 0.0)
    links = Parity(int(odd)).links(arity, {"target": np.array([odd])}, 2)
    found = parity_messages(messages, np.array([odd]), links)
    expected = topped(link_messages(messages, links))
    np.testing.assert_array_equal(found > -np.inf, expected > -np.inf)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-12)


def test_one_certain_bit_among_thousands(rng):
    """What all others make of it is a product of thousands of numbers near 2."""
    incoming = 1e-3 * rng.normal(size=(2, 3000, 2))
    incoming[0, 5, 1], incoming[1, 7, 1] = 900.0, -np.inf
    wanted = topped(Parity().log_messages(incoming, compiled=False))
    np.testing.assert_allclose(topped(Parity().log_messages(incoming, compiled=True)), wanted, atol=1e-12)
