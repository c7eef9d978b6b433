"""What goes wrong with events, and the time at which it does."""

import numpy as np
import pytest

from msgpass.errors import DataError, MessagePassingError, ShapeError, UnavailableError
from rnn.ode import BlowUpError
from rnn.ode.events import (
    Event,
    EventValueError,
    GrazingError,
    GrazingWarning,
    HybridSystem,
    MaxEventsError,
    NoEventError,
    ZenoError,
)
from tests.rnn.ode.events.systems import BALL, bounces


def moving(events):
    """y′ = 1."""
    return HybridSystem(lambda t, y: np.ones_like(y), events)


class TestZeno:
    @pytest.mark.parametrize("e", [0.3, 0.5, 0.8])
    def test_a_ball_that_comes_to_rest(self, e):
        """The bounces end at t₁ + 2 e v₁/(g (1 − e))."""
        times, speeds = bounces(5.0, 0.0, 10.0, e, 1)
        limit = times[0] + 2 * speeds[0] / (10.0 * (1 - e))
        with pytest.raises(ZenoError, match="infinitely often before") as caught:
            BALL.solve([5.0, 0.0], [0.0, 20.0], {"g": 10.0, "e": e})
        assert caught.value.event == "bounce"
        assert caught.value.limit == pytest.approx(limit, rel=1e-6)
        assert limit * (1 - 1e-4) < caught.value.t < limit
        assert isinstance(caught.value, MessagePassingError)

    def test_a_relay_that_slides(self):
        """Both modes push to the surface: it chatters."""
        events = [
            Event(lambda t, y: y[0] - 1, None, "up", name="over", mode="rise", to="fall"),
            Event(lambda t, y: y[0] - 1, None, "down", name="under", mode="fall", to="rise"),
        ]
        relay = HybridSystem({"rise": lambda t, y: 0 * y + 1, "fall": lambda t, y: 0 * y - 1}, events)
        with pytest.raises(ZenoError) as caught:
            relay.solve([0.0], [0.0, 3.0])
        assert caught.value.t == pytest.approx(1.0)

    def test_intervals_that_shrink_but_stop_in_time_are_no_error(self):
        times, _ = bounces(5.0, 0.0, 10.0, 0.5, 12)
        run = BALL.solve([5.0, 0.0], [0.0, times[-1] + 1e-4], {"g": 10.0, "e": 0.5})
        assert len(run.events) == 12


class TestNeverComes:
    def test_a_required_event(self):
        event = Event(lambda t, y: y[0] - 5, name="five", required=True)
        with pytest.raises(
            NoEventError, match=r"'five' was required and did not come by t = 2, where g = -3"
        ) as e:
            moving(event).solve([0.0], [0.0, 2.0])
        assert e.value.t == 2.0
        assert moving(event).solve([0.0], [0.0, 6.0]).times().round(9).tolist() == [5.0]

    def test_a_graph_whose_event_is_gone(self):
        from msgpass import run

        system = HybridSystem(lambda t, y, p: p * np.exp(-t) + 0 * y, Event(lambda t, y, p: y[0] - 0.9))
        solution = system.solve([0.0], [0.0, 5.0], 1.0)
        graph = solution.graph(lambda outcome: outcome.times[0])
        with pytest.raises(NoEventError, match="Solve anew"):
            run(graph, values={"params": np.array(0.5)})


class TestGrazing:
    """y = t and g = (y − 1)³: crossed, at no speed."""

    cubic = Event(lambda t, y: (y[0] - 1) ** 3, lambda t, y: y + 1, "up", name="cubic")

    def test_forward_warns_and_the_derivative_is_an_error(self):
        with pytest.warns(GrazingWarning, match="at t = 1"):
            run = moving(self.cubic).solve([0.0], [0.0, 2.0])
        np.testing.assert_allclose(run.times(), [1.0], atol=1e-4)
        with pytest.raises(GrazingError, match="at t = 1 the path touches") as caught:
            run.gradient(lambda outcome: outcome.times[0])
        assert caught.value.t == pytest.approx(1.0, abs=1e-4)
        assert caught.value.event == "cubic"

    def test_a_steep_crossing_is_fine(self):
        near = Event(lambda t, y: (y[0] - 1) ** 2 - 1e-3, name="near", direction="down")
        run = moving(near).solve([0.0], [0.0, 2.0], max_step=0.05)
        np.testing.assert_allclose(run.times(), [1 - np.sqrt(1e-3)], rtol=1e-9)
        np.testing.assert_allclose(run.gradient(lambda outcome: outcome.times[0]).y0, [-1.0], rtol=1e-6)

    def test_a_jump_to_rest_on_the_surface(self):
        rest = Event(lambda t, y: y[0], lambda t, y: 0 * y, "down", name="rest")
        fall = HybridSystem(lambda t, y: np.stack([y[1], -1.0 + 0 * y[1]]), rest)
        with pytest.raises(GrazingError, match="at rest on the surface"):
            fall.solve([1.0, 0.0], [0.0, 3.0])


def test_max_events():
    tick = Event(lambda t, y: y[0] - 1, lambda t, y: 0 * y, "up")
    with pytest.raises(MaxEventsError, match="max_events=5") as caught:
        moving(tick).solve([0.0], [0.0, 100.0], max_events=5)
    assert caught.value.t == pytest.approx(6.0, abs=1.01)


def test_blow_ups_have_their_time():
    with pytest.raises(BlowUpError) as caught:
        HybridSystem(lambda t, y: y**2, Event(lambda t, y: y[0] + 5)).solve([1.0], [0.0, 2.0])
    assert caught.value.t == pytest.approx(1.0, abs=1e-2)
    broken = Event(lambda t, y: y[0] - 1, lambda t, y: y * np.inf, "up", name="broken")
    with pytest.raises(BlowUpError, match="'broken': the state after its jump at t = 1 "):
        moving(broken).solve([0.0], [0.0, 2.0])
    with pytest.raises(BlowUpError, match="g is nan"), np.errstate(all="ignore"):
        moving(Event(lambda t, y: np.log(0.5 - y[0]))).solve([0.0], [0.0, 2.0])


@pytest.mark.parametrize(
    ("events", "match"),
    [
        (Event(lambda t, y: y), "g.* must return one number, got shape \\(1,\\)"),
        (Event(lambda t, y: y[0] - 1, lambda t, y: np.zeros(3)), "returned shape \\(3,\\)"),
    ],
)
def test_shapes(events, match):
    with pytest.raises(ShapeError, match=match):
        moving(events).solve([0.0], [0.0, 2.0])


def test_what_is_handed_over():
    g = lambda t, y: y[0]  # noqa: E731
    for bad, match in [
        (lambda: Event(3), "g must be a function"),
        (lambda: Event(g, 4), "jump must be a function"),
        (lambda: Event(g, direction="left"), "direction is"),
        (lambda: Event(g, name=""), "a name is"),
        (lambda: Event(g, terminal=-1), "terminal is"),
        (lambda: HybridSystem(3, []), "f must be a function"),
        (lambda: HybridSystem({}, []), "empty dict"),
        (lambda: HybridSystem(g, [g]), "events are Event objects"),
        (lambda: HybridSystem(g, [Event(g, name="a"), Event(g, name="a")]), "two events are called 'a'"),
        (lambda: HybridSystem({"on": g}, Event(g, mode="off")), "names the mode 'off'"),
        (lambda: moving([]).solve([0.0], [1.0, 0.0]), "goes forward"),
        (lambda: moving([]).solve([0.0], [0.0, 1.0], step=-1), "step must be a finite number > 0"),
        (lambda: moving([]).solve([0.0], [0.0, 1.0], samples=-1), "samples is a whole number"),
        (lambda: moving([]).solve([0.0], [0.0, 1.0], mode="on"), "no mode is called"),
    ]:
        with pytest.raises(DataError, match=match):
            bad()
    run = BALL.solve([5.0, 0.0], [0.0, 0.5], {"g": 10.0, "e": 0.5})
    with pytest.raises(UnavailableError, match="no event is called 'flight'"):
        run.times("flight")
    with pytest.raises(DataError, match="lies outside the run"):
        run.at(2.0)
    with pytest.raises(ShapeError, match="must return one number"):
        run.gradient(lambda outcome: outcome.states)


class TestOnTheSurface:
    def test_a_start_at_rest_from_which_the_path_goes_through(self):
        with pytest.raises(GrazingError, match="'bounce': at t = 0 the state is at rest on the surface"):
            BALL.solve([0.0, 0.0], [0.0, 1.0], {"g": 10.0, "e": 0.8})
        run = BALL.solve([0.0, 0.0], [0.0, 1.0], {"g": 10.0, "e": 0.8}, events_at_start=False)
        assert not run.events

    @pytest.mark.parametrize("direction", ["both", "down", "up"])
    def test_a_path_that_stays_in_it_makes_no_event(self, direction):
        still = HybridSystem(lambda t, y: 0 * y, Event(lambda t, y: y[0], None, direction))
        assert not still.solve([0.0], [0.0, 3.0]).events

    @pytest.mark.parametrize("direction", ["both", "down"])
    def test_a_mode_that_rests_there(self, direction):
        """The event exists in that mode, too, and does not come again."""
        event = Event(lambda t, y: y[0], lambda t, y: 0 * y, direction, to="rest")
        run = HybridSystem({"fall": lambda t, y: 0 * y - 1, "rest": lambda t, y: 0 * y}, event).solve(
            [1.0], [0.0, 3.0]
        )
        np.testing.assert_allclose(run.times(), [1.0], rtol=1e-12)
        assert run.y[-1, 0] == 0.0

    def test_a_surface_that_is_zero_from_then_on_is_met_where_it_becomes_zero(self):
        system = HybridSystem(lambda t, y: 0 * y - 1, Event(lambda t, y: np.maximum(y[0], 0.0)))
        with pytest.warns(GrazingWarning):
            run = system.solve([1.0], [0.0, 3.0])
        np.testing.assert_allclose(run.times(), [1.0], rtol=1e-12)


def test_a_crowd_of_events_is_an_error():
    """A relay with almost no hysteresis."""
    events = [
        Event(lambda t, y: y[0] + 1e-9, direction="down", mode="a", to="b", name="low"),
        Event(lambda t, y: y[0] - 1e-9, direction="up", mode="b", to="a", name="high"),
    ]
    relay = HybridSystem({"a": lambda t, y: 0 * y - 1, "b": lambda t, y: 0 * y + 1}, events)
    with pytest.raises(ZenoError) as caught:
        relay.solve([0.5], [0.0, 10.0])
    assert caught.value.t == pytest.approx(0.5, abs=1e-5)
    assert caught.value.event in ("low", "high")


class TestTheOtherMode:
    @pytest.mark.parametrize("step", [None, 0.1])
    def test_of_which_f_is_not_finite(self, step):
        def undefined(t, y):
            return np.log(y - 5)

        system = HybridSystem(
            {"a": lambda t, y: 0 * y - 1, "b": undefined}, Event(lambda t, y: y[0], mode="a", to="b")
        )
        with pytest.raises(BlowUpError, match="of mode 'b' is not finite at t = 1") as caught:
            system.solve([1.0], [0.0, 3.0], step=step)
        assert caught.value.t == pytest.approx(1.0)

    @pytest.mark.parametrize("step", [None, 0.1])
    def test_of_which_f_has_another_shape(self, step):
        system = HybridSystem(
            {"a": lambda t, y: 0 * y - 1, "b": lambda t, y: np.concatenate([y, y])},
            Event(lambda t, y: y[0], mode="a", to="b"),
        )
        with pytest.raises(ShapeError, match=r"returned shape \(2,\) at t = 1"):
            system.solve([1.0], [0.0, 3.0], step=step)


def falling(*parts, **more):
    """y″ = −10 with one event."""
    return HybridSystem(lambda t, y: np.stack([y[1], 0 * y[0] - 10]), Event(*parts, **more))


def in_place(t, y):
    y[1] = -y[1]
    return y


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: falling(lambda t, y: y[0] > 0), DataError, "must return a number that passes through zero"),
        (lambda: falling(lambda t, y: None), DataError, "must return a number that passes through zero"),
        (lambda: falling(lambda t, y: y[0], in_place), DataError, "changes y in place"),
        (lambda: falling(lambda t, y: y[0], lambda t, y: None), DataError, "must return real numbers"),
        (lambda: falling(lambda t, y: y[0], required="no"), DataError, "required must be True or False"),
        (lambda: falling(lambda t, y: y[0], direction=["up"]), DataError, "direction is 'up', 'down'"),
        (lambda: falling(lambda t, y: y[0], mode=[]), DataError, "mode names a mode"),
        (lambda: HybridSystem(lambda t, y: y, None), DataError, "events are Event objects, got NoneType"),
    ],
)
def test_functions_and_settings_that_do_not_fit(make, error, match):
    with pytest.raises(error, match=match):
        make().solve([1.0, 0.0], [0.0, 3.0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"samples": "a"}, "samples is a whole number"),
        ({"max_events": None}, "max_events is a whole number"),
        ({"step": True}, "step must be a finite number > 0"),
        ({"events_at_start": "no"}, "events_at_start must be True or False"),
        ({"atol": 0.0}, "atol is 0 where y0 is 0"),
        ({"atol": [1e-9] * 3}, "atol has shape"),
        ({"mode": "x"}, "f is one function, not a dict"),
    ],
)
def test_options_that_do_not_fit(options, match):
    with pytest.raises(MessagePassingError, match=match):
        BALL.solve([5.0, 0.0], [0.0, 3.0], {"g": 10.0, "e": 0.8}, **options)


def test_what_a_function_raises_goes_through_with_its_time():
    def g(t, y):
        return y[0] if t < 0.2 else 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        falling(g).solve([1.0, 0.0], [0.0, 3.0])
    assert "at t = 0." in caught.value.__notes__[0]


def test_values_that_are_not_finite_name_the_event():
    for event in (
        Event(lambda t, y: np.sqrt(y[0] - 0.5), name="root"),
        Event(lambda t, y: y[0], lambda t, y: y * np.nan, name="root"),
    ):
        system = HybridSystem(lambda t, y: 0 * y - 1, event)
        with pytest.raises(EventValueError) as caught:
            system.solve([1.0], [0.0, 3.0])
        assert caught.value.event == "root" and isinstance(caught.value, BlowUpError)
        assert 0.5 < caught.value.t <= 1.001


def test_readings_that_are_not_there():
    run = BALL.solve([5.0, 0.0], [0.0, 3.0], {"g": 10.0, "e": 0.8})
    with pytest.raises(UnavailableError, match="there is no event 5; the run has 2"):
        run.saltation(5)
    with pytest.raises(ShapeError, match=r"got shape \(1, 2\)"):
        run.at([[0.0, 1.0]])
    with pytest.raises(ShapeError, match="must return one number"):
        run.gradient(lambda outcome: outcome.states)
    with pytest.raises(DataError, match="loss is a function"):
        run.gradient("the end")
