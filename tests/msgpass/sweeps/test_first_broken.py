"""A run that stops being finite names the variable and the step where its sweep meets it first."""

import numpy as np
import pytest

from msgpass import FactorGraph, Step, run
from msgpass.errors import NumericalError
from msgpass.kernels.elman_reference import ACTIVATIONS


def two_states(backward: bool):
    """c overflows at step 5 of the sweep, h = c / c two steps later."""
    g = FactorGraph()
    x = g.observe("x", np.arange(9.0)[::-1].copy() if backward else np.arange(9.0))
    c, h = g.sequence("c", 9, shape=()), g.sequence("h", 9, shape=())
    c0, h0 = g.observe("c0", 0.0), g.observe("h0", 0.0)
    inputs = (h.before(h0), c.before(c0)) if backward else (h.after(h0), c.after(c0))

    def step(h, c, x):
        return np.where(x >= 7, np.nan, h), np.where(x >= 5, np.inf, c)

    g.factor(Step(step), *inputs, x[:], out=(h[:], c[:]))
    return g


@pytest.mark.parametrize(("backward", "at"), [(False, 5), (True, 3)])
def test_the_first_of_several_states(backward, at):
    with pytest.raises(NumericalError, match=f"'c' became NaN or infinite at step {at},"):
        run(two_states(backward))


def test_the_first_of_several_sequences():
    g = FactorGraph()
    x = g.observe("x", np.array([0.0, 0, 0, 1, 0, 1]))
    h = g.sequence("h", [4, 2], shape=())
    g.factor(Step(lambda h, x: np.where(x > 0, np.nan, h)), h.after(g.observe("h0", 0.0)), x[:], out=h[:])
    with pytest.raises(NumericalError, match="'h' became NaN or infinite at step 1 of sequence 1"):
        run(g)


@pytest.mark.parametrize("backward", [False, True])
def test_compiled_sweeps_name_the_same_step(backward):
    relu = ACTIVATIONS["relu"][0]
    said = []
    for kernel in (None, "relu"):
        g = FactorGraph()
        x = g.observe("x", np.ones((1000, 1, 1)))
        w, u = g.parameter("W", np.full((2, 2), 100.0)), g.parameter("U", np.ones((2, 1)))
        h = g.sequence("h", 1000, shape=(1, 2))
        start = g.observe("h0", np.zeros((1, 2)))
        step = Step(lambda h, x, w, u: relu(h @ w.T + x @ u.T), vectorized=True, kernel=kernel)
        g.factor(step, h.before(start) if backward else h.after(start), x[:], w, u, out=h[:], name="cell")
        for _ in range(4):
            with pytest.raises(NumericalError, match="'h' became") as caught:
                run(g)
        said.append(str(caught.value))
    assert said[0] == said[1]
