"""The vectorised sweeps against the NumPy reference, on random models of every shape they are chosen for."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import chain_reference as reference
from msgpass.kernels import (
    table_chain_lanes,
    table_chain_large,
    table_chain_long,
    table_chain_segments,
    table_chain_tiles,
    table_chain_viterbi,
    table_chain_viterbi_long,
    table_chain_viterbi_segments,
)
from msgpass.kernels.table_chain import best_path, expected_counts, forward_scale, log_messages
from msgpass.kernels.table_chain_types import LN2, LOST
from tests.msgpass.kernels.chain_models import random_problem, with_logs

LOWEST = LOST[np.dtype(np.float64)]
NO_ROWS = np.empty(0, np.int64)

states = st.integers(1, 20)
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)
sparsity = st.sampled_from([0.0, 0.3])
categories = st.sampled_from([None, 3])


def assert_same_counts(found, expected):
    """log Z, γ, ξ and failures as the reference has them."""
    (
        (mantissa, exponent, gamma, xi, failed),
        (want_mantissa, want_exponent, want_gamma, want_xi, want_failed),
    ) = found, expected
    assert np.array_equal(failed, want_failed)
    with np.errstate(divide="ignore"):
        log_z, want = np.log(mantissa) + exponent * LN2, np.log(want_mantissa) + want_exponent * LN2
    np.testing.assert_allclose(log_z, want, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gamma, want_gamma, atol=1e-12)
    np.testing.assert_allclose(xi, want_xi, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("family", [table_chain_lanes, table_chain_tiles])
@given(seed=st.integers(0, 2**32), n_states=states, lengths=lengths, categories=categories, sparsity=sparsity)
def test_many_sequences(family, seed, n_states, lengths, categories, sparsity):
    """γ written, added up, or both; what is added up has the same bits."""
    problem = random_problem(seed, n_states, lengths, categories=categories, sparsity=sparsity)
    init, transition, evidence, rows, offsets, _ = problem
    expected = reference.scaled_sweep(init, transition[None], evidence, rows, offsets, LOWEST)
    gamma = np.full((offsets[-1], n_states), np.nan)
    index = NO_ROWS if rows is None else rows
    mantissa, exponent, xi, failed = family.many(
        init, transition, evidence, index, offsets[:-1], np.diff(offsets), LOWEST, gamma, False
    )
    gamma[np.repeat(failed, np.diff(offsets))] = 0.0
    assert_same_counts((mantissa, exponent, gamma, xi[None], failed), expected)
    if rows is None or failed.any():
        return
    sums = []
    for marginals in (np.full(gamma.shape, np.nan), np.empty((0, n_states))):
        counts, initial = np.zeros(evidence.shape), np.zeros(n_states)
        here = init, transition, evidence, rows, offsets[:-1], np.diff(offsets), LOWEST, marginals, False
        _, _, again, _ = family.many(*here, counts, initial)
        assert np.array_equal(again, xi)
        sums.append((counts, initial))
    assert_sums(*sums[0], rows, offsets, expected[2], len(evidence))
    assert np.array_equal(sums[0][0], sums[1][0])
    assert np.array_equal(sums[0][1], sums[1][1])


def assert_sums(counts, initial, rows, offsets, gamma, n_rows):
    """What γ adds up to by row of evidence and over first steps."""
    by_row = np.stack([np.bincount(rows, column, n_rows) for column in gamma.T], axis=1)
    np.testing.assert_allclose(counts, by_row, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(initial, gamma[offsets[:-1]].sum(axis=0), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n_states", [2, 4])
@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 21),
    shorter=st.integers(0, 6),
    n_sequences=st.integers(1, 19),
    categories=categories,
    sparsity=sparsity,
)
def test_messages_in_registers(n_states, seed, length, shorter, n_sequences, categories, sparsity):
    """Groups alike, or nearly, with spare lanes; γ is also counted by row of evidence on the way."""
    ragged = np.maximum(length - np.random.default_rng(seed).integers(0, shorter + 1, n_sequences), 1)
    problem = random_problem(seed, n_states, list(ragged), categories=categories, sparsity=sparsity)
    init, transition, evidence, rows, offsets, _ = problem
    expected = reference.scaled_sweep(init, transition[None], evidence, rows, offsets, LOWEST)
    gamma = np.full((offsets[-1], n_states), np.nan)
    counts, initial = None if rows is None else np.zeros(evidence.shape), np.zeros(n_states)
    mantissa, exponent, xi, failed = table_chain_lanes.many(
        init,
        transition,
        evidence,
        NO_ROWS if rows is None else rows,
        offsets[:-1],
        np.diff(offsets),
        LOWEST,
        gamma,
        False,
        counts,
        initial,
    )
    gamma[np.repeat(failed, np.diff(offsets))] = 0.0
    assert_same_counts((mantissa, exponent, gamma, xi[None], failed), expected)
    if rows is not None and not failed.any():
        assert_sums(counts, initial, rows, offsets, expected[2], len(evidence))


def one_sequence(family, problem, start, stop):
    init, transition, evidence, rows, offsets, _ = problem
    gamma = np.full((offsets[-1], len(init)), np.nan)
    index = NO_ROWS if rows is None else rows
    threads = () if family is table_chain_long else (False,)
    *z, xi, failed = family.one(init, transition, evidence, index, start, stop, LOWEST, gamma, *threads)
    assert not np.isnan(gamma[start:stop]).any()
    assert np.isnan(gamma[:start]).all()
    assert np.isnan(gamma[stop:]).all()
    return *np.array([z]).T, gamma[start:stop], xi[None], np.array([failed])


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(2, 150), categories)
def test_one_sequence_from_both_ends(seed, n_states, length, categories):
    problem = random_problem(seed, n_states, [3, length, 2], categories=categories)
    init, transition, evidence, rows, _, _ = problem
    here = slice(3, 3 + length)
    local = evidence[here] if rows is None else evidence[rows[here]]
    expected = reference.scaled_sweep(init, transition[None], local, None, np.array([0, length]), LOWEST)
    assert_same_counts(one_sequence(table_chain_long, problem, 3, 3 + length), expected)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(257, 900), categories)
def test_one_sequence_in_segments(seed, n_states, length, categories):
    problem = random_problem(seed, n_states, [3, length, 2], categories=categories)
    init, transition, evidence, rows, _, _ = problem
    here = slice(3, 3 + length)
    local = evidence[here] if rows is None else evidence[rows[here]]
    expected = reference.scaled_sweep(init, transition[None], local, None, np.array([0, length]), LOWEST)
    assert_same_counts(one_sequence(table_chain_segments, problem, 3, 3 + length), expected)


def log_problem(seed, n_states, lengths, categories, sparsity):
    problem = random_problem(seed, n_states, lengths, categories=categories, sparsity=sparsity)
    with np.errstate(divide="ignore"):
        return *(np.log(x) for x in problem[:3]), problem.rows, problem.offsets


def reference_paths(init, transition, evidence, rows, offsets):
    scores, paths = [], []
    for start, stop in itertools.pairwise(offsets):
        tables = np.broadcast_to(transition, (stop - start - 1, *transition.shape))
        local = evidence[start:stop] if rows is None else evidence[rows[start:stop]]
        alpha, _ = reference.log_sweep(init, tables, local, reference.maximum)
        score, path = reference.trace_back(alpha, tables)
        scores.append(score)
        paths.append(path)
    return np.array(scores), np.concatenate(paths)


@given(st.integers(0, 2**32), states, lengths, categories, sparsity)
def test_best_paths_of_many_sequences_are_the_references(seed, n_states, lengths, categories, sparsity):
    tables = log_problem(seed, n_states, lengths, categories, sparsity)
    init, transition, evidence, rows, offsets = tables
    path = np.full(offsets[-1], -1)
    index = NO_ROWS if rows is None else rows
    scores = table_chain_viterbi.many(
        init, transition, evidence, index, offsets[:-1], np.diff(offsets), path, False
    )
    expected, expected_path = reference_paths(*tables)
    assert np.array_equal(scores, expected)
    possible = np.repeat(np.isfinite(scores), np.diff(offsets))
    assert np.array_equal(path[possible], expected_path[possible])


@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(1, 60), categories)
def test_the_best_path_of_one_long_sequence_is_the_references(seed, n_states, length, categories):
    tables = log_problem(seed, n_states, [length], categories, 0.0)
    init, transition, evidence, rows, _ = tables
    path = np.full(length, -1)
    index = NO_ROWS if rows is None else rows
    score = table_chain_viterbi_long.one(init, transition, evidence, index, 0, length, path, False)
    expected, expected_path = reference_paths(*tables)
    assert score == expected[0]
    assert np.array_equal(path, expected_path)


def ties_of_rounded_tables(seed, n_states, length, categories):
    """Halves add up without rounding, so that many paths have the very same score."""
    rng = np.random.default_rng(seed)
    init, transition = -rng.integers(0, 3, n_states) / 2, -rng.integers(0, 3, (n_states, n_states)) / 2
    rows = None if categories is None else rng.integers(0, categories, length)
    evidence = -rng.integers(0, 3, (length if rows is None else categories, n_states)) / 2
    return init, transition, evidence, rows, np.array([0, length])


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 20), st.integers(1, 60), categories, st.booleans())
def test_a_best_path_from_both_ends_breaks_ties_as_the_reference(seed, n_states, length, categories, forbids):
    tables = ties_of_rounded_tables(seed, n_states, length, categories)
    init, transition, evidence, rows, _ = tables
    if forbids:
        transition[transition < -0.9] = -np.inf
    path = np.full(length, -1)
    index = NO_ROWS if rows is None else rows
    score = table_chain_viterbi_long.one(init, transition, evidence, index, 0, length, path, False)
    expected, expected_path = reference_paths(*tables)
    assert score == expected[0]
    if score > -np.inf:
        assert np.array_equal(path, expected_path)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(257, 900), categories)
def test_the_best_path_from_segments(seed, n_states, length, categories):
    """Categories make different paths of one score, between which only rounding decides."""
    tables = log_problem(seed, n_states, [length], categories, 0.0)
    init, transition, evidence, rows, _ = tables
    path = np.full(length, -1)
    index = NO_ROWS if rows is None else rows
    score, agreed = table_chain_viterbi_segments.one(
        init, transition, evidence, index, 0, length, path, False
    )
    expected, expected_path = reference_paths(*tables)
    assert score == pytest.approx(expected[0], rel=1e-13)
    if categories is None:
        assert agreed
        assert np.array_equal(path, expected_path)
    elif agreed:
        along = init[path[0]] + transition[path[:-1], path[1:]].sum() + evidence[rows, path].sum()
        assert along == pytest.approx(score, rel=1e-12)


SHAPES = [
    (2, [9000]),
    (3, [6000, 5, 5000]),
    (5, [30, 1, 2000] * 40),
    (8, [3000]),
    (20, [1500]),
    (20, [50] * 40),
]


@pytest.mark.parametrize(("n_states", "lengths"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_large_work_agrees_with_log_space(n_states, lengths, dtype):
    problem = random_problem(7, n_states, lengths, categories=5, dtype=dtype)
    counts = expected_counts(problem)
    logs = *(np.log(x.astype(np.float64)) for x in problem[:3]), problem.rows, problem.offsets
    alpha, beta = log_messages(*logs)
    log_z = np.logaddexp.reduce(alpha[problem.offsets[1:] - 1], axis=1)
    tolerance = 1e-9 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(counts.log_scale, log_z, rtol=tolerance)
    gamma = np.exp(alpha + beta - np.repeat(log_z, lengths)[:, None])
    np.testing.assert_allclose(counts.gamma, gamma, atol=tolerance)
    np.testing.assert_allclose(counts.xi.sum(), sum(lengths) - len(lengths), rtol=tolerance)
    by_row = np.stack([np.bincount(problem.rows, column, 5) for column in gamma.T], axis=1)
    np.testing.assert_allclose(counts.row_counts, by_row, rtol=10 * tolerance)
    assert counts.gamma.dtype == counts.xi.dtype == counts.log_scale.dtype == counts.row_counts.dtype == dtype


@pytest.mark.parametrize(("n_states", "lengths"), SHAPES)
def test_large_work_gives_the_same_bits_each_time_and_on_one_thread(n_states, lengths, monkeypatch):
    problem = random_problem(11, n_states, lengths)
    logs = *(np.log(x) for x in problem[:3]), problem.rows, problem.offsets
    monkeypatch.setattr(table_chain_large, "THREADED", 0)
    first, path = expected_counts(problem), best_path(*logs)
    again = expected_counts(problem)
    monkeypatch.setattr(table_chain_large, "THREADED", np.inf)
    monkeypatch.setattr(table_chain_long, "run_pair", lambda f, a, g, b: (f(*a), g(*b)))
    alone, path_alone = expected_counts(problem), best_path(*logs)
    for results in zip(first[:3], again[:3], alone[:3], strict=True):
        assert np.array_equal(results[0], results[1])
        assert np.array_equal(results[0], results[2])
    assert np.array_equal(path[0], path_alone[0])
    assert np.array_equal(path[1], path_alone[1])


@pytest.mark.parametrize(("n_states", "lengths"), SHAPES)
@pytest.mark.parametrize("lost", [False, True])
def test_sums_have_the_same_bits_without_marginals(n_states, lengths, lost):
    problem = random_problem(17, n_states, lengths, categories=5)
    if lost:
        problem.evidence[0] = 0.0
        problem.rows[: problem.offsets[-2]] = 1 + problem.rows[: problem.offsets[-2]] % 4
    counts, sums = expected_counts(problem), expected_counts(problem, want_gamma=False)
    assert sums.gamma is None
    for name in ("log_scale", "xi", "row_counts", "initial"):
        assert np.array_equal(getattr(counts, name), getattr(sums, name))
    assert counts.impossible == sums.impossible
    np.testing.assert_allclose(counts.initial, counts.gamma[problem.offsets[:-1]].sum(axis=0))


@pytest.mark.parametrize(("n_states", "lengths"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_forward_half_gives_the_scale_of_the_counts(n_states, lengths, dtype, monkeypatch):
    problem = random_problem(13, n_states, lengths, categories=5, dtype=dtype)
    problem.evidence[0] = 0.0
    problem.rows[: problem.offsets[-2]] = 1 + problem.rows[: problem.offsets[-2]] % 4
    scale = forward_scale(problem)
    assert scale.dtype == dtype
    np.testing.assert_allclose(
        scale, expected_counts(problem).log_scale, rtol=1e-11 if dtype == np.float64 else 1e-6
    )
    assert np.isneginf(scale[-1])
    assert np.isfinite(scale[:-1]).all()
    for threshold in (0, np.inf):
        monkeypatch.setattr(table_chain_large, "THREADED", threshold)
        assert np.array_equal(forward_scale(problem), scale)


@pytest.mark.parametrize("n_states", [2, 6, 12, 20])
@pytest.mark.parametrize("lengths", [[3000], [60] * 60])
def test_a_lost_scale_in_large_work_is_redone_in_log_space(n_states, lengths):
    """Somewhere the likely half of the states gets a hard zero, 800 nats above the others."""
    rng = np.random.default_rng(2)
    steps, half = sum(lengths), n_states // 2
    transition = np.full((n_states, n_states), -np.inf)
    transition[:half, :half], transition[half:, half:] = 0.0, 0.0
    evidence = rng.normal(size=(steps, n_states))
    evidence[0, half:] -= 800.0
    evidence[40, :half] = -np.inf
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    problem = with_logs(np.zeros(n_states), transition, evidence, offsets)
    counts = expected_counts(problem)
    alpha, beta = log_messages(*problem.logs, None, offsets)
    log_z = np.logaddexp.reduce(alpha[offsets[1:] - 1], axis=1)
    assert counts.impossible == []
    np.testing.assert_allclose(
        counts.gamma, np.exp(alpha + beta - np.repeat(log_z, lengths)[:, None]), atol=1e-10
    )
    np.testing.assert_allclose(counts.xi.sum(), steps - len(lengths))
    peaks = np.add.reduceat(evidence.max(axis=1), offsets[:-1])
    np.testing.assert_allclose(counts.log_scale + peaks, log_z, rtol=1e-10)
    assert not counts.gamma[:41, :half].any()
    np.testing.assert_allclose(forward_scale(problem), counts.log_scale, rtol=1e-12)


def test_a_path_with_ties_at_the_cuts_takes_the_lowest_states():
    """Segments that disagree about a tie give way to the sweep from end to end."""
    steps = 9000
    with np.errstate(divide="ignore"):
        transition = np.log(np.eye(3))
    evidence = np.zeros((steps, 3))
    evidence[::7] = -np.log([2.0, 2.0, 3.0])
    scores, path = best_path(np.zeros(3), transition, evidence, None, np.array([0, steps]))
    assert (path == path[0]).all()
    assert scores[0] == pytest.approx(evidence[:, path[0]].sum(), rel=1e-12)
    assert path[0] == 0
