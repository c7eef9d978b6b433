"""Drawing a factor graph: circles for variables, grey ones for data, diamonds for parameters, squares for
factors.

A graph with few parts keeps them in rows, with every slice named. Larger ones, and other views
(:mod:`~msgpass.interop.views`), are laid out by what they are: arrows in layers, time in lanes, the rest by
springs.
"""

from __future__ import annotations

import numpy as np

from msgpass.drawing import GREY, INK, PALE, style
from msgpass.interop.views import short
from msgpass.nodes import Observation, Parameter, Sequence

SMALL, LETTERS = 9, 110
"""Most variables, factors, and given nodes that stand in rows, and letters that have room beside factors."""


def plot_graph(graph, ax=None, view: str = "factors"):
    """Draw a factor graph.

    Parameters
    ----------
    graph : FactorGraph
    ax : matplotlib axes, optional
    view : "factors", "slices", "unrolled" or "moral"
        As it was built, a sequence once, with its length, and so a factor over slices; two slices that follow
        each other; every row; or variables alone, joined where a factor has both.

    Returns
    -------
    matplotlib axes
    """
    from msgpass.interop.views import view_of
    from msgpass.plot_view import draw_view

    found = view_of(graph, view)
    if view != "factors" or not _small(graph):
        return draw_view(graph, found, ax)
    return _in_rows(graph, ax)


def _small(graph) -> bool:
    from msgpass.plot_view import children_of

    given = sum(isinstance(n, Parameter | Observation) for n in graph.nodes.values())
    longest = max(map(len, graph.factors), default=0)
    few = max(given, len(graph.nodes) - given, len(graph.factors)) <= SMALL
    return few and longest * len(graph.factors) <= LETTERS and (given < 3 or children_of(graph) is None)


def _in_rows(graph, ax):
    from msgpass.optional import figure

    with style():
        if ax is None:
            ax = figure(figsize=(7.2, 4.2), layout="constrained").subplots()
        place, edges = _layout(graph)
        for factor, node, towards, text in edges:
            (x0, y0), (x1, y1) = place[factor], place[node]
            ends = ((x0, y0), (x1, y1)) if towards else ((x1, y1), (x0, y0))
            look = {
                "arrowstyle": "-|>" if towards is not None else "-",
                "color": GREY,
                "lw": 0.8,
                "shrinkA": 11,
                "shrinkB": 11,
            }
            ax.annotate("", xy=ends[1], xytext=ends[0], arrowprops=look)
            ax.text(
                (x0 + 2 * x1) / 3,
                (y0 + 2 * y1) / 3,
                text,
                fontsize=7,
                color=GREY,
                ha="center",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
        for name, (x, y) in place.items():
            _draw_item(ax, graph[name], x, y)
        ax.set_axis_off()
        ax.margins(0.12)
    return ax


def _layout(graph):
    """Places by name, and edges (factor, node, direction, slice): nodes on two rows, factors between them."""
    latent = [n for n, node in graph.nodes.items() if not isinstance(node, Parameter | Observation)]
    given = [n for n, node in graph.nodes.items() if isinstance(node, Parameter | Observation)]
    edges = []
    for factor in graph.factors.values():
        directed = bool(factor.out)
        reads = [(s, False if directed else None) for s in (*factor.args, *factor.potential.reads)]
        edges += [(factor.name, s.node.name, d, short(s)) for s, d in reads]
        edges += [(factor.name, p.name, None, "") for p in factor.potential.parameters.values()]
        edges += [(factor.name, s.node.name, True, short(s)) for s in factor.out]
        edges += [
            (factor.name, s.edge.node.name, False if directed else None, "") for s in factor.args if s.edge
        ]
    edges = _merged(edges)
    spread = lambda names, y: {n: ((k + 0.5) / len(names), y) for k, n in enumerate(names)}  # noqa: E731
    place = spread(latent, 1.0) | spread(list(graph.factors), 0.5) | spread(given, 0.0)
    # Two sweeps of barycentres put factors under what they touch, and data under their factors.
    for row, y in ((list(graph.factors), 0.5), (given, 0.0), (list(graph.factors), 0.5)):
        mean = {
            n: np.mean([place[b if a == n else a][0] for a, b, *_ in edges if n in (a, b)] or [0.5])
            for n in row
        }
        place |= spread(sorted(row, key=lambda n: mean[n]), y)
    return place, edges


def _merged(edges):
    """One edge where a factor touches several slices of a node the same way: "[:-1], [1:]"."""
    texts: dict = {}
    for factor, node, towards, text in edges:
        texts.setdefault((factor, node, towards), []).append(text)
    return [(*key, ", ".join(filter(None, dict.fromkeys(found)))) for key, found in texts.items()]


def _draw_item(ax, item, x: float, y: float) -> None:
    kind = type(item).__name__
    marker, face = {"Parameter": ("D", "white"), "Observation": ("o", PALE), "Factor": ("s", INK)}.get(
        kind, ("o", "white")
    )
    size = 90 if kind == "Factor" else 300 if kind == "Parameter" else 420
    ax.scatter([x], [y], s=size, marker=marker, facecolor=face, edgecolor=INK, linewidth=0.9, zorder=3)
    label = item.name
    if isinstance(item, Sequence):
        label += f"\n{item.clock.total} steps, " + (
            f"{item.states} states" if item.discrete else f"shape {item.shape}"
        )
    elif kind == "Factor":
        label += f"\n{type(item.potential).__name__}" + (f" × {item.n}" if item.n > 1 else "")
    offset = (0, 16) if y == 1.0 else (0, -14) if kind != "Factor" else (11, 0)
    ha, va = ("left", "center") if kind == "Factor" else ("center", "bottom" if y == 1.0 else "top")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
    ax.annotate(
        label,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=8,
        color=INK,
        bbox=box,
        zorder=4,
    )
