"""Ready-made plants: energy is kept without control or friction, work is what the control puts in, rest
is rest.
"""

import numpy as np
import pytest

from msgpass.errors import DataError
from rnn.systems.control import plants

G = 9.81


def pendulum_energy(x, m=2.0, l=0.7):
    return 0.5 * m * l**2 * x[1] ** 2 - m * G * l * np.cos(x[0])


def cart_pole_energy(x, M=1.0, m=0.3, l=0.5):
    tip = np.array([x[2] + l * x[3] * np.cos(x[1]), l * x[3] * np.sin(x[1])])
    return 0.5 * M * x[2] ** 2 + 0.5 * m * tip @ tip - m * G * l * np.cos(x[1])


def acrobot_energy(x, m=(1.0, 0.5), l=(1.0, 0.8)):
    a, b = x[0], x[0] + x[1]
    v1, v2 = x[2], x[2] + x[3]
    first = 0.5 * (m[0] * l[0] ** 2 / 3) * v1**2 - m[0] * G * l[0] / 2 * np.cos(a)
    centre = np.array([
        l[0] * v1 * np.cos(a) + l[1] / 2 * v2 * np.cos(b), l[0] * v1 * np.sin(a) + l[1] / 2 * v2 * np.sin(b)
    ])  # fmt: skip
    height = -l[0] * np.cos(a) - l[1] / 2 * np.cos(b)
    return first + 0.5 * m[1] * centre @ centre + 0.5 * (m[1] * l[1] ** 2 / 12) * v2**2 + m[1] * G * height


def quadrotor_energy(x):
    return 0.5 * 0.486 * (x[3] ** 2 + x[4] ** 2) + 0.5 * 0.00383 * x[5] ** 2 + 0.486 * G * x[1]


def arm_energy(x):
    return acrobot_energy(x, (1.0, 0.5), (1.0, 0.8))


CASES = {
    "pendulum": (plants.pendulum(1e-3, mass=2.0, length=0.7), pendulum_energy, [1]),
    "cart-pole": (plants.cart_pole(1e-3), cart_pole_energy, [2]),
    "arm": (plants.arm(1e-3, (1.0, 0.5), (1.0, 0.8), gravity=G), arm_energy, [2, 3]),
    "acrobot": (plants.acrobot(1e-3, masses=(1.0, 0.5), lengths=(1.0, 0.8)), acrobot_energy, [3]),
}


@pytest.mark.parametrize("name", CASES)
def test_work_is_energy(name, rng):
    """dE/dt = control · speed of what it drives; without control the energy stays."""
    plant, energy, driven = CASES[name]
    x = rng.normal(size=plant.states)
    for u in (np.zeros(plant.inputs), np.array([1.7, -0.6])[: plant.inputs]):
        after = plant(x[None], u[None], np.zeros(1))[0]
        speed = (x[driven] + after[driven]) / 2
        assert energy(after) - energy(x) == pytest.approx(1e-3 * float(u @ speed), abs=2e-8)


def test_quadrotor_falls_and_lifts(rng):
    plant, x = plants.quadrotor(1e-3), rng.normal(size=6)
    after = plant(x[None], np.zeros((1, 2)), np.zeros(1))[0]
    assert quadrotor_energy(after) == pytest.approx(quadrotor_energy(x), abs=1e-10)
    x = np.zeros(6)
    lift = plant(x[None], np.array([[3.0, 2.0]]), np.zeros(1))[0]
    assert lift[4] == pytest.approx(1e-3 * (5 / 0.486 - G), rel=1e-3)
    assert lift[5] == pytest.approx(1e-3 * 0.25 / 0.00383, rel=1e-9)


def test_double_integrator_is_exact():
    fine, coarse = plants.double_integrator(0.01), plants.double_integrator(0.1)
    x, u = np.array([[1.0, -2.0]]), np.array([[3.0]])
    y = x
    for _ in range(10):
        y = fine(y, u, np.zeros(1))
    np.testing.assert_allclose(coarse(x, u, np.zeros(1)), y)


@pytest.mark.parametrize("make", [plants.pendulum, plants.cart_pole, plants.acrobot])
def test_hanging_and_upright_are_rest(make):
    plant = make()
    angle = 1 if plant.name == "cart-pole" else 0
    for at in (0.0, np.pi):
        x = np.zeros((1, plant.states))
        x[0, angle] = at
        np.testing.assert_allclose(plant(x, np.zeros((1, 1)), np.zeros(1)), x, atol=1e-12)
    A = []
    for at in (0.0, np.pi):
        x = np.where(np.arange(plant.states) == angle, at, 0.0)[None]
        A.append(plant.linearise(x, np.zeros((1, 1)), np.zeros(1))[0])
    hanging, upright = (np.abs(np.linalg.eigvals(M[0])).max() for M in A)
    assert hanging < 1.001 < upright


def test_an_arm_without_a_motor_at_the_shoulder_is_an_acrobot(rng):
    x, u = rng.normal(size=(5, 4)), rng.normal(size=(5, 1))
    both = plants.arm(gravity=G)(x, np.hstack([0 * u, u]), np.zeros(5)), plants.acrobot()(x, u, np.zeros(5))
    np.testing.assert_array_equal(*both)


def test_a_car_turns_on_a_circle():
    """Front wheels held at w: the rear axle runs on a circle of radius axles / tan w, up to the step."""
    plant, w = plants.car(0.001), 0.3
    x, path = np.array([[0.0, 0.0, 0.0, 3.0]]), []
    for _ in range(9000):
        x = plant(x, np.array([[w, 0.0]]), np.zeros(1))
        path.append(x[0])
    path = np.array(path)
    radius = 2.0 / np.tan(w)
    off = np.hypot(path[:, 0], path[:, 1] - radius)
    np.testing.assert_allclose(off, radius, rtol=1e-3)
    rolled = plant(x, np.array([[0.0, 1.0]]), np.zeros(1))
    assert rolled[0, 3] == pytest.approx(3.001)
    back = plant(x * [1, 1, 1, -1], np.array([[0.0, 0.0]]), np.zeros(1))[0, :2] - x[0, :2]
    np.testing.assert_allclose(back, -0.003 * np.array([np.cos(x[0, 2]), np.sin(x[0, 2])]), rtol=1e-9)


def test_friction_takes_energy():
    plant = plants.pendulum(1e-3, damping=0.5)
    after = plant(np.array([[0.3, 2.0]]), np.zeros((1, 1)), np.zeros(1))[0]
    lost = pendulum_energy(np.array([0.3, 2.0]), 1, 1) - pendulum_energy(after, 1, 1)
    assert lost == pytest.approx(1e-3 * 0.5 * 4, rel=2e-3)


def test_parameters_are_checked():
    for make in (
        plants.pendulum,
        plants.cart_pole,
        plants.acrobot,
        plants.quadrotor,
        plants.double_integrator,
        plants.arm,
        plants.car,
    ):
        with pytest.raises(DataError, match="dt must be"):
            make(dt=0.0)
