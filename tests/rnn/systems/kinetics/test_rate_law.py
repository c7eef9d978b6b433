"""The right-hand side's VJP against differences, and compiled steps against those with that VJP."""

import numpy as np
import pytest

from rnn.systems.kinetics import Arrhenius, Profile, ReactionNetwork, Reactor, example
from rnn.systems.kinetics.profile import Hats


def warm_and_fed(**options):
    network = ReactionNetwork("k1: 2 A -> B; k2, k3: B + A <-> C", orders={"k2": {"A": 1.5}})
    T = Profile([0.0, 0.4, 1.0], [300.0, 320.0, 310.0])
    rates = Arrhenius.through({"k1": 1.0, "k2": 0.5, "k3": 0.3}, 300.0, {"k1": 4e4, "k2": 8e4, "k3": 6e4}, T)
    feed = {"B": Profile([0.2, 0.9], [0.1, 0.4]), "A": 0.2}
    return Reactor(network, rates, {"A": 1.0, "B": 0.2}, 1.0, feed, **options)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("t", [0.1, 0.55, 0.95, 1.7])
def test_vjp(t, batch, rng):
    reactor = warm_and_fed()
    law, p = reactor.law, list(reactor.params.values())
    c, w = rng.uniform(0.2, 1, (*batch, 3)), rng.normal(size=(*batch, 3))
    inputs = [np.asarray(t), c, *p]
    found = law.vjp(inputs, w)
    for i, x in enumerate(inputs):
        direction = rng.normal(size=x.shape) * np.abs(x).clip(1e-3)
        ends = [
            (law.of_arrays(*inputs[:i], x + h * direction, *inputs[i + 1 :]) * w).sum() for h in (1e-6, -1e-6)
        ]
        np.testing.assert_allclose((found[i] * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=2e-5)


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_many_steps_are_compiled_and_say_the_same(method, monkeypatch):
    e = example("waste")
    starts = [[1.0, 0, 0, 0], [0.2, 0.4, 0, 0]]
    made = (
        lambda: warm_and_fed(method=method, step=1e-3),
        lambda: Reactor(e.network, e.rates, starts, 2.0, method=method, step=2e-3),
    )
    for make in made:
        plain = make().gradient("C")
        monkeypatch.setattr("rnn.systems.kinetics.rate_law.MANY", 1)
        compiled = make().gradient("C")
        compiled = make().gradient("C")  # with the sweep kept
        monkeypatch.undo()
        np.testing.assert_allclose(compiled.value, plain.value, rtol=1e-12)
        np.testing.assert_allclose(compiled.start, plain.start, rtol=1e-10, atol=1e-14)
        for name, x in plain.ode.params.items():
            np.testing.assert_allclose(compiled.ode.params[name], x, rtol=1e-10, atol=1e-16)


def test_hats_are_linear_interpolation(rng):
    times, values = np.array([0.0, 0.5, 2.0]), rng.normal(size=3)
    hats = Hats(times)
    for t in np.linspace(-1, 3, 41):
        np.testing.assert_allclose(hats(t) @ values, np.interp(t, times, values), atol=1e-12)
    assert hats.slopes(1.0) @ values == pytest.approx((values[2] - values[1]) / 1.5)
    assert not Hats([1.0]).slopes(1.0).any() and Hats([1.0])(7.0) == 1.0
