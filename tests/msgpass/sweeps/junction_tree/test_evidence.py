"""Evidence of probability zero is named; so are readings that a junction tree does not have."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, JunctionTree, Table, run
from msgpass.errors import (
    DataError,
    GraphError,
    ImpossibleEvidenceError,
    TreewidthError,
    UnavailableError,
)
from tests.msgpass.loopy_models import loopy_model
from tests.oracles import Enumeration, Flat


def triangle(**observed):
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    same = Table([[0.0, -np.inf], [-np.inf, 0.0]])
    for pair in (a, b), (b, c), (c, a):
        g.factor(same, *pair)
    for name, state in observed.items():
        g.factor(same, {"y": a, "z": c}[name], g.observe(name, state, states=2), name=f"see {name}")
    return g


def test_the_first_impossible_observation_is_named():
    m = run(triangle(y=0, z=1), schedule=JunctionTree())
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match=r"z = 1 is impossible given the one before"):
        m.belief["a"]
    with pytest.raises(ImpossibleEvidenceError, match=r"c = 1 is impossible given the one before"):
        m = run(triangle(y=0), schedule=JunctionTree(), values={"a": 0, "c": 1})
        m.belief["a"]


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_it_is_the_first_in_the_graph_s_order(seed):
    rng = np.random.default_rng(seed)
    model = loopy_model(rng, singles=4, rows=3, factors=7, zeros=0.5)
    g, states = model.graph, {}
    for name, node in g.nodes.items():
        if node.discrete:
            shape = (len(node),) if name == "s" else np.shape(getattr(node, "value", 0))
            states[name] = np.where(rng.random(shape) < 0.7, rng.integers(node.states, size=shape), -1)
    m = run(g, schedule=JunctionTree(), values=states)
    places = [(n, r) for n in states for r in range(np.size(states[n]))]

    def possible(k):
        kept = {n: np.full_like(s, -1) for n, s in states.items()}
        for n, r in places[:k]:
            kept[n].reshape(-1)[r] = states[n].reshape(-1)[r]
        flat = g.unroll()
        rows = {}
        for n, s in kept.items():
            for r in range(np.size(s)):
                name = f"{n}[{r}]" if np.ndim(s) else n
                if name in flat.nodes:
                    rows[name] = s.reshape(-1)[r]
        return np.isfinite(Enumeration(Flat.of(flat, rows)).total)

    if possible(len(places)):
        assert np.isfinite(m.total)
        return
    assert m.total == -np.inf
    first = next(k for k in range(len(places)) if not possible(k + 1))
    name, row = places[first]
    place = f"{name}[{row}]" if np.ndim(states[name]) else name
    with pytest.raises(ImpossibleEvidenceError) as told:
        for owner in m._x.runs:
            m.belief[m._x.plan.blocks[owner].nodes[0]]
    components = len(m._x.runs)
    assert components > 1 or re.search(rf"{re.escape(place)} = ", str(told.value))


def test_tables_without_any_assignment():
    g = triangle()
    g.factor(Table([0.0, -np.inf]), g.nodes["a"])
    g.factor(Table([-np.inf, 0.0]), g.nodes["b"])
    with pytest.raises(ImpossibleEvidenceError, match="whatever is observed"):
        run(g, schedule=JunctionTree()).belief["a"]


def test_messages_that_a_junction_tree_does_not_pass():
    m = run(triangle(), schedule=JunctionTree())
    factor = next(iter(m.graph.factors.values()))
    with pytest.raises(UnavailableError, match=r"m\.cliques"):
        m.message(factor, m.graph.nodes["a"])
    g = FactorGraph()
    s = g.sequence("s", length=3, states=2)
    g.factor(Table([[0.0, 1.0], [1.0, 0.0]]), s[[0, 1, 2]], s[[1, 2, 0]])
    with pytest.raises(UnavailableError, match="between cliques"):
        run(g, schedule=JunctionTree()).forward["s"]
    with pytest.raises(UnavailableError, match=r"run with JunctionTree\(\)"):
        chain = FactorGraph()
        chain.factor(Table([0.0, 1.0]), chain.variable("x", states=2))
        _ = run(chain).cliques


def test_what_one_instance_says_to_a_parameter():
    g = FactorGraph()
    s, w = g.sequence("s", length=3, states=2), g.parameter("w", [[0.0, 0.4], [-0.3, 0.1]])
    f = g.factor(Table(w), s[[0, 1, 2]], s[[1, 2, 0]])
    m = run(g, schedule=JunctionTree())
    each = [m.message(f[j], w) for j in range(3)]
    np.testing.assert_allclose(sum(each), m.parameters["w"], rtol=1e-12)
    np.testing.assert_allclose(each[1], np.exp(m.belief[f.name][1]), rtol=1e-12)


def test_a_width_beyond_the_bound_is_named():
    g = FactorGraph()
    v = [g.variable(f"x{k}", states=2) for k in range(6)]
    for i in range(6):
        for j in range(i):
            g.factor(Table(np.zeros((2, 2))), v[i], v[j])
    with pytest.raises(TreewidthError, match=r"width 5.*64 entries.*max_size=32: .*x5.*Flooding") as told:
        run(g, schedule=JunctionTree(max_size=32))
    assert sorted(told.value.clique) == [f"x{k}" for k in range(6)]
    run(g, schedule=JunctionTree(max_size=64))


def test_orders_may_be_given():
    g = triangle()
    s = g.sequence("s", length=2, states=2)
    g.factor(Table(np.zeros((2, 2))), s[[0]], s[[1]])
    names = g.nodes
    m = run(g, schedule=JunctionTree(order=[names["c"], "a", s[1], names["b"], ("s", 0)]))
    assert m.total == pytest.approx(np.log(2) + np.log(4))
    with pytest.raises(GraphError, match="b is missing"):
        run(g, schedule=JunctionTree(order=["a", "c", "s"]))
    with pytest.raises(GraphError, match="a variable comes twice"):
        run(g, schedule=JunctionTree(order=["a", "c", "b", "a", "s"]))
    with pytest.raises(DataError, match="order is one of"):
        JunctionTree(order="nested")
    with pytest.raises(DataError, match="order is one of"):
        JunctionTree(order=[3])
    assert JunctionTree(order=["a"]) == JunctionTree(order=("a",))
    assert repr(JunctionTree()) == "JunctionTree(order='min-fill')"


def test_the_plan_tells_width_and_size():
    g = triangle()
    run(g, schedule=JunctionTree())
    assert "junction tree of 1 cliques, width 2, largest table 8" in repr(g.plan())
