"""The edge report against the flat graph: each family of edges stands for the flat graph's edges, at its
lag."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Quadratic, Step, Table
from msgpass.edge_report import Edge, edge_report
from msgpass.nodes import Parameter
from tests.msgpass.recurrence_models import KINDS, LENGTHS, recurrence


def flat_edges(graph):
    """{(factor, source, target, lag)} of all instances, read off the flat graph."""
    rows = {f"{n.name}[{r}]": (n.name, *where) for n in graph.nodes.values() for r, where in places(n)}
    found = set()
    for factor in graph.unroll().factors.values():
        family = re.sub(r"\[\d+\]$", "", factor.name)
        for o in factor.out:
            for a in factor.args:
                (one, s, t), (other, n, u) = (rows.get(v.name, (v.name, 0, None)) for v in (a, o))
                if s == n and t is not None and u is not None:
                    found.add((family, one, other, u - t))
    return found


def places(node):
    """(stacked row, (sequence, time)) of a sequence or of data on the graph's clock."""
    clock = getattr(node, "clock", None)
    if clock is None:
        lengths = node.graph.nodes["h"].clock.lengths
        clock = node.graph.nodes["h"].clock if node.shape[:1] == (sum(lengths),) else None
    if clock is None or isinstance(node, Parameter):
        return []
    return [(int(clock.offsets[n]) + t, (n, t)) for n, size in enumerate(clock.lengths) for t in range(size)]


FLAT = [k for k in KINDS if k not in ("attention", "lag two", "encoder edge")]


@settings(max_examples=30)
@given(st.sampled_from(FLAT), LENGTHS)
def test_every_lag_is_that_of_the_flat_graph(kind, lengths):
    graph = recurrence(np.random.default_rng(0), kind, lengths)
    wanted = flat_edges(graph)
    found = {(e.factor, e.source, e.target, e.lag) for e in graph.edges() if e.lag is not None}
    steps = {f.name for f in graph.factors.values() if f.out}
    # An edge between steps that is there once in T steps is not there where the sequence has one.
    assert {e for e in found if e[0] in steps and e[3] == 0} <= wanted
    assert wanted <= found


def test_lag_two_and_single_rows():
    graph = recurrence(np.random.default_rng(0), "lag two", 5)
    report = graph.edges()
    assert report.carriers == {"h": (1, 2)}
    assert [e.lag for e in report.between("h", "h")] == [1, 1, 2]  # h[0] → h[1], then the step


def test_a_reverse_recurrence_has_a_negative_lag():
    graph = recurrence(np.random.default_rng(0), "reverse", 4)
    assert graph.edges().carriers == {"h": (-1,)}
    assert [e.kind for e in graph.edges() if e.source == "hT"] == []
    assert [(e.read, e.kind) for e in graph.edges(parameters=True) if e.source == "hT"] == [("hT", "start")]


def chain(T=4):
    g = FactorGraph()
    z = g.sequence("z", T, states=2)
    x = g.observe("x", [0] * T, states=3)
    g.factor(Table(np.zeros(2)), z[0], name="initial")
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:], name="transition")
    g.factor(Table(np.zeros((2, 3))), z[:], x[:], name="emission")
    return g


def test_relations_run_along_time_and_towards_data():
    assert edge_report(chain()).edges == (
        Edge("initial", "Table", "initial", "z", "z[0]", "step", None),
        Edge("transition", "Table", "z", "z", "z[:-1]", "step", 1),
        Edge("emission", "Table", "z", "x", "z[:]", "step", 0),
    )


def test_backward_tables_and_tables_read_from_a_network():
    g = FactorGraph()
    z, scores = g.sequence("z", 3, states=2), g.sequence("scores", 3, shape=(2,))
    x = g.observe("x", np.zeros((3, 2)))
    g.factor(Step(lambda x: x), x[:], out=scores[:], name="score")
    g.factor(Table(np.zeros((2, 2))), z[1:], z[:-1], name="transition")
    g.factor(Table(scores[:]), z[:], name="evidence")
    report = g.edges()
    assert [e.lag for e in report.between("z", "z")] == [1]
    assert report.between("scores", "z")[0].lag == 0
    assert report.carriers == {"z": (1,)}


def test_quadratics_and_losses():
    g = FactorGraph()
    x = g.sequence("x", 3, shape=(1,))
    g.factor(Quadratic.prior(np.zeros(1), np.eye(1)), x[0], name="prior")
    g.factor(Quadratic.linear_gaussian(np.eye(1), np.eye(1)), x[:-1], x[1:], name="moves")
    assert g.edges().carriers == {"x": (1,)}
    h = FactorGraph()
    a, b = h.parameter("a", 1.0), h.variable("b")
    h.factor(Step(lambda a: a), a, out=b, name="copy")
    h.factor(Loss(lambda b: (b, (1.0,))), b, name="loss")
    assert [(e.source, e.target, e.kind, e.lag) for e in h.edges(parameters=True)] == [
        ("a", "b", "one", None),
        ("b", "loss", "one", None),
    ]
    assert len(h.edges()) == 1 and h.edges().across == ()


def test_a_whole_sequence_is_no_edge_across_time():
    g = FactorGraph()
    enc, dec = g.sequence("enc", 3), g.sequence("dec", 2)
    x = g.observe("x", np.zeros(3))
    g.factor(Step(lambda x: x), x[:], out=enc[:], name="encode")
    g.factor(Step(lambda d, e: d + e.sum()), dec.after(enc[-1]), enc.all, out=dec[:], name="decode")
    report = g.edges()
    assert [(e.source, e.kind, e.lag) for e in report if e.factor == "decode"] == [
        ("dec", "step", 1),
        ("enc", "start", None),
        ("enc", "all", None),
    ]
    assert report.carriers == {"dec": (1,)}
    text = repr(report)
    assert "enc.all" in text and text.endswith("across time: dec (lag 1)")


def test_frame_has_a_row_an_edge():
    pytest.importorskip("pandas")
    frame = chain().edges().to_frame()
    assert list(frame.columns) == list(Edge._fields)
    assert frame.lag.isna().tolist() == [True, False, False]
    assert frame.lag.dropna().tolist() == [1, 0]
