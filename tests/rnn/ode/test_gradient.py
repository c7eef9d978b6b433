"""Gradients: exact for the discretisation, near the truth, equal under every schedule, in agreement with the
adjoint."""

import tracemalloc

import numpy as np
import pytest

from msgpass import Checkpointed, Step, Truncated
from msgpass.errors import DataError, ShapeError, UnsupportedError
from msgpass.sweeps import traced_recurrence
from rnn.ode import METHODS, BlowUpError, IntegrationError, gradient_gap, odeint, odeint_gradient, quick
from tests.rnn.ode.fields import (
    LV,
    ROBERTSON,
    differences,
    forced,
    forced_params,
    lotka_volterra,
    robertson,
)

T = np.array([0.2, 0.53, 0.91, 1.1])


def loss(y):
    """Touches every save, the start included."""
    return (np.sin(y) * y).sum() + y[0].sum() * y[-1].sum()


@pytest.mark.parametrize("saves", ["steps", "dense"])
@pytest.mark.parametrize("method", METHODS)
def test_exact_for_the_discretisation(method, saves):
    """Differences of the same steps, in the start, the parameters and every save time."""
    rng = np.random.default_rng(3)
    y0, params = rng.normal(size=(2, 2)), forced_params(rng)
    found = odeint_gradient(forced, y0, T, params, method, step=0.15, saves=saves, loss=loss)

    def value(y0=y0, t=T, **moved):
        grid = found.solution.grid
        if saves == "steps":
            grid = grid.at_times(t)
        else:  # the grid's ends move with the first and the last save time
            times, (a, b) = grid.times, T[[0, -1]]
            grid = t[0] + (times - a) / (b - a) * (t[-1] - t[0])
            grid[0], grid[-1] = t[0], t[-1]
        return loss(odeint(forced, y0, t, params | moved, method, grid=grid, saves=saves).y)

    assert np.isclose(found.loss, value())
    tight = {"rtol": 1e-5, "atol": 1e-7} if METHODS[method].implicit else {"rtol": 1e-7, "atol": 1e-8}
    assert np.allclose(found.y0, differences(lambda x: value(y0=x), y0), **tight)
    for name in params:
        wanted = differences(lambda x, name=name: value(**{name: x}), params[name])
        assert np.allclose(found.params[name], wanted, **tight)
    assert np.allclose(found.t, differences(lambda x: value(t=x), T), **tight)


def test_lotka_volterra_reference():
    """Published sensitivities of the sum of both states over t = 0, 0.1, …, 10."""
    t = np.linspace(0, 10, 101)
    for method, options in {
        "dopri5": {"rtol": 1e-8, "atol": 1e-10},
        "tsit5": {"rtol": 1e-8, "atol": 1e-10, "saves": "dense"},
        "rk4": {"step": 0.01},
        "scipy:LSODA": {"rtol": 1e-9, "atol": 1e-11},
    }.items():
        found = odeint_gradient(lotka_volterra, np.ones(2), t, LV, method, loss=lambda y: y.sum(), **options)
        assert np.isclose(found.loss, 450.764064, atol=1e-4)
        assert np.allclose(found.y0, [-39.12754, -8.78778], rtol=2e-5)
        assert np.allclose(found.params, [8.30536, -159.48429, 75.20351, -339.19509], rtol=2e-5)


@pytest.mark.parametrize(
    ("method", "gradient"),
    [("kvaerno5", "discrete"), ("kvaerno3", "discrete"), ("kvaerno5", "adjoint"), ("scipy:Radau", "adjoint")],
)
def test_robertson_reference(method, gradient):
    """dy/dp₁ at t = 0.4 (SUNDIALS), all three rows, with the other two columns by differences."""
    start, rows = np.array([1.0, 0.0, 0.0]), []
    options = {"rtol": 1e-5 if method == "kvaerno3" else 1e-7, "atol": 1e-11}
    for seed in np.eye(3):
        found = odeint_gradient(
            robertson,
            start,
            [0, 0.4],
            ROBERTSON,
            method,
            loss=np.stack([np.zeros(3), seed]),
            gradient=gradient,
            **options,
        )
        rows.append(found.params)
    rows = np.stack(rows)
    assert np.allclose(found.solution.y[-1], [0.98517, 3.3864e-5, 0.014794], rtol=3e-5)
    assert np.allclose(rows[:, 0], [-0.35595, 3.9025e-4, 0.35556], rtol=3e-5)
    assert np.abs(rows.sum(axis=0) / np.abs(rows).max(axis=0)).max() < 1e-4  # mass is conserved
    for k in (1, 2):
        sides = []
        for sign in (1, -1):
            moved = ROBERTSON.copy()
            moved[k] *= 1 + sign * 1e-3
            sides.append(odeint(robertson, start, [0, 0.4], moved, "kvaerno5", rtol=1e-9, atol=1e-13).y[-1])
        assert np.allclose(rows[:, k], (sides[0] - sides[1]) / (2e-3 * ROBERTSON[k]), rtol=3e-3)


@pytest.mark.parametrize("kind", ["adjoint", "backsolve"])
def test_the_gap_shrinks_with_the_tolerance(kind):
    gaps = [
        gradient_gap(
            lotka_volterra,
            np.ones(2),
            np.linspace(0, 4, 6),
            LV,
            loss=lambda y: (y**2).sum(),
            gradient=kind,
            rtol=rtol,
            atol=rtol,
        ).worst
        for rtol in (1e-3, 1e-5, 1e-7)
    ]
    assert gaps[0] > 8 * gaps[1] > 64 * gaps[2]
    assert gaps[2] < 1e-4


@pytest.mark.parametrize(
    "options", [{"step": 0.05}, {}, {"method": "kvaerno3", "rtol": 1e-5}, {"method": "rk4", "step": 0.1}]
)
def test_the_gap_is_that_of_the_method(options):
    found = gradient_gap(lotka_volterra, np.ones(2), T, LV, loss=loss, **({"rtol": 1e-7} | options))
    assert set(found.relative) == {"y0", "t", "params"}
    assert 0 < found.worst < 2e-3 and min(found.cosine.values()) > 0.9999
    assert "relative y0" in repr(found)


def test_backsolve_fails_where_the_adjoint_does_not():
    """Backward, a contracting system expands."""
    given = (lambda t, y, k: -k * (y**3 - np.cos(t))), np.ones(1), [0, 2], np.array([5.0])
    options = {"loss": lambda y: y[-1].sum(), "rtol": 1e-5, "atol": 1e-7}
    assert gradient_gap(*given, **options).relative["params"] < 1e-3
    with pytest.raises(IntegrationError, match="contracts expands; gradient='adjoint' reads it"):
        odeint_gradient(*given, gradient="backsolve", **options)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("options", [{"step": 0.02}, {"rtol": 1e-8}, {"method": "kvaerno3", "step": 0.1}])
def test_checkpoints_change_nothing(slots, options):
    given = lotka_volterra, np.ones(2), T, LV
    whole = odeint_gradient(*given, loss=loss, **options)
    few = odeint_gradient(*given, loss=loss, schedule=Checkpointed(slots), **options)
    assert np.isclose(few.loss, whole.loss, rtol=1e-14)
    for name in ("y0", "params"):
        assert np.allclose(getattr(few, name), getattr(whole, name), rtol=1e-11)


def test_truncation_loses_what_is_far():
    given = lotka_volterra, np.ones(2), T, LV, "rk4"
    whole = odeint_gradient(*given, step=0.02, loss=loss)
    near = odeint_gradient(*given, step=0.02, loss=loss, schedule=Truncated(1, 5))
    assert np.isclose(near.loss, whole.loss) and not np.allclose(near.params, whole.params, rtol=0.01)


def test_costates_are_sensitivities_on_every_step():
    """λ_n is ∂L/∂(state at step n): restart from there, and differentiate."""
    found = odeint_gradient(
        lotka_volterra, np.ones(2), [0, 1], LV, "rk4", step=0.1, loss=lambda y: y[-1] @ [1, 2]
    )
    assert found.costates.shape == found.solution.states.shape
    for n in (0, 4, 9):

        def rest(y, n=n):
            given = lotka_volterra, y, found.times[[n, -1]], LV, "rk4"
            return odeint(*given, grid=found.times[n:]).y[-1] @ [1, 2]

        assert np.allclose(found.costates[n], differences(rest, found.solution.states[n]), rtol=1e-7)
    assert np.array_equal(found.messages.gradient["y"], found.costates[1:])
    assert np.array_equal(found.costates[-1], [1, 2])


@pytest.mark.parametrize("kind", ["discrete", "adjoint", "backsolve"])
def test_back_in_time(kind):
    t = np.array([1.0, 0.6, 0.1])
    found = odeint_gradient(
        lotka_volterra, np.ones(2), t, LV, loss=loss, gradient=kind, rtol=1e-8, atol=1e-10
    )
    value = lambda **m: loss(  # noqa: E731
        odeint(
            lotka_volterra, m.get("y", np.ones(2)), m.get("t", t), m.get("p", LV), rtol=1e-11, atol=1e-12
        ).y
    )
    assert np.allclose(found.y0, differences(lambda x: value(y=x), np.ones(2)), rtol=1e-5)
    assert np.allclose(found.params, differences(lambda x: value(p=x), LV), rtol=1e-5, atol=1e-6)
    assert np.allclose(found.t, differences(lambda x: value(t=x), t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["discrete", "adjoint"])
def test_no_parameters_and_numbers_for_states(kind):
    found = odeint_gradient(lambda t, y: -y * y, 1.0, [0, 1], loss=lambda y: y[-1], gradient=kind, rtol=1e-9)
    assert found.params is None and np.isclose(found.y0, 0.25, atol=1e-6)
    assert np.allclose(found.t, [0.25, -0.25], atol=1e-6)


def test_losses_with_their_own_gradient_and_cotangents():
    given = lotka_volterra, np.ones(2), T, LV
    plain = odeint_gradient(*given, loss=lambda y: (y**2).sum())
    own = odeint_gradient(*given, loss=lambda y: ((y**2).sum(), 2 * y))
    seeds = odeint_gradient(*given, loss=2 * plain.solution.y)
    for other in (own, seeds):
        assert np.allclose(other.params, plain.params, rtol=1e-13)
        assert np.allclose(other.y0, plain.y0, rtol=1e-13)


def test_a_field_with_its_own_derivative():
    calls = []

    def vjp(inputs, w):
        calls.append(1)
        return None, -inputs[2] * w, (-inputs[1] * w).sum()

    own = Step(lambda t, y, k: -k * y, vjp)
    for kind in ("discrete", "adjoint"):
        for method in ("dopri5", "kvaerno3"):
            found = odeint_gradient(
                own, np.array([1.0, 2.0]), [0, 1], 2.0, method, loss=lambda y: y[-1].sum(), gradient=kind
            )
            assert np.isclose(found.params, -3 * np.exp(-2), rtol=1e-4)
    assert calls


def test_parameters_that_do_nothing():
    for kind in ("discrete", "adjoint"):
        found = odeint_gradient(
            lambda t, y, p: -p["k"] * y,
            np.ones(2),
            [0, 1],
            {"k": 1.0, "idle": np.ones(3)},
            loss=lambda y: y[-1].sum(),
            gradient=kind,
        )
        assert not found.params["idle"].any() and found.params["k"].shape == ()


def test_what_does_not_go_together():
    given = lotka_volterra, np.ones(2), T, LV
    with pytest.raises(UnsupportedError, match="scipy's steps are no factors"):
        odeint_gradient(*given, "scipy:Radau", loss=loss, gradient="discrete")
    with pytest.raises(UnsupportedError, match="schedule is of the discrete gradient"):
        odeint_gradient(*given, loss=loss, gradient="adjoint", schedule=Checkpointed(2))
    with pytest.raises(UnsupportedError, match="use saves='steps'"):
        odeint_gradient(*given, loss=loss, saves="dense", schedule=Checkpointed(2))
    with pytest.raises(DataError, match="gradient is one of"):
        odeint_gradient(*given, loss=loss, gradient="exact")
    with pytest.raises(ShapeError, match=r"shape \(4,\).*\(4, 2\)"):
        odeint_gradient(*given, loss=np.ones(4))
    with pytest.raises(ShapeError, match="must return one number"):
        odeint_gradient(*given, loss=lambda y: y.sum(axis=0))
    with pytest.raises(DataError, match="NaN or infinite at the saved states"):
        odeint_gradient(*given, loss=lambda y: (np.nan, y))
    with pytest.raises(BlowUpError, match=r"from t = 1\.0"):
        odeint_gradient(lambda t, y: y * y, 1.0, [0, 2], method="rk4", step=0.01, loss=lambda y: y[-1])


@pytest.mark.parametrize("method", ["dopri5", "kvaerno3", "scipy:LSODA"])
@pytest.mark.parametrize("kind", ["discrete", "adjoint"])
def test_fields_that_ignore_their_arguments(method, kind):
    kind = "adjoint" if method.startswith("scipy") else kind
    found = odeint_gradient(
        lambda t, y, p: p * np.cos(t) * np.ones(2), [0, 0], [0, 1], 3, method, loss=np.sum, gradient=kind
    )
    assert np.allclose(found.y0, 2) and np.isclose(found.params, 2 * np.sin(1), atol=1e-5)
    still = odeint_gradient(lambda t, y: -y, [0, 1], [0, 1], method=method, loss=lambda y: 3.0, gradient=kind)
    assert not still.y0.any() and not still.t.any()


def test_functions_that_cannot_be_differentiated():
    def field(t, y):
        out = np.empty(2)
        out[0], out[1] = y[1], -y[0]
        return out

    assert odeint(field, [0, 1], [0, 1]).y.shape == (2, 2)
    for kind in ("discrete", "adjoint"):
        with pytest.raises(UnsupportedError, match="without in-place"):
            odeint_gradient(field, [0, 1], [0, 1], loss=np.sum, gradient=kind)


@pytest.mark.parametrize("method", ["dopri5", "kvaerno3"])
@pytest.mark.parametrize("kind", ["discrete", "adjoint"])
def test_single_precision(method, kind):
    given = (lambda t, y, p: -p * y), np.ones(2, np.float32), [0, 1, 2], np.float32(2)
    found = odeint_gradient(*given, method, loss=np.sum, gradient=kind, rtol=1e-4, atol=1e-4)
    assert found.y0.dtype == np.float32 and np.asarray(found.params).dtype == np.float32
    assert np.allclose(found.y0, 1 + np.exp(-2) + np.exp(-4), rtol=1e-3)


@pytest.mark.parametrize(
    "options", [{"method": "euler", "step": 1e-3}, {"method": "midpoint", "rtol": 1e-3, "max_step": 1e-3}]
)
def test_checkpoints_hold_few_states(options):
    """10 000 steps of 50 numbers are 4 MB; with checkpoints a stretch of them is held."""

    def field(t, y, k):
        return -k * y

    def peak(schedule):
        given = field, np.linspace(1, 2, 50), [0, 10.0], 0.2
        run = lambda: odeint_gradient(*given, loss=lambda y: y[-1].sum(), schedule=schedule, **options)  # noqa: E731
        run()  # makes what is kept
        tracemalloc.start()
        found = run()
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, found

    whole, few = peak(None), peak(Checkpointed(20, stretch=250))
    assert few[0] < 0.5 * whole[0]
    assert np.allclose(few[1].params, whole[1].params, rtol=1e-12)
    assert few[1].costates.shape == whole[1].costates.shape  # made now
    assert np.allclose(few[1].t, whole[1].t, rtol=1e-12)


def test_what_f_reads_may_change_between_runs(monkeypatch):
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 0.0)
    settings = {"rate": 1.0, "from": 5.0}

    def decay(t, y, k):
        return -settings["rate"] * k * y + np.where(t > settings["from"], 1.0, 0.0)

    t = np.linspace(0, 1, 101)
    for settings["rate"], settings["from"], end in ((1, 5, np.exp(-1)), (2, 5, np.exp(-2)), (0, 0.5, 1.5)):
        found = odeint_gradient(decay, 1.0, t, 1.0, "rk4", loss=lambda y: y[-1])
        assert found.loss == pytest.approx(end, rel=1e-2)
        assert found.loss == pytest.approx(odeint(decay, 1.0, t, 1.0, "rk4").y[-1], rel=1e-12)


def test_a_vector_built_with_array(monkeypatch):
    fields = (lambda t, y, k: np.array([y[1], -k * y[0]]), lambda t, y, k: np.stack([y[1], -k * y[0]]))
    for patience in (0.0, 1.0):
        monkeypatch.setattr(traced_recurrence, "PATIENCE", patience)
        one, other = (
            odeint_gradient(f, [1.0, 0.5], [0, 1, 2], 1.3, loss=lambda y: (y**2).sum()) for f in fields
        )
        np.testing.assert_allclose(one.params, other.params, rtol=1e-10)
        np.testing.assert_allclose(one.y0, other.y0, rtol=1e-10)


@pytest.mark.parametrize("gradient", ["discrete", "adjoint"])
@pytest.mark.parametrize("method", ["dopri5", "kvaerno3"])
def test_what_f_reads_may_change_between_adaptive_runs(monkeypatch, method, gradient):
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 0.0)
    monkeypatch.setattr(quick, "PATIENCE", 0.0)
    settings = {"rate": 1.0, "from": 5.0}

    def decay(t, y, k):
        late = np.where(t > settings["from"], settings["rate"], 0.0)
        return -(1 + late) * k * y

    def found():
        options = {"rtol": 1e-8, "atol": 1e-10, "gradient": gradient}
        return odeint_gradient(decay, 1.0, [0, 0.5, 1], 1.0, method, loss=lambda y: y[-1], **options)

    for settings["from"], settings["rate"], end in ((5, 1, -1), (0.5, 1, -1.5), (0.5, 3, -2.5)):
        for _ in range(2):
            assert found().loss == pytest.approx(np.exp(end), rel=1e-5)
            assert found().params == pytest.approx(end * np.exp(end), rel=1e-4)


def test_an_axis_of_the_state_does_not_pass_for_instances():
    A = -np.eye(3)
    found = odeint_gradient(lambda t, y, A: y @ A, np.ones((5, 3)), [0, 1], A, loss=lambda y: y[-1].sum())
    np.testing.assert_allclose(found.params, np.full((3, 3), 5 * np.exp(-1)), rtol=1e-5)
