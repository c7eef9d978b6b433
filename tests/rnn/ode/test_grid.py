"""Grids: save times are met, places are found, and how ends move with save times."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnn.ode.grid import Grid, locate
from tests.rnn.ode.fields import differences

TIMES = st.lists(st.integers(0, 400), min_size=2, max_size=8, unique=True).map(
    lambda ks: np.sort(np.array(ks)) / 64
)


@given(TIMES, st.floats(0.01, 3.0), st.booleans(), st.booleans())
def test_fixed_steps_meet_every_save_time(t, step, dense, backward):
    t = t[::-1] if backward else t
    grid = Grid.fixed(t, step, dense)
    sizes = np.abs(np.diff(grid.times))
    assert (sizes <= step * (1 + 1e-8)).all() and (sizes > 0).all()
    assert grid.times[0] == t[0] and grid.times[-1] == t[-1]
    if dense:
        low = grid.times[grid.at]
        assert ((grid.theta >= 0) & (grid.theta <= 1)).all()
        assert np.allclose(low + grid.theta * (grid.times[grid.at + 1] - low), t, atol=1e-12)
    else:
        assert np.array_equal(grid.times[grid.at], t)


@given(TIMES, st.floats(0.05, 3.0), st.booleans())
def test_gradients_by_save_times(t, step, backward):
    """``moved`` is the transpose of ``at_times``."""
    t = t[::-1] if backward else t
    grid = Grid.fixed(t, step, dense=False)
    rng = np.random.default_rng(0)
    of_t, of_h = rng.normal(size=(2, grid.steps))

    def value(t):
        times = grid.at_times(t).times
        return of_t @ times[:-1] + of_h @ np.diff(times)

    assert np.allclose(grid.moved(of_t, of_h), differences(value, t, 1e-4), rtol=1e-6, atol=1e-7)


def test_places():
    at, theta = locate(np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.5, 1.0, 2.0, 3.0]))
    assert at.tolist() == [0, 0, 0, 1, 1] and theta.tolist() == [0, 0.5, 1, 0.5, 1]
    at, theta = locate(np.array([3.0, 1.0, 0.0]), np.array([3.0, 2.0, 0.5]))
    assert at.tolist() == [0, 0, 1] and theta.tolist() == [0, 0.5, 0.5]


def test_three_tenths_are_three_steps():
    assert Grid.fixed(np.array([0.0, 0.3]), 0.1, dense=False).steps == 3
    assert Grid.fixed(np.array([0.0, 0.3]), None, dense=False).steps == 1
