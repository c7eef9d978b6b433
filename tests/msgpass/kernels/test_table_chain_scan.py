"""The scans over a chain of tables, tree and compiled blocks, against the sweeps that go step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import chain_reference, table_chain, table_chain_scan
from msgpass.kernels import table_chain_scan_reference as tree
from msgpass.kernels.table_chain import ChainProblem, _prepare
from msgpass.kernels.table_chain_scan_best import BestScan
from msgpass.kernels.table_chain_scan_blocks import Blocks, count_of
from msgpass.kernels.table_chain_types import LOST
from tests.msgpass.kernels.chain_models import enumerated, ragged, random_problem, with_logs
from tests.msgpass.kernels.test_table_chain import logs_of, path_score

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
F64 = LOST[np.dtype(np.float64)]

problems = st.builds(
    random_problem,
    st.integers(0, 2**32),
    st.integers(1, 5),
    ragged,
    categories=st.sampled_from([None, 3]),
    paired=st.booleans(),
    sparsity=st.sampled_from([0.0, 0.0, 0.3]),
)
paired = st.builds(
    random_problem,
    st.integers(0, 2**32),
    st.integers(1, 5),
    ragged,
    categories=st.sampled_from([None, 3]),
    paired=st.just(True),
    sparsity=st.sampled_from([0.0, 0.3]),
)
counts_of_blocks = st.integers(1, 40)


def check_counts(found, wanted):
    log_scale, gamma, xi, impossible = found
    np.testing.assert_allclose(log_scale, wanted.log_scale, **TOLERANCE)
    np.testing.assert_allclose(gamma, wanted.gamma, **TOLERANCE)
    np.testing.assert_allclose(xi.reshape(wanted.xi.shape), wanted.xi, **TOLERANCE)
    assert impossible == wanted.impossible


@pytest.mark.parametrize("reduce", [chain_reference.log_sum_exp, chain_reference.maximum])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 20])
def test_the_tree_sends_the_messages_of_a_sweep(reduce, length):
    rng = np.random.default_rng(length)
    tables = rng.normal(size=(length - 1, 3, 3))
    tables[rng.random(tables.shape) < 0.2] = -np.inf
    chain = rng.normal(size=3), tables, rng.normal(size=(length, 3)) * 300
    for found, wanted in zip(
        tree.log_sweep(*chain, reduce), chain_reference.log_sweep(*chain, reduce), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@given(problems)
def test_small_counts_are_those_of_a_sweep(problem):
    wanted, found = table_chain.expected_counts(problem), table_chain_scan.expected_counts(problem)
    check_counts((found.log_scale, found.gamma, found.xi, found.impossible), wanted)
    np.testing.assert_allclose(found.initial, wanted.initial, **TOLERANCE)
    if problem.rows is None:
        assert found.row_counts is None
    else:
        np.testing.assert_allclose(found.row_counts, wanted.row_counts, **TOLERANCE)


@settings(max_examples=150)
@given(paired, counts_of_blocks)
def test_blocks_count_what_a_sweep_counts(problem, blocks):
    found = table_chain_scan._blocked_counts(problem, _prepare(problem), F64, blocks)
    check_counts(found, table_chain.expected_counts(problem))


@given(problems, counts_of_blocks)
def test_blocks_send_the_log_messages_of_a_sweep(problem, blocks):
    logs = logs_of(problem)
    tables = _prepare(ChainProblem(*logs))
    for found, wanted in zip(
        table_chain_scan._blocked_messages(tables, blocks), table_chain.log_messages(*logs), strict=True
    ):
        np.testing.assert_allclose(found, wanted, **TOLERANCE)


@given(problems, counts_of_blocks)
def test_best_blocks_find_a_best_path(problem, blocks):
    logs = logs_of(problem)
    init, transition, evidence, rows, offsets = _prepare(ChainProblem(*logs))
    index = np.empty(0, np.int64) if rows is None else rows
    scan = BestScan(init, transition, evidence, index, offsets, blocks)
    for found, wanted in zip(scan.messages(), table_chain.log_messages(*logs, True), strict=True):
        np.testing.assert_allclose(found, wanted, **TOLERANCE)
    scores, path = BestScan(init, transition, evidence, index, offsets, blocks).path()
    wanted, _ = table_chain.best_path(*logs)
    np.testing.assert_allclose(scores, wanted, **TOLERANCE)
    for n, score in enumerate(scores):
        np.testing.assert_allclose(path_score(logs, path, n), score, **TOLERANCE)


@given(st.builds(random_problem, st.integers(0, 2**32), st.integers(1, 3), st.just([3, 1, 4])))
def test_enumeration_agrees(problem):
    log_z, gamma, xi, _ = enumerated(problem)
    found = table_chain_scan.expected_counts(problem)
    np.testing.assert_allclose(found.log_scale, log_z, **TOLERANCE)
    np.testing.assert_allclose(found.gamma, gamma, **TOLERANCE)
    np.testing.assert_allclose(found.xi, xi, **TOLERANCE)


def switching(length: int, gap: float) -> ChainProblem:
    """States that are never left, by step; evidence that prefers the second by ``gap`` nats, then the
    first."""
    log_transition = np.full((length - 1, 2, 2), -np.inf)
    log_transition[:, [0, 1], [0, 1]] = 0.0
    log_evidence = np.zeros((length, 2))
    log_evidence[: length // 2, 0] = -gap
    log_evidence[length // 2 :, 1] = -gap
    return with_logs(np.zeros(2), log_transition, log_evidence, [0, length])


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("gap", [1.0, 40.0, 800.0])
def test_states_that_never_meet_keep_their_scales(blocks, gap):
    """A block's rows are hundreds of nats apart, and so are messages; log space where a scale vanishes."""
    problem = switching(40, gap)
    found = table_chain_scan._blocked_counts(problem, _prepare(problem), F64, blocks)
    check_counts(found, table_chain.expected_counts(problem))


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_a_small_share_of_a_block_may_be_all_that_counts(blocks):
    """State 0 loses 200 nats in each of four steps, state 1 350 once; state 2, which is not there, none.

    No message vanishes, but the second row of a block's matrix does, though it is the larger one in the end.
    """
    log_evidence = np.zeros((50, 3))
    log_evidence[15:19, 0] = -200.0
    log_evidence[15, 1], log_evidence[18, 2] = -350.0, -np.inf
    stay = np.broadcast_to(np.where(np.eye(3) > 0, 0.0, -np.inf), (49, 3, 3))
    problem = with_logs(np.array([0.0, 0.0, -np.inf]), stay, log_evidence, [0, 50])
    found = table_chain_scan._blocked_counts(problem, _prepare(problem), F64, blocks)
    check_counts(found, table_chain.expected_counts(problem))


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_log_messages_hold_entries_that_linear_ones_cannot(seed, blocks):
    rng = np.random.default_rng(seed)
    logs = rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=(20, 3)) * 600
    tables = _prepare(ChainProblem(*logs, None, np.array([0, 12, 20])))
    wanted = table_chain.log_messages(*logs, None, np.array([0, 12, 20]))
    for found, by_step in zip(table_chain_scan._blocked_messages(tables, blocks), wanted, strict=True):
        np.testing.assert_allclose(found, by_step, rtol=1e-11)


@pytest.mark.parametrize("length", [60, 9000])
@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_hard_zeros_inside_a_block_need_no_log_space(blocks, length, monkeypatch):
    """Evidence rules out a state that is never left: rows of a block's matrix are exact zeros."""
    rng = np.random.default_rng(0)
    evidence = np.where(rng.random((length, 3)) < 0.4, -np.inf, rng.normal(size=(length, 3)))
    evidence[:, 0][np.isneginf(evidence[:, :2]).all(axis=1)] = 0.0
    transition = rng.normal(size=(length - 1, 3, 3))
    transition[:, 2, :2] = -np.inf
    problem = with_logs(np.zeros(3), transition, evidence, [0, length])
    wanted = table_chain.expected_counts(problem)
    monkeypatch.setattr(table_chain_scan, "counts_in_log_space", None)
    check_counts(table_chain_scan._blocked_counts(problem, _prepare(problem), F64, blocks), wanted)


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("step", [0, 1, 7, 8, 19])
def test_the_first_impossible_step_is_named(blocks, step):
    rng = np.random.default_rng(step)
    log_evidence = rng.normal(size=(25, 3))
    log_evidence[5 + step] = -np.inf
    problem = with_logs(np.zeros(3), rng.normal(size=(23, 3, 3)), log_evidence, [0, 5, 25])
    log_scale, gamma, xi, impossible = table_chain_scan._blocked_counts(
        problem, _prepare(problem), F64, blocks
    )
    assert impossible == [(1, step)]
    assert log_scale[1] == -np.inf and np.isfinite(log_scale[0])
    assert (gamma[5:] == 0).all() and (xi[4:] == 0).all()


@given(ragged, st.integers(1, 60))
def test_blocks_cover_every_pair_once(lengths, count):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = Blocks.cut(offsets, count).rows
    pairs = [(n, t) for n, first, last, *_ in rows for t in range(first + 1, last + 1)]
    wanted = [(n, t) for n, length in enumerate(lengths) for t in range(offsets[n] + 1, offsets[n] + length)]
    assert pairs == wanted
    opens, closes = rows[rows[:, 3] == 1], rows[rows[:, 4] == 1]
    assert opens[:, 1].tolist() == offsets[:-1].tolist()
    assert closes[:, 2].tolist() == (offsets[1:] - 1).tolist()


@given(ragged, st.integers(1, 60))
def test_chunks_hold_every_chosen_block_once(lengths, count):
    blocks = Blocks.cut(np.concatenate([[0], np.cumsum(lengths)]), count)
    chunks = blocks.chunks(blocks.opens)
    assert np.concatenate(chunks).tolist() == np.flatnonzero(blocks.opens).tolist()


def test_more_processors_than_states_cut_more_blocks():
    assert [count_of(2, p) for p in (1, 2, 3, 4, 8)] == [2, 2, 2, 4, 8]
    assert count_of(30, 8) == 2


@pytest.mark.parametrize(("n_states", "lengths"), [(4, [4000]), (3, [9000, 1, 4000]), (12, [300] * 3)])
@pytest.mark.parametrize("by_pair", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_large_work_agrees_with_the_sequential_kernels(n_states, lengths, by_pair, dtype):
    problem = random_problem(5, n_states, lengths, paired=by_pair, dtype=dtype)
    exact = 1e-9 if dtype is np.float64 else 2e-5
    wanted, found = table_chain.expected_counts(problem), table_chain_scan.expected_counts(problem)
    np.testing.assert_allclose(found.gamma, wanted.gamma, rtol=exact, atol=exact)
    np.testing.assert_allclose(found.xi, wanted.xi, rtol=exact * 10, atol=exact)
    np.testing.assert_allclose(found.log_scale, wanted.log_scale, rtol=exact)
    assert found.gamma.dtype == found.xi.dtype == dtype
    logs = logs_of(problem)
    for maximise in (False, True):
        for a, b in zip(
            table_chain_scan.log_messages(*logs, maximise),
            table_chain.log_messages(*logs, maximise),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=exact, atol=exact)
    scores, path = table_chain_scan.best_path(*logs)
    best, best_path = table_chain.best_path(*logs)
    np.testing.assert_allclose(scores, best, rtol=exact)
    np.testing.assert_array_equal(path, best_path)
