"""Gradients against finite differences: jumps and surfaces that depend on time, state and parameters."""

import numpy as np
import pytest

from msgpass import Step
from msgpass import run as run_graph
from rnn.ode.events import Event, HybridSystem
from tests.rnn.ode.events.systems import FIRE, KICKED, KICKED_PARAMS, KICKED_START
from tests.rnn.ode.fields import differences

T = np.array([0.1, 1.013, 2.337, 4.021])
NAMES = list(KICKED_PARAMS)
POINT = np.array([*KICKED_START, *KICKED_PARAMS.values(), *T])
OPTIONS = [
    {"method": "dopri5", "rtol": 1e-11, "atol": 1e-13},
    {"method": "rk4", "step": 0.05},
    {"method": "kvaerno5", "step": 0.1},
    {"method": "heun", "step": 0.05},
]


def solved(point, options):
    params = dict(zip(NAMES, point[2:7], strict=True))
    return KICKED.solve(point[:2], point[7:], params, **options)


def loss(outcome):
    """Reads everything."""
    weights = np.cos(np.arange(len(outcome.times)))
    told = (weights * outcome.times**2).sum() + (weights[:, None] * outcome.after * outcome.before).sum()
    return told + (outcome.states**2 * np.array([1.0, 0.3])).sum() + outcome.states[-1, 0]


def gathered(found):
    return np.array([*found.y0, *(float(found.params[n]) for n in NAMES)])


def along(function, direction, step=1e-5):
    """A central difference of a function of POINT."""
    return (function(POINT + step * direction) - function(POINT - step * direction)) / (2 * step)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: o["method"])
def test_everything(options):
    run = solved(POINT, options)
    assert {e.name for e in run.events} == {"wall", "slow", "marked"}
    assert len(run.events) >= 6
    found = run.gradient(loss)
    assert found.loss == pytest.approx(loss(run.outcome), rel=1e-12)
    whole = np.array([*gathered(found), *found.t])
    directions = np.random.default_rng(0).normal(size=(4, len(POINT)))
    if "step" in options:
        directions[:, 7] = 0.0  # a fixed grid starts at t[0] and moves with it, all of it
    for direction in directions:
        expected = along(lambda point: loss(solved(point, options).outcome), direction)
        np.testing.assert_allclose(whole @ direction, expected, rtol=1e-6)


def test_every_single_number():
    options = OPTIONS[1]
    expected = differences(lambda point: loss(solved(point, options).outcome), POINT)
    found = solved(POINT, options).gradient(loss)
    np.testing.assert_allclose(gathered(found), expected[:7], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.t[1:], expected[8:], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("i", [0, 2, 5])
def test_the_time_of_one_event(i):
    options = OPTIONS[0]
    found = gathered(solved(POINT, options).gradient(lambda outcome: outcome.times[i]))
    direction = np.zeros(len(POINT))
    direction[:7] = np.random.default_rng(i).normal(size=7)
    expected = along(lambda point: solved(point, options).times()[i], direction)
    np.testing.assert_allclose(found @ direction[:7], expected, rtol=1e-6)


def test_a_graph_holds_its_order_and_moves_with_its_values():
    """The event times are variables: other values give other times on the same graph."""
    run = solved(POINT, OPTIONS[1])
    graph = run.graph(loss)
    moved = {**KICKED_PARAMS, "wall": 0.402}
    m = run_graph(graph, values={"wall": np.array(0.402)})
    anew = KICKED.solve(KICKED_START, T, moved, **OPTIONS[1])
    assert [e.name for e in anew.events] == [e.name for e in run.events]
    np.testing.assert_allclose(m.total, loss(anew.outcome), rtol=1e-11)
    times = [float(m.forward[f"t* {i}"]) for i in range(len(run.events))]
    np.testing.assert_allclose(times, anew.times(), rtol=1e-11)
    assert np.abs(run.times() - anew.times()).max() > 1e-4


def test_costates_cross_by_the_transposed_saltation_matrix():
    run = solved(POINT, OPTIONS[0])
    found = run.gradient(lambda outcome: outcome.states[-1, 0])
    for i in range(len(run.events)):
        before, after = found.segments[i][1][-1], found.segments[i + 1][1][0]
        np.testing.assert_allclose(before, run.saltation(i).T @ after, rtol=1e-5, atol=1e-7)


def test_spikes():
    """Integrate and fire: the interval is log((I − r)/(I − level))."""
    I, level, reset, n = 1.5, 1.0, 0.2, 7
    run = FIRE.solve(0.2, [0.0, 7.6], {"I": I, "level": level, "reset": reset}, rtol=1e-11, atol=1e-13)
    interval = np.log((I - reset) / (I - level))
    np.testing.assert_allclose(run.times("spike"), interval * np.arange(1, n + 1), rtol=1e-9)
    found = run.gradient(lambda outcome: outcome.times[-1])
    of_level, of_reset = 1 / (I - level), -1 / (I - reset)
    expected = [n * of_level, (n - 1) * of_reset, -n * (of_level + of_reset)]
    got = [found.params[name] for name in ("level", "reset", "I")]
    np.testing.assert_allclose(got, expected, rtol=1e-7)
    np.testing.assert_allclose(found.y0, of_reset, rtol=1e-7)


def test_an_event_without_a_jump_changes_no_derivative():
    bare = HybridSystem(KICKED.f, [])
    seen = HybridSystem(KICKED.f, KICKED.events[2])
    given = KICKED_START, T, KICKED_PARAMS
    read = lambda outcome: (outcome.states[-1] * np.array([1.0, 2.0])).sum()  # noqa: E731
    a, b = (s.solve(*given, rtol=1e-11, atol=1e-13).gradient(read) for s in (bare, seen))
    assert len(b.times)
    np.testing.assert_allclose(gathered(b), gathered(a), rtol=1e-7, atol=1e-9)


def test_own_derivatives_of_f_are_used():
    called = []

    def vjp(inputs, c):
        called.append(0)
        _, y, k = inputs
        return None, -k * c, -(y * c).sum()

    level = Event(lambda t, y, k: y[0] - 0.5, lambda t, y, k: y + 1.0, "down")
    run = HybridSystem(Step(lambda t, y, k: -k * y, vjp), level).solve([1.0], [0.0, 1.5], 1.0)
    found = run.gradient(lambda outcome: outcome.states[-1, 0])
    plain = HybridSystem(lambda t, y, k: -k * y, level).solve([1.0], [0.0, 1.5], 1.0)
    expected = plain.gradient(lambda outcome: outcome.states[-1, 0])
    np.testing.assert_allclose([found.y0[0], found.params], [expected.y0[0], expected.params], rtol=1e-10)
    assert called
