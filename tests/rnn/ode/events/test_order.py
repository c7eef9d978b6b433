"""Which events happen, and when: directions, several at once, saves, the start, terminal ones."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rnn.ode.events import Event, HybridSystem
from tests.rnn.ode.events.systems import BALL, KICKED, KICKED_PARAMS, KICKED_START, driven

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def moving(events):
    """y′ = 1."""
    return HybridSystem(lambda t, y: np.ones_like(y), events)


@pytest.mark.parametrize("direction", ["both", "up", "down"])
def test_zeros_agree_with_scipy(direction):
    g = lambda t, y, p: y[0] * np.cos(t) - 0.1  # noqa: E731
    run = HybridSystem(driven, Event(g, direction=direction)).solve(
        KICKED_START, [0.0, 12.0], KICKED_PARAMS, **EXACT
    )
    theirs = lambda t, y: g(t, y, None)  # noqa: E731
    theirs.direction = {"both": 0, "up": 1, "down": -1}[direction]
    found = solve_ivp(
        lambda t, y: driven(t, y, KICKED_PARAMS), (0, 12), KICKED_START, "DOP853", events=theirs, rtol=1e-12,
        atol=1e-13, max_step=0.05,
    )  # fmt: skip
    assert len(run.events) > 3
    np.testing.assert_allclose(run.times(), found.t_events[0], atol=1e-8)
    np.testing.assert_allclose(run.outcome.before, found.y_events[0], atol=1e-8)


def test_segments_between_jumps_agree_with_scipy():
    """Every segment anew by scipy, from the state after one jump to the state before the next."""
    run = KICKED.solve(KICKED_START, [0.0, 4.0], KICKED_PARAMS, **EXACT)
    starts = [(0.0, KICKED_START), *((e.t, e.after) for e in run.events)]
    for (t, y), event in zip(starts, run.events, strict=False):
        found = solve_ivp(
            lambda s, x: driven(s, x, KICKED_PARAMS), (t, event.t), y, "DOP853", rtol=1e-12, atol=1e-13
        )
        np.testing.assert_allclose(event.before, found.y[:, -1], atol=1e-9)
        jump = KICKED.events[event.k].jump
        after = event.before if jump is None else jump(event.t, event.before, KICKED_PARAMS)
        np.testing.assert_allclose(event.after, after, atol=1e-14)


def test_two_zeros_within_one_step_are_seen():
    """A bump of width 0.2 in one step of length 3."""
    event = Event(lambda t, y: 0.01 - (y[0] - 0.75) ** 2)
    run = moving(event).solve([0.0], [0.0, 3.0], method="rk4")
    np.testing.assert_allclose(run.times(), [0.65, 0.85], rtol=1e-12)


class TestAtOnce:
    """Events at one time come in the order of their list, each seeing what those before it left."""

    add = Event(lambda t, y: y[0] - 1, lambda t, y: np.stack([y[0], y[1] + 1]), "up", name="add")
    double = Event(lambda t, y: t - 1, lambda t, y: np.stack([y[0], 2 * y[1]]), name="double")

    @pytest.mark.parametrize(("order", "end"), [("ad", 5.0), ("da", 4.0)])
    @pytest.mark.parametrize("options", [{}, {"method": "rk4", "step": 0.3}, {"method": "rk4", "step": 0.25}])
    def test_in_the_order_of_the_list(self, order, end, options):
        events = [{"a": self.add, "d": self.double}[c] for c in order]
        system = HybridSystem(lambda t, y: np.array([1.0, 0.0]), events)
        for saves in ([0.0, 2.0], [0.0, 1.0, 2.0]):
            run = system.solve([0.0, 1.5], saves, **options)
            assert [e.name[0] for e in run.events] == list(order)
            np.testing.assert_allclose(run.times(), [1.0, 1.0], rtol=1e-12)
            np.testing.assert_allclose(run.y[1:, 1], end)

    def test_gradient_holds_the_order(self):
        system = HybridSystem(lambda t, y: np.array([1.0, 0.0]), [self.add, self.double])
        run = system.solve([0.0, 1.5], [0.0, 1.0, 2.0])
        found = run.gradient(lambda outcome: outcome.states[-1, 1])
        np.testing.assert_allclose(found.y0, [0.0, 2.0], atol=1e-12)
        moved = system.solve([0.001, 1.5], [0.0, 1.0, 2.0])
        np.testing.assert_allclose(moved.y[-1, 1], 5.0)

    def test_one_event_makes_another(self):
        """The first jump puts the state on the second's surface, whence it goes its way: that is an event."""
        first = Event(lambda t, y: y[0] - 1, lambda t, y: np.stack([5.0 + 0 * y[0]]), "up", name="first")
        second = Event(lambda t, y: y[0] - 5, lambda t, y: y + 10, "up", name="second")
        run = moving([first, second]).solve([0.0], [0.0, 1.5])
        assert [e.name for e in run.events] == ["first", "second"]
        np.testing.assert_allclose(run.y[-1], 15.5)

    def test_a_jump_over_a_surface_is_no_event(self):
        first = Event(lambda t, y: y[0] - 1, lambda t, y: y + 6, "up", name="first")
        second = Event(lambda t, y: y[0] - 5, lambda t, y: y + 10, "up", name="second")
        run = moving([first, second]).solve([0.0], [0.0, 1.5])
        assert [e.name for e in run.events] == ["first"]
        np.testing.assert_allclose(run.y[-1], 7.5)


class TestSaves:
    """A save at an event is the state just after it."""

    reset = Event(lambda t, y: y[0] - 1, lambda t, y: y - 1, "up", name="reset")

    @pytest.mark.parametrize("options", [{}, {"method": "rk4", "step": 0.1}, {"method": "rk4", "step": 0.7}])
    def test_at_every_event(self, options):
        run = moving(self.reset).solve([0.5], [0.0, 0.5, 1.0, 1.5, 2.5], **options)
        np.testing.assert_allclose(run.times(), [0.5, 1.5, 2.5], rtol=1e-12)
        np.testing.assert_allclose(run.y[:, 0], [0.5, 0.0, 0.5, 0.0, 0.0], atol=1e-12)
        weights = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
        found = run.gradient(lambda outcome: (weights * outcome.states[:, 0]).sum())
        np.testing.assert_allclose(found.y0, 31.0)
        np.testing.assert_allclose(found.t[1:], weights[1:])

    def test_with_a_jump_whose_derivative_is_not_one(self):
        """From y₀ = 0.5 after 1: y = (1 − p)·(t − t* + 1)… by differences of the start and the parameter."""
        scaled = Event(lambda t, y, p: y[0] - 1, lambda t, y, p: p * y, "up")
        system = HybridSystem(lambda t, y, p: y, scaled)
        y0 = np.exp(-0.75)
        run = system.solve([y0], [0.0, 0.75, 1.0], 0.5, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(run.times(), [0.75], rtol=1e-9)
        found = run.gradient(lambda outcome: outcome.states[1, 0])
        np.testing.assert_allclose(run.y[1], 0.5, rtol=1e-9)
        # y(t) = p y₀ eᵗ
        np.testing.assert_allclose(found.y0, 0.5 / y0, rtol=1e-8)
        np.testing.assert_allclose(found.params, 1.0, rtol=1e-8)
        np.testing.assert_allclose(found.t[1], 0.5, rtol=1e-8)

    def test_at_between(self):
        run = BALL.solve([5.0, -0.1], [0.0, 1.9], {"g": 10.0, "e": 0.8})
        at = run.times()[0]
        np.testing.assert_allclose(run.at(0.5), [5 - 0.05 - 1.25, -0.1 - 5], rtol=1e-12)
        np.testing.assert_allclose(run.at(at), run.events[0].after, atol=1e-12)
        np.testing.assert_allclose(run.at([0.0, 1.9]), run.y, rtol=1e-12)


class TestStart:
    jump = staticmethod(lambda t, y: y + 1)

    def test_an_event_at_the_start_happens(self):
        run = moving(Event(lambda t, y: y[0] - 2, self.jump, "up")).solve([2.0], [0.0, 0.5])
        np.testing.assert_allclose(run.times(), [0.0], atol=1e-12)
        np.testing.assert_allclose(run.y[-1], 3.5)

    def test_unless_it_goes_the_other_way(self):
        run = moving(Event(lambda t, y: y[0] - 2, self.jump, "down")).solve([2.0], [0.0, 0.5])
        assert not run.events

    def test_or_is_not_wanted(self):
        event = Event(lambda t, y: y[0] - 2, self.jump, "up")
        run = moving(event).solve([2.0], [0.0, 0.5], events_at_start=False)
        assert not run.events

    def test_its_gradient(self):
        """y(0.5) = 2 y₀* + … with y doubled where y = p, at once: moving y₀ up moves the event back."""
        event = Event(lambda t, y, p: y[0] - p, lambda t, y, p: 2 * y, "up")
        system = HybridSystem(lambda t, y, p: np.ones_like(y), event)
        run = system.solve([2.0], [0.0, 0.5], 2.0)
        found = run.gradient(lambda outcome: outcome.states[-1, 0])
        # y(t) = 2p + (t − (p − y₀))
        np.testing.assert_allclose(run.y[-1], 4.5)
        np.testing.assert_allclose([found.params, found.y0[0]], [1.0, 1.0], rtol=1e-10)


class TestTerminal:
    def test_the_run_ends_with_it(self):
        end = Event(lambda t, y: y[0] - 1, lambda t, y: y + 3, terminal=True)
        run = moving(end).solve([0.0], [0.0, 0.5, 2.0, 3.0])
        np.testing.assert_allclose(run.t, [0.0, 0.5])
        time, state = run.end
        np.testing.assert_allclose([time, state[0]], [1.0, 4.0])
        found = run.gradient(lambda outcome: outcome.times[0] + outcome.after[0, 0] + outcome.states[1, 0])
        np.testing.assert_allclose(found.y0, [-1.0 + 0.0 + 1.0], atol=1e-12)

    def test_after_some_times(self):
        end = Event(lambda t, y: y[0] - 1, lambda t, y: 0 * y, "up", terminal=3)
        run = moving(end).solve([0.0], [0.0, 0.5, 20.0])
        np.testing.assert_allclose(run.times(), [1.0, 2.0, 3.0])
        np.testing.assert_allclose(run.t, [0.0, 0.5])

    def test_a_save_at_it_is_kept(self):
        end = Event(lambda t, y: y[0] - 1, lambda t, y: y + 3, terminal=True)
        run = moving(end).solve([0.0], [0.0, 1.0, 3.0])
        np.testing.assert_allclose(run.y[:, 0], [0.0, 4.0])
        found = run.gradient(lambda outcome: outcome.states[-1, 0])
        np.testing.assert_allclose(found.y0, [1.0])


def test_scalars_and_arrays_of_any_shape():
    event = Event(lambda t, y: y.sum() - 5, lambda t, y: 0 * y, "up")
    run = HybridSystem(lambda t, y: np.ones_like(y), event).solve(np.zeros((2, 2)), [0.0, 2.0])
    np.testing.assert_allclose(run.times(), [1.25], rtol=1e-12)
    assert run.gradient(lambda outcome: (outcome.states[-1] ** 2).sum()).y0.shape == (2, 2)
    assert run.saltation(0).shape == (4, 4)


def test_no_events_is_an_integration():
    run = HybridSystem(lambda t, y: -y, []).solve([1.0], [0.0, 1.0])
    np.testing.assert_allclose(run.y[-1], np.exp(-1), rtol=1e-8)
    np.testing.assert_allclose(run.gradient(lambda o: o.states[-1, 0]).y0, np.exp(-1), rtol=1e-8)
    assert run.times().shape == (0,)
    assert run.outcome.before.shape == (0, 1)


def test_the_same_bits_again():
    runs = [KICKED.solve(KICKED_START, [0.0, 4.0], KICKED_PARAMS) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].y, runs[1].y)
    np.testing.assert_array_equal(runs[0].times(), runs[1].times())
    a, b = (run.gradient(lambda outcome: outcome.states[-1, 0]) for run in runs)
    np.testing.assert_array_equal(a.y0, b.y0)
