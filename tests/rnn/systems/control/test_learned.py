"""Learned plants: the step, its derivatives, controls found through it and tried on the true plant."""

import numpy as np
import pytest

from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import MLP, RNN, Linear, Recurrence
from rnn.systems.control import (
    Energy,
    OptimalControl,
    Plant,
    QuadraticCost,
    Trajectory,
    ddp,
    learn_plant,
    plants,
    shooting,
)
from tests.rnn.systems.control.differences import jacobian


def recorded(rng, count=1500):
    """A pendulum pushed at random, all around."""
    plant = plants.pendulum(0.1, damping=0.1)
    x = np.column_stack([rng.uniform(-1, 4.5, count), rng.uniform(-5, 5, count)])
    u = rng.uniform(-5, 5, (count, 1))
    return plant, x, u, plant(x, u, np.zeros(count))


def test_controls_found_on_a_learned_plant_hold_on_the_true_one():
    plant, x, u, after = recorded(np.random.default_rng(0))
    learned = learn_plant(x, u, after, hidden_sizes=(24,), n_iter=400, dt=0.1, pose=plants.pendulum().pose)
    assert learned.error.max() < 0.02 and "held-out error" in repr(learned)
    upright = [np.pi, 0]
    cost = QuadraticCost(0.01 * np.eye(2), 0.01 * np.eye(1), target=upright)
    end = QuadraticCost(np.diag([100.0, 10.0]), target=upright)
    options = {"start": [0, 0], "horizon": 30, "lower": -5, "upper": 5}
    model = OptimalControl(learned.plant, cost, end, **options)
    truth = OptimalControl(plant, cost, end, **options)
    found, best = shooting(model), ddp(truth)
    assert found.converged
    alone = found.simulate(plant=plant, feedback=False)
    held = found.simulate(plant=plant)
    assert alone.cost == pytest.approx(truth.cost_of(found.inputs), rel=1e-9)
    assert held.cost < 1.1 * best.cost and held.cost < alone.cost
    assert abs(held.states[-1, 0] - np.pi) < 0.1


def test_weights_are_parameters(rng):
    net, readout = MLP(3, [5, 4], random_state=0), Linear(4, 2, random_state=1)
    scale = rng.normal(size=3), 1 + rng.random(3), 1 + rng.random(2)
    plant = Plant.from_network(net, readout, inputs=1, scale=scale)
    x, u = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
    z = (np.concatenate([x, u], axis=1) - scale[0]) / scale[1]
    np.testing.assert_allclose(plant(x, u, np.zeros(6)), x + scale[2] * readout(net(z)), rtol=1e-13)
    inputs = rng.normal(size=(4, 1))
    found = Trajectory(plant, Energy(0.1), lambda x: np.sum(x**2)).gradient([0.3, -0.2], inputs)

    def cost(weights, key):
        moved = plant.with_parameters(**{key: weights})
        return Trajectory(moved, Energy(0.1), lambda x: np.sum(x**2)).cost_of([0.3, -0.2], inputs)

    for key in ("weight_0", "bias_1", "readout.weight", "readout.bias"):
        at = plant.parameters[key]
        slope = jacobian(lambda w, k=key, s=at.shape: cost(w.reshape(s), k), at.ravel())[0]
        np.testing.assert_allclose(found.parameters[f"plant.{key}"].ravel(), slope, rtol=1e-6, atol=1e-8)


def test_a_recurrence_is_a_plant(rng):
    def f(h, x, W, U):
        return np.tanh(h @ W.T + x @ U.T)

    net = Recurrence(f, {"W": (3, 3), "U": (3, 2)}, 2, 3, random_state=0)
    inputs = rng.normal(size=(5, 2))
    path = Trajectory(Plant.from_network(net), Energy(0.1), lambda x: np.sum(x**2))
    np.testing.assert_allclose(path.simulate(np.zeros(3), inputs).states[1:], net(inputs)[0], rtol=1e-13)
    assert path.gradient(np.zeros(3), inputs).parameters["plant.W"].shape == (3, 3)


def test_paths_are_transitions(rng):
    states, inputs = np.cumsum(rng.normal(size=(3, 11, 2)), axis=1), rng.normal(size=(3, 10, 1))
    one = learn_plant(states, inputs, hidden_sizes=(3,), n_iter=5)
    flat = states[:, :-1].reshape(-1, 2), inputs.reshape(-1, 1), states[:, 1:].reshape(-1, 2)
    other = learn_plant(*flat, hidden_sizes=(3,), n_iter=5)
    np.testing.assert_array_equal(one.error, other.error)
    np.testing.assert_array_equal(one.network.weights["weight_0"], other.network.weights["weight_0"])


def test_what_does_not_fit(rng):
    with pytest.raises(DataError, match="got RNN with NoneType"):
        Plant.from_network(RNN(2, 3))
    with pytest.raises(ShapeError, match="leaves 1 controls, wanted 2"):
        Plant.from_network(MLP(3, [4]), Linear(4, 2), inputs=2)
    with pytest.raises(UnsupportedError, match="plant by itself"):
        Plant.from_network(Recurrence(lambda h, x: h + x, {}, 2, 2), Linear(2, 2))
    with pytest.raises(ShapeError, match="give after="):
        learn_plant(np.zeros((5, 2)), np.zeros((5, 1)))
    with pytest.raises(ShapeError, match=r"wanted \(N, n\)"):
        learn_plant(np.zeros((5, 2)), np.zeros((5, 1)), np.zeros((4, 2)))
    with pytest.raises(DataError, match="held_out must be"):
        learn_plant(np.zeros((5, 2)), np.zeros((4, 1)), held_out=1.0)
    with pytest.raises(DataError, match="too few"):
        learn_plant(np.zeros((2, 2)), np.zeros((1, 1)))
