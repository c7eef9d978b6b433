"""Optima of reactors, where they are known."""

import numpy as np
import pytest

from msgpass.errors import DataError
from rnn.systems.kinetics import Arrhenius, Profile, ReactionNetwork, Reactor, Yield

CHAIN = ReactionNetwork(["k1: A -> B", "k2: B -> C"])


def test_the_time_of_the_most_intermediate():
    best = Reactor(CHAIN, [2.0, 0.5], {"A": 1.0}, [0.0, 1.0, 2.0]).optimize("B", {"time": (0.1, 20.0)})
    np.testing.assert_allclose(best.values["time"], np.log(4) / 1.5, rtol=1e-4)
    np.testing.assert_allclose(best.value, 4 ** (-1 / 3), rtol=1e-7)  # (k₁/k₂)^{k₂/(k₂ − k₁)}
    np.testing.assert_allclose(best.reactor.times[1] / best.reactor.times[2], 0.5)
    assert best.converged and (np.diff(best.history) > -1e-12).all()


def test_rates_go_to_their_bounds():
    best = Reactor(CHAIN, [1.0, 1.0], {"A": 1.0}, 1.0).optimize("B", {"k1": (0.1, 4.0), "k2": (0.2, 3.0)})
    np.testing.assert_allclose([best.values["k1"], best.values["k2"]], [4.0, 0.2], rtol=1e-6)


def test_a_temperature():
    """One temperature for both reactions: where dB/dT = 0, found by a search on a grid."""
    warm = Arrhenius.through({"k1": 1.0, "k2": 0.5}, 300.0, {"k1": 50e3, "k2": 80e3}, 320.0)
    reactor = Reactor(CHAIN, warm, {"A": 1.0}, 1.0)
    best = reactor.optimize(Yield("B", "A"), {"T": (270.0, 340.0)})
    grid = np.linspace(280, 310, 61)
    values = [reactor.with_(rates=Arrhenius(warm.A, warm.E, T)).value(Yield("B", "A")) for T in grid]
    np.testing.assert_allclose(best.values["T"], grid[np.argmax(values)], atol=0.5)
    assert best.value >= max(values) - 1e-8
    ramp = reactor.with_(rates=Arrhenius(warm.A, warm.E, Profile([0.0, 1.0], [300.0, 300.0])))
    falling = ramp.optimize(Yield("B", "A"), {"T": (270.0, 340.0)}, n_iter=60, tol=1e-4)
    assert falling.value > best.value + 1e-4 and falling.values["T"][0] > falling.values["T"][1]


def test_least_waste_and_a_start():
    network = ReactionNetwork("k1: A + B -> P; k2: 2 A -> W")
    reactor = Reactor(network, [1.0, 1.0], {"A": 0.5, "B": 1.0}, 2.0)
    best = reactor.optimize("W", {"A": (0.1, 1.0)}, maximize=False)
    np.testing.assert_allclose(best.values["A"], 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    "bounds, what",
    [
        ({}, "names no variable"),
        ({"Q": (0.0, 1.0)}, "none of k1, k2, A, B, C"),
        ({"T": (300.0, 310.0)}, "none of"),
        ({"k1": (0.0, 1.0)}, "must be > 0"),
        ({"k1": (2.0, 1.0)}, "low < high"),
        ({"time": (0.0, 1.0)}, "after the start"),
        ({"k1": "wide"}, "bounds of k1"),
    ],
)
def test_what_is_refused(bounds, what):
    with pytest.raises(DataError, match=what):
        Reactor(CHAIN, [1.0, 0.5], {"A": 1.0}, 1.0).optimize("B", bounds)
