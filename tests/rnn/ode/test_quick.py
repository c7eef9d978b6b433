"""Compiled trial steps and VJPs find what the plain ones find."""

import numpy as np
import pytest

from rnn import ode
from rnn.ode import quick
from rnn.ode.methods import METHODS


def field(t, y, p):
    u, v = y
    return [p["a"][0] * u - u * v + 0.1 * np.sin(t), -p["a"][1] * v + p["b"] * u * v]


PARAMS = {"a": np.array([1.5, 3.0]), "b": np.array(0.8)}
START, TIMES = np.array([1.0, 1.2]), np.array([0.0, 0.7, 2.0])


def both(monkeypatch, run):
    """What ``run`` gives in plain NumPy and compiled, and how many functions were compiled."""
    monkeypatch.setattr(quick, "PATIENCE", np.inf)
    plain = run()
    quick._QUICK.clear()
    monkeypatch.setattr(quick, "PATIENCE", -1.0)
    fast = run()
    made = [m for q in quick._QUICK.values() for m in q.made.values() if m is not None]
    return plain, fast, len(made)


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "kvaerno5"])
def test_the_same_steps(monkeypatch, method):
    plain, fast, made = both(monkeypatch, lambda: ode.odeint(field, START, TIMES, PARAMS, method))
    assert made == 1
    assert plain.stats == fast.stats
    np.testing.assert_allclose(fast.y, plain.y, rtol=1e-10)
    np.testing.assert_allclose(fast.grid.times, plain.grid.times, rtol=1e-8)


def test_each_number_has_its_tolerance(monkeypatch):
    run = lambda: ode.odeint(field, START, TIMES, PARAMS, rtol=0, atol=np.array([1e-4, 1e-7]))  # noqa: E731
    plain, fast, made = both(monkeypatch, run)
    assert made == 1
    assert plain.stats == fast.stats


def test_the_adjoint(monkeypatch):
    run = lambda: ode.odeint_gradient(  # noqa: E731
        field, START, TIMES, PARAMS, loss=lambda y: (y**2).sum(), gradient="adjoint", rtol=1e-8, atol=1e-10
    )
    plain, fast, made = both(monkeypatch, run)
    assert made == 2
    np.testing.assert_allclose(fast.y0, plain.y0, rtol=1e-9)
    for name, g in plain.params.items():
        np.testing.assert_allclose(fast.params[name], g, rtol=1e-8)


def test_a_blow_up_is_told_as_in_plain_numpy(monkeypatch):
    def run():
        with pytest.raises(ode.BlowUpError) as told:
            ode.odeint(lambda t, y: y * y, np.ones(1), [0.0, 2.0])
        return told.value.t

    plain, fast, made = both(monkeypatch, run)
    assert made == 1
    assert abs(plain - fast) < 1e-6


def test_what_decides_by_values_runs_as_it_is(monkeypatch):
    run = lambda: ode.odeint(lambda t, y: -y if y[0] > 0.5 else -2 * y, np.ones(1), [0.0, 1.0])  # noqa: E731
    plain, fast, made = both(monkeypatch, run)
    assert made == 0
    np.testing.assert_array_equal(plain.y, fast.y)


def test_single_precision_runs_as_it_is(monkeypatch):
    monkeypatch.setattr(quick, "PATIENCE", -1.0)
    y = ode.odeint(lambda t, y: -y, np.ones(2, np.float32), [0.0, 1.0], rtol=1e-4).y
    assert y.dtype == np.float32


def test_a_function_that_changes_what_it_closes_over(monkeypatch):
    monkeypatch.setattr(quick, "PATIENCE", -1.0)
    rate = {"k": 1.0}
    decay = lambda t, y: -rate["k"] * y  # noqa: E731
    first = ode.odeint(decay, np.ones(1), [0.0, 1.0]).y[-1, 0]
    rate["k"] = 2.0
    second = ode.odeint(decay, np.ones(1), [0.0, 1.0]).y[-1, 0]
    assert abs(first - np.exp(-1)) < 1e-5
    assert abs(second - np.exp(-2)) < 1e-5


def test_patience_counts_work(monkeypatch):
    """Nothing is compiled for a short integration."""
    quick._QUICK.clear()
    ode.odeint(field, START, TIMES, PARAMS)
    (kept,) = quick._QUICK.values()
    assert not kept.made
    assert kept.spent > 0


def test_every_explicit_method_has_a_compiled_trial():
    names = [n for n, m in METHODS.items() if m.adaptive and not m.implicit]
    for name in names:
        f = quick.trial_function(METHODS[name], lambda t, y: -y)
        new, start, _, norm = f(np.ones(2), 0.0, 0.1, 1e-3, np.full(2, 1e-6), -np.ones(2))
        np.testing.assert_allclose(new, np.exp(-0.1), rtol=1e-3)
        np.testing.assert_array_equal(start, -1.0)
        assert norm >= 0
