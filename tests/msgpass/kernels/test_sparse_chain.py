"""The compiled sparse sweeps against their reference, and the reference against full tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import sparse_chain, sparse_chain_compiled, sparse_chain_runs
from msgpass.kernels import sparse_chain_reference as reference
from msgpass.kernels.sparse_chain_folds import folded
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
    for left, right in zip(
        sparse_chain_compiled.best_path(logs),
        reference.trace_back(logs, reference.log_forward(logs, True)),
        strict=True,
    ):
        assert (left == right).all()
    lean_agrees(logs, linear, gamma, xi, log_z)
    scale, failed = sparse_chain_compiled.forward_scale(linear.problem, LOST)
    np.testing.assert_allclose((scale + linear.removed)[~failed], log_z[~failed], rtol=1e-10, atol=1e-9)


def lean_agrees(logs, linear, gamma, xi, log_z):
    """Sums of marginals without marginals, and what fails redone."""
    made = sparse_chain.expected_counts(logs, linear, lean=True)
    assert made.gamma is None
    np.testing.assert_allclose(made.log_scale, log_z, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(made.xi, xi, rtol=1e-7, atol=1e-12)
    first, last = logs.offsets[:-1], logs.offsets[1:] - 1
    sums = [gamma[first].sum(0), gamma[last].sum(0), gamma.sum(0)]
    np.testing.assert_allclose(made.sums, sums, rtol=1e-7, atol=1e-12)
    evidence = folded(gamma, logs.rows, logs.groups, logs.evidence.shape)
    np.testing.assert_allclose(made.evidence, evidence, rtol=1e-7, atol=1e-12)


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


def entry_sets():
    """Patterns with runs of every kind, and what is left between them."""
    here = np.arange(40)
    diagonal = [(here, here), (here[1:], here[:-1]), (here[:-1], here[1:])]
    column, row = (here, np.full(40, 7)), (np.full(40, 9), here)
    return st.lists(st.sampled_from([*diagonal, column, row]), min_size=1, unique_by=id)


@given(entry_sets(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3]), st.sampled_from([8, 1024]))
@settings(max_examples=60)
def test_runs_of_every_kind(entries, seed, holes, tile):
    rng = np.random.default_rng(seed)
    rows, cols = (np.concatenate([e[k] for e in entries]) for k in (0, 1))
    extra = rng.integers(0, 40, (2, 30))
    places = rng.permutation(np.unique(np.concatenate([rows * 40 + cols, extra[0] * 40 + extra[1]])))
    places = places[rng.random(len(places)) >= holes]
    rows, cols = places // 40, places % 40
    sparse_chain_runs.TILE, before = tile, sparse_chain_runs.TILE
    try:
        made = sparse_chain_runs.find_runs(rows, cols)
    finally:
        sparse_chain_runs.TILE = before
    # Read back off the runs, every entry stands where its order says.
    steps = np.repeat([[1, 1], [1, 0], [0, 1]], np.diff(made.kinds, prepend=0), axis=0)
    found = [
        (i + di * q, j + dj * q)
        for (i, j, _, n), (di, dj) in zip(made.runs, steps, strict=True)
        for q in range(n)
    ]
    found += list(made.loose.T)
    assert (made.runs[:, 2] == np.cumsum(made.runs[:, 3]) - made.runs[:, 3]).all()
    assert [(int(i), int(j)) for i, j in found] == list(zip(rows[made.order], cols[made.order], strict=True))
    agree(problem(rng, 40, [5, 3], bool(seed % 2), False, False)._replace(**on(rng, rows, cols, seed % 2)))


def on(rng, rows, cols, stepped) -> dict:
    """Pattern and values of given entries, for two sequences of 8 steps in all."""
    values = rng.normal(size=(6, len(rows)) if stepped else len(rows))
    return {"pattern": SparsePattern(40, rows, cols), "values": values}


def test_one_sequence_swept_on_two_threads_is_the_same_as_on_one(rng, monkeypatch):
    linear = sparse_chain.scaled(problem(rng, 30, [200], False, True, True)).problem
    monkeypatch.setattr(sparse_chain_compiled, "PAIRED", 0)
    paired = sparse_chain_compiled.scaled_sweep(linear, LOST)
    monkeypatch.setattr(sparse_chain_compiled, "PAIRED", 10**9)
    for left, right in zip(paired, sparse_chain_compiled.scaled_sweep(linear, LOST), strict=True):
        assert (left == right).all()
