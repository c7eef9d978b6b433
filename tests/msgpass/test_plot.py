"""Figures are drawn, labelled, and belong to the caller."""

import numpy as np
import pytest

from msgpass import FactorGraph, Quadratic, run
from msgpass.errors import MissingDependencyError, UnavailableError
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
