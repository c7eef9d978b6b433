"""lqg: the average cost against the closed loop's own covariances, separation, the filter, the infinite
horizon.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control import LinearQuadratic, lqg, lqr, stationary_lqg
from tests.rnn.systems.control.lq_models import positive, problems


@st.composite
def seen_problems(draw):
    """(problem, horizon, C, W, V, mean, cov)."""
    problem, T, mean = draw(problems())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = problem.states, draw(st.integers(1, 3))
    lead = (T,) if draw(st.booleans()) else ()
    W, V = positive(rng, n, lead), positive(rng, p, lead)
    if draw(st.booleans()):
        W = np.zeros_like(W)
        W[..., 0, 0] = 0.5  # singular
    return problem, T, rng.normal(size=(*lead, p, n)), W, V, mean, positive(rng, n)


def exact_cost(controller):
    """The average cost from first and second moments of (state, prediction), step by step."""
    s, o, e = controller.regulator.stages, controller.observer, controller.estimator
    n, T = len(o.mean), s.horizon
    K, k = controller.regulator.policy
    mean = np.concatenate([o.mean, o.mean])
    second = np.zeros((2 * n, 2 * n))
    second[:n, :n] = o.cov
    total = 0.0

    def at(M, t):
        return M[t % len(M)]

    def quadratic(M, m, S):
        return 0.5 * (m @ M @ m + np.trace(M @ S))

    for t in range(T):
        A, B, b, C = (at(M, t) for M in (s.A, s.B, s.b, o.C))
        L, rest = e.gain[t], np.eye(n) - e.gain[t] @ C
        # estimate = rest @ prediction + L C x + L v; u = k − K estimate
        estimate = np.hstack([L @ C, rest])
        path = np.vstack([np.hstack([np.eye(n), np.zeros((n, n))]), -K[t] @ estimate])
        shift = np.concatenate([np.zeros(n), k[t]])
        through = np.vstack([np.zeros((n, L.shape[1])), -K[t] @ L])
        m = path @ mean + shift
        S = path @ second @ path.T + through @ at(o.V, t) @ through.T
        joint = np.block([[at(s.Q, t), at(s.N, t)], [at(s.N, t).T, at(s.R, t)]])
        total += quadratic(joint, m, S) + np.concatenate([at(s.q, t), at(s.r, t)]) @ m
        move = np.vstack(
            [np.hstack([A, np.zeros((n, n))]) - B @ K[t] @ estimate, A @ estimate - B @ K[t] @ estimate]
        )
        noise = np.vstack([-B @ K[t] @ L, (A - B @ K[t]) @ L])
        second = move @ second @ move.T + noise @ at(o.V, t) @ noise.T
        second[:n, :n] += at(o.W, t)
        mean = move @ mean + np.tile(b + B @ k[t], 2)
    return total + quadratic(s.Q_final, mean[:n], second[:n, :n]) + s.q_final @ mean[:n]


@given(seen_problems())
def test_average_cost_is_that_of_the_closed_loop(case):
    problem, horizon, *rest = case
    controller = lqg(problem, *rest, horizon=horizon)
    wanted = exact_cost(controller)
    assert controller.expected_cost.total == pytest.approx(wanted, rel=1e-7, abs=1e-7)


@given(seen_problems())
def test_separation(case):
    """Costs do not change the filter, noise does not change the regulator; other gains cost more."""
    problem, horizon, C, W, V, mean, cov = case
    controller = lqg(problem, C, W, V, mean, cov, horizon=horizon)
    np.testing.assert_array_equal(controller.regulator.policy.gain, lqr(problem, horizon).policy.gain)
    best, rng = exact_cost(controller), np.random.default_rng(0)
    for name in ("K", "L"):
        policy, filter_ = controller.regulator.policy, controller.estimator
        if name == "K":
            policy = policy._replace(gain=policy.gain + 0.05 * rng.normal(size=policy.gain.shape))
        else:
            filter_ = filter_._replace(gain=filter_.gain + 0.05 * rng.normal(size=filter_.gain.shape))
        regulator = type(controller.regulator)(
            policy, controller.regulator.cost_to_go, controller.regulator.stages, mean
        )
        worse = exact_cost(type(controller)(regulator, filter_, controller.observer))
        assert worse >= best - 1e-9 * max(1, abs(best))


@given(seen_problems())
def test_estimates_step_by_step_are_messages_over_the_record(case):
    problem, horizon, *rest = case
    controller = lqg(problem, *rest, horizon=horizon)
    found = controller.simulate(np.random.default_rng(1))
    m = controller.filter(found.measurements, found.rollout.inputs)
    np.testing.assert_allclose(found.estimates, m.forward["x"].mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(controller.estimator.filtered, m.forward["x"].cov, rtol=1e-6, atol=1e-8)


def double_integrator():
    return LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)


def test_simulations_cost_what_is_expected(rng):
    controller = lqg(double_integrator(), [1, 0], 0.01 * np.eye(2), 0.04, [1, 0], 0.1 * np.eye(2), horizon=30)
    costs = controller.simulate(rng, 4000).rollout.costs.sum(axis=1)
    error = costs.std() / np.sqrt(len(costs))
    assert abs(costs.mean() - controller.expected_cost.total) < 4 * error


def test_seeing_everything_costs_nothing_more():
    blind = lqg(double_integrator(), np.eye(2), np.eye(2), 1e-10 * np.eye(2), [1, 0], np.eye(2), horizon=10)
    assert blind.expected_cost.estimation == pytest.approx(0, abs=1e-8)


def test_exact_measurements_are_legitimate():
    """V = 0: the position is known at every step."""
    controller = lqg(double_integrator(), [1, 0], np.eye(2), 0.0, [1, 0], np.eye(2), horizon=5)
    np.testing.assert_allclose(controller.estimator.filtered[:, 0], 0, atol=1e-12)
    assert controller.expected_cost.total == pytest.approx(exact_cost(controller))
    with pytest.raises(NumericalError, match="known beforehand"):
        lqg(double_integrator(), [1, 0], np.eye(2), 0.0, [1, 0], np.zeros((2, 2)), horizon=5)


def test_missing_measurements_are_for_the_record():
    controller = lqg(double_integrator(), [1, 0], np.eye(2), 1.0, [1, 0], np.eye(2), horizon=5)
    with pytest.raises(DataError, match=r"Controller\.filter"):
        controller.update(0, [1, 0], [np.nan])
    y = np.ones((5, 1))
    y[2] = np.nan
    cov = controller.filter(y, np.zeros((5, 1))).forward["x"].cov
    assert cov[2, 0, 0] > controller.estimator.filtered[2, 0, 0]
    with pytest.raises(ShapeError, match="y and inputs"):
        controller.filter(y[:3], np.zeros((5, 1)))


def test_stationary_is_scipys_and_the_long_runs(rng):
    A, B, C = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    joint, W, V = positive(rng, 5), positive(rng, 3), positive(rng, 2)
    problem = LinearQuadratic(A, B, joint[:3, :3], joint[3:, 3:], joint[:3, 3:])
    found = stationary_lqg(problem, C, W, V)
    np.testing.assert_allclose(found.predicted, solve_discrete_are(A.T, C.T, W, V), rtol=1e-8)
    long = lqg(problem, C, W, V, np.zeros(3), np.eye(3), horizon=200)
    np.testing.assert_allclose(long.estimator.gain[-1], found.gain, rtol=1e-8)
    np.testing.assert_allclose(long.estimator.filtered[-1], found.filtered, rtol=1e-8)
    # (state, error of the prediction) is driven by the disturbance in both and the measurement's noise.
    L, K = found.gain, found.regulator.gain
    noise = np.block([[W, W], [W, W]])
    seen = np.vstack([-B @ K @ L, -A @ L])
    spread = solve_discrete_lyapunov(found.closed_loop, noise + seen @ V @ seen.T)
    path = np.block([[np.eye(3), np.zeros((3, 3))], [-K, K @ (np.eye(3) - L @ C)]])
    through = np.vstack([np.zeros((3, 2)), -K @ L])
    S = path @ spread @ path.T + through @ V @ through.T
    assert found.rate == pytest.approx(0.5 * np.trace(joint @ S), rel=1e-8)


def test_what_cannot_be_seen():
    problem = LinearQuadratic(np.diag([1.1, 0.5]), np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(NumericalError, match=r"the filter does not settle.*1\.1"):
        stationary_lqg(problem, [0, 1], np.eye(2), 1.0)


def test_sizes_and_seeds():
    problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    controller = lqg(problem, [1, 0], np.eye(2), 0.1, [0, 0], np.eye(2), 5)
    with pytest.raises(ShapeError, match="a measurement have shapes"):
        controller.update(0, [0, 0], [1, 2])
    with pytest.raises(ShapeError, match="count must be"):
        controller.simulate(0, 0)
    one, other = controller.simulate(3), controller.simulate(np.random.default_rng(3))
    np.testing.assert_array_equal(one.rollout.states, other.rollout.states)
    with pytest.raises(ShapeError, match="may not change with time"):
        stationary_lqg(problem, [1, 0], np.tile(np.eye(2), (5, 1, 1)), 0.1)
