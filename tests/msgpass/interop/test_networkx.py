"""Graphs to networkx and back, and graphs that were made there."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given

from msgpass import FactorGraph, JunctionTree, Loss, Parity, Quadratic, Step, Table, run
from msgpass.errors import GraphError, ShapeError
from msgpass.identities.chains import random_chain, table_graph
from msgpass.identities.linear import _linear_graph, random_linear_chain
from msgpass.identities.networks import network_graph, random_network
from msgpass.interop.networkx import from_networkx, to_networkx
from msgpass.interop.networkx_pairwise import pairwise_graph
from tests.msgpass.loopy_models import loopy_models
from tests.msgpass.sliced_models import sliced_models


def same(graph: FactorGraph, again: FactorGraph) -> None:
    """The same nodes and factors over the same slices, and nothing shared but arrays."""
    assert [n.describe() for n in again.nodes.values()] == [n.describe() for n in graph.nodes.values()]
    assert list(map(repr, again.factors.values())) == list(map(repr, graph.factors.values()))
    assert again.state_names == graph.state_names
    for factor in again.factors.values():
        for s in factor.slices:
            assert s.node.graph is again
        assert all(p.graph is again for p in factor.potential.parameters.values())


@given(loopy_models())
def test_loops(model):
    again = from_networkx(to_networkx(model.graph))
    same(model.graph, again)
    before, after = (run(g, schedule=JunctionTree(), values=model.values) for g in (model.graph, again))
    np.testing.assert_array_equal(before.total, after.total)


@given(sliced_models())
def test_slices(model):
    again = from_networkx(to_networkx(model.graph))
    same(model.graph, again)
    assert again.conditions.keys() == model.graph.conditions.keys()
    before, after = (run(g, schedule=JunctionTree(), values=model.values) for g in (model.graph, again))
    np.testing.assert_array_equal(before.total, after.total)


@pytest.mark.parametrize(
    "graph",
    [
        table_graph(random_chain(0)),
        _linear_graph(random_linear_chain(0)),
        network_graph(random_network(0)),
        table_graph(random_chain(0)).unroll(),
    ],
    ids=["tables", "gaussian", "network", "flat"],
)
def test_every_kind_of_potential(graph):
    again = from_networkx(to_networkx(graph))
    same(graph, again)
    before, after = run(graph), run(again)
    assert after.total == before.total
    for name in before.parameters:
        np.testing.assert_array_equal(after.parameters[name], before.parameters[name])


def test_edges_labels_and_weights():
    g = FactorGraph()
    h0, w = g.parameter("h0", np.zeros(2)), g.parameter("w", 0.5)
    h, x = g.sequence("h", length=3, shape=(2,)), g.observe("x", np.ones((3, 2)))
    g.factor(Step(lambda a, b, w: np.tanh(w * a + b)), h.after(h0), x[:], w, out=h[:], name="cell")
    s = g.sequence("s", length=3, shape=(2,))
    g.factor(Step(lambda a: a), h[:], out=s[:])
    z = g.sequence("z", length=3, states=["low", "high"])
    g.factor(Table(s[:]), z[:])
    g.factor(Loss(lambda a: (float(a.sum()), (np.ones((3, 2)),))), h.all)
    g.condition(z, g.observe("labels", [0, 1, -1], states=["low", "high"]))
    g.weigh(z, 0.5)
    drawn = to_networkx(g)
    again = from_networkx(drawn)
    same(g, again)
    assert run(again).total == run(g).total
    assert drawn.nodes["cell"]["scope"][0] == ("h", ("after", ("h0", None)))
    assert drawn.nodes["z"]["state_names"] == ("low", "high") and drawn.nodes["w"]["value"] == 0.5
    assert drawn.edges["h", "cell"]["axis"] == [0]


def test_made_by_hand():
    drawn = nx.Graph()
    drawn.add_node("a", bipartite=0, states=3)
    drawn.add_node(7, bipartite=0)
    drawn.add_node("f", bipartite=1, table=[[1, 2, 0], [3, 4, 5]])
    drawn.add_node("g", bipartite=1, log_values=[0.0, 1.0])
    drawn.add_edge("a", "f", axis=1)
    drawn.add_edge(7, "f", axis=0)
    drawn.add_edge(7, "g")
    found = from_networkx(drawn)
    assert repr(found["f"]) == "<factor 'f': Table(7, a), 1 instances>"
    assert run(found).total == pytest.approx(np.log(3 + 12 * np.e))
    del drawn.edges["a", "f"]["axis"]
    with pytest.raises(GraphError, match="which axis of its table is whose"):
        from_networkx(drawn)
    drawn.nodes["f"]["scope"] = (7, "b")
    with pytest.raises(GraphError, match="'f' relates 'b'"):
        from_networkx(drawn)
    drawn.nodes["f"]["scope"] = (7, "a")
    del drawn.nodes["f"]["table"]
    with pytest.raises(GraphError, match="'f' needs the attribute table; it has bipartite, scope"):
        from_networkx(drawn)


def test_structured_potentials():
    g = FactorGraph()
    x = g.sequence("x", length=4, states=2)
    g.factor(Parity(), x[np.array([0, 1])], x[np.array([1, 2])], x[np.array([2, 3])], name="checks")
    g.factor(Table([0.0, 0.3]), x[:])
    again = from_networkx(to_networkx(g))
    assert run(again, schedule=JunctionTree()).total == run(g, schedule=JunctionTree()).total
    q = FactorGraph()
    q.factor(Quadratic.prior(np.zeros(2), np.eye(2)), q.variable("x", shape=(2,)))
    same(q, from_networkx(to_networkx(q)))


# -- edges as factors


@pytest.mark.parametrize("sequence", [None, "s"])
def test_ising(sequence):
    """Rows 9 and 10 of the reference numbers: a ring, and a triangle in a field."""
    ring = nx.cycle_graph(10)
    nx.set_edge_attributes(ring, 0.5, "coupling")
    m = run(pairwise_graph(ring, sequence), schedule=JunctionTree())
    assert m.total == pytest.approx(8.1330609176471, abs=1e-10)
    triangle = nx.cycle_graph(3)
    nx.set_edge_attributes(triangle, 0.5, "coupling")
    nx.set_node_attributes(triangle, 0.3, "field")
    m = run(pairwise_graph(triangle, sequence), schedule=JunctionTree())
    assert m.total == pytest.approx(2.812378644, abs=1e-8)
    p = np.exp(m.belief["1"] if sequence is None else m.belief["s"][1])
    assert p[1] - p[0] == pytest.approx(0.574820513, abs=1e-8)


@pytest.mark.parametrize("sequence", [None, "s"])
def test_tables_and_lonely_nodes(sequence):
    drawn = nx.DiGraph()
    drawn.add_nodes_from("abc", states=3)
    drawn.nodes["b"]["log_values"] = [0.0, 1.0, 2.0]
    drawn.add_edge("b", "a", table=np.arange(9).reshape(3, 3))
    m = run(pairwise_graph(drawn, sequence), schedule=JunctionTree())
    weight = np.arange(9).reshape(3, 3).sum(1) @ np.exp([0, 1, 2])
    assert m.total == pytest.approx(np.log(3 * weight))


def test_bayesian_network():
    drawn = nx.DiGraph([("rain", "wet"), ("sprinkler", "wet")])
    drawn.add_node("rain", table=[0.8, 0.2], state_names=("no", "yes"))
    drawn.nodes["sprinkler"]["table"] = [0.5, 0.5]
    drawn.nodes["wet"]["table"] = [[[1, 0], [0.2, 0.8]], [[0.1, 0.9], [0, 1]]]
    g = from_networkx(drawn)
    assert list(g.factors) == ["P(rain)", "P(wet | rain, sprinkler)", "P(sprinkler)"]
    m = run(g, values={"wet": 1})
    assert m.total == pytest.approx(np.log(0.4 * 0.8 + 0.1 * 0.9 + 0.1))
    drawn.nodes["wet"]["parents"] = ("rain",)
    with pytest.raises(GraphError, match="'wet': its table of 3 axes"):
        from_networkx(drawn)


def test_what_is_missing():
    drawn = nx.path_graph(2)
    with pytest.raises(GraphError, match="edge 0 – 1 needs coupling, log_values or table; it has nothing"):
        from_networkx(drawn)
    drawn.edges[0, 1]["table"] = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"shape \(2, 3\), wanted \(2, 2\)"):
        from_networkx(drawn)
    drawn.nodes[0]["states"], drawn.edges[0, 1]["coupling"] = 3, 1.0
    with pytest.raises(GraphError, match="2 states, got 3"):
        from_networkx(drawn)
    drawn.edges[0, 1].clear()
    drawn.edges[0, 1]["log_values"] = np.ones((3, 2))
    with pytest.raises(GraphError, match=r"one number of states, got \[2, 3\]"):
        pairwise_graph(drawn, "s")
    with pytest.raises(GraphError, match="got MultiGraph"):
        from_networkx(nx.MultiGraph())
    with pytest.raises(GraphError, match="got list"):
        from_networkx([])
    drawn.add_node("a", kind="clique")
    with pytest.raises(GraphError, match="kind is variable"):
        from_networkx(drawn)
