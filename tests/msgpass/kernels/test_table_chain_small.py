"""The E-step in one compiled call has the bits of the calls that it stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import table_chain, table_chain_large, table_chain_small
from msgpass.kernels.table_chain import expected_counts
from tests.msgpass.kernels.chain_models import random_problem


def both(problem, want_gamma, monkeypatch):
    """(in one call, as several)."""
    called = []
    kernel = table_chain_small.expected_counts
    with monkeypatch.context() as patch:
        patch.setattr(table_chain, "VECTORISED_WHERE_LANES_FILL", 0)
        patch.setattr(table_chain_small, "expected_counts", lambda *a: called.append(1) or kernel(*a))
        patch.setattr(table_chain_small.expected_counts, "signatures", [1], raising=False)
        one = expected_counts(problem, want_gamma)
        assert called
        patch.setattr(table_chain, "_small", lambda *_: None)
        return one, expected_counts(problem, want_gamma)


def assert_same_bits(one, other):
    for name, found, wanted in zip(one._fields, one, other, strict=True):
        assert found is wanted is None or np.array_equal(found, wanted), name
    assert one.impossible == other.impossible


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    n_states=st.integers(2, 16),
    lengths=st.lists(st.integers(1, 60), min_size=8, max_size=40),
    categories=st.sampled_from([None, 3, 40]),
    want_gamma=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_same_bits(seed, n_states, lengths, categories, want_gamma, dtype):
    problem = random_problem(seed, n_states, lengths, categories=categories, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        assert_same_bits(*both(problem, want_gamma, patch))


@pytest.mark.parametrize("n_states", [3, 10])
@pytest.mark.parametrize("categories", [None, 5, 1500])
def test_same_bits_where_counts_take_turns(n_states, categories, monkeypatch):
    problem = random_problem(3, n_states, [100, 90] * 30, categories=categories)
    assert n_states * problem.offsets[-1] >= table_chain.VECTORISED
    assert_same_bits(*both(problem, True, monkeypatch))


def test_a_vanished_scale_goes_the_long_way(monkeypatch):
    problem = random_problem(5, 3, [30] * 20, categories=5)
    problem.evidence[0] = 0.0
    problem.rows[:570] = 1 + problem.rows[:570] % 4
    one, other = both(problem, True, monkeypatch)
    assert_same_bits(one, other)
    assert one.impossible
    assert np.isfinite(one.log_scale[:19]).all()


def test_large_work_and_long_sequences_go_elsewhere(monkeypatch):
    monkeypatch.setattr(table_chain_small, "expected_counts", None)
    expected_counts(random_problem(1, 2, [5000]))
    monkeypatch.setattr(table_chain_large, "THREADED", 0)
    expected_counts(random_problem(1, 2, [100] * 30))
    expected_counts(random_problem(1, 17, [100] * 30))
