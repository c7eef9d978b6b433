"""stationary_lqr: scipy's Riccati solver, the long finite horizon, rates, and problems without a solution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control import LinearQuadratic, lqr, stationary_lqr
from rnn.systems.control.structure import stuck_modes
from tests.rnn.systems.control.lq_models import positive


@st.composite
def stationary_problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 2))
    joint = positive(rng, n + m)
    A = rng.normal(size=(n, n)) * draw(st.sampled_from([0.3, 1.0]))
    cross = {"N": joint[:n, n:]} if draw(st.booleans()) else {}
    linear = {"q": rng.normal(size=n), "r": rng.normal(size=m), "b": rng.normal(size=n)}
    return LinearQuadratic(
        A,
        rng.normal(size=(n, m)),
        joint[:n, :n],
        joint[n:, n:],
        **cross,
        **draw(st.sampled_from([{}, linear])),
    )


@given(stationary_problems())
def test_fixed_point_is_scipys(problem):
    found = stationary_lqr(problem)
    P = solve_discrete_are(problem.A, problem.B, problem.Q, problem.R, s=problem.N)
    np.testing.assert_allclose(found.P, P, rtol=1e-6, atol=1e-7 * np.abs(P).max())
    gain = np.linalg.solve(problem.R + problem.B.T @ P @ problem.B, problem.B.T @ P @ problem.A + problem.N.T)
    np.testing.assert_allclose(found.gain, gain, rtol=1e-5, atol=1e-6 * max(1, np.abs(gain).max()))
    assert found.radius < 1 and found.residual < 1e-9


@given(stationary_problems())
def test_it_is_the_limit_of_long_horizons(problem):
    found = stationary_lqr(problem)
    if found.radius > 0.9:
        return
    long = lqr(problem, 250)
    np.testing.assert_allclose(long.policy.gain[0], found.gain, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(long.policy.feedforward[0], found.feedforward, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(long.cost_to_go.p[0], found.p, rtol=1e-6, atol=1e-7 * np.abs(found.P).max())


@given(stationary_problems())
def test_rate_is_what_a_step_costs_in_the_long_run(problem):
    found = stationary_lqr(problem)
    rest, held = found.equilibrium
    np.testing.assert_allclose(problem.A @ rest + problem.B @ held + problem.b, rest, atol=1e-7)
    # One step more of horizon costs one rate more.
    ahead = found.over(2)
    more = np.diff(ahead.cost_to_go.constant)
    np.testing.assert_allclose(more, -found.rate, rtol=1e-6, atol=1e-6 * max(1, np.abs(found.P).max()))


def test_rate_with_noise_is_that_of_the_stationary_covariance(rng):
    A, B = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    joint, W = positive(rng, 5), positive(rng, 3)
    problem = LinearQuadratic(A, B, joint[:3, :3], joint[3:, 3:], joint[:3, 3:])
    found = stationary_lqr(problem, noise=W)
    spread = solve_discrete_lyapunov(found.closed_loop, W)
    policy = np.vstack([np.eye(3), -found.gain])
    assert found.rate == pytest.approx(0.5 * np.trace(joint @ policy @ spread @ policy.T), rel=1e-9)


def test_reference_numbers():
    assert stationary_lqr(LinearQuadratic(1, 1, 1, 1)).P.item() == pytest.approx(1.6180339887, abs=1e-10)
    integrator = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    np.testing.assert_allclose(stationary_lqr(integrator).gain, [[0.9170746, 1.6355962]], atol=1e-7)


def test_slow_modes_take_few_runs():
    """A mode that needs 10⁵ steps of the recursion."""
    problem = LinearQuadratic(1.0, 1.0, 1e-10, 1.0)
    found = stationary_lqr(problem)
    assert found.doublings < 30
    np.testing.assert_allclose(
        found.P, solve_discrete_are(problem.A, problem.B, problem.Q, problem.R), rtol=1e-8
    )


def test_rollout_costs_what_the_cost_to_go_says():
    found = stationary_lqr(LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0))
    path = found.rollout([1, 0], 30)
    assert path.cost == pytest.approx(0.5 * found.P[0, 0], rel=1e-12)
    np.testing.assert_allclose(path.inputs[3], found(path.states[3]))


def test_a_mode_out_of_reach():
    A = np.diag([1.2, 0.5])
    with pytest.raises(NumericalError, match=r"not stabilisable: no control acts on .* eigenvalue 1\.2"):
        stationary_lqr(LinearQuadratic(A, [0, 1], np.eye(2), 1.0))
    assert stationary_lqr(LinearQuadratic(A, [1, 0], np.eye(2), 1.0)).radius < 1


def test_a_mode_that_costs_nothing():
    A = np.diag([1.0, 0.5])
    with pytest.raises(NumericalError, match=r"not detectable: no cost .* eigenvalue 1"):
        stationary_lqr(LinearQuadratic(A, np.eye(2), np.diag([0.0, 1.0]), np.eye(2)))
    unseen = stationary_lqr(LinearQuadratic(A / 2, np.eye(2), np.zeros((2, 2)), np.eye(2)))
    np.testing.assert_array_equal(unseen.gain, np.zeros((2, 2)))


def test_modes_in_other_coordinates(rng):
    change = rng.normal(size=(4, 4))
    A = change @ np.diag([1.5, -1.1, 0.9, 0.2]) @ np.linalg.inv(change)
    B = change @ np.array([[1.0], [0.0], [1.0], [0.0]])
    np.testing.assert_allclose(stuck_modes(A, B), [-1.1], rtol=1e-9)
    assert not stuck_modes(A, change @ np.array([[1.0], [1.0], [0.0], [0.0]])).size


def test_no_bound_below():
    with pytest.raises(NumericalError):
        stationary_lqr(LinearQuadratic(1.0, 1.0, -0.5, 1.0))


def test_nothing_may_change_with_time():
    with pytest.raises(ShapeError, match="arrays have 5 steps"):
        stationary_lqr(LinearQuadratic(np.ones((5, 1, 1)), 1.0, 1.0, 1.0))
    for W in (np.ones((3, 1, 1)), np.ones((1, 1, 1))):
        with pytest.raises(ShapeError, match="noise has shape"):
            stationary_lqr(LinearQuadratic(1.0, 1.0, 1.0, 1.0), noise=W)
    with pytest.raises(DataError, match="tol must be"):
        stationary_lqr(LinearQuadratic(1.0, 1.0, 1.0, 1.0), tol=np.nan)
