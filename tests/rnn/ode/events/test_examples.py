"""A thermostat, stick and slip: modes, and events that change them."""

import numpy as np
import pytest

from rnn.ode.events import Event, HybridSystem
from tests.rnn.ode.fields import differences

THERMOSTAT = HybridSystem(
    {
        "on": lambda t, y, p: p["heat"] - p["leak"] * y,
        "off": lambda t, y, p: -p["leak"] * y,
    },
    [
        Event(lambda t, y, p: y[0] - p["high"], direction="up", name="off", mode="on", to="off"),
        Event(lambda t, y, p: y[0] - p["low"], direction="down", name="on", mode="off", to="on"),
    ],
)
ROOM = {"heat": 30.0, "leak": 1.0, "low": 18.0, "high": 21.0}


def periods(heat, leak, low, high):
    """Times on and off: log((h/l − low)/(h/l − high))/l and log(high/low)/l."""
    top = heat / leak
    return np.log((top - low) / (top - high)) / leak, np.log(high / low) / leak


class TestThermostat:
    run = staticmethod(lambda: THERMOSTAT.solve([18.0], [0.0, 3.0], ROOM, mode="on", rtol=1e-11, atol=1e-12))

    def test_times(self):
        run = self.run()
        on, off = periods(*ROOM.values())
        n = len(run.events)
        gaps = np.resize([on, off], n)
        np.testing.assert_allclose(run.times(), np.cumsum(gaps), rtol=1e-10)
        assert [e.mode for e in run.events[:3]] == ["off", "on", "off"]
        assert n > 8

    def test_gradient_of_a_switching_time(self):
        """Of the fourth: two periods."""
        found = self.run().gradient(lambda outcome: outcome.times[3])
        point = np.array(list(ROOM.values()))
        # The first start, y₀ = 18, is no parameter.
        top = point[0] / point[1]
        expected = differences(lambda p: 2 * sum(periods(*p)), point)
        expected[2] += 1 / (point[1] * (top - point[2]))
        np.testing.assert_allclose([found.params[n] for n in ROOM], expected, rtol=1e-7)

    def test_energy_by_a_state(self):
        """The heat that was used, and its derivative by the upper level."""
        system = HybridSystem(
            {
                m: lambda t, y, p, m=m: np.stack([THERMOSTAT.f[m](t, y[0], p), p["heat"] * (m == "on")])
                for m in ROOM_MODES
            },
            THERMOSTAT.events,
        )
        used = lambda high: system.solve(  # noqa: E731
            [18.0, 0.0], [0.0, 2.0], {**ROOM, "high": high}, mode="on", rtol=1e-11, atol=1e-12
        )
        found = used(21.0).gradient(lambda outcome: outcome.states[-1, 1])
        expected = (used(21.0 + 1e-5).y[-1, 1] - used(21.0 - 1e-5).y[-1, 1]) / 2e-5
        np.testing.assert_allclose(found.params["high"], expected, rtol=1e-5)


ROOM_MODES = ("on", "off")


def friction(sign):
    """A mass on a belt: x″ = −x ∓ kinetic friction."""
    return lambda t, y, p: np.stack([y[1], -y[0] - sign * p["kinetic"]])


BLOCK = HybridSystem(
    {"stick": lambda t, y, p: np.stack([p["belt"] + 0 * y[0], 0 * y[1]]), "slip": friction(-1)},
    [
        Event(
            lambda t, y, p: y[0] - p["static"],
            lambda t, y, p: np.stack([y[0], p["belt"]]),
            "up",
            name="break",
            mode="stick",
            to="slip",
        ),
        Event(
            lambda t, y, p: y[1] - p["belt"],
            lambda t, y, p: np.stack([y[0], p["belt"]]),
            "up",
            name="catch",
            mode="slip",
            to="stick",
        ),
    ],
)
"""Stuck, the block moves with the belt until the spring pulls as hard as static friction; then it slips back
until it is as fast as the belt again."""


class TestStickAndSlip:
    params = {"belt": 0.5, "static": 1.0, "kinetic": 0.6}  # noqa: RUF012

    def solved(self, params, **options):
        return BLOCK.solve([0.0, params["belt"]], [0.0, 20.0], params, mode="stick", **options)

    def cycle(self, belt, static, kinetic):
        """(slip, stick) times: on a circle about x = kinetic, from speed belt at x = static back to it."""
        d = static - kinetic
        return 2 * np.pi - 2 * np.arctan2(d, belt), 2 * d / belt

    def test_times(self):
        run = self.solved(self.params, rtol=1e-11, atol=1e-13)
        slip, stick = self.cycle(*self.params.values())
        gaps = [self.params["static"] / self.params["belt"], *np.resize([slip, stick], len(run.events) - 1)]
        np.testing.assert_allclose(run.times(), np.cumsum(gaps), rtol=1e-8)
        assert len(run.events) >= 5

    @pytest.mark.parametrize("i", [0, 3, 4])
    def test_gradient_of_times(self, i):
        found = self.solved(self.params, rtol=1e-11, atol=1e-13).gradient(lambda outcome: outcome.times[i])

        def formula(p):
            gaps = [p[1] / p[0], *np.resize(self.cycle(*p), i)]
            return np.sum(gaps)

        expected = differences(formula, np.array(list(self.params.values())))
        np.testing.assert_allclose([found.params[n] for n in self.params], expected, rtol=1e-6, atol=1e-7)


def test_a_mode_by_a_function():
    """What comes next depends on the state just after."""
    end = Event(
        lambda t, y: y[0] - 1, lambda t, y: 0 * y, "up", to=lambda t, y: "slow" if t > 0.5 else "fast"
    )
    system = HybridSystem({"fast": lambda t, y: 1 + 0 * y, "slow": lambda t, y: 0.5 + 0 * y}, end)
    run = system.solve([0.0], [0.0, 3.5])
    np.testing.assert_allclose(run.times(), [1.0, 3.0])
    assert [e.mode for e in run.events] == ["slow", "slow"]


def test_a_guard_that_is_left_both_ways_is_no_event():
    """Slip begins at rest; 'stop' counts zeros of the speed, not the start."""
    events = [
        Event(lambda t, y: t - 1, name="go", mode="rest", to="move"),
        Event(lambda t, y: y[1], name="stop", mode="move", to="rest"),
    ]
    f = {"rest": lambda t, y: 0 * y, "move": lambda t, y: np.stack([y[1], -y[0]])}
    run = HybridSystem(f, events).solve([1.0, 0.0], [0.0, 10.0])
    assert [e.name for e in run.events] == ["go", "stop"]
    np.testing.assert_allclose(run.times(), [1.0, 1 + np.pi], rtol=1e-8)
    np.testing.assert_allclose(run.y[-1], [-1.0, 0.0], atol=1e-7)
