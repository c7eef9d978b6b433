"""The compiled sparse sweeps against their reference, and the reference against full tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import sparse_chain, sparse_chain_compiled
from msgpass.kernels import sparse_chain_reference as reference
from msgpass.kernels.sparse_chain_types import SparsePattern, SparseProblem

LOST = 1e-140


@st.composite
def problems(draw):
    """Log tables of any shape, with hard zeros and evidence far apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    S = draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    spread = draw(st.sampled_from([1.0, 100.0, 1000.0]))
    zeros = draw(st.sampled_from([0.0, 0.3]))
    return problem(
        rng, S, lengths, draw(st.booleans()), draw(st.booleans()), draw(st.booleans()), spread, zeros
    )


def problem(rng, S, lengths, stepped, indexed, grouped, spread=1.0, zeros=0.0) -> SparseProblem:
    T = sum(lengths)
    listed = rng.random((S, S)) < 0.6
    listed[0, 0] = True
    rows, cols = np.nonzero(listed)
    order = rng.permutation(len(rows))

    def logs(*shape):
        drawn = spread * rng.normal(size=shape)
        drawn[rng.random(shape) < zeros] = -np.inf
        return drawn

    n_rows, columns = (3 if indexed else T), (2 if grouped else S)
    return SparseProblem(
        SparsePattern(S, rows[order], cols[order]),
        logs(S),
        logs(S),
        logs(T - len(lengths), len(rows)) if stepped else logs(len(rows)),
        logs(n_rows, columns),
        rng.integers(0, 3, T) if indexed else None,
        rng.integers(0, 2, S) if grouped else None,
        np.concatenate([[0], np.cumsum(lengths)]),
    )


def agree(logs):
    """Every answer of the compiled sweeps is that of the sums over logarithms."""
    linear = sparse_chain.scaled(logs)
    log_z, gamma, xi, _ = reference.log_counts(logs)
    for sweep in (reference.scaled_sweep, sparse_chain_compiled.scaled_sweep):
        own, marginals, counts, failed = sweep(linear.problem, LOST)
        offsets = logs.offsets
        fine = ~np.repeat(failed, np.diff(offsets))
        np.testing.assert_allclose((own + linear.removed)[~failed], log_z[~failed], rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(marginals[fine], gamma[fine], rtol=1e-7, atol=1e-12)
        assert not marginals[~fine].any()
        if not failed.any():
            np.testing.assert_allclose(counts, xi, rtol=1e-7, atol=1e-12)
        assert failed[log_z == -np.inf].all()
    scale, failed = sparse_chain_compiled.forward_scale(linear.problem, LOST)
    np.testing.assert_allclose((scale + linear.removed)[~failed], log_z[~failed], rtol=1e-10, atol=1e-9)


@given(problems())
@settings(max_examples=300)
def test_compiled_and_reference_sweeps_agree(logs):
    agree(logs)


@given(problems())
@settings(max_examples=100)
def test_what_fails_is_redone(logs):
    """Through the front, whatever the scales: as from logarithms, with the impossible named."""
    log_z, gamma, xi, impossible = reference.log_counts(logs)
    for steps in (sparse_chain.LARGE, 0):
        sparse_chain.LARGE, before = steps, sparse_chain.LARGE
        try:
            made = sparse_chain.expected_counts(logs, sparse_chain.scaled(logs))
            scale = sparse_chain.forward_scale(logs, sparse_chain.scaled(logs))
        finally:
            sparse_chain.LARGE = before
        np.testing.assert_allclose(made.log_scale, log_z, rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(scale, log_z, rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(made.gamma, gamma, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(made.xi, xi, rtol=1e-7, atol=1e-12)
        assert made.impossible == impossible


@pytest.mark.parametrize("lengths", [[400], [150, 1, 90, 200]])
@pytest.mark.parametrize("stepped", [False, True])
def test_long_and_wide(rng, lengths, stepped):
    agree(problem(rng, 60, lengths, stepped, False, True))


def test_one_sequence_swept_on_two_threads_is_the_same_as_on_one(rng, monkeypatch):
    linear = sparse_chain.scaled(problem(rng, 30, [200], False, True, True)).problem
    monkeypatch.setattr(sparse_chain_compiled, "PAIRED", 0)
    paired = sparse_chain_compiled.scaled_sweep(linear, LOST)
    monkeypatch.setattr(sparse_chain_compiled, "PAIRED", 10**9)
    for left, right in zip(paired, sparse_chain_compiled.scaled_sweep(linear, LOST), strict=True):
        assert (left == right).all()
