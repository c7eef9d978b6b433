"""The compiled scalar sweep gives the bits of the NumPy reference."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msgpass.kernels import chain_reference, table_chain_scalar
from msgpass.kernels.table_chain_types import LOST
from tests.msgpass.kernels.chain_models import ragged, random_problem

LOWEST = LOST[np.dtype(np.float64)]


@given(
    st.integers(0, 2**32),
    st.integers(1, 20),
    ragged,
    st.sampled_from([None, 3]),
    st.booleans(),
    st.sampled_from([0.0, 0.4]),
)
def test_same_bits_as_the_reference(seed, n_states, lengths, categories, paired, sparsity):
    problem = random_problem(seed, n_states, lengths, categories=categories, paired=paired, sparsity=sparsity)
    init, transition, evidence, rows, offsets, _ = problem
    transition = transition.reshape(-1, n_states, n_states)
    expected = chain_reference.scaled_sweep(init, transition, evidence, rows, offsets, LOWEST)

    mantissa, exponent, failed = (
        np.zeros(len(lengths)),
        np.zeros(len(lengths), np.int64),
        np.zeros(len(lengths), bool),
    )
    gamma, xi = np.empty((offsets[-1], n_states)), np.zeros(transition.shape)
    index = np.empty(0, np.int64) if rows is None else rows
    table_chain_scalar.scaled_sweep(
        init, transition, evidence, index, offsets, LOWEST, mantissa, exponent, gamma, xi, failed
    )
    for name, want, got in zip(
        ("mantissa", "exponent", "gamma", "xi", "failed"),
        expected,
        (mantissa, exponent, gamma, xi, failed),
        strict=True,
    ):
        assert np.array_equal(want, got), name

    alone, shifts, lost = (
        np.zeros(len(lengths)),
        np.zeros(len(lengths), np.int64),
        np.zeros(len(lengths), bool),
    )
    table_chain_scalar.scaled_forward(init, transition, evidence, index, offsets, LOWEST, alone, shifts, lost)
    kept = ~failed
    assert np.array_equal(alone[kept], mantissa[kept])
    assert np.array_equal(shifts[kept], exponent[kept])


@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 50))
def test_counted_rows_are_those_of_numpy(seed, n_states, steps):
    rng = np.random.default_rng(seed)
    rows, gamma = rng.integers(0, 5, steps), rng.random((steps, n_states))
    counts = np.zeros((5, n_states))
    table_chain_scalar.count_rows(rows, gamma, counts)
    assert np.array_equal(counts, np.stack([np.bincount(rows, c, 5) for c in gamma.T], axis=1))
