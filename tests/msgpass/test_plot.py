"""Figures are drawn, labelled, and belong to the caller."""

import numpy as np
import pytest

from msgpass import FactorGraph, JunctionTree, Quadratic, Table, run
from msgpass.errors import MissingDependencyError, UnavailableError, UnsupportedError
from msgpass.identities.chains import random_chain, table_graph
from msgpass.identities.linear import _linear_graph, random_linear_chain
from msgpass.identities.networks import network_graph, random_network
from msgpass.plot import plot_graph, plot_messages

GRAPHS = {
    "tables": lambda: table_graph(random_chain(0)),
    "network": lambda: network_graph(random_network(0)),
    "gaussian": lambda: _linear_graph(random_linear_chain(0)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_messages_over_time(name):
    fig = run(GRAPHS[name]()).plot()
    fig.canvas.draw()
    titles = [ax.get_title(loc="left") for ax in fig.axes if ax.get_title(loc="left")]
    assert len(titles) == 3
    assert titles[0].startswith("forward") and titles[1].startswith("backward")
    assert any(ax.get_xlabel() == "step" for ax in fig.axes)


def test_stacked_states_fill_the_axis():
    m = run(table_graph(random_chain(0, states=4)))
    polygons = plot_messages(m, "z").axes[2].collections
    assert len(polygons) == 4
    assert polygons[-1].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.0)


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_name_every_node_and_factor(name):
    graph = GRAPHS[name]()
    ax = plot_graph(graph)
    ax.figure.canvas.draw()
    texts = " ".join(text.get_text() for text in ax.texts)
    for item in (*graph.nodes, *graph.factors):
        assert item in texts


def test_a_large_directed_network_stands_in_layers():
    rng, g = np.random.default_rng(0), FactorGraph()
    x = [g.variable(f"variable {k}", states=2) for k in range(30)]
    for k, child in enumerate(x):
        parents = [x[i] for i in sorted(rng.choice(k, min(k, 2), replace=False))]
        table = np.log(rng.dirichlet(np.ones(2), 2 ** len(parents)).reshape((2,) * (len(parents) + 1)))
        g.factor(Table(g.parameter(f"table {k}", table)), *parents, child, name=f"P({k})")
    ax = g.plot()
    ax.figure.canvas.draw()
    assert {text.get_text() for text in ax.texts if text.get_text()} == {v.name for v in x}
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text()]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    low = {t.get_text(): t.get_position()[1] for t in ax.texts}
    for factor in g.factors.values():
        *parents, child = (s.node.name for s in factor.args)
        assert all(low[p] > low[child] for p in parents)


@pytest.mark.parametrize("view", ["factors", "slices", "unrolled", "moral"])
@pytest.mark.parametrize("name", GRAPHS)
def test_views(view, name):
    ax = GRAPHS[name]().plot(view=view)
    ax.figure.canvas.draw()
    shown = {text.get_text() for text in ax.texts}
    rows = {n.name for n in GRAPHS[name]().nodes.values() if hasattr(n, "clock")}
    assert rows and all(any(text.startswith(row) for text in shown) for row in rows)
    if view != "factors":
        assert any(text.endswith("[1]") for text in shown)


def test_a_run_shows_beliefs_and_what_factors_say():
    g = FactorGraph()
    a, b = g.variable("a", states=2), g.variable("b", states=2)
    g.factor(Table.from_probabilities([0.999, 0.001]), a, name="sure")
    g.factor(Table([[0.1, 0.0], [0.0, 0.1]]), a, b, name="weak")
    for schedule in (None, JunctionTree()):
        ax = run(g, schedule=schedule).plot_graph()
        ax.figure.canvas.draw()
        (title,) = {ax.get_title(loc="left"), ax.get_title()} - {""}
        bits = float(title.split()[-2])
        bars = [box.offsetbox for box in ax.artists]
        assert len(bars) == 2
        if schedule is None:
            assert "message" in title and bits == pytest.approx(
                1 + 0.999 * np.log2(0.999) - 0.00997, abs=0.05
            )
            wide = bars[0].get_children()[0].get_width() / 30
            assert wide == pytest.approx(np.exp(run(g).belief["a"][0]))
        else:
            assert "mutual information" in title
    big = FactorGraph()
    z = big.sequence("z", length=300, states=2)
    big.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    with pytest.raises(UnsupportedError, match="up to 200 factor instances"):
        run(big).plot_graph()
    with pytest.raises(UnavailableError, match="passes no message between weak"):
        run(g, schedule=JunctionTree()).message(g["weak"], a)


def test_drawn_where_the_caller_wants():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plot_graph(GRAPHS["tables"](), ax) is ax


def test_unknown_names_and_graphs_without_time():
    with pytest.raises(UnavailableError, match="'w' is not a sequence"):
        run(GRAPHS["tables"]()).plot("w")
    g = FactorGraph()
    x = g.variable("x", shape=(1,))
    g.factor(Quadratic.prior(np.zeros(1), np.eye(1)), x)
    with pytest.raises(UnavailableError, match="has none"):
        run(g).plot()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        run(GRAPHS["tables"]()).plot()
