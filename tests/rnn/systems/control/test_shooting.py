"""shooting: what lqr and ddp find, within limits, for several starts, from several tries."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass.errors import ConvergenceWarning, DataError, NumericalError, UnsupportedError
from rnn.systems.control import (
    Energy,
    OptimalControl,
    Plant,
    QuadraticCost,
    Trajectory,
    ddp,
    ilqr,
    lqr,
    plants,
    shooting,
)
from tests.rnn.systems.control.lq_models import problems
from tests.rnn.systems.control.test_ilqr import swing_up


@settings(max_examples=8)
@given(case=problems())
def test_a_convex_problem_has_one_optimum(case):
    linear, horizon, start = case
    best = lqr(linear, horizon)
    found = shooting(OptimalControl.linear(linear, start, horizon), tol=1e-9)
    path = best.rollout(start)
    assert found.cost == pytest.approx(path.cost, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(found.inputs, path.inputs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.gain, best.policy.gain, rtol=1e-5, atol=1e-6)
    limited = OptimalControl.linear(linear, start, horizon, lower=-0.1, upper=0.2)
    both = shooting(limited, tol=1e-9).cost, ilqr(limited, tol=1e-9).cost
    assert both[0] == pytest.approx(both[1], rel=1e-9, abs=1e-9)


def test_a_swing_up_meets_the_conditions_of_karush_kuhn_and_tucker():
    problem = swing_up(5.0, horizon=40)
    found, other = shooting(problem), ddp(problem)
    assert found.converged and found.method == "lbfgs" and (np.diff(found.costs) <= 0).all()
    assert found.cost == pytest.approx(problem.cost_of(found.inputs), rel=1e-12)
    assert found.cost == pytest.approx(other.cost, rel=1e-6)
    assert (np.abs(found.inputs) <= 5).all() and found.clamped.any()
    on_low, on_high = found.inputs <= -5, found.inputs >= 5
    tiny = 2e-6 * max(1, found.cost)
    assert np.abs(found.gradient[~on_low & ~on_high]).max() < tiny
    assert (found.gradient[on_low] > -tiny).all() and (found.gradient[on_high] < tiny).all()
    assert not found.gain[found.clamped].any() and found.gain.any()
    np.testing.assert_allclose(found.simulate().states, found.states, atol=1e-9)
    assert len(found.plot().axes) == 3


def test_controls_for_several_starts(rng):
    """They cost less in the mean than those made for the first start; each start has its own path."""
    starts = [np.pi, 0] + 0.2 * rng.normal(size=(4, 2))
    cost = QuadraticCost(np.eye(2), 0.1 * np.eye(1), target=[np.pi, 0])
    plant = plants.pendulum(damping=4.0)
    many = OptimalControl(plant, cost, start=starts, horizon=15, lower=-3, upper=3)
    one = OptimalControl(plant, cost, start=starts[0], horizon=15, lower=-3, upper=3)
    found = shooting(many)
    assert found.converged and found.states.shape == (4, 16, 2)
    assert found.cost < many.cost_of(shooting(one).inputs)
    assert found.simulate().cost == pytest.approx(4 * found.cost, rel=1e-12)
    for method in (ilqr, ddp):
        with pytest.raises(UnsupportedError, match="has 4; shooting"):
            method(many)


def test_more_tries_find_what_one_does_not():
    """Two valleys: from 0 the near and shallow one, from elsewhere the deep one too."""
    plant = Plant(lambda x, u: x + u, 1, 1)
    path = Trajectory(plant, Energy(1e-3), lambda x: (x[0] + 1) ** 2 * (x[0] - 2) ** 2 - 0.5 * x[0])
    alone = path.optimize([0.0], -0.05 * np.ones(4))
    found = path.optimize([0.0], -0.05 * np.ones(4), restarts=6, random_state=0)
    again = path.optimize([0.0], -0.05 * np.ones(4), restarts=6, random_state=0)
    assert alone.states[-1, 0] < 0 < found.states[-1, 0] and found.cost < alone.cost
    assert len(found.tries) == 7 and found.tries.min() == found.cost and found.tries[0] == alone.cost
    np.testing.assert_array_equal(found.inputs, again.inputs)


def test_line_searches_survive_paths_that_blow_up():
    """x′ = x³ + u runs away from beyond 1, where a long step would go."""
    plant = Plant(lambda x, u: x**3 + u, 1, 1)
    problem = OptimalControl(plant, Energy(0.01), lambda x: 1e4 * (x[0] - 0.9) ** 2, start=[0.0], horizon=30)
    found = shooting(problem)
    assert found.converged and found.states[-1, 0] == pytest.approx(0.9, abs=1e-3)
    with pytest.raises(NumericalError, match=r"cannot be followed: .* state \d+ is NaN"):
        shooting(problem, np.full(30, 2.0))


def test_methods_by_name(rng):
    path = Trajectory(plants.double_integrator(), QuadraticCost(np.eye(2), np.eye(1)))
    options = {"upper": 0.5, "tol": 1e-8}
    found = [path.optimize([1, 0], np.zeros(10), method=m, **options) for m in ("lbfgs", "ddp", "ilqr")]
    for other in found[1:]:
        assert other.cost == pytest.approx(found[0].cost, rel=1e-9)


def test_stops_early_and_says_so():
    heard = []
    with pytest.warns(ConvergenceWarning, match="3 iterations did not meet tol"):
        found = shooting(swing_up(), n_iter=3, callback=heard.append)
    assert not found.converged and found.iterations == heard and len(found.costs) == 4
    falling = OptimalControl(
        plants.double_integrator(), QuadraticCost(np.eye(2), -np.eye(1)), start=[1, 0], horizon=20
    )
    with pytest.warns(ConvergenceWarning, match="fall without end"):
        shooting(falling)


def test_what_does_not_fit():
    problem = swing_up(horizon=4)
    with pytest.raises(DataError, match="expected an OptimalControl"):
        shooting(plants.pendulum())
    with pytest.raises(DataError, match="restarts are random"):
        shooting(problem, restarts=2)
    with pytest.raises(DataError, match="whole number ≥ 0"):
        shooting(problem, restarts=-1)
    with pytest.raises(DataError, match="callback"):
        shooting(problem, callback=3)
    with pytest.raises(DataError, match="plain function are open"):
        Trajectory(lambda x, u: x + u, Energy()).problem([0.0], 3)
    with pytest.raises(DataError, match="plant must be a Plant of the problem's sizes"):
        shooting(problem).simulate(plant=plants.arm())
