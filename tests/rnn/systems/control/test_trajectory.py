"""Trajectory: gradients by differences, co-states by dense sensitivities, parameters, starts, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, Step
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control import (
    Deviation,
    Discounted,
    Energy,
    LeastSquares,
    OptimalControl,
    Plant,
    QuadraticCost,
    SmoothAbs,
    SmoothCost,
    Trajectory,
    lqr,
    plants,
)
from rnn.systems.control.plant_step import plant_step
from rnn.systems.control.trajectory_graph import TrajectoryGraph
from tests.rnn.systems.control.differences import jacobian
from tests.rnn.systems.control.lq_models import problems

COSTS = {
    "energy": lambda: Energy([0.3, 0.7]),
    "deviation": lambda: Deviation(np.arange(24.0).reshape(6, 4) / 10, [1.0, 0.5, 0.0, 2.0]) + Energy(0.1),
    "tip": lambda: Deviation([0.5, 0.5], 2.0, of=plants.arm_tip) + Energy(0.2),
    "smooth abs": lambda: SmoothAbs([1.0, 2.0, 0.5, 0.1], 0.3, [0.1, 0.2, 0.3, 0.4]) + Energy(0.2),
    "quadratic": lambda: QuadraticCost(
        np.eye(4), np.diag([1.0, 2.0]), 0.1 * np.ones((4, 2)), target=np.ones((6, 4)), r=[0.1, 0.2]
    ),
    "function": lambda: SmoothCost(
        lambda x, u, t, p: p["a"] * np.cos(x[0] + t) + p["b"][0] * u[0] ** 2 + p["b"][1] * u[1] ** 4,
        timed=True,
        params={"a": 0.5, "b": [0.2, 0.3]},
    ),
    "discounted": lambda: Discounted(
        Energy([0.3, 0.7])
        + QuadraticCost(np.eye(4), np.eye(2), target=np.ones(4))
        + Deviation(np.arange(24.0).reshape(6, 4) / 10, [1.0, 0.5, 0.0, 2.0])
        + SmoothAbs([1.0, 2.0, 0.5, 0.1])
        + SmoothCost(lambda x, u, p: p * x[0] ** 2, params=0.3)
        + LeastSquares(lambda x, u, p: np.stack([x[0] - p]), params=0.3),
        0.8,
    ),
    "residuals": lambda: LeastSquares(
        lambda x, u, p: np.stack([x[0] * u[0] - p, u[1] * p]), params=np.array(0.7)
    ),
}


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("starts", [None, 3])
def test_every_gradient_is_a_difference(name, starts, rng):
    """With respect to controls, starts and all parameters of plant and costs."""
    plant, T = plants.arm(0.1, masses=(1.0, 0.7), damping=0.1, gravity=5.0), 5
    end = LeastSquares(lambda x, p: p * (x - 0.3), terminal=True, params=np.array([1.0, 2.0, 3.0, 0.5]))
    start = 0.5 * rng.normal(size=(4,) if starts is None else (starts, 4))
    inputs, cost = rng.normal(size=(T, 2)), COSTS[name]()
    path = Trajectory(plant, cost, end)
    found = path.gradient(start, inputs)
    assert found.cost == pytest.approx(found.costs.sum() / (starts or 1), rel=1e-12)

    def close(got, f, at):
        slope = jacobian(lambda z: np.array([f(z.reshape(at.shape))]), at.ravel().astype(float))
        np.testing.assert_allclose(np.ravel(got), slope[0], rtol=2e-6, atol=1e-7)

    close(found.gradient, lambda u: path.cost_of(start, u), inputs)
    close(found.costates[..., 0, :], lambda x: path.cost_of(x, inputs), start)
    owners = {
        "plant": (plant.parameters, lambda n, v: Trajectory(plant.with_parameters(**{n: v}), cost, end)),
        "cost": (cost.parameters, lambda n, v: Trajectory(plant, cost.with_parameters({n: v}), end)),
        "terminal": (end.parameters, lambda n, v: Trajectory(plant, cost, end.with_parameters({n: v}))),
    }
    symmetric = {"Q", "R"}  # whose entries are set as they come: differences do not symmetrise
    for owner, (parameters, changed) in owners.items():
        for key, value in parameters.items():
            got = found.parameters[f"{owner}.{key}"]
            if key.rpartition(".")[2] in symmetric:
                continue
            close(got, lambda v, c=changed, k=key: c(k, v).cost_of(start, inputs), np.asarray(value))


def test_weights_of_a_quadratic_cost_are_differences(rng):
    plant = plants.double_integrator()
    Q, inputs = np.array([[2.0, 0.3], [0.3, 1.0]]), rng.normal(size=(4, 1))
    found = Trajectory(plant, QuadraticCost(Q, [[1.0]])).gradient([1, 2], inputs)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        d = np.zeros((2, 2))
        d[i, j] = d[j, i] = 1e-6
        sides = [Trajectory(plant, QuadraticCost(M, [[1.0]])).cost_of([1, 2], inputs) for M in (Q + d, Q - d)]
        both = found.parameters["cost.Q"][i, j] + (found.parameters["cost.Q"][j, i] if i != j else 0)
        assert both == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


@settings(max_examples=20)
@given(case=problems(), seed=st.integers(0, 999))
def test_costates_are_dense_sensitivities(case, seed):
    """λ_t = Σ_{s≥t} (∂x_s/∂x_t)ᵀ ∂cost_s/∂x_s, the product of Jacobians written out."""
    linear, horizon, start = case
    inputs = np.random.default_rng(seed).normal(size=(horizon, linear.inputs))
    problem = OptimalControl.linear(linear, start, horizon)
    found = problem.trajectory.gradient(start, inputs)
    s = linear.stages(horizon)
    A = np.broadcast_to(s.A, (horizon, *s.A.shape[1:]))
    steps = np.arange(horizon, dtype=float)
    local = problem.cost.gradient(found.states[:-1], inputs, steps)[0]
    last = problem.terminal.gradient(found.states[-1:], np.zeros((1, 0)), np.array([float(horizon)]))[0]
    local = np.vstack([local, last])
    for t in range(horizon + 1):
        total, through = np.zeros(linear.states), np.eye(linear.states)
        for k in range(t, horizon + 1):
            total += through.T @ local[k]
            through = A[k] @ through if k < horizon else through
        np.testing.assert_allclose(found.costates[t], total, rtol=1e-9, atol=1e-9)


@settings(max_examples=15)
@given(case=problems())
def test_the_optimum_of_lqr_has_no_gradient(case):
    linear, horizon, start = case
    regulator = lqr(linear, horizon)
    best = regulator.rollout(start)
    found = OptimalControl.linear(linear, start, horizon).trajectory.gradient(start, best.inputs)
    scale = max(1.0, np.abs(found.costates).max())
    np.testing.assert_allclose(found.gradient, 0, atol=1e-7 * scale)
    np.testing.assert_allclose(
        found.costates, regulator.cost_to_go.costates(best.states), rtol=1e-6, atol=1e-7 * scale
    )


def test_a_plain_function_is_enough():
    path = Trajectory(lambda h, u: 0.9 * h + u, Energy(0.1), lambda h: (h[0] - 1) ** 2)
    found = path.gradient([0.0], np.zeros(3))
    np.testing.assert_allclose(found.gradient[:, 0], [-2 * 0.81, -2 * 0.9, -2])
    np.testing.assert_array_equal(path.messages([0.0], np.zeros(3)).gradient["x"], found.costates)
    with pytest.raises(ShapeError, match=r"wanted \(1,\)"):
        path.gradient([0.0, 1.0], np.zeros(3))


def test_several_starts_are_each_as_alone(rng):
    plant, starts, inputs = plants.cart_pole(), 0.3 * rng.normal(size=(20, 4)), rng.normal(size=(6, 1))
    path = Trajectory(plant, QuadraticCost(np.eye(4), np.eye(1)), lambda x: np.sum(x**4))
    found, alone = path.gradient(starts, inputs), [path.gradient(x, inputs) for x in starts]
    for name in ("states", "costs"):
        np.testing.assert_allclose(getattr(found, name), [getattr(a, name) for a in alone], rtol=1e-12)
    np.testing.assert_allclose(20 * found.costates, [a.costates for a in alone], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.gradient, np.mean([a.gradient for a in alone], axis=0), rtol=1e-10)
    rolled = path.simulate(starts, inputs)
    np.testing.assert_array_equal(rolled.states, found.states)
    np.testing.assert_allclose(rolled.cost, 20 * found.cost)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("starts", [None, 2, 40])
def test_a_step_with_its_own_vjp_brings_the_gradient_of_its_parameters(vectorized, starts, rng):
    def f(x, u, p):
        return p["a"] * np.sin(x) + p["b"] * u

    def vjp(inputs, c):
        x, u, p = inputs
        return p["a"] * np.cos(x) * c, p["b"] * c, {"a": (np.sin(x) * c).sum(), "b": (u * c).sum()}

    params, inputs = {"a": 0.8, "b": 1.3}, rng.normal(size=(5, 2))
    start = rng.normal(size=(2,) if starts is None else (starts, 2))
    both = [
        Plant(step, 2, 2, vectorized=vectorized, params=params)
        for step in (f, Step(f, vjp, vectorized=vectorized))
    ]
    one, other = (Trajectory(p, Energy(0.1), lambda x: np.sum(x**2)).gradient(start, inputs) for p in both)
    np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-12)
    for name in ("plant.a", "plant.b"):
        np.testing.assert_allclose(one.parameters[name], other.parameters[name], rtol=1e-12)


def test_checkpoints_change_nothing(rng):
    path, inputs = Trajectory(plants.pendulum(), Energy(), lambda x: np.sum(x**2)), rng.normal(size=(40, 1))
    whole, few = path.messages([0.1, 0], inputs), path.messages([0.1, 0], inputs, Checkpointed(5))
    np.testing.assert_allclose(few.gradient["u"], whole.gradient["u"], rtol=1e-12)
    np.testing.assert_allclose(few.parameters["plant.length"], whole.parameters["plant.length"], rtol=1e-12)


@pytest.mark.parametrize("starts", [None, 3])
def test_long_paths_are_compiled(starts, rng):
    """Traced and compiled, the sweep says what the plain one says, also of parameters."""
    plant, T = plants.car(0.01), 3000
    start = 0.1 * rng.normal(size=(4,) if starts is None else (starts, 4))
    inputs, cost = 0.1 * rng.normal(size=(T, 2)), SmoothAbs([1.0, 1.0, 0.1, 0.1]) + Energy(0.1)
    step = plant_step(plant, starts)
    plain = Step(step.f, vectorized=True)
    m = TrajectoryGraph(plant, cost, None, start, inputs, parameters=True, step=plain).run(start, inputs)
    path = Trajectory(plant, cost)
    for found in (path.gradient(start, inputs), path.gradient(start, inputs)):
        assert found.cost == pytest.approx(float(m.total), rel=1e-12)
        np.testing.assert_allclose(found.gradient, m.gradient["u"][:-1], rtol=1e-8, atol=1e-10)
        for name, got in found.parameters.items():
            np.testing.assert_allclose(got, m.parameters[name], rtol=1e-6, atol=1e-8)
    assert "traced" in str(found.messages.graph.plan())


def test_a_graph_for_oneself():
    from msgpass import run

    path = Trajectory(plants.pendulum(), Energy(), lambda x: np.sum(x**2))
    m = run(path.graph([0.1, 0], np.ones((4, 1))))
    found = path.gradient([0.1, 0], np.ones((4, 1)))
    assert float(m.total) == found.cost
    np.testing.assert_array_equal(m.gradient["u"][:-1], found.gradient)


def test_blowing_up_names_the_step():
    plant = Plant(lambda x, u: x**3 + u, 1, 1, dt=0.1)
    path = Trajectory(plant, Energy(), lambda x: x[0] ** 2)
    for start in ([3.0], [[0.1], [3.0]]):
        with pytest.raises(NumericalError, match=r"blows up: state 6 \(0.6 s\)"):
            path.gradient(start, np.zeros(12))
    big = Trajectory(plants.double_integrator(), Energy())
    with pytest.raises(NumericalError, match="NaN or infinite"), np.errstate(over="ignore"):
        big.gradient([0, 0], np.full(3, 1e200))


def test_what_does_not_fit():
    plant = plants.arm()
    path = Trajectory(plant, Energy())
    with pytest.raises(DataError, match="dynamics must be"):
        Trajectory(3, Energy())
    with pytest.raises(ShapeError, match=r"wanted \(steps, 2\)"):
        path.gradient(np.zeros(4), np.zeros((5, 3)))
    with pytest.raises(ShapeError, match=r"start has shape"):
        path.gradient(np.zeros((2, 2, 4)), np.zeros((5, 2)))
    with pytest.raises(ShapeError, match="3 weights, but the plant has 2 controls"):
        Trajectory(plant, Energy([1, 2, 3]))
    with pytest.raises(ShapeError, match="nothing there"):
        Trajectory(plant, Energy(), Energy())
    with pytest.raises(ShapeError, match="path has 3 numbers"):
        Trajectory(plant, Deviation([1, 2, 3]))
    with pytest.raises(ShapeError, match=r"of\(x\) has shape \(2,\)"):
        Trajectory(plant, Deviation([1, 2, 3], of=plants.arm_tip)).cost_of(np.zeros(4), np.zeros((5, 2)))
    with pytest.raises(ShapeError, match="a row for every step"):
        Trajectory(plant, Deviation(np.zeros((3, 4)))).cost_of(np.zeros(4), np.zeros((5, 2)))
    with pytest.raises(ShapeError, match="SmoothAbs has 2 weights"):
        Trajectory(plant, SmoothAbs([1, 2]))
    with pytest.raises(DataError, match="rounding must be > 0"):
        SmoothAbs([1.0], 0.0)
    with pytest.raises(DataError, match="has no parameter 'size'; it has masses"):
        plant.with_parameters(size=1.0)
    with pytest.raises(ShapeError, match=r"wanted \(2,\)"):
        plant.with_parameters(masses=1.0)
    with pytest.raises(DataError, match="method must be"):
        path.optimize(np.zeros(4), np.zeros((5, 2)), method="newton")
    with pytest.raises(ShapeError, match="maps \\(x, u\\) to the next state"):
        Trajectory(Plant(lambda x, u: x[:1], 2, 1), Energy()).gradient([0, 0], np.zeros(3))
    with pytest.raises(ShapeError, match="must return a dict of cotangents of a"):
        step = Step(lambda x, u, p: p["a"] * x + u, lambda i, c: (c, c, 1.0))
        Trajectory(Plant(step, 1, 1, params={"a": 1.0}), Energy()).gradient([0.0], np.zeros(3))


def test_acrobot_reference():
    """trajax's acrobot at rest: Euler 0.1, 50 steps; nothing moves, and each step is π away in one number."""
    goal = [np.pi, 0, 0, 0]
    running = Deviation(goal, 0.1) + Energy(0.01)
    path = Trajectory(plants.acrobot(0.1, method="euler"), running, Deviation(goal, 1000.0))
    found = path.gradient(np.zeros(4), np.zeros((50, 1)))
    assert found.cost == pytest.approx(4959.476212, abs=1e-6)
    assert found.cost == pytest.approx(502.5 * np.pi**2, rel=1e-12)


def test_figures():
    found = Trajectory(plants.arm(), Energy()).gradient(np.zeros((2, 4)), np.ones((5, 2)))
    assert len(found.plot().axes) == 4
    assert "TrajectoryGradient" in repr(found)


@pytest.mark.parametrize("read", ["cost_of", "gradient", "simulate"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_cost_that_is_nan_names_its_step(read):
    """The state is 0, 1, 1.9, 2.71 and passes 1.5 at step 2."""

    def cost(x, u):
        return np.sum(np.log(1.5 - x)) + u @ u

    with pytest.raises(NumericalError, match="the cost of step 2 is NaN") as caught:
        getattr(Trajectory(lambda x, u: 0.9 * x + u, cost), read)([0.0], np.ones((5, 1)))
    assert caught.value.step == 2


def test_a_terminal_cost_that_is_nan_names_the_last_step():
    path = Trajectory(lambda x, u: 0.9 * x + u, Energy(0.1), lambda x: np.sqrt(-1.0 * x[0]))
    with pytest.raises(NumericalError, match="the cost of step 3 is NaN"):
        path.cost_of([0.0], np.ones((3, 1)))
