"""The public sweeps over a chain of discrete tables, against enumeration and in their hard cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.kernels import chain_reference, policy
from msgpass.kernels.table_chain import ChainProblem, best_path, expected_counts, forward_scale, log_messages
from tests.msgpass.kernels.chain_models import enumerated, random_problem, with_logs

TOLERANCE = {np.float64: 1e-11, np.float32: 2e-5}


def logs_of(problem: ChainProblem) -> tuple:
    with np.errstate(divide="ignore"):
        return *(np.log(x) for x in problem[:3]), problem.rows, problem.offsets


small = st.builds(
    random_problem,
    st.integers(0, 2**32),
    st.integers(1, 3),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    categories=st.sampled_from([None, 2]),
    paired=st.booleans(),
    sparsity=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from([np.float64, np.float32]),
)


@given(small)
def test_expected_counts_are_those_of_enumeration(problem):
    dtype, tolerance = problem.evidence.dtype, TOLERANCE[problem.evidence.dtype.type]
    log_z, gamma, xi, _ = enumerated(problem)
    counts = expected_counts(problem)
    np.testing.assert_allclose(counts.log_scale, log_z, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(counts.gamma, gamma, atol=tolerance)
    np.testing.assert_allclose(counts.xi, xi, atol=tolerance)
    np.testing.assert_allclose(forward_scale(problem), log_z, rtol=tolerance, atol=tolerance)
    assert counts.gamma.dtype == counts.xi.dtype == counts.log_scale.dtype == dtype
    if problem.rows is None:
        assert counts.row_counts is None
    else:
        expected = [gamma[problem.rows == r].sum(axis=0) for r in range(len(problem.evidence))]
        np.testing.assert_allclose(counts.row_counts, expected, atol=tolerance)
    assert [n for n, _ in counts.impossible] == list(np.flatnonzero(np.isneginf(log_z)))


@given(small)
def test_log_messages_meet_in_log_z_at_every_step(problem):
    tolerance = TOLERANCE[problem.evidence.dtype.type]
    log_z, gamma, _, _ = enumerated(problem)
    alpha, beta = log_messages(*logs_of(problem))
    assert alpha.dtype == beta.dtype == problem.evidence.dtype
    with np.errstate(divide="ignore"):
        both = np.logaddexp.reduce(alpha.astype(float) + beta, axis=1)
    repeated = np.repeat(log_z, np.diff(problem.offsets))
    np.testing.assert_allclose(both, repeated, rtol=tolerance, atol=tolerance)
    possible = np.isfinite(repeated)
    marginals = np.exp((alpha.astype(float) + beta)[possible] - repeated[possible, None])
    np.testing.assert_allclose(marginals, gamma[possible], atol=tolerance)


def path_score(logs: tuple, path: np.ndarray, n: int) -> float:
    """Log potential of a path through sequence n."""
    init, transition, evidence, rows, offsets = logs
    start, stop = offsets[n], offsets[n + 1]
    score = init[path[start]]
    for t in range(start, stop):
        if t > start:
            table = transition if transition.ndim == 2 else transition[t - 1 - n]
            score += table[path[t - 1], path[t]]
        score += evidence[t if rows is None else rows[t], path[t]]
    return score


@given(small)
def test_best_path_has_the_best_score_of_enumeration(problem):
    logs = logs_of(problem)
    scores, path = best_path(*logs)
    best = enumerated(problem)[3]
    for n, score in enumerate(scores):
        reference = path_score(logs, best, n)
        assert score == pytest.approx(reference, rel=1e-5)
        assert path_score(logs, path, n) == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("n_states", [2, 5, 40])
@pytest.mark.parametrize("lengths", [[7], [3000], [40] * 40])
def test_ties_go_to_the_lowest_state(n_states, lengths):
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    evidence = np.zeros((offsets[-1], n_states))
    evidence[:, 0] = -1.0
    scores, path = best_path(np.zeros(n_states), np.zeros((n_states, n_states)), evidence, None, offsets)
    assert (path == 1).all()
    assert (scores == 0).all()


def test_a_vanishing_scale_is_redone_in_log_space():
    """States 0 and 1 are 800 nats apart, and a hard zero forces the less likely one."""
    with np.errstate(divide="ignore"):
        transition = np.log([[1.0, 0.0], [0.0, 1.0]])
    evidence = np.array([[0.0, -800.0], [-np.inf, 0.0], [0.0, -3.0]])
    problem = with_logs(np.log([0.5, 0.5]), transition, evidence, [0, 3])
    counts = expected_counts(problem)
    assert counts.log_scale[0] == pytest.approx(-803.0)
    np.testing.assert_allclose(counts.gamma, [[0, 1]] * 3)
    np.testing.assert_allclose(counts.xi, [[0, 0], [0, 2]])
    assert forward_scale(problem)[0] == pytest.approx(-803.0)
    assert counts.impossible == []


@pytest.mark.parametrize("repeats", [1, 3000])
def test_a_vanishing_scale_among_many_sequences(repeats):
    with np.errstate(divide="ignore"):
        transition = np.log([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
    hard = np.array([[0.0, -800.0, -np.inf], [-np.inf, 0.0, -900.0], [0.0, -3.0, -np.inf]])
    easy = np.array([[0.0, -1.0, -2.0], [-1.0, 0.0, -1.0]])
    evidence = np.concatenate([easy, hard, easy] * repeats)
    offsets = np.concatenate(([0], np.cumsum([2, 3, 2] * repeats)))
    problem = with_logs(np.log([0.5, 0.4, 0.1]), transition, evidence, offsets)
    counts = expected_counts(problem)
    alpha, beta = log_messages(*problem.logs, None, problem.offsets)
    joint = alpha + beta
    log_z = np.logaddexp.reduce(joint, axis=1)
    np.testing.assert_allclose(counts.gamma, np.exp(joint - log_z[:, None]), atol=1e-12)
    np.testing.assert_allclose(counts.xi.sum(), 4 * repeats)
    peaks = np.log(0.5) + np.zeros(3 * repeats)
    np.testing.assert_allclose(counts.log_scale + peaks, log_z[problem.offsets[:-1]], rtol=1e-12)


@pytest.mark.parametrize("lengths", [[4, 5, 3], [4, 5, 3] * 2000, [4000, 5000, 3]])
def test_impossible_sequences_are_named_with_their_first_impossible_step(lengths):
    problem = random_problem(1, 3, lengths)
    problem.evidence[problem.offsets[1] + 2] = 0.0
    counts = expected_counts(problem)
    assert np.isneginf(counts.log_scale[1])
    assert np.isfinite(np.delete(counts.log_scale, 1)).all()
    assert counts.impossible == [(1, 2)]
    assert not counts.gamma[problem.offsets[1] : problem.offsets[2]].any()
    np.testing.assert_allclose(counts.xi.sum(), sum(lengths) - len(lengths) - lengths[1] + 1)


def test_sharp_evidence_on_a_long_chain_stays_finite():
    rng = np.random.default_rng(5)
    steps, n_states = 10_000, 100
    evidence = 100.0 * np.log(rng.dirichlet(np.ones(n_states), steps))
    problem = with_logs(
        np.zeros(n_states), np.log(rng.dirichlet(np.ones(n_states), n_states)), evidence, [0, steps]
    )
    counts = expected_counts(problem)
    assert np.isfinite(counts.log_scale).all()
    np.testing.assert_allclose(counts.gamma.sum(axis=1), 1.0)
    np.testing.assert_allclose(counts.xi.sum(), steps - 1)


@pytest.mark.parametrize("n_states", [2, 9])
def test_the_switch_to_the_kernel_cannot_be_seen(n_states, monkeypatch):
    problem = random_problem(3, n_states, [30, 1, 17], categories=4)
    results = []
    for prefer in (False, True):
        monkeypatch.setattr(policy, "prefer_kernel", lambda *_, prefer=prefer: prefer)
        monkeypatch.setattr(policy, "_loaded", {"table_chain_scalar"} if prefer else set())
        results.append(expected_counts(problem))
    for left, right in zip(*results, strict=True):
        assert np.array_equal(left, right)


def test_the_kernel_is_loaded_once_enough_small_work_has_come_by(monkeypatch):
    monkeypatch.setattr(policy, "_spent", {})
    monkeypatch.setattr(policy, "_loaded", set())
    monkeypatch.setattr(policy, "_on_disk", lambda module: False)
    answers = [policy.prefer_kernel(100, 4) for _ in range(30)]
    assert answers == sorted(answers)
    assert not answers[0]
    assert answers[-1]
    assert policy.loaded() == {"table_chain_scalar"}


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 9))
def test_the_reference_reductions_agree_with_their_definitions(seed, n_states, length):
    values = np.random.default_rng(seed).normal(size=(length, n_states)) * 30
    np.testing.assert_allclose(chain_reference.log_sum_exp(values, 0), np.logaddexp.reduce(values, axis=0))
    assert np.array_equal(chain_reference.maximum(values, 1), values.max(axis=1))
