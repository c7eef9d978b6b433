"""Solutions beside closed forms and scipy's; grids, saves, directions, errors."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from msgpass import run
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.ode import (
    METHODS,
    BlowUpError,
    Controller,
    ImplicitStageError,
    IntegrationError,
    MaxStepsError,
    StepSizeError,
    graph,
    odeint,
    odeint_gradient,
)
from tests.rnn.ode.fields import LV, ROBERTSON, forced, forced_params, lotka_volterra, robertson

T = np.linspace(0, 3, 8)


def truth(f, y0, t, params=None):
    args = () if params is None else (params,)
    found = solve_ivp(
        lambda s, y: np.asarray(f(s, y.reshape(np.shape(y0)), *args)).ravel(),
        (t[0], t[-1]),
        np.ravel(y0),
        "DOP853",
        t,
        rtol=1e-12,
        atol=1e-13,
    )
    return found.y.T.reshape(-1, *np.shape(y0))


@pytest.fixture(scope="module")
def lv_truth():
    return truth(lotka_volterra, np.ones(2), T, LV)


@pytest.mark.parametrize("saves", ["steps", "dense"])
@pytest.mark.parametrize("method", [n for n, m in METHODS.items() if m.adaptive])
def test_error_follows_the_tolerance(method, saves, lv_truth):
    errors = []
    tight = 1e-5 if METHODS[method].order < 3 else 1e-7
    for rtol in (1e-3, tight):
        found = odeint(lotka_volterra, np.ones(2), T, LV, method, rtol=rtol, atol=rtol, saves=saves)
        errors.append(np.abs(found.y - lv_truth).max())
    assert errors[1] < 600 * tight and errors[0] > 5 * errors[1]


@pytest.mark.parametrize("method", METHODS)
def test_fixed_steps(method, lv_truth):
    found = odeint(lotka_volterra, np.ones(2), T, LV, method, step=0.01)
    assert found.stats.accepted == found.grid.steps == len(found.states) - 1
    assert (np.diff(found.grid.times) <= 0.01 * (1 + 1e-8)).all()
    assert np.abs(found.y - lv_truth).max() < {1: 0.4, 2: 3e-3}.get(METHODS[method].order, 3e-5)
    assert np.array_equal(found.y[0], np.ones(2))


def test_scipy_takes_as_many_evaluations():
    """The controller is no worse than scipy's at the same error."""
    own = odeint(lotka_volterra, np.ones(2), [0, 10], LV, "dopri5", rtol=1e-8, atol=1e-8)
    theirs = solve_ivp(lotka_volterra, (0, 10), np.ones(2), "RK45", rtol=1e-8, atol=1e-8, args=(LV,))
    reference = truth(lotka_volterra, np.ones(2), np.array([0.0, 10.0]), LV)[-1]
    assert own.stats.evaluations < 1.1 * theirs.nfev
    assert np.abs(own.y[-1] - reference).max() < 2 * np.abs(theirs.y[:, -1] - reference).max() + 1e-7


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "kvaerno5", "rk4"])
def test_back_in_time(method):
    step = 0.01 if method == "rk4" else None
    there = odeint(lotka_volterra, np.ones(2), [0, 1, 2], LV, method, rtol=1e-9, atol=1e-11, step=step)
    back = odeint(lotka_volterra, there.y[-1], [2, 1, 0], LV, method, rtol=1e-9, atol=1e-11, step=step)
    assert (np.diff(back.grid.times) < 0).all()
    assert np.allclose(back.y[::-1], there.y, atol=1e-7)
    assert np.allclose(back.at(1.5), there.at(1.5), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_dense_output_between_steps(method):
    found = odeint(lotka_volterra, np.ones(2), T, LV, method, step=0.02)
    times = np.linspace(0, 3, 37)
    assert found.at(times).shape == (37, 2) and found.at(0.7).shape == (2,)
    assert np.allclose(found.at(found.grid.times), found.states, rtol=1e-9)
    gap = np.abs(found.at(times) - truth(lotka_volterra, np.ones(2), times, LV)).max()
    assert gap < {1: 0.8, 2: 1e-2}.get(METHODS[method].order, 2e-4)
    with pytest.raises(DataError, match="outside the integration, 0 to 3"):
        found.at(3.5)


def test_dense_saves_cost_no_steps():
    many = np.linspace(0, 3, 500)
    steps = odeint(lotka_volterra, np.ones(2), many, LV)
    dense = odeint(lotka_volterra, np.ones(2), many, LV, saves="dense")
    assert dense.stats.accepted < 80 < steps.stats.accepted
    assert np.abs(dense.y - truth(lotka_volterra, np.ones(2), many, LV)).max() < 1e-4


@pytest.mark.parametrize("shape", [(), (1,), (4, 2), (2, 3, 2)])
def test_states_of_any_shape(shape):
    rng = np.random.default_rng(0)
    y0 = rng.normal(size=shape)
    if shape and shape[-1] == 2:
        params = forced_params(rng)
        f = forced
    else:
        f, params = (lambda t, y, k: -k * y * np.cos(t)), 0.7
    for method in ("dopri5", "kvaerno3"):
        found = odeint(f, y0, T, params, method, rtol=1e-7, atol=1e-9)
        assert found.y.shape == (len(T), *shape)
        assert np.abs(found.y - truth(f, y0, T, params)).max() < 1e-5


def test_single_precision_stays():
    params = LV.astype(np.float32)
    for method, step in (("rk4", 0.1), ("dopri5", None)):
        found = odeint(
            lotka_volterra, np.ones(2, np.float32), T, params, method, step=step, rtol=1e-4, atol=1e-5
        )
        assert found.y.dtype == found.states.dtype == np.float32


def test_a_grid_of_ones_own_is_the_same_discretisation():
    found = odeint(lotka_volterra, np.ones(2), T, LV)
    again = odeint(lotka_volterra, np.ones(2), T, LV, grid=found.grid)
    assert np.allclose(again.states, found.states, rtol=1e-13)
    assert np.allclose(found.messages.forward["y"], found.states[1:], rtol=1e-13)
    with pytest.raises(DataError, match="no step end at the save time"):
        odeint(lotka_volterra, np.ones(2), T, LV, grid=np.linspace(0, 3, 11))


def test_irregular_times_are_met_exactly():
    t = np.sort(np.random.default_rng(0).uniform(0, 5, 20))
    for options in ({}, {"saves": "dense"}, {"step": 0.05}, {"method": "bosh3"}):
        found = odeint(lotka_volterra, np.ones(2), t, LV, **options)
        assert np.array_equal(found.t, t)
        assert np.abs(found.y - truth(lotka_volterra, np.ones(2), t, LV)).max() < 1e-3


def test_robertson_to_its_end():
    """Seven decades of time; mass is kept, and scipy's Radau agrees."""
    t = np.array([0, 0.4, 40, 4e3, 4e5, 4e7])
    found = odeint(robertson, np.array([1.0, 0, 0]), t, ROBERTSON, "kvaerno5", rtol=1e-6, atol=1e-10)
    assert np.abs(found.y.sum(axis=1) - 1).max() < 1e-9
    assert found.stats.accepted < 200
    theirs = solve_ivp(
        robertson, (0, 4e7), [1.0, 0, 0], "Radau", t, args=(ROBERTSON,), rtol=1e-9, atol=1e-13
    ).y.T
    assert np.abs(found.y - theirs).max() < 1e-4
    assert np.allclose(found.y[1], [0.98517, 3.3864e-5, 0.014794], rtol=3e-5)


def test_the_graph_takes_factors():
    from msgpass import Loss

    g = graph(lotka_volterra, np.ones(2), T, LV, "rk4", step=0.05)
    g.factor(Loss(lambda y: (float(y.sum()), (np.ones_like(y),)), vectorized=True), g["saved"][:])
    m = run(g)
    assert np.isclose(m.total, odeint(lotka_volterra, np.ones(2), T, LV, "rk4", step=0.05).y.sum())
    assert m.gradient["y"].shape == (len(g["t"].value), 2)


def test_controllers():
    counts = {}
    for name, controller in {
        "PI": Controller(),
        "I": Controller(p=0.0, i=1.0),
        "PID": Controller(p=0.2, i=0.3, d=0.1),
    }.items():
        found = odeint(lotka_volterra, np.ones(2), [0, 10], LV, controller=controller)
        counts[name] = found.stats
        assert (
            np.abs(found.y[-1] - truth(lotka_volterra, np.ones(2), np.array([0.0, 10.0]), LV)[-1]).max()
            < 1e-4
        )
    assert len({s.accepted for s in counts.values()}) > 1
    with pytest.raises(DataError, match="p \\+ i \\+ d must be positive"):
        Controller(p=0, i=0)
    with pytest.raises(DataError, match="safety"):
        Controller(safety=1.5)


def test_bounds_of_steps():
    found = odeint(lotka_volterra, np.ones(2), [0, 1], LV, first_step=1e-3, max_step=0.02)
    sizes = np.diff(found.grid.times)
    assert np.isclose(sizes[0], 1e-3) and sizes.max() <= 0.02 * 1.02


# -- errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "kvaerno5", "scipy:RK45"])
def test_a_pole_is_told_with_its_time(method):
    with pytest.raises(IntegrationError, match=r"t = (1|0\.99)") as told:
        odeint(lambda t, y: y * y, 1.0, [0, 2], method=method)
    assert abs(told.value.t - 1) < 1e-4


def test_fixed_steps_blow_up_with_their_time():
    with pytest.raises(BlowUpError, match=r"NaN or infinite in the step from t = 1\.0.*kvaerno5") as told:
        odeint(lambda t, y: y * y, 1.0, [0, 2], method="rk4", step=0.01)
    assert 1 < told.value.t < 1.1
    with pytest.raises(BlowUpError, match="not finite at the start, t = 2"):
        odeint(lambda t, y: y / 0.0, np.ones(1), [2, 3], method="rk4")


def test_leaving_the_domain():
    with pytest.raises(BlowUpError, match="becomes NaN or infinite after t = 1") as told:
        odeint(lambda t, y: np.sqrt(1 - t) * y, 1.0, [0, 2])
    assert abs(told.value.t - 1) < 1e-9


def test_a_singular_slope_underflows():
    with pytest.raises(StepSizeError, match="step size fell to"):
        odeint(lambda t, y: -1 / (2 * y), 1.0, [0, 2])
    with pytest.raises(StepSizeError, match=r"min_step=0\.1"):
        odeint(lotka_volterra, np.ones(2), [0, 10], LV, min_step=0.1, rtol=1e-10)


def test_too_many_steps_of_a_stiff_system():
    with pytest.raises(MaxStepsError, match=r"max_steps=300 .*stiff: method='kvaerno5'") as told:
        odeint(robertson, np.array([1.0, 0, 0]), [0, 40], ROBERTSON, max_steps=300)
    assert 0 < told.value.t < 40
    with pytest.raises(DataError, match="makes 1000 steps, more than max_steps=10"):
        odeint(lotka_volterra, np.ones(2), [0, 1], LV, "rk4", step=1e-3, max_steps=10)


def test_an_unsolvable_stage():
    with pytest.raises(ImplicitStageError, match=r"did not solve the implicit stage at t = 0\.6"):
        odeint(lambda t, y: y * y, 1.0, [0, 2], method="implicit_euler", step=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t": [0, 2, 1]}, r"t\[1\] = 2 is followed by t\[2\] = 1"),
        ({"t": [0, 1, 1]}, r"t\[1\] = 1 is followed by t\[2\] = 1"),
        ({"t": [3, 2, 2.5]}, r"t\[1\] = 2 is followed by t\[2\] = 2.5"),
        ({"t": [0]}, "at least two"),
        ({"t": [0, np.nan]}, "t holds NaN"),
        ({"rtol": -1e-3}, "not negative"),
        ({"rtol": 0, "atol": 0}, "both 0"),
        ({"step": -0.1}, "step is a positive number"),
        ({"step": 0.1, "grid": [0, 1]}, "not both"),
        ({"max_steps": 0}, "max_steps is a whole number"),
        ({"first_step": -1.0}, "first_step must be positive"),
        ({"min_step": 2.0, "max_step": 1.0}, "min_step ≤ max_step"),
        ({"saves": "all"}, "saves is one of"),
        ({"y0": [1.0, np.inf]}, "y0 holds NaN or an infinite value"),
        ({"y0": np.ones((0, 2))}, "y0 holds no number"),
        ({"y0": 1j}, "real numbers"),
        ({"params": {"t": 1.0}}, "cannot be called 't'"),
        ({"params": [1.0, np.nan]}, "params holds NaN"),
    ],
)
def test_bad_input(options, message):
    given = {"f": lambda t, y, p: -y, "y0": [1.0, 2.0], "t": [0, 1], "params": 1.0} | options
    with pytest.raises((DataError, ShapeError), match=message):
        odeint(**given)


def test_f_of_a_wrong_shape():
    for method in ("rk4", "dopri5", "scipy:RK45", "kvaerno3"):
        with pytest.raises(ShapeError, match=r"returned shape \(3,\) at t = 0, but y has shape \(2,\)"):
            odeint(lambda t, y: np.ones(3), np.ones(2), [0, 1], method=method)


def test_unknown_methods():
    with pytest.raises(UnsupportedError, match="no method is called"):
        odeint(lotka_volterra, np.ones(2), [0, 1], LV, "ode45")
    with pytest.raises(UnsupportedError, match="scipy has no method 'RK4'"):
        odeint(lotka_volterra, np.ones(2), [0, 1], LV, "scipy:RK4")


@pytest.mark.parametrize("name", ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"])
def test_scipy_methods(name, lv_truth):
    found = odeint(lotka_volterra, np.ones(2), T, LV, f"scipy:{name}", rtol=1e-7, atol=1e-8)
    assert np.abs(found.y - lv_truth).max() < 1e-3
    assert np.abs(found.at(T[3]) - lv_truth[3]).max() < 1e-3
    assert found.stats.evaluations > 10 and found.method == f"scipy:{name}"
    with pytest.raises(UnsupportedError, match="no chain of factors"):
        _ = found.messages
    with pytest.raises(DataError, match="chooses its steps"):
        odeint(lotka_volterra, np.ones(2), T, LV, f"scipy:{name}", step=0.1)


def test_scipy_takes_batches():
    rng = np.random.default_rng(0)
    params, y0 = forced_params(rng), rng.normal(size=(3, 2))
    found = odeint(forced, y0, T, params, "scipy:Radau", rtol=1e-8, atol=1e-9)
    assert np.abs(found.y - truth(forced, y0, T, params)).max() < 1e-5


def test_the_figure():
    axes = odeint(lotka_volterra, np.ones(2), T, LV).plot(names=["prey", "predator"])
    assert [line.get_label() for line in axes.lines if not line.get_label().startswith("_")] == [
        "prey",
        "predator",
    ]
    with pytest.raises(UnsupportedError, match="makes no figure"):
        odeint(lambda t, y: -y, np.ones(20), [0, 1]).plot()


@dataclass
class Decay:
    """Compares by value, changes, and has no hash."""

    rate: float

    def __call__(self, t, y):
        return -self.rate * y

    def slope(self, t, y):
        return self(t, y)


def test_f_may_be_an_object_that_changes():
    f = Decay(1.0)
    for method in ("rk4", "dopri5"):
        for g in (f, f.slope):
            for f.rate in (1.0, 2.0):
                found = odeint(g, 1.0, [0, 1], None, method, grid=np.linspace(0, 1, 21))
                assert found.y[-1] == pytest.approx(np.exp(-f.rate), rel=1e-5)


def in_place(t, y):
    y *= -1.0
    return y


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"f": in_place}, DataError, "in place"),
        ({"rtol": "small"}, DataError, "tolerances are numbers"),
        ({"rtol": [1e-3, 1e-6]}, DataError, "rtol is one number"),
        ({"atol": np.full(3, 1e-6)}, ShapeError, r"atol has shape \(3,\)"),
        ({"atol": np.full((2, 2), 1e-6)}, ShapeError, "atol has shape"),
        ({"max_step": "long"}, DataError, "max_step is a number"),
        ({"max_steps": "many"}, DataError, "max_steps is a number"),
        ({"max_steps": np.inf}, DataError, "whole number"),
        ({"controller": None}, DataError, "controller is a Controller"),
    ],
)
@pytest.mark.parametrize("method", ["dopri5", "scipy:RK45"])
def test_wrong_input_of_every_solver(change, error, words, method):
    given = {"f": lambda t, y: -y, "y0": np.ones(2), "t": [0, 1], "method": method} | change
    with pytest.raises(error, match=words):
        odeint(**given)
    if "f" in change:
        with pytest.raises(error, match=words):
            odeint(**given | {"method": "rk4"})


def test_whole_numbers_are_a_rate():
    found = odeint(lambda t, y: np.array([1, 0]), [0, 1], [0, 2])
    np.testing.assert_allclose(found.y[-1], [2.0, 1.0])
    assert odeint(lambda t, y: 0, 1.0, [0, 1]).y[-1] == 1.0


def test_too_many_fixed_steps_are_refused_before_they_are_made():
    with pytest.raises(DataError, match="step=1e-12 makes 1e\\+12 steps"):
        odeint(lambda t, y: -y, 1.0, [0, 1], None, "rk4", step=1e-12)
    with pytest.raises(DataError, match=r"schedule is a schedule such as Checkpointed"):
        odeint_gradient(lambda t, y: -y, 1.0, [0, 1], loss=lambda y: y[-1], schedule="few")
