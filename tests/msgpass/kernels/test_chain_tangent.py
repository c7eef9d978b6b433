"""Tangents of chains: compiled and in NumPy, in one block and in several, against differences of log
messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import chain_tangent, table_chain
from msgpass.kernels.chain_tangent import Conditionals, tangents

seeds = st.integers(0, 2**32 - 1)
STEP = 1e-5


def drawn(rng, lengths, K, stepped, zeros=0.0):
    """Log tables of a chain and how they move."""
    T = sum(lengths)
    shape = (max(T - len(lengths), 0), K, K) if stepped else (1, K, K)
    init, transition, evidence = (rng.normal(size=s) for s in ((K,), shape, (T, K)))
    transition[(rng.random(shape) < zeros) & ~np.eye(K, dtype=bool)] = -np.inf
    moves = [rng.normal(size=a.shape) for a in (init, transition, evidence)]
    return (init, transition, evidence), moves, np.concatenate([[0], np.cumsum(lengths)])


def messages(tables, offsets):
    init, transition, evidence = tables
    table = transition[0] if len(transition) == 1 else transition
    return table_chain.log_messages(init, table, evidence, None, offsets)


@settings(max_examples=40)
@given(seeds, st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 3), st.booleans())
def test_log_messages_move_as_their_differences(seed, lengths, K, stepped):
    tables, moves, offsets = drawn(np.random.default_rng(seed), lengths, K, stepped, 0.3)
    alpha, beta = messages(tables, offsets)
    found = tangents(Conditionals(alpha, beta, tables[1], tables[2], offsets), *moves)
    ends = [messages([a + s * d for a, d in zip(tables, moves, strict=True)], offsets) for s in (STEP, -STEP)]
    for k, (part, mean) in enumerate(((found.ahead, found.ahead_mean), (found.behind, found.behind_mean))):
        there = np.isfinite(alpha if k == 0 else beta)
        difference = (ends[0][k][there] - ends[1][k][there]) / (2 * STEP)
        np.testing.assert_allclose((part + mean[:, None])[there], difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("lengths", [[40], [7, 1, 20, 3]])
def test_compiled_is_the_reference_in_any_blocks(stepped, lengths, rng, monkeypatch):
    tables, moves, offsets = drawn(rng, lengths, 3, stepped, 0.2)
    alpha, beta = messages(tables, offsets)

    def made():
        posterior = Conditionals(alpha, beta, tables[1], tables[2], offsets)
        return len(posterior.blocks), tangents(posterior, *moves)

    blocks, wanted = made()
    assert blocks == 1
    for compiled, block in ((1, 1 << 22), (1, 50), (512, 50)):
        monkeypatch.setattr(chain_tangent, "COMPILED", compiled)
        monkeypatch.setattr(chain_tangent, "BLOCK", block)
        blocks, found = made()
        assert (blocks > 1) == (block == 50)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_a_long_chain_keeps_its_digits(rng):
    """γ̇ of a direction that adds a constant everywhere is zero, though α̇ grows with time."""
    (init, transition, evidence), _, _ = drawn(rng, [5000], 2, False)
    offsets = np.array([0, 5000])
    alpha, beta = messages((init, transition, evidence), offsets)
    moves = np.ones(2), np.ones((1, 2, 2)), np.ones((5000, 2))
    found = tangents(Conditionals(alpha, beta, transition, evidence, offsets), *moves)
    assert found.ahead_mean[-1] == pytest.approx(10_000)
    assert np.abs(found.ahead).max() < 1e-9 and np.abs(found.xi_dot).max() < 1e-7
