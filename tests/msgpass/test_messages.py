"""Reading a result: what is there by name, what is not and why, and single messages at their borders."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import FactorGraph, Loss, MaxProduct, Step, SumProduct, Table, run
from msgpass.errors import GraphError, UnavailableError, UnsupportedError
from tests.msgpass import gaussian_models
from tests.msgpass.laws import latent_instances, neighbours
from tests.msgpass.recurrence_models import recurrence
from tests.msgpass.table_models import chain, chains, seeds
from tests.oracles import Enumeration, Flat


@pytest.fixture
def hmm():
    return chain(np.random.default_rng(3), 2, [4], locals_=("first", "emission"))


@pytest.fixture
def net():
    return recurrence(np.random.default_rng(3), "stacked", 4)


@pytest.fixture
def kalman():
    return gaussian_models.chain(np.random.default_rng(3))


def test_readings_are_mappings(hmm):
    m = run(hmm)
    assert list(m.forward) == ["z"]
    assert set(m.belief) == {"z", "start", "emit", "link"}
    assert set(m.parameters) == {"initial", "emission", "transition"}
    assert len(m.parameters) == 3
    assert "z" in m.belief and hmm["z"] in m.belief and "x" not in m.belief
    assert m.belief[hmm["z"]] is m.belief["z"]
    assert m.belief[hmm["link"]] is m.belief["link"]
    assert "z" in repr(m.belief)
    assert m.graph is hmm


@pytest.mark.parametrize(
    ("graph", "read", "error", "said"),
    [
        ("hmm", lambda m: m.belief["nobody"], UnavailableError, "no belief of 'nobody'; there is one of z"),
        ("hmm", lambda m: m.forward["x"], UnavailableError, "no forward message of 'x'; there is one of z"),
        ("hmm", lambda m: m.parameters["z"], UnavailableError, "no parameter message of 'z'"),
        ("hmm", lambda m: m.gradient["z"], UnsupportedError, "discrete"),
        ("hmm", lambda m: m.assignment["z"], UnsupportedError, "MaxProduct"),
        ("net", lambda m: m.belief["h"], UnsupportedError, "deterministic"),
        ("net", lambda m: m.assignment["h"], UnavailableError, "no assignment"),
        ("kalman", lambda m: m.gradient["x"], UnsupportedError, "integrated out"),
        ("kalman", lambda m: m.assignment["x"], UnavailableError, "no assignment"),
    ],
)
def test_what_is_not_there_says_what_is(request, graph, read, error, said):
    with pytest.raises(error, match=said):
        read(run(request.getfixturevalue(graph)))


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (lambda g: (g["link"][0], g["emit"][0]), "between a factor instance and a variable instance"),
        (lambda g: (g["z"][0], g["z"][1]), "between a factor instance and a variable instance"),
        (lambda g: (g["link"], g["z"][0]), "has 3 instances; say which"),
        (lambda g: (g["link"][0], g["z"][2]), r"link\[0\] and z\[2\] are not neighbours"),
        (lambda g: (g["z"][3], g["link"][0]), "not neighbours"),
        (lambda g: (g["emit"][1], g["z"][2]), "not neighbours"),
        (lambda g: (g["link"][0], g["emission"]), "not neighbours"),
        (lambda g: (g["link"][0], g["z"][:-1]), "names several rows"),
        (lambda g: (g["link"][0], g["z"]), "which rows"),
        (lambda g: (g["link"][0], g["z"][7]), "indices run"),
        (lambda g: (chain(np.random.default_rng(0), 2, [4])["link"][0], g["z"][0]), "another graph"),
        (lambda g: (g["link"][0], chain(np.random.default_rng(0), 2, [4])["z"][0]), "another graph"),
        (lambda g: (g["link"][0], "z"), "variables"),
    ],
)
def test_messages_run_between_neighbours(hmm, ends, said):
    with pytest.raises(GraphError, match=said):
        run(hmm).message(*ends(hmm))


def test_a_factor_of_one_instance_stands_for_it(hmm):
    m = run(hmm)
    np.testing.assert_array_equal(
        m.message(hmm["start"], hmm["z"][0]), m.message(hmm["start"][0], hmm["z"][0])
    )


@given(chains(batched=False), seeds)
@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_a_clamped_variable_says_its_label(algebra, graph, seed):
    rng, z = np.random.default_rng(seed), graph["z"]
    labels = np.where(rng.random(z.clock.total) < 0.5, -1, rng.integers(0, z.states, z.clock.total))
    m, oracle = (
        run(graph, algebra, values={"z": labels}),
        Enumeration(Flat.of(graph, {"z": labels}), "max" if isinstance(algebra, MaxProduct) else "sum"),
    )
    if not np.isfinite(oracle.total):
        return
    of_variable, _ = neighbours(graph, Table)
    for key, handle in latent_instances(graph):
        label = (
            np.zeros(z.states)
            if labels[key[1]] < 0
            else np.where(np.arange(z.states) == labels[key[1]], 0, -np.inf)
        )
        for name, j in of_variable[key]:
            both = m.message(graph.factors[name][j], handle) + m.message(handle, graph.factors[name][j])
            np.testing.assert_allclose(
                np.exp(both - oracle.reduce(both)), np.exp(oracle.marginal(key)), rtol=1e-9, atol=1e-9
            )
            assert (m.message(handle, graph.factors[name][j])[label == -np.inf] == -np.inf).all(), (
                "what z says holds its label"
            )


@given(chains(batched=False))
def test_messages_of_tables_at_their_parameters_add_up(graph):
    m = run(graph)
    for factor in graph.factors.values():
        parameter = factor.potential.source
        if hasattr(parameter, "value"):
            found = sum(
                (m.message(factor[j], parameter) for j in range(len(factor))), np.zeros(parameter.shape)
            )
            np.testing.assert_allclose(found, m.parameters[parameter.name], rtol=1e-9, atol=1e-12)


@settings(max_examples=30)
@given(gaussian_models.chains())
def test_messages_of_quadratics_at_their_parameters_add_up(graph):
    m = run(graph)
    for name in m.parameters:
        factors = [
            f for f in graph.factors.values() if any(p.name == name for p in f.potential.parameters.values())
        ]
        found = sum(
            (m.message(f[j], graph[name]) for f in factors for j in range(len(f))),
            np.zeros(graph[name].shape),
        )
        np.testing.assert_allclose(found, m.parameters[name], rtol=1e-8, atol=1e-10)


def test_single_messages_of_merged_links_are_an_error():
    g = chain(np.random.default_rng(0), 2, [3], transition="twice")
    assert run(g).total == pytest.approx(Enumeration(Flat.of(g)).total, rel=1e-12)
    with pytest.raises(UnsupportedError, match="several factors link"):
        run(g).message(g["link"][0], g["z"][0])


def test_values_flow_along_the_arrows(net):
    m = run(net)
    np.testing.assert_array_equal(m.message(net["step"][2], net["h"][2]), m.forward["h"][2])
    np.testing.assert_array_equal(m.message(net["h"][1], net["step"][2]), m.forward["h"][1])
    np.testing.assert_array_equal(m.message(net["W"], net["step"][2]), net["W"].value)


def test_repr_names_total_algebra_schedule_and_blocks(hmm, net):
    assert "SumProduct under Sequential(); TableChain(z)" in repr(run(hmm))
    assert "Recurrence(h), Recurrence(top), Losses" in repr(run(net))


def test_an_empty_product_of_messages_is_a_constant():
    g = FactorGraph()
    u = g.variable("u", states=3)
    f = g.factor(Table([0.0, 1.0, 2.0]), u)
    m = run(g)
    np.testing.assert_array_equal(m.message(u, f), np.zeros(3))
    np.testing.assert_array_equal(m.message(f, u), [0.0, 1.0, 2.0])


def test_a_variable_that_a_step_computes_has_a_value():
    g = FactorGraph()
    square, u = g.variable("square"), g.variable("u", states=2)
    g.factor(Step(lambda w: w * w), g.parameter("w", 3.0), out=square)
    g.factor(Table([0.0, 0.0]), u)
    g.factor(Loss(lambda x: (2 * x, 2.0)), square)
    m = run(g)
    assert list(m.forward) == ["square"]
    assert m.forward["square"] == 9.0
    assert (m.gradient["square"], m.gradient["w"]) == (2.0, 12.0)
    assert list(m.gradient) == ["square", "w"]


def test_a_result_is_freed_without_the_collector():
    """Its arrays may be large, and a loop of runs would pile them up."""
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    g.factor(Table(g.parameter("table", np.zeros((2, 2)))), z[:-1], z[1:])
    m = run(g)
    assert m.total > 0
    assert m.parameters["table"].sum() == pytest.approx(2)
    gone = weakref.ref(m)
    gc.disable()
    try:
        del m
        assert gone() is None
    finally:
        gc.enable()
