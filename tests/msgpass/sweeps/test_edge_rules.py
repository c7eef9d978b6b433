"""Where rules may go, and what says where they may not."""

import numpy as np
import pytest

from msgpass import (
    Adjoint,
    FactorGraph,
    FixedLag,
    ForwardOnly,
    Loss,
    MaxProduct,
    OnEdges,
    Quadratic,
    Step,
    Table,
    Tangent,
    TimeEdge,
    Truncated,
    run,
)
from msgpass.algebra.rules import ClipValue, Replace, Scale, Stop
from msgpass.errors import GraphError, ShapeError, UnavailableError, UnsupportedError


@pytest.fixture
def graph(rng):
    """A recurrence that scores a chain of tables, beside a Gaussian variable."""
    g = FactorGraph()
    h, z, s = g.sequence("h", 4, shape=(2,)), g.sequence("z", 4, states=2), g.sequence("s", 4, shape=(2,))
    W = g.parameter("W", rng.normal(size=(2, 2)))
    x, start = g.observe("x", rng.normal(size=(4, 2))), g.parameter("start", np.zeros(2))
    g.factor(Step(lambda h, x, W: np.tanh(W @ h + x)), h.after(start), x[:], W, out=h[:], name="cell")
    g.factor(Step(lambda h: 2 * h), h[:], out=s[:], name="score")
    g.factor(Table(s[:]), z[:], name="local")
    g.factor(Table(g.parameter("A", np.zeros((2, 2)))), z[:-1], z[1:], name="link")
    v = g.variable("v", shape=(1,))
    g.factor(Quadratic.prior([0.0], [[1.0]]), v, name="prior")
    g.factor(Loss(lambda h: ((h**2).sum(), (2 * h,))), h[-1], name="loss")
    return g


@pytest.mark.parametrize(
    ("place", "error", "says"),
    [
        ("q", UnavailableError, "the graph does not"),
        ("z", UnsupportedError, "discrete"),
        ("v", UnsupportedError, "Gaussian"),
        (TimeEdge("z"), UnsupportedError, "discrete"),
        (TimeEdge("x"), UnavailableError, "no later slice"),
        (TimeEdge("s"), UnavailableError, "no later slice"),
        (("cell", "q"), UnavailableError, "the graph does not"),
        (("cll", "h"), UnavailableError, "no factor 'cll'"),
        (("local", "s"), UnsupportedError, "give the rule to the variable 's'"),
        (("score", "s"), GraphError, "computes 's'"),
        (("cell", "start"), GraphError, "the edge .'cell', 'h'."),
        (("score", "W"), GraphError, "not neighbours"),
    ],
)
def test_places_that_are_none(graph, place, error, says):
    with pytest.raises(error, match=says):
        run(graph, OnEdges(Adjoint(), {place: Stop()}))


def test_nodes_stand_for_names(graph):
    h, cell, W = graph["h"], graph.factors["cell"], graph["W"]
    by_name = run(
        graph, OnEdges(Adjoint(), {"h": Scale(2.0), ("cell", "W"): Scale(3.0), TimeEdge("h"): Stop()})
    )
    by_node = run(graph, OnEdges(Adjoint, {h: Scale(2.0), (cell, W): Scale(3.0), TimeEdge(h): Stop()}))
    np.testing.assert_array_equal(by_node.parameters["W"], by_name.parameters["W"])


def test_rules_beside_other_algebras(graph):
    """Tables keep theirs; a dict of algebras may hold the rules."""
    rules = OnEdges(Adjoint(), {"h": Scale(0.5)})
    m, best = run(graph, rules), run(graph, {"z": MaxProduct(), "h": rules})
    np.testing.assert_array_equal(m.belief["z"], run(graph).belief["z"])
    np.testing.assert_allclose(m.gradient["h"][-1], 0.5 * run(graph).gradient["h"][-1])
    assert best.assignment["z"].shape == (4,)
    twice = run(graph, {"h": rules, "s": rules})
    np.testing.assert_array_equal(twice.gradient["h"], m.gradient["h"])


def test_two_rules_of_one_place_follow_each_other(graph):
    one, two = OnEdges(Adjoint(), {"h": Scale(0.5)}), OnEdges(Adjoint(), {"h": Scale(4.0)})
    both = run(graph, {"h": one, "s": two})
    np.testing.assert_allclose(
        both.gradient["W"], run(graph, OnEdges(Adjoint(), {"h": Scale(2.0)})).gradient["W"]
    )


@pytest.mark.parametrize("schedule", [Truncated(2, 2), FixedLag(1)])
def test_windows_have_truncate(graph, schedule):
    with pytest.raises(UnsupportedError, match=r"Truncate\(k\)"):
        run(graph, OnEdges(Adjoint(), {"h": Stop()}), schedule)


def test_forward_alone_knows_no_rules(graph):
    assert run(graph, OnEdges(Adjoint(), {"h": Stop()}), ForwardOnly()).total == run(graph).total


def test_what_fits_nothing(graph):
    with pytest.raises(UnsupportedError, match="needs rules"):
        run(graph, OnEdges)
    with pytest.raises(UnsupportedError, match="no second derivatives"):
        run(graph, Tangent({"W": np.ones((2, 2))}, over=OnEdges(Adjoint(), {"h": Stop()})))
    tables = FactorGraph()
    z = tables.variable("z", states=2)
    tables.factor(Table([0.0, 1.0]), z)
    with pytest.raises(UnsupportedError, match="OnEdges fits nothing"):
        run(tables, OnEdges(Adjoint(), {"z": Stop()}))


def test_answers_of_another_shape_are_refused(graph):
    for f in (lambda t, v, m: m[:1], lambda t, v, m: 0.0):
        with pytest.raises(ShapeError, match="returned messages of shape"):
            run(graph, OnEdges(Adjoint(), {"h": Replace(f)}))


def test_a_rule_speaks_where_nothing_arrived():
    """A network that no loss reads is told what to do by a rule alone."""
    g = FactorGraph()
    h, w = g.sequence("h", 3), g.parameter("w", 2.0)
    g.factor(
        Step(lambda h, x, w: w * h + x),
        h.after(g.parameter("h0", 1.0)),
        g.observe("x", np.ones(3))[:],
        w,
        out=h[:],
    )
    m = run(g, OnEdges(Adjoint(), {"h": Replace(lambda t, v, message: message + (t == 2))}))
    assert m.gradient["h"].tolist() == [4.0, 2.0, 1.0]
    assert m.parameters["h0"] == 8.0


def test_a_message_at_each_weight_by_instance():
    """A rule on the edge to a shared value sees every instance's message."""
    g = FactorGraph()
    y, w = g.sequence("y", 3), g.parameter("w", 1.0)
    g.factor(
        Step(lambda x, w: w * x, vectorized=True),
        g.observe("x", [1.0, 5.0, -7.0])[:],
        w,
        out=y[:],
        name="times",
    )
    g.factor(Loss(lambda y: (y, 1.0)), y[:])
    m = run(g, OnEdges(Adjoint(), {("times", "w"): ClipValue(2.0)}))
    assert m.parameters["w"] == 1.0 + 2.0 - 2.0
    assert m.message(g.factors["times"][1], w) == 2.0
