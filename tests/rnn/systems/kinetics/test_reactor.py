"""Reactors forward and backward: closed forms, scipy's variational equations, differences, conservation."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from msgpass import Loss, run
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.ode import BlowUpError
from rnn.systems.kinetics import (
    EXAMPLES,
    Arrhenius,
    NegativeConcentrationError,
    Profile,
    ReactionNetwork,
    Reactor,
    Selectivity,
    Yield,
    example,
)

CHAIN = ReactionNetwork(["k1: A -> B", "k2: B -> C"])
RATES = {"k1": 1.0, "k2": 0.5}
METHODS = [("kvaerno5", None), ("kvaerno3", None), ("dopri5", None), ("rk4", 0.02), ("euler", 0.02),
           ("implicit_euler", 0.02), ("trapezoid", 0.02)]  # fmt: skip


def variational(e, t, network=None):
    """c, ∂c/∂k (S, R) and ∂c/∂c₀ (S, S) at t, by scipy."""
    network = network or e.network
    S, R = len(network.species), len(network.reactions)
    k = network.rate_vector(e.rates)

    def f(_, y):
        c, K, C = y[:S], y[S : S + S * R].reshape(S, R), y[S + S * R :].reshape(S, S)
        J = network.jacobian(c, k)
        return np.concatenate(
            [network.rhs(0.0, c, k), (J @ K + network.jacobian_rates(c)).ravel(), (J @ C).ravel()]
        )

    start = np.concatenate([network.concentrations(e.start), np.zeros(S * R), np.eye(S).ravel()])
    y = solve_ivp(f, (0, t), start, "Radau", rtol=1e-10, atol=1e-14).y[:, -1]
    return y[:S], y[S : S + S * R].reshape(S, R), y[S + S * R :].reshape(S, S)


def test_consecutive_reactions_in_closed_form():
    """B = k₁(e^{−k₁t} − e^{−k₂t})/(k₂ − k₁); largest at ln(k₁/k₂)/(k₁ − k₂)."""
    found = Reactor(CHAIN, RATES, {"A": 1.0}, 2 * np.log(2)).gradient("B")
    np.testing.assert_allclose(found.value, 0.5, rtol=1e-7)
    np.testing.assert_allclose(list(found.rates.values()), [0.1931472, -0.3862944], rtol=1e-6)
    np.testing.assert_allclose(found.end, 0.0, atol=1e-7)
    np.testing.assert_allclose(found.start, [0.5, 0.5, 0], atol=1e-7)
    found = Reactor(CHAIN, RATES, {"A": 1.0}, 1.0).gradient("B")
    np.testing.assert_allclose(found.value, 0.4773024, rtol=1e-6)
    np.testing.assert_allclose(list(found.rates.values()), [0.2584564, -0.2584564], rtol=1e-6)


def test_robertson():
    e = example("robertson")
    reactor = Reactor(e.network, e.rates, e.start, 0.4)
    np.testing.assert_allclose(reactor.simulate().c[-1], [0.98517, 3.3864e-5, 0.014794], rtol=1e-4)
    slopes = [reactor.gradient(s).rates["p1"] for s in "ABC"]
    np.testing.assert_allclose(slopes, [-0.35595, 3.9025e-4, 0.35556], rtol=1e-4)


@pytest.mark.parametrize("name", ["waste", "reversible_chain", "robertson", "enzyme", "lotka", "sir"])
def test_gradients_are_those_of_the_variational_equation(name):
    e = example(name)
    t = min(e.time, 10.0)
    c, K, C = variational(e, t)
    reactor = Reactor(e.network, e.rates, e.start, t)
    np.testing.assert_allclose(reactor.simulate().c[-1], c, rtol=1e-6, atol=1e-10)
    for i in (0, len(c) - 1):
        found = reactor.gradient(e.network.species[i])
        scale = np.abs(K[i] * reactor.params["k"]).max()
        np.testing.assert_allclose(found.ode.params["k"] * reactor.params["k"], K[i] * reactor.params["k"],
                                   rtol=1e-5, atol=1e-5 * scale)  # fmt: skip
        np.testing.assert_allclose(found.start, C[i], rtol=1e-5, atol=1e-5 * np.abs(C[i]).max())


@pytest.mark.parametrize("method, step", METHODS)
def test_discrete_gradients_are_those_of_differences(method, step):
    """Of the numbers that the steps compute; an adaptive method's steps move by its tolerance."""
    reactor = Reactor(example("waste").network, [1.0, 0.5, 0.2], {"A": 1.0}, 1.0, method=method, step=step)
    target = Yield("C", "A")
    found, k = reactor.gradient(target), np.array([1.0, 0.5, 0.2])
    for r in range(3):
        d = 1e-4 * np.eye(3)[r]
        slope = (reactor.with_(rates=k + d).value(target) - reactor.with_(rates=k - d).value(target)) / 2e-4
        np.testing.assert_allclose(found.ode.params["k"][r], slope, rtol=2e-6, atol=1e-8)
    up, down = (reactor.with_(start={"A": 1.0 + h, "B": 0.0}).value(target) for h in (1e-4, -1e-4))
    np.testing.assert_allclose(found.start[0], (up - down) / 2e-4, atol=1e-7)


@pytest.mark.parametrize("method, step", METHODS)
@pytest.mark.parametrize("name", ["waste", "enzyme"])
def test_what_is_conserved_is_to_rounding(name, method, step):
    e = example(name)
    assert Reactor(e.network, e.rates, e.start, 5.0, method=method, step=step).simulate().drift < 1e-13


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    e = example(name)
    path = Reactor(e.network, e.rates, e.start, e.time).simulate()
    k, c0 = e.network.rate_vector(e.rates), e.network.concentrations(e.start)
    wanted = solve_ivp(lambda t, c: e.network.rhs(t, c, k), (0, e.time), c0, "Radau", rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(path.c[-1], wanted.y[:, -1], rtol=1e-4, atol=1e-9)


def test_elasticities_and_their_share_of_time():
    found = Reactor(CHAIN, RATES, {"A": 1.0}, 3.0, rtol=1e-10).gradient("C")
    total = np.trapezoid(found.through_time, found.times, axis=0)
    np.testing.assert_allclose(total, list(found.elasticities.values()), rtol=2e-3)
    # All rates twice as large is the same reaction in half the time.
    np.testing.assert_allclose(sum(found.elasticities.values()) * found.value, found.end * 3.0, rtol=1e-6)
    rows = [row for row in found.table() if row.kind == "rate"]
    assert [row.name for row in rows] == sorted(found.rates, key=lambda n: -abs(found.elasticities[n]))


def test_costates_are_the_backward_messages():
    """λ of a linear system: λ(t)·c(t) is J at all times."""
    for target in ("B", Yield("B", "A")):  # the reference is no part of what happens on the way
        found = Reactor(CHAIN, RATES, {"A": 1.0}, 2.0).gradient(target)
        along = (found.costates * found.ode.solution.states).sum(axis=1)
        np.testing.assert_allclose(along, found.value, rtol=1e-7)
        np.testing.assert_array_equal(found.messages.gradient["y"], found.costates[1:])


def test_a_batch_is_its_reactors():
    starts = np.array([[1.0, 0, 0], [0.3, 0.4, 0.1], [2.0, 0, 1.0]])
    options = {"t": 2.0, "method": "rk4", "step": 0.05}
    network = ReactionNetwork("k1: 2 A -> B; k2: B + A -> C")
    batch = Reactor(network, [1.0, 0.5], starts, **options).gradient("C")
    single = [Reactor(network, [1.0, 0.5], row, **options).gradient("C") for row in starts]
    np.testing.assert_allclose(batch.values, [s.value for s in single], rtol=1e-12)
    np.testing.assert_allclose(batch.start, np.stack([s.start for s in single]) / 3, rtol=1e-10, atol=1e-14)
    mean = np.mean([s.ode.params["k"] for s in single], axis=0)
    np.testing.assert_allclose(batch.ode.params["k"], mean, rtol=1e-10)
    stiff = Reactor(network, [1.0, 0.5], starts, 2.0).gradient("C")
    np.testing.assert_allclose(stiff.values, batch.values, rtol=1e-5)


def test_selectivity():
    """Of parallel reactions, k₁/(k₁ + k₂) at all times."""
    network = ReactionNetwork("k1: A -> P; k2: A -> W")
    found = Reactor(network, [3.0, 1.0], {"A": 1.0}, 0.7).gradient(Selectivity("P", ["W"]))
    np.testing.assert_allclose(found.value, 0.75, rtol=1e-9)
    np.testing.assert_allclose(list(found.rates.values()), [1 / 16, -3 / 16], rtol=1e-6)


def test_temperature_energies_and_feed_by_differences():
    T, feed = Profile([0, 1, 3], [300, 310, 305.0]), {"A": Profile([0.5, 1.5], [0.1, 0.3])}
    warm = Arrhenius.through(RATES, 300.0, {"k1": 50e3, "k2": 80e3}, T)
    reactor = Reactor(CHAIN, warm, {"A": 1.0}, 2.0, feed)
    found = reactor.gradient("B")

    def slope(make, h):
        return (reactor.with_(**make(h)).value("B") - reactor.with_(**make(-h)).value("B")) / (2 * h)

    for m in range(3):

        def moved(h, m=m):
            return {"rates": Arrhenius(warm.A, warm.E, Profile(T.times, T.values + h * np.eye(3)[m]))}

        np.testing.assert_allclose(found.temperature[m], slope(moved, 1e-2), rtol=1e-4)
    for name in RATES:

        def hotter(h, name=name):
            return {"rates": Arrhenius(warm.A, {**warm.E, name: warm.E[name] + h}, T)}

        np.testing.assert_allclose(found.energies[name], slope(hotter, 1.0), rtol=1e-4)

        def more(h, name=name):
            return {"rates": Arrhenius({**warm.A, name: warm.A[name] * (1 + h)}, warm.E, T)}

        np.testing.assert_allclose(found.elasticities[name] * found.value, slope(more, 1e-3), rtol=1e-4)
    for m in range(2):

        def fed(h, m=m):
            return {"feed": {"A": Profile([0.5, 1.5], np.array([0.1, 0.3]) + h * np.eye(2)[m])}}

        np.testing.assert_allclose(found.feed["A"][m], slope(fed, 1e-3), rtol=1e-4)
    np.testing.assert_allclose(found.end, slope(lambda h: {"t": 2.0 + h}, 1e-4), rtol=1e-4)


def test_a_constant_feed_is_a_source():
    fed = Reactor(CHAIN, RATES, {"A": 1.0}, 2.0, {"A": 0.3, "B": 0.1}).simulate()
    source = ReactionNetwork("k1: A -> B; k2: B -> C; a: -> A; b: -> B")
    wanted = Reactor(source, {**RATES, "a": 0.3, "b": 0.1}, {"A": 1.0}, 2.0).simulate()
    np.testing.assert_allclose(fed.c, wanted.c, rtol=1e-9)


def test_save_times():
    t = np.array([1.0, 1.5, 4.0])
    path = Reactor(CHAIN, RATES, {"A": 2.0}, t).simulate()
    np.testing.assert_allclose(path["A"], 2 * np.exp(-(t - 1)), rtol=1e-6)


def test_the_graph_takes_more_factors():
    g = Reactor(CHAIN, RATES, {"A": 1.0}, np.linspace(0, 2, 5)).graph()
    g.factor(Loss(lambda c: (float(c[1]), (np.array([0.0, 1.0, 0.0]),))), g["saved"][-1])
    found = Reactor(CHAIN, RATES, {"A": 1.0}, np.linspace(0, 2, 5)).gradient("B")
    np.testing.assert_allclose(run(g).parameters["k"], list(found.rates.values()), rtol=1e-10)


def test_a_long_step_goes_below_zero():
    with pytest.raises(NegativeConcentrationError, match=r"of A is -0.5 at t = 1.5.*h·rate = 1.5") as caught:
        Reactor(CHAIN, RATES, {"A": 1.0}, 15.0, method="euler", step=1.5).simulate()
    assert (caught.value.t, caught.value.species) == (1.5, "A")
    with pytest.raises(NegativeConcentrationError, match="of reactor 1"):
        Reactor(CHAIN, RATES, {"A": [0.0, 1.0]}, 15.0, method="euler", step=1.5).gradient("B")


def test_an_explosion_names_its_first_negative_concentration():
    network = ReactionNetwork("2 A -> B")
    with pytest.raises(NegativeConcentrationError) as caught:
        Reactor(network, [1.0], {"A": 3.0}, 40.0, method="euler", step=1.0).simulate()
    assert caught.value.t == 1.0


def test_a_zero_order_goes_on_when_nothing_is_left():
    network = ReactionNetwork("k1: A -> B", orders={"k1": {"A": 0}})
    with pytest.raises(NegativeConcentrationError, match="goes on when nothing is left"):
        Reactor(network, [1.0], {"A": 0.5}, 1.0).simulate()


@pytest.mark.parametrize("method, step", [("kvaerno5", None), ("dopri5", None), ("rk4", 0.1)])
def test_a_root_has_no_derivative_at_zero(method, step):
    network = ReactionNetwork("k1: A + B -> 2 B", orders={"k1": {"B": 0.5}})
    options = {"method": method, "step": step}
    with pytest.raises(NumericalError, match="B starts at 0 and has an order below 1"):
        Reactor(network, [1.0], {"A": 1.0}, 1.0, **options).gradient("B")
    assert Reactor(network, [1.0], {"A": 1.0, "B": 1e-3}, 1.0, **options).gradient("B").rates["k1"] > 0


def test_what_is_zero_has_no_elasticity():
    found = Reactor(CHAIN, RATES, {}, 1.0).gradient("B")
    assert found.value == 0 and np.isnan(found.elasticities["k1"])


def test_a_true_explosion_blows_up():
    with pytest.raises(BlowUpError) as caught:  # dA/dt = A², infinite at t = 1
        Reactor(ReactionNetwork("2 A -> 3 A"), [1.0], {"A": 1.0}, 2.0, method="rk4", step=0.01).simulate()
    assert 1.0 <= caught.value.t < 1.1


@pytest.mark.parametrize(
    "changes, error, what",
    [
        ({"network": "A -> B"}, DataError, "ReactionNetwork"),
        ({"method": "euler"}, DataError, "give step="),
        ({"t": [0.0, 0.0]}, DataError, "increasing"),
        ({"t": [[0.0, 1.0]]}, ShapeError, "two or more times"),
        ({"t": -1.0}, DataError, "increasing"),
        ({"start": np.zeros((2, 2, 3))}, ShapeError, "one axis in front"),
        ({"start": {"A": np.nan}}, DataError, "A is NaN"),
        ({"rates": {"k1": 1.0, "k2": -1.0}}, DataError, "k2 is negative"),
        ({"rates": Arrhenius(RATES, RATES, -3.0)}, DataError, "in K"),
        ({"rates": Arrhenius(RATES, {"k1": 1.0}, 300.0)}, DataError, "E lacks k2"),
        ({"feed": {"A": "much"}}, DataError, "number or a Profile"),
        ({"feed": {"A": -1.0}}, DataError, "feed: A is negative"),
        ({"feed": {"Q": 1.0}}, DataError, "no species 'Q'"),
        ({"feed": 3.0}, DataError, "dict by species"),
        ({"method": "euler", "step": 0.0}, DataError, "step"),
        ({"t": "long"}, DataError, "t must hold real numbers"),
        ({"rates": {"k1": "fast", "k2": 1.0}}, DataError, r"rates\['k1'\] must hold real numbers"),
        ({"rates": Arrhenius(RATES, RATES, "warm")}, DataError, "T is a number or a Profile"),
    ],
)
def test_what_is_refused(changes, error, what):
    with pytest.raises(error, match=what):
        Reactor(CHAIN, RATES, {"A": 1.0}, 1.0).with_(**changes)


def test_targets_that_do_not_fit():
    reactor = Reactor(CHAIN, RATES, {"A": 1.0}, 1.0)
    for target, what in [("Q", "no species"), (3, "a target is"), (Yield("C", "B"), "no B at the start"),
                         (Selectivity("A", []), "nothing of A")]:  # fmt: skip
        with pytest.raises(DataError, match=what):
            reactor.gradient(target)
    for target in (lambda n, a, b: b[:, 0], lambda n, a, b: (b[:, 0], 0 * a, b[0]), lambda n, a, b: 3.0):
        for call in (reactor.gradient, reactor.value):
            with pytest.raises(ShapeError, match=r"returns \(values, ∂/∂first, ∂/∂last\)"):
                call(target)


def test_one_other_species_may_be_a_text():
    assert Selectivity("C", "waste") == Selectivity("C", ("waste",))


def test_temperatures_of_rates():
    for wrong in (-1.0, 0.0, np.nan):
        with pytest.raises(DataError, match="in K"):
            Arrhenius(RATES, RATES, 300.0).rates_at(wrong)
        with pytest.raises(DataError, match="in K"):
            Arrhenius.through(RATES, wrong, RATES, 300.0)


def test_columns_of_a_table_stand_apart():
    warm = Arrhenius.through(RATES, 300.0, {"k1": 5e4, "k2": 8e4}, 310.0)
    found = Reactor(CHAIN, warm, {"A": 1.0}, 1.0).gradient("B")
    assert all(len(line.split()) == 4 for line in repr(found).splitlines()[1:])


def test_frames_and_figures():
    pytest.importorskip("matplotlib")
    reactor = Reactor(CHAIN, RATES, {"A": 1.0}, [0.0, 1.0, 2.0])
    found = reactor.gradient("B")
    assert list(found.to_frame().columns) == ["name", "kind", "value", "gradient", "elasticity"]
    assert reactor.simulate().to_frame().shape == (3, 3)
    assert Reactor(CHAIN, RATES, np.eye(3), 1.0).simulate().to_frame().shape == (6, 3)
    assert len(found.plot().patches) == 2
    assert len(found.plot_through_time().lines) == 3
    assert len(reactor.simulate().plot().lines) == 4
