"""Places of the parts of a drawn graph."""

import numpy as np

from msgpass import FactorGraph, Table
from msgpass.interop.views import view_of
from msgpass.plot_view import NEAREST, Drawn


def test_circles_of_a_tangled_graph_do_not_lie_on_each_other():
    g, rng = FactorGraph(), np.random.default_rng(1)
    bits = [g.variable(f"bit {k}", states=2) for k in range(24)]
    for row in rng.permutation(np.repeat(np.arange(24), 3)).reshape(12, -1):
        scope = sorted(set(row.tolist()))
        g.factor(Table(np.zeros((2,) * len(scope))), *(bits[k] for k in scope))
    place = Drawn(g, view_of(g, "factors")).place
    xy = np.array([place[v.name] for v in bits])
    near = np.hypot(*(xy[:, None] - xy).T) + 9.0 * np.eye(len(xy))
    assert near.min() > NEAREST - 1e-9


def test_moral_lines_go_round_the_layers_between():
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    g.factor(Table(np.log([0.5, 0.5])), a)
    g.factor(Table(np.log(np.full((2, 2), 0.5))), a, b)
    g.factor(Table(np.log(np.full((2, 2, 2), 0.5))), a, b, c)
    drawn = Drawn(g, view_of(g, "moral"))
    points = drawn.routes["a", "c"]
    assert len(points) == 3 and abs(points[1][0] - drawn.place["b"][0]) > 0.1
    assert drawn.routes["c", "a"] == points[::-1]
