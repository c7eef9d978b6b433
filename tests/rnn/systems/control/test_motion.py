"""Strips and animations: every ready-made plant has a pose, a GIF its frames; what has none says so."""

import numpy as np
import pytest

from msgpass.errors import DataError, UnsupportedError
from rnn.systems.control import Energy, OptimalControl, Plant, animate, plants, shooting, strip

MAKERS = [
    plants.acrobot, plants.arm, plants.car, plants.cart_pole, plants.double_integrator, plants.pendulum,
    plants.quadrotor,
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_every_plant_is_drawn(make, rng):
    plant = make()
    states = rng.normal(size=(11, plant.states))
    assert len(strip(plant, states, frames=4).axes) == 4
    (ax,) = strip(plant, states, frames=3, together=True).axes
    lines = [line for x in states[[0, 5, 10]] for line in plant.drawn(x)]
    drawn = [line for line in ax.lines if line.get_marker() == "None"]
    assert len(drawn) == len(lines)
    np.testing.assert_allclose(drawn[-1].get_xydata(), lines[-1])


def test_poses_follow_the_parameters():
    """The tip of a pendulum, an arm and an acrobot is a rod's length away; a car keeps its size."""
    (rod,) = plants.pendulum(length=0.5).with_parameters(length=2.0).drawn(np.array([0.3, 0.0]))
    assert np.linalg.norm(rod[1] - rod[0]) == pytest.approx(2.0)
    (links,) = plants.arm(lengths=(2.0, 0.5)).drawn(np.array([0.4, 1.0, 0, 0]))
    np.testing.assert_allclose(np.linalg.norm(np.diff(links, axis=0), axis=1), [2.0, 0.5])
    np.testing.assert_allclose(links[2], plants.arm_tip(np.array([0.4, 1.0, 0, 0]), (2.0, 0.5)))
    box = plants.car().drawn(np.array([3.0, 1.0, 0.7, 0.0]))[0]
    np.testing.assert_allclose(np.linalg.norm(np.diff(box, axis=0), axis=1), [3.0, 1.6, 3.0, 1.6])


def test_a_gif(tmp_path):
    image = pytest.importorskip("PIL.Image")
    problem = OptimalControl(plants.double_integrator(), Energy(), start=[1, -1], horizon=5)
    found = shooting(problem)
    found.animate(tmp_path / "motion.gif", seconds=1)
    with image.open(tmp_path / "motion.gif") as picture:
        assert picture.n_frames == 6
    assert len(found.strip(frames=2).axes) == 2
    assert animate(problem.plant, found.states) is not None


def test_what_cannot_be_drawn():
    bare = Plant(lambda x, u: x + u, 1, 1)
    with pytest.raises(UnsupportedError, match="does not say how it is drawn"):
        strip(bare, np.zeros((3, 1)))
    with pytest.raises(DataError, match=r"wanted \(steps, 2\)"):
        strip(plants.pendulum(), np.zeros((3, 4)))
    with pytest.raises(DataError, match="expected a Plant"):
        strip(3, np.zeros((3, 4)))
    with pytest.raises(DataError, match=r"ends in \.gif, got 'motion\.xyz'"):
        animate(plants.pendulum(), np.zeros((3, 2)), "motion.xyz")
    with pytest.raises(DataError, match="seconds must be"):
        animate(plants.pendulum(), np.zeros((3, 2)), seconds=0)
    with pytest.raises(DataError, match="pose must be"):
        Plant(lambda x, u: x, 1, 1, pose=3)
