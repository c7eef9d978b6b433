"""lqr: dense quadratic programs, the principle of optimality, published numbers, errors."""

import numpy as np
import pytest
from hypothesis import given

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control import LinearQuadratic, lqr
from tests.rnn.systems.control.lq_models import dense, problems


@given(problems())
def test_controls_solve_the_dense_program(case):
    problem, horizon, start = case
    regulator = lqr(problem, horizon)
    path = regulator.rollout(start)
    H, g, c = dense(regulator.stages, start)
    best = -np.linalg.solve(H, g)
    np.testing.assert_allclose(path.inputs.ravel(), best, rtol=1e-6, atol=1e-7)
    assert path.cost == pytest.approx(c + 0.5 * g @ best, rel=1e-9, abs=1e-8)
    assert regulator.cost_to_go(0, start) == pytest.approx(path.cost, rel=1e-9, abs=1e-8)


@given(problems())
def test_cost_to_go_is_that_of_the_rest(case):
    """From every state that a disturbed path visits, not from the start alone."""
    problem, horizon, start = case
    regulator = lqr(problem, horizon)
    noise = np.random.default_rng(0).normal(size=(horizon, problem.states))
    path = regulator.rollout(start, noise)
    for t in range(horizon + 1):
        ahead = noise.copy()
        ahead[t:] = 0
        rest = regulator.rollout(start, ahead)
        np.testing.assert_allclose(rest.states[t], path.states[t], atol=1e-12)
        wanted = rest.costs[t:].sum()
        assert regulator.cost_to_go(t, path.states[t]) == pytest.approx(wanted, rel=1e-8, abs=1e-8)


@given(problems())
def test_belief_is_the_optimal_path(case):
    problem, horizon, start = case
    regulator = lqr(problem, horizon, start)
    np.testing.assert_allclose(
        regulator.messages.belief["x"].mean, regulator.rollout(start).states, rtol=1e-7, atol=1e-8
    )


@given(problems())
def test_total_is_minus_cost_and_a_volume(case):
    """log Z = −J* − ½ Σ log det(R + BᵀPB)/det R + ½ Σ rᵀR⁻¹r: the last is the square that was completed."""
    problem, horizon, start = case
    regulator = lqr(problem, horizon, start)
    s, P = regulator.stages, regulator.cost_to_go.P[1:]
    Quu = s.R + np.swapaxes(s.B, -1, -2) @ P @ s.B
    volume = (np.linalg.slogdet(Quu)[1] - np.linalg.slogdet(s.R)[1]).sum()
    square = np.broadcast_to(
        np.einsum("ti,ti->t", s.r, np.linalg.solve(s.R, s.r[..., None])[..., 0]), horizon
    ).sum()
    wanted = -regulator.rollout(start).cost - 0.5 * volume - 0.5 * square
    assert regulator.messages.total == pytest.approx(wanted, rel=1e-8, abs=1e-7)


def test_tracking_is_least_squares(rng):
    A, B, C = rng.normal(size=(3, 3)) / 2, rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    states, inputs = rng.normal(size=(8, 2)), rng.normal(size=(7, 2))
    Q, R, start = np.diag([2.0, 3.0]), np.diag([0.5, 0.7]), rng.normal(size=3)
    problem = LinearQuadratic.tracking(A, B, Q, R, states, inputs, C=C, Q_final=5 * Q)
    path = lqr(problem).rollout(start)

    def squares(U):
        U, x, total = U.reshape(7, 2), start, 0.0
        for t in range(7):
            e, d = C @ x - states[t], U[t] - inputs[t]
            total += 0.5 * e @ Q @ e + 0.5 * d @ R @ d
            x = A @ x + B @ U[t]
        e = C @ x - states[-1]
        return total + 2.5 * e @ Q @ e

    best = squares(path.inputs)
    constant = 0.5 * np.einsum("ti,ij,tj->", states[:-1], Q, states[:-1])
    constant += 0.5 * np.einsum("ti,ij,tj->", inputs, R, inputs) + 2.5 * states[-1] @ Q @ states[-1]
    assert best == pytest.approx(path.cost + constant, rel=1e-10)
    for direction in np.eye(14):
        slope = (squares(path.inputs.ravel() + direction) - squares(path.inputs.ravel() - direction)) / 2
        assert slope == pytest.approx(0, abs=1e-8)


def test_a_reached_reference_costs_nothing():
    A, B = np.array([[1, 0.1], [0, 1]]), np.array([0.005, 0.1])
    inputs = np.sin(np.arange(20.0))[:, None]
    states = [np.array([1.0, -1.0])]
    for u in inputs:
        states.append(A @ states[-1] + B * u)
    problem = LinearQuadratic.tracking(A, B, np.eye(2), 1.0, np.array(states), inputs)
    np.testing.assert_allclose(lqr(problem).rollout(states[0]).inputs, inputs, atol=1e-9)


def test_reference_numbers():
    regulator = lqr(LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0), 50)
    costates = regulator.cost_to_go.costates(regulator.rollout([1, 0]).states)
    np.testing.assert_allclose(costates[0], [17.823859, 10.002900], atol=1e-6)
    scalar = lqr(LinearQuadratic(1, 1, 1, 1), 60)
    np.testing.assert_allclose(scalar.cost_to_go.P[0], (1 + 5**0.5) / 2, rtol=1e-12)


def test_indefinite_costs_that_stay_convex():
    """Q < 0, but R outweighs it over one step, and not over many."""
    problem = LinearQuadratic(1.0, 1.0, -0.3, 1.0)
    regulator = lqr(problem, 1)
    H, g, _ = dense(regulator.stages, np.ones(1))
    np.testing.assert_allclose(regulator.rollout([1]).inputs[0], -g / H[0, 0])
    with pytest.raises(NumericalError, match="not convex in the controls"):
        lqr(LinearQuadratic(1.0, 1.0, 0.0, 1.0, Q_final=-1.5), 3)


def test_indefinite_costs_on_the_way():
    """Going out pays more at first than the control costs, and what comes after forbids it: the filter of
    this chain has no moments, its cost-to-go is fine."""
    Q = np.array([0.0, -1.5])[:, None, None]
    regulator = lqr(LinearQuadratic(1.0, 1.0, Q, 1.0, Q_final=100.0))
    H, g, c = dense(regulator.stages, np.ones(1))
    assert np.linalg.eigvalsh(H)[0] > 0
    np.testing.assert_allclose(regulator.rollout([1]).inputs.ravel(), -np.linalg.solve(H, g))
    assert regulator.cost_to_go(0, [1]) == pytest.approx(c - 0.5 * g @ np.linalg.solve(H, g))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"R": np.zeros((1, 1))}, DataError, "R must be positive definite"),
        ({"R": np.array([[-1.0]])}, DataError, "every control must cost something"),
        ({"Q": np.array([[1.0, 1.0], [0.0, 1.0]])}, DataError, "Q must be symmetric"),
        ({"A": np.ones((2, 3))}, ShapeError, "A has shape"),
        ({"B": np.ones((3, 1))}, ShapeError, "B has shape"),
        ({"N": np.ones((1, 2))}, ShapeError, "N has shape"),
        ({"q": np.ones((4, 2)), "A": np.ones((5, 2, 2))}, ShapeError, "disagree"),
        ({"A": np.full((2, 2), np.nan)}, DataError, "NaN"),
        ({"Q_final": np.ones((3, 2, 2))}, ShapeError, "no step axis"),
        ({"Q": "a"}, DataError, "real numbers"),
    ],
)
def test_what_does_not_fit(arguments, error, says):
    with pytest.raises(error, match=says):
        LinearQuadratic(**{"A": np.eye(2), "B": np.ones(2), "Q": np.eye(2), "R": 1.0, **arguments})


def test_horizons_that_do_not_fit():
    fixed = LinearQuadratic(1.0, 1.0, 1.0, 1.0)
    with pytest.raises(ShapeError, match="horizon is open"):
        lqr(fixed)
    with pytest.raises(ShapeError, match="whole number"):
        lqr(fixed, 0)
    with pytest.raises(ShapeError, match="arrays have 4 steps"):
        lqr(LinearQuadratic(np.ones((4, 1, 1)), 1.0, 1.0, 1.0), 5)
    with pytest.raises(ShapeError, match="start has shape"):
        lqr(fixed, 3, start=[1, 2])
    with pytest.raises(ShapeError, match="disturbances has shape"):
        lqr(fixed, 3).rollout(1.0, np.zeros((4, 1)))
    with pytest.raises(DataError, match="takes a LinearQuadratic"):
        lqr(np.eye(2), 3)


def test_nothing_to_steer():
    with pytest.raises(ShapeError, match="2 states and 0 controls"):
        LinearQuadratic(np.eye(2), np.zeros((2, 0)), np.eye(2), np.zeros((0, 0)))
    with pytest.raises(ShapeError, match="axis of steps holds none"):
        LinearQuadratic(np.zeros((0, 2, 2)), np.ones(2), np.eye(2), 1.0)


@pytest.mark.parametrize(("t", "x"), [(3, [0.0]), (-1, [0.0]), (1.0, [0.0]), (0, [0.0, 1.0]), (0, 1.0)])
def test_steps_and_states_that_a_policy_does_not_know(t, x):
    regulator = lqr(LinearQuadratic(1.0, 1.0, 1.0, 1.0), 3)
    with pytest.raises(ShapeError, match=r"step from 0 to 2|x has shape"):
        regulator.policy(t, x)
    if t != 3:  # the cost at the end is one more
        with pytest.raises(ShapeError, match=r"step from 0 to 3|x has shape"):
            regulator.cost_to_go(t, x)
