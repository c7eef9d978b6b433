"""Segments that forget where they began: as one sweep where they meet, nothing where they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import chain_reference as reference
from msgpass.kernels import table_chain_lanes, table_chain_large, table_chain_long, table_chain_tiles
from msgpass.kernels import table_chain_meeting as meeting
from msgpass.kernels.table_chain import expected_counts, forward_scale
from msgpass.kernels.table_chain_types import LN2, LOST
from tests.msgpass.kernels.chain_models import random_problem

LOWEST = LOST[np.dtype(np.float64)]
NO_ROWS = np.empty(0, np.int64)
FAMILIES = [table_chain_lanes, table_chain_tiles]


def sticky(problem, stay):
    """The same chain with a transition that mixes by 1 − ``stay`` a step or more."""
    n_states = len(problem.init)
    mixing = 0.3 + 0.7 * problem.transition
    return problem._replace(transition=stay * np.eye(n_states) + (1 - stay) * mixing / mixing.sum(1).max())


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12)
@given(st.integers(0, 2**32), st.integers(3, 20), st.integers(2100, 4000), st.sampled_from([None, 3]))
def test_segments_that_meet_are_the_reference(family, seed, n_states, length, categories):
    n_states += n_states == 4  # four states have a sweep of their own that keeps no outgoing messages
    problem = random_problem(seed, n_states, [3, length, 2], categories=categories)
    init, transition, evidence, rows, _, _ = problem
    transition = 0.3 + 0.7 * transition  # forgets quickly
    here, index = slice(3, 3 + length), NO_ROWS if rows is None else rows
    local = evidence[here] if rows is None else evidence[rows[here]]
    want = reference.scaled_sweep(init, transition[None], local, None, np.array([0, length]), LOWEST)
    gamma = np.full((length + 5, n_states), np.nan)
    sums = () if rows is None else (np.zeros(evidence.shape), np.zeros(n_states))
    tables = family, init, transition, evidence, index, 3, 3 + length, LOWEST
    found = meeting.one(*tables, gamma, False, *sums)
    assert found is not None
    log_z = np.log(want[0][0]) + want[1][0] * LN2
    assert np.log(found[0]) + found[1] * LN2 == pytest.approx(log_z, rel=1e-12)
    np.testing.assert_allclose(found[2], want[3][0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gamma[here], want[2], atol=1e-12)
    assert np.isnan(gamma[:3]).all()
    assert np.isnan(gamma[3 + length :]).all()
    alone = meeting.scale(*tables, False)
    assert np.log(alone[0]) + alone[1] * LN2 == pytest.approx(log_z, rel=1e-12)
    if rows is not None:
        by_row = np.stack([np.bincount(rows[here], column, len(evidence)) for column in want[2].T], axis=1)
        np.testing.assert_allclose(sums[0], by_row, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(sums[1], want[2][0], atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_does_not_forget_is_left_alone(family):
    problem = sticky(random_problem(3, 6, [4000], categories=4), 1.0)
    init, transition, evidence, rows, _, _ = problem
    sums = np.zeros(evidence.shape), np.zeros(6)
    tables = family, init, transition, np.ones_like(evidence), rows, 0, 4000, LOWEST
    assert meeting.one(*tables, np.empty((0, 6)), False, *sums) is None
    assert meeting.scale(*tables, False) is None
    assert not sums[0].any()
    assert not sums[1].any()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("window", [2, 8])
def test_a_window_that_is_too_short_is_found_out(family, window, monkeypatch):
    """Whatever the trial said, segments that have not met are not used."""
    problem = sticky(random_problem(5, 7, [4000], categories=4), 0.2)
    init, transition, evidence, rows, _, _ = problem
    tables = family, init, transition, evidence, rows, 0, 4000, LOWEST
    assert meeting.one(*tables, np.empty((4000, 7)), False) is not None
    monkeypatch.setattr(meeting, "_window", lambda *_: window)
    assert meeting.one(*tables, np.empty((4000, 7)), False) is None
    assert meeting.scale(*tables, False) is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("at", [0, 1234, 3999])
def test_impossible_evidence_does_not_meet(family, at):
    problem = random_problem(7, 6, [4000])
    problem.evidence[at] = 0.0
    tables = family, *problem[:3], NO_ROWS, 0, 4000, LOWEST
    assert meeting.one(*tables, np.empty((4000, 6)), False) is None
    assert meeting.scale(*tables, False) is None


@pytest.mark.parametrize("n_states", [6, 12, 18, 70])
@pytest.mark.parametrize("stay", [0.0, 0.9999])
def test_large_work_that_meets_or_does_not(n_states, stay, monkeypatch):
    """Both give what both ends give, with or without γ, the same bits each time and on one thread."""
    length = 33_000 if n_states < 64 else 8200
    problem = sticky(random_problem(9, n_states, [length, 5], categories=6), stay)
    counts, sums = expected_counts(problem), expected_counts(problem, want_gamma=False)
    monkeypatch.setattr(table_chain_large, "THREADED", np.inf)
    monkeypatch.setattr(table_chain_long, "run_pair", lambda f, a, g, b: (f(*a), g(*b)))
    alone = expected_counts(problem)
    for name in ("log_scale", "xi", "row_counts", "initial"):
        assert np.array_equal(getattr(counts, name), getattr(sums, name))
        assert np.array_equal(getattr(counts, name), getattr(alone, name))
    scale = forward_scale(problem)
    monkeypatch.setattr(table_chain_large, "_may_meet", lambda *_: False)
    exact = expected_counts(problem)
    np.testing.assert_allclose(counts.gamma, exact.gamma, atol=1e-11)
    np.testing.assert_allclose(counts.xi, exact.xi, rtol=1e-8)
    np.testing.assert_allclose(counts.row_counts, exact.row_counts, rtol=1e-9)
    np.testing.assert_allclose(counts.log_scale, exact.log_scale, rtol=1e-12)
    np.testing.assert_allclose(scale, exact.log_scale, rtol=1e-12)
