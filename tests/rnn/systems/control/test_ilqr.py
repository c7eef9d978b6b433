"""ilqr and ddp: linear plants in one step, gradients by differences, KKT conditions under limits, published
numbers, monotone costs, rates of convergence, what goes wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from msgpass import Step
from msgpass.errors import ConvergenceWarning, DataError, NumericalError, ShapeError
from rnn.systems.control import (
    LeastSquares,
    LinearQuadratic,
    OptimalControl,
    Plant,
    QuadraticCost,
    SmoothCost,
    ddp,
    ilqr,
    lqr,
    plants,
)
from rnn.systems.control.adjoint_pass import AdjointPass
from tests.rnn.systems.control.lq_models import dense, positive, problems

METHODS = pytest.mark.parametrize("method", [ilqr, ddp], ids=["ilqr", "ddp"])


def swing_up(limit=np.inf, horizon=60):
    """A pendulum from hanging to upright."""
    upright = [np.pi, 0]
    cost = QuadraticCost(0.01 * np.eye(2), 0.01 * np.eye(1), target=upright)
    end = QuadraticCost(np.diag([100.0, 10.0]), target=upright)
    return OptimalControl(
        plants.pendulum(), cost, end, start=[0, 0], horizon=horizon, lower=-limit, upper=limit
    )


@st.composite
def linear_problems(draw):
    """A linear plant and quadratic cost, as both kinds of problem."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m, T = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 6))
    A, B, b = rng.normal(size=(n, n)), rng.normal(size=(n, m)), rng.normal(size=n)
    joint, end, start = positive(rng, n + m), positive(rng, n), rng.normal(size=n)
    Q, N, R = joint[:n, :n], joint[:n, n:], joint[n:, n:]
    limit = draw(st.sampled_from([0.1, 0.5, 2.0]))
    plant = Plant(lambda x, u: x @ A.T + u @ B.T + b, n, m, vectorized=True)
    limits = {"lower": -limit * rng.random((T, m)), "upper": limit * rng.random(m)}
    nonlinear = OptimalControl(plant, QuadraticCost(Q, R, N), QuadraticCost(end), start=start, horizon=T)
    limited = OptimalControl(
        plant, QuadraticCost(Q, R, N), QuadraticCost(end), start=start, horizon=T, **limits
    )
    return LinearQuadratic(A, B, Q, R, N, b=b, Q_final=end), nonlinear, limited


@METHODS
@settings(max_examples=25)
@given(case=linear_problems())
def test_a_linear_problem_takes_one_step(method, case):
    linear, problem, _ = case
    found, regulator = method(problem, tol=1e-9), lqr(linear, problem.horizon)
    best = regulator.rollout(problem.start)
    assert found.converged and len(found.iterations) <= 2
    np.testing.assert_allclose(found.inputs, best.inputs, rtol=1e-6, atol=1e-7)
    assert found.cost == pytest.approx(best.cost, rel=1e-9)
    np.testing.assert_allclose(found.gain, regulator.policy.gain, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.cost_to_go.P, regulator.cost_to_go.P, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        found.costates, regulator.cost_to_go.costates(best.states), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(found.linear_policy.feedforward, regulator.policy.feedforward, atol=1e-6)


@METHODS
@settings(max_examples=40)
@given(case=linear_problems())
def test_limits_solve_the_dense_program(method, case):
    """A quadratic program with box constraints, solved by scipy as bounded least squares."""
    linear, _, problem = case
    found = method(problem, tol=1e-10)
    H, g, c = dense(linear.stages(problem.horizon), problem.start)
    root = np.linalg.cholesky(H).T
    bounds = problem.lower.ravel(), problem.upper.ravel()
    best = lsq_linear(root, -np.linalg.solve(root.T, g), bounds, method="bvls", tol=1e-14).x
    assert found.converged and len(found.iterations) < 12
    np.testing.assert_allclose(found.inputs.ravel(), best, rtol=1e-6, atol=1e-7)
    assert found.cost == pytest.approx(0.5 * best @ H @ best + g @ best + c, rel=1e-9, abs=1e-9)


@settings(max_examples=40)
@given(case=problems())
def test_every_linear_quadratic_problem_can_have_limits(case):
    """Time-varying, with cross terms, linear terms and offsets: loose limits change nothing, tight ones
    are kept.
    """
    problem, horizon, start = case
    best = lqr(problem, horizon).rollout(start)
    loose = ilqr(OptimalControl.linear(problem, start, horizon, lower=-1e3, upper=1e3), tol=1e-9)
    assert loose.cost == pytest.approx(best.cost, rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(loose.inputs, best.inputs, rtol=1e-5, atol=1e-6)
    H, g, _ = dense(problem.stages(horizon), start)
    found = ilqr(OptimalControl.linear(problem, start, horizon, lower=-0.1, upper=0.2), tol=1e-10)
    slope = H @ found.inputs.ravel() + g
    np.testing.assert_allclose(found.gradient.ravel(), slope, rtol=1e-6, atol=1e-6 * max(1, np.abs(g).max()))
    assert found.converged and found.inputs.min() >= -0.1 and found.inputs.max() <= 0.2


def test_functions_stand_for_costs():
    upright = np.array([np.pi, 0])
    other = OptimalControl(
        plants.pendulum(),
        lambda x, u: 0.005 * np.sum((x - upright) ** 2) + 0.005 * u[0] ** 2,
        lambda x: 50 * (x[0] - np.pi) ** 2 + 5 * x[1] ** 2,
        start=[0, 0],
        horizon=20,
    )
    assert ilqr(other).cost == pytest.approx(ilqr(swing_up(horizon=20)).cost, rel=1e-8)


@METHODS
@pytest.mark.parametrize("limit", [np.inf, 5.0, 3.0])
def test_swing_up_meets_the_conditions_of_karush_kuhn_and_tucker(method, limit):
    problem = swing_up(limit)
    found = method(problem, tol=1e-7)
    assert found.converged
    assert (np.abs(found.inputs) <= limit).all()
    assert (np.diff(found.costs) < 0).all()
    assert found.cost == problem.cost_of(found.inputs) == found.costs[-1]
    on_low, on_high = found.inputs <= -limit, found.inputs >= limit
    inside = ~on_low & ~on_high
    tiny = 1e-6 * max(1, found.cost)
    assert (np.abs(found.gradient[inside]) < tiny).all()
    assert (found.gradient[on_low] > -tiny).all() and (found.gradient[on_high] < tiny).all()
    assert found.clamped.any() == (limit < 10)
    assert not found.gain[found.clamped].any()
    if limit >= 5:
        np.testing.assert_allclose(found.states[-1], [np.pi, 0], atol=0.05)


def test_gradient_and_costates_are_differences(rng):
    problem = OptimalControl(
        plants.cart_pole(),
        SmoothCost(lambda x, u, t: np.cos(x[1]) + 0.01 * t * x[0] ** 2 + 0.1 * u[0] ** 2, timed=True),
        LeastSquares(lambda x: np.stack([x[0] * x[3], x[1] - 1]), terminal=True),
        start=0.3 * rng.normal(size=4),
        horizon=7,
    )
    inputs = rng.normal(size=(7, 1))
    at = AdjointPass(problem)(inputs)
    assert at.cost == pytest.approx(problem.costs(at.states, inputs).sum(), rel=1e-12)
    for t in range(7):
        moved = [inputs.copy(), inputs.copy()]
        moved[0][t] += 1e-6
        moved[1][t] -= 1e-6
        slope = (problem.cost_of(moved[0]) - problem.cost_of(moved[1])) / 2e-6
        assert at.gradient[t, 0] == pytest.approx(slope, rel=1e-6, abs=1e-8)
    for k, e in enumerate(1e-6 * np.eye(4)):
        rest = {"horizon": 7}
        ends = [
            OptimalControl(problem.plant, problem.cost, problem.terminal, start=problem.start + d, **rest)
            for d in (e, -e)
        ]
        slope = (ends[0].cost_of(inputs) - ends[1].cost_of(inputs)) / 2e-6
        assert at.costates[0, k] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_acrobot_reference():
    """trajax's acrobot: Euler 0.1, 50 steps, weights 0.1, 0.01 and 1000 at the end."""
    goal = [np.pi, 0, 0, 0]
    problem = OptimalControl(
        plants.acrobot(0.1, method="euler"),
        QuadraticCost(0.1 * np.eye(4), 0.01 * np.eye(1), target=goal),
        QuadraticCost(1000 * np.eye(4), target=goal),
        start=np.zeros(4),
        horizon=50,
    )
    assert problem.cost_of(None) == pytest.approx(4959.476212, abs=1e-6)
    assert problem.cost_of(None) == pytest.approx(502.5 * np.pi**2, rel=1e-12)
    found = ilqr(problem)
    assert found.converged and found.cost < 60
    np.testing.assert_allclose(found.states[-1], goal, atol=0.02)


def test_curvature_makes_convergence_quadratic():
    """The last steps of ddp square the residual; those of ilqr take off a part of it."""
    residuals = {}
    for method in (ilqr, ddp):
        found = method(swing_up(), tol=1e-9)
        residuals[method] = np.array([i.residual for i in found.iterations] + [found.residual])
    assert len(residuals[ddp]) < len(residuals[ilqr]) / 2
    assert residuals[ddp][-1] < 1e-2 * residuals[ddp][-2]
    assert residuals[ilqr][-1] > 0.2 * residuals[ilqr][-2]


def test_steps_with_their_own_derivatives_find_the_same():
    plant = plants.pendulum()

    def vjp(inputs, c):
        A, B = plant.linearise(*inputs, np.zeros(len(c)))
        return np.einsum("tij,ti->tj", A, c), np.einsum("tij,ti->tj", B, c)

    own = Plant(Step(lambda x, u: plant.function(x, u, np.zeros(len(x))), vjp, vectorized=True), 2, 1)
    problem = swing_up(5.0)
    other = OptimalControl(own, problem.cost, problem.terminal, start=[0, 0], horizon=60, lower=-5, upper=5)
    one, two = ddp(problem, tol=1e-8), ddp(other, tol=1e-8)
    np.testing.assert_allclose(one.inputs, two.inputs, atol=1e-6)


@METHODS
def test_two_rotors_that_only_push(method):
    """A quadrotor flies a metre to the side and up, each rotor between 2 and 3 N."""
    goal, hover = [1.0, 1.0, 0, 0, 0, 0], 0.486 * 9.81 / 2
    cost = QuadraticCost(0.1 * np.eye(6), 0.1 * np.eye(2), target=goal, input_target=[hover, hover])
    problem = OptimalControl(
        plants.quadrotor(), cost, QuadraticCost(100 * np.eye(6), target=goal), start=np.zeros(6), horizon=25,
        lower=2, upper=3,
    )  # fmt: skip
    found = method(problem, np.full((25, 2), hover), tol=1e-7)
    assert found.converged and found.clamped.any()
    assert found.inputs.min() >= 2 and found.inputs.max() <= 3
    np.testing.assert_allclose(found.states[-1], goal, atol=0.2)
    inside = (found.inputs > 2) & (found.inputs < 3)
    assert np.abs(found.gradient[inside]).max() < 1e-6 * max(1, found.cost)


def test_one_seedless_run_is_another():
    one, two = ilqr(swing_up(5.0)), ilqr(swing_up(5.0))
    np.testing.assert_array_equal(one.inputs, two.inputs)
    np.testing.assert_array_equal(one.costs, two.costs)


def test_feedback_holds_what_the_path_alone_loses(rng):
    """With disturbances, the gains keep the pendulum near its path; the same controls without them do not."""
    found = ilqr(swing_up())
    noise = 0.05 * rng.normal(size=(60, 2))
    held = found.simulate(disturbances=noise)
    x, loose = found.states[0], []
    for u, e in zip(found.inputs, noise, strict=True):
        x = found.problem.plant(x[None], u[None], np.zeros(1))[0] + e
        loose.append(x)
    assert np.abs(held.states[-1] - found.states[-1]).max() < 0.3 * np.abs(loose[-1] - found.states[-1]).max()
    quiet = found.simulate()
    np.testing.assert_allclose(quiet.states, found.states, atol=1e-9)
    assert quiet.cost == pytest.approx(found.cost, rel=1e-9)


def test_controls_that_cost_nothing_are_damped():
    """R = 0: the messages need some; the optimum of a limited problem exists all the same."""
    problem = OptimalControl(
        plants.double_integrator(), QuadraticCost(np.eye(2), np.zeros((1, 1))), start=[1, 0], horizon=30,
        lower=-1, upper=1,
    )  # fmt: skip
    found = ilqr(problem, tol=1e-7)
    assert found.converged
    assert found.inputs[0] == -1


def test_costs_that_are_not_convex():
    """A bump in the way: the full Hessian is indefinite, and damping answers."""
    bump = SmoothCost(lambda x, u: 3 * np.exp(-((x[0] - 0.5) ** 2) / 0.02) + 0.05 * u[0] ** 2)
    end = QuadraticCost(100 * np.eye(2))
    problem = OptimalControl(plants.double_integrator(), bump, end, start=[1, 0], horizon=30)
    for method in (ilqr, ddp):
        found = method(problem)
        assert found.converged and (np.diff(found.costs) < 0).all()
        assert any(i.damping > 0 for i in found.iterations)


def test_unstable_paths_are_searched_without_overflow():
    """Half of the step lengths diverge: x′ = x³ runs away from 1."""
    plant = Plant(lambda x, u: x**3 + u, 1, 1)
    problem = OptimalControl(plant, QuadraticCost([[1.0]], [[0.1]]), start=[0.9], horizon=12)
    assert ilqr(problem).converged
    with pytest.raises(NumericalError, match=r"first controls cannot be followed: .* state 8 is NaN"):
        ilqr(problem, inputs=np.ones(12))


def test_kinks_are_named():
    """|x| where it has no slope, and max(x, 0)^(3/2) where it has no curvature."""
    kink = SmoothCost(lambda x, u: np.sqrt(x[0] ** 2) + u[0] ** 2)
    bend = SmoothCost(lambda x, u: np.maximum(x[0], 0.0) ** 1.5 + x[1] ** 2 + u[0] ** 2)
    for cost, says in (
        (kink, r"cannot be followed: loss 'cost'"),
        (bend, r"derivative of the cost .* at step 0"),
    ):
        problem = OptimalControl(plants.double_integrator(), cost, start=[0, 1], horizon=5)
        with np.errstate(all="ignore"), pytest.raises(NumericalError, match=says):
            ilqr(problem)


def test_a_tolerance_below_rounding_still_ends():
    """tol can never be met; the promised fall is lost in rounding, which counts as converged."""
    for method in (ilqr, ddp):
        found = method(swing_up(5.0), tol=1e-30, n_iter=500)
        assert found.converged and found.residual < 1e-4
        assert found.cost == pytest.approx(ilqr(swing_up(5.0)).cost, rel=1e-7)


def test_warns_when_it_stops_early():
    heard = []
    with pytest.warns(ConvergenceWarning, match="3 iterations did not meet tol"):
        found = ilqr(swing_up(), n_iter=3, callback=heard.append)
    assert not found.converged and found.iterations == heard and len(found.costs) == 4


def test_a_start_that_is_optimal():
    found = ilqr(
        OptimalControl(plants.pendulum(), QuadraticCost(np.eye(2), np.eye(1)), start=[0, 0], horizon=5)
    )
    assert found.converged and not found.iterations and found.cost == 0
    assert found.gain.any()


def test_what_does_not_fit():
    plant, cost = plants.pendulum(), QuadraticCost(np.eye(2), np.eye(1))
    good = {"start": [0, 0], "horizon": 5}
    with pytest.raises(DataError, match="plant must be a Plant"):
        OptimalControl(np.sin, cost, **good)
    with pytest.raises(DataError, match="cost must be"):
        OptimalControl(plant, 3.0, **good)
    with pytest.raises(ShapeError, match="start has shape"):
        OptimalControl(plant, cost, start=[0, 0, 0], horizon=5)
    with pytest.raises(ShapeError, match="horizon must be"):
        OptimalControl(plant, cost, start=[0, 0], horizon=0)
    with pytest.raises(ShapeError, match="upper has shape"):
        OptimalControl(plant, cost, **good, upper=np.ones((4, 1)))
    with pytest.raises(DataError, match="lower lies above upper at step 0"):
        OptimalControl(plant, cost, **good, lower=1, upper=-1)
    with pytest.raises(DataError, match="must hold numbers"):
        OptimalControl(plant, cost, **good, lower=np.nan)
    problem = OptimalControl(plant, cost, **good)
    with pytest.raises(ShapeError, match="inputs has shape"):
        ilqr(problem, inputs=np.zeros((4, 1)))
    with pytest.raises(DataError, match="tol must be"):
        ilqr(problem, tol=0.0)
    with pytest.raises(ShapeError, match="n_iter must be"):
        ilqr(problem, n_iter=0)
    with pytest.raises(DataError, match="damping must be"):
        ilqr(problem, damping=-1.0)
    with pytest.raises(DataError, match="expected an OptimalControl"):
        ilqr(plant)
    with pytest.raises(DataError, match="leaves no control"):
        OptimalControl(plant, cost, **good, lower=np.inf)
    with pytest.raises(ShapeError, match="upper is no array"):
        OptimalControl(plant, cost, **good, upper=[[1], [2, 3]])
    for wrong, says in (
        (QuadraticCost(np.eye(3), np.eye(1)), "Q is 3 × 3"),
        (QuadraticCost(np.eye(2), np.eye(2)), "R is 2 × 2"),
        (QuadraticCost(np.eye(2)) + cost, "has no R"),
    ):
        with pytest.raises(ShapeError, match=f"cost: .*{says}"):
            OptimalControl(plant, wrong, **good)
    with pytest.raises(ShapeError, match="no control at the end"):
        OptimalControl(plant, cost, cost, **good)
    with pytest.raises(DataError, match="wrap the function"):
        cost + (lambda x, u: u[0] ** 4)
    with pytest.raises(DataError, match="must return real numbers"):
        ilqr(OptimalControl(plant, lambda x, u: None, **good))
    with pytest.raises(DataError, match="takes a LinearQuadratic"):
        OptimalControl.linear(plant, [0, 0], 5)
    problem = OptimalControl(plant, cost, **good)
    for bad in ({"damping": "x"}, {"callback": 3}):
        with pytest.raises(DataError, match=next(iter(bad))):
            ilqr(problem, **bad)
    found = ilqr(problem)
    with pytest.raises(ShapeError, match="disturbances has shape"):
        found.simulate(disturbances=np.zeros((5, 1)))
    for t, x in ((5, [0, 0]), (-1, [0, 0]), (0, [0, 0, 0])):
        with pytest.raises(ShapeError, match=r"wanted|must be a step"):
            found.policy(t, x)


@pytest.mark.parametrize("method", [ilqr, ddp])
def test_costs_that_fall_without_end_are_no_optimum(method):
    """R < 0 and no limits: the gradient is small beside |J|, and there is no minimum all the same."""
    cost = QuadraticCost(np.eye(2), -np.eye(1))
    problem = OptimalControl(plants.double_integrator(), cost, start=[1, 0], horizon=20)
    with pytest.warns(ConvergenceWarning, match="fall without end"):
        assert not method(problem).converged


def test_a_first_path_of_infinite_cost():
    problem = OptimalControl(plants.pendulum(), QuadraticCost(np.eye(2), np.eye(1)), start=[0, 0], horizon=5)
    with pytest.raises(NumericalError, match="cost is infinite"):
        ilqr(problem, inputs=np.full(5, 1e200))


def test_a_plant_that_mixes_steps_is_found_out():
    """All states are 0 along the path, where a mean over steps does not show."""
    plant = Plant(lambda x, u: x + u + x.mean(axis=0), 2, 1, vectorized=True)
    problem = OptimalControl(
        plant, QuadraticCost(np.eye(2), np.eye(1), target=[1, 1]), start=[0, 0], horizon=5
    )
    with pytest.raises(DataError, match="mixes steps"):
        ilqr(problem)
