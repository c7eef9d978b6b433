"""Views show every part that they promise, and what joins them."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, Step, Table
from msgpass.errors import DataError, UnsupportedError
from msgpass.interop.views import view_of


def hidden_markov(length=4) -> FactorGraph:
    g = FactorGraph()
    z, y = g.sequence("z", length=length, states=2), g.observe("y", np.zeros(length, int), states=2)
    g.factor(Table(g.parameter("pi", np.zeros(2))), z[0], name="start")
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:], name="move")
    g.factor(Table(np.zeros((2, 2))), z[:], y[:], name="emit")
    return g


def ends(view):
    return {(a, b) for a, b, *_ in view.edges}


def test_factors():
    found = view_of(hidden_markov())
    assert {k: p.kind for k, p in found.parts.items()} == {
        "z": "variable",
        "y": "observation",
        "pi": "parameter",
        "start": "factor",
        "move": "factor",
        "emit": "factor",
    }
    assert found.parts["z"].note == "4 steps, 2 states" and found.parts["move"].note == "Table × 3"
    assert ("z", "move", False, "[:-1], [1:]") in found.edges and ("pi", "start", False, "") in found.edges


def test_slices_and_rows():
    two, all_rows = (view_of(hidden_markov(), view) for view in ("slices", "unrolled"))
    assert {k for k, p in two.parts.items() if p.kind != "factor"} == {"z[0]", "z[1]", "y[0]", "y[1]"}
    assert [k for k, p in two.parts.items() if p.kind == "factor"] == [
        "factor start[0]",
        "factor move[0]",
        "factor emit[0]",
        "factor emit[1]",
    ]
    assert len(all_rows.parts) == 8 + 1 + 3 + 4
    assert ("z[2]", "factor move[2]") in ends(all_rows) and ("z[3]", "factor move[2]") in ends(all_rows)
    assert all_rows.parts["factor move[2]"].time == 3 and all_rows.parts["z[2]"].row == 2


def test_moral_graph():
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    g.factor(Table(np.zeros((2, 2, 2))), a, b, c)
    g.factor(Table(np.zeros((2, 2))), b, a)
    found = view_of(g, "moral")
    assert list(found.parts) == ["a", "b", "c"]
    assert [e[:2] for e in found.edges] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_steps_have_arrows_and_starts():
    g = FactorGraph()
    h0, w = g.parameter("h0", np.zeros(1)), g.parameter("w", 1.0)
    h, x = g.sequence("h", length=3, shape=(1,)), g.observe("x", np.zeros((3, 1)))
    g.factor(Step(lambda a, x, w: a + w * x), h.after(h0), x[:], w, out=h[:], name="cell")
    g.factor(Loss(lambda a: (0.0, (np.zeros((3, 1)),))), h.all, name="loss")
    found = view_of(g, "unrolled")
    arrows = {(a, b) for a, b, arrow, _ in found.edges if arrow}
    assert ("h0", "factor cell[0]") in arrows and ("h[0]", "factor cell[1]") in arrows
    assert ("factor cell[1]", "h[1]") in arrows and ("w", "factor cell[2]") in arrows
    assert {("h[0]", "factor loss"), ("h[1]", "factor loss"), ("h[2]", "factor loss")} <= ends(found)
    ragged = FactorGraph()
    r = ragged.sequence("r", length=[2, 2], shape=(1,))
    start = ragged.parameter("start", np.zeros((2, 1)))
    ragged.factor(Step(lambda a: a), r.after(start), out=r[:], name="cell")
    assert ("start", "factor cell[2]") in ends(view_of(ragged, "unrolled"))


def test_what_cannot_be_shown():
    with pytest.raises(DataError, match="view is one of factors, slices"):
        view_of(hidden_markov(), "tree")
    with pytest.raises(UnsupportedError, match="6000 rows"):
        view_of(hidden_markov(6000), "unrolled")
    g = FactorGraph()
    g.factor(Table(np.zeros(2)), g.variable("a", states=2))
    with pytest.raises(UnsupportedError, match="no sequence"):
        view_of(g, "slices")
