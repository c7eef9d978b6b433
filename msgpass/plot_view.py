"""Figures of views of a graph: places for its parts, then lines, marks and names.

directed networks    layers, parents above children, a factor right above its child
rows of sequences    time to the right, a lane a sequence
anything else        springs between variables; a factor of two stands between them
"""

from __future__ import annotations

import numpy as np

from msgpass.drawing import FIRST, GREY, INK, PALE, shades, style
from msgpass.interop.views import View
from msgpass.layout import Places, layered, springs
from msgpass.nodes import Observation, Parameter, Sequence

HIGH, WIDEST = 0.95, 17.0
"""Inches from layer to layer, and of a figure."""

NEAREST = 0.7
"""Of two parts that springs place, in the layout's units: a circle and its name."""

MOST_NAMES = 16
"""Factors that are named; beyond, names would lie on each other."""


class Drawn:
    """Places of the parts of a view, and the bends of its lines."""

    def __init__(self, graph, view: View):
        self.graph, self.view = graph, view
        self.place: Places = {}
        self.routes: dict[tuple[str, str], list] = {}
        self.boxes = self.lanes = False
        self.scopes: dict[str, list[str]] = {k: [] for k, p in view.parts.items() if p.kind == "factor"}
        for a, b, _, _ in view.edges:
            factor, node = (b, a) if b in self.scopes else (a, b)
            if factor in self.scopes:
                self.scopes[factor].append(node)
        self.drop_clutter()
        if (children := children_of(graph, view.kind)) is not None:
            self.in_layers(children)
        elif any(p.time is not None for p in view.parts.values()) and not _picked(graph):
            self.in_lanes()
        else:
            self.by_springs()

    def drop_clutter(self) -> None:
        """Leave out parameters of one factor, and what every slice reads."""
        parts = self.view.parts
        readers: dict[str, list[str]] = {}
        for factor, scope in self.scopes.items():
            for node in scope:
                readers.setdefault(node, []).append(factor)
        gone = set()
        for key, part in parts.items():
            if part.kind == "parameter":
                few = len(readers.get(key, [])) < 2
                gone |= {key} if few == (self.view.kind == "factors") else set()
            elif part.kind == "observation" and part.time is None and len(readers.get(key, [])) > 3:
                gone.add(key)
        for key in gone:
            del parts[key]
        self.view.edges = [e for e in self.view.edges if e[0] not in gone and e[1] not in gone]
        self.scopes = {f: [v for v in scope if v not in gone] for f, scope in self.scopes.items()}

    @property
    def variables(self) -> list[str]:
        """Parts that are no factors."""
        return [k for k, p in self.view.parts.items() if p.kind != "factor"]

    # -- places ------------------------------------------------------------------------------------------

    def in_layers(self, children: dict[str, str]) -> None:
        """Parents above children."""
        self.boxes = True
        parents = [(p, child) for f, child in children.items() for p in self.scopes_of(f) if p != child]
        width = {v: 0.3 + 0.068 * len(v) for v in self.variables}  # inches in this layout
        self.place, routes = layered(self.variables, list(dict.fromkeys(parents)), width)
        self.place = {k: (x, HIGH * y) for k, (x, y) in self.place.items()}
        for factor, child in children.items():
            if factor not in self.view.parts:
                self.route_moral(child, self.scopes_of(factor), routes)
                continue
            x, y = self.place[child]
            self.place[factor] = (x, y + 0.36)
            for parent in self.scopes_of(factor):
                if parent != child:
                    bends = [(a, HIGH * b) for a, b in routes[parent, child][1:-1]]
                    self.routes[parent, factor] = [self.place[parent], *bends, self.place[factor]]

    def route_moral(self, child: str, scope: list[str], routes) -> None:
        """Lines from parents to a child where the view has no factors: round what lies between."""
        for parent in scope:
            if parent != child:
                points = [(x, HIGH * y) for x, y in routes[parent, child]]
                self.routes[parent, child], self.routes[child, parent] = points, points[::-1]

    def scopes_of(self, factor: str) -> list[str]:
        """Variables of a factor, also where the view does not show it."""
        if factor in self.scopes:
            return self.scopes[factor]
        return [s.node.name for s in self.graph.factors[factor].args]

    def in_lanes(self) -> None:
        """Time to the right."""
        self.lanes = True
        parts = self.view.parts
        timed = [k for k in self.variables if parts[k].time is not None]
        names = list(dict.fromkeys(parts[k].name for k in timed))
        names.sort(key=lambda n: isinstance(self.graph[n], Observation))
        across = [f for f, scope in self.scopes.items() if len(set(scope)) > 2]
        lane = {n: -1.0 * k for k, n in enumerate(names)}
        self.place = {k: (1.2 * (parts[k].time or 0), lane[parts[k].name]) for k in timed}
        for k, key in enumerate(v for v in self.variables if v not in self.place):
            self.place[key] = (-1.2, -1.0 * k)
        for factor in across:  # beside its slice, so that lines do not run through lanes in between
            x, y = np.mean([self.place[v] for v in self.scopes[factor]], axis=0)
            same = len({parts[v].time for v in self.scopes[factor]}) == 1
            self.place[factor] = (float(x) + (0.45 if same else 0.0), float(y))
        self.between()

    def by_springs(self) -> None:
        """Variables by springs, factors between them."""
        joins = [tuple(scope[:2]) for scope in self.scopes.values() if len(set(scope)) == 2]
        joins += [(a, b) for a, b, _, _ in self.view.edges if self.view.kind == "moral"]
        large = [f for f, scope in self.scopes.items() if len(set(scope)) > 2]
        joins += [(f, v) for f in large for v in self.scopes[f]]
        found = springs([*self.variables, *large], joins)
        xy = 1.3 * np.array(list(found.values())).reshape(-1, 2)
        if 1 < len(xy) <= 200:  # circles that would lie on each other ask for a larger figure
            near = np.hypot(*(xy[:, None] - xy).T) + np.eye(len(xy)) * 9.0
            xy = xy * float(np.clip(NEAREST / max(near.min(), 1e-9), 1.0, 2.2))
        self.place = dict(zip(found, map(tuple, xy.tolist()), strict=True))
        self.between()

    def between(self) -> None:
        """Factors without a place amid their variables, apart from what is there."""
        taken = list(self.place.values())
        todo = [f for f in self.scopes if f not in self.place]
        for factor in sorted(todo, key=lambda f: len(set(self.scopes[f])) < 2):
            ends = np.array([self.place[v] for v in dict.fromkeys(self.scopes[factor])] or [(0.0, 0.0)])
            spots = [ends.mean(0)] if len(ends) > 1 else []
            spots += [ends.mean(0) + step for step in _STEPS]
            room = np.array([np.hypot(*(np.array(taken) - s).T).min() if taken else 1.0 for s in spots])
            best = int(np.argmax(room > 0.4)) if (room > 0.4).any() else int(np.argmax(room))
            self.place[factor] = tuple(spots[best].tolist())
            taken.append(self.place[factor])


_STEPS = 0.5 * np.array(
    [(0, 1), (0, -1), (1, 0), (-1, 0), (0.7, 0.7), (-0.7, -0.7), (0.7, -0.7), (-0.7, 0.7)], float
)
"""Where a factor goes whose place is taken."""


def children_of(graph, kind: str = "factors") -> dict[str, str] | None:
    """Part of a view → the variable whose distribution it is, where the graph is a directed network."""
    import networkx as nx

    from msgpass.potentials import Table

    if any(isinstance(n, Sequence) for n in graph.nodes.values()) or kind == "slices":
        return None
    found: dict[str, str] = {}
    for name, factor in graph.factors.items():
        if factor.out or not isinstance(factor.potential, Table):
            return None
        source = factor.potential.source
        table = getattr(source, "value", source)
        if not isinstance(table, np.ndarray) or np.abs(np.exp(table).sum(-1) - 1).max() > 0.01:
            return None
        found[f"factor {name}" if kind == "unrolled" else name] = factor.args[-1].node.name
    shown = {n.name for n in graph.nodes.values() if not isinstance(n, Parameter)}
    arrows = [(s.node.name, f.args[-1].node.name) for f in graph.factors.values() for s in f.args[:-1]]
    if sorted(found.values()) != sorted(shown) or not nx.is_directed_acyclic_graph(nx.DiGraph(arrows)):
        return None
    return found


def _picked(graph) -> bool:
    return any(s.kind == "pick" for f in graph.factors.values() for s in f.args)


# -- ink -----------------------------------------------------------------------------------------------------


def draw_view(graph, view: View, ax=None, beliefs=None, weights=None, title: str = ""):
    """Draw a view of a graph.

    Parameters
    ----------
    graph : FactorGraph
    view : View
    ax : matplotlib axes, optional
    beliefs : dict from a part to its probabilities, optional
        Small bars at the node.
    weights : dict from (factor, variable) to a number, optional
        Width and colour of the line.
    title : str

    Returns
    -------
    matplotlib axes
    """
    drawn = Drawn(graph, view)
    with style():
        ax = _axes(drawn) if ax is None else ax
        _lines(ax, drawn, weights)
        names = len(drawn.scopes) <= MOST_NAMES and not (drawn.lanes and view.kind == "unrolled")
        for key, part in view.parts.items():
            _mark(ax, drawn, key, part, names)
        for key, p in (beliefs or {}).items():
            if key in drawn.place:
                _bars(ax, drawn.place[key], p, drawn.boxes)
        ax.update_datalim(list(drawn.place.values()))
        ax.autoscale_view()
        ax.set_title(title)
        ax.set_axis_off()
        ax.margins(0.06, 0.09)
    return ax


def _axes(drawn: Drawn):
    from msgpass.optional import figure

    xy = np.array(list(drawn.place.values()) or [(0.0, 0.0)])
    wide, high = np.ptp(xy, axis=0)
    scale = 1.0 if drawn.boxes else 0.72
    size = (float(np.clip(scale * wide + 1.4, 5, WIDEST)), float(np.clip(scale * high + 1.2, 2.6, 12)))
    return figure(figsize=size, layout="constrained").subplots()


def _font(drawn: Drawn) -> float:
    """Smaller where a network is wider than the figure."""
    wide = np.ptp([x for x, _ in drawn.place.values()] or [0.0])
    return 7.5 * min(1.0, (WIDEST - 1.4) / max(wide, 1.0)) if drawn.boxes else 7.5


def _lines(ax, drawn: Drawn, weights) -> None:
    largest = max([*(weights or {}).values(), 1e-12])
    for a, b, arrow, _ in drawn.view.edges:
        if a not in drawn.place or b not in drawn.place:
            continue
        factor, node = (b, a) if drawn.view.parts[b].kind == "factor" else (a, b)
        weight = (weights or {}).get((factor, node))
        look = {"color": GREY, "lw": 0.8}
        if weight is not None:
            look = {"color": _blend(weight / largest), "lw": 0.8 + 3.2 * weight / largest}
        route = drawn.routes.get((a, b))
        if route is not None:
            x, y = _curve(np.array(route))
            ax.plot(x, y, zorder=1, solid_capstyle="round", **look)
            continue
        towards = drawn.boxes and not drawn.routes.get((a, b)) and drawn.view.parts[b].kind == "factor"
        ends = (b, a) if towards else (a, b)
        shrink = 9 if drawn.boxes else 10
        style_ = "-|>" if arrow or towards else "-"
        bent = _bent(drawn, a, b)
        ax.annotate(
            "",
            xy=drawn.place[ends[1]],
            xytext=drawn.place[ends[0]],
            zorder=1,
            arrowprops={
                "arrowstyle": style_,
                "mutation_scale": 8,
                "shrinkA": 4 if drawn.view.parts[ends[0]].kind == "factor" else shrink,
                "shrinkB": 4 if drawn.view.parts[ends[1]].kind == "factor" else shrink,
                "connectionstyle": f"arc3,rad={bent}",
                **look,
            },
        )


def _bent(drawn: Drawn, a: str, b: str) -> float:
    """A line that would run through another part goes round it."""
    p, q = np.array(drawn.place[a]), np.array(drawn.place[b])
    length = np.linalg.norm(q - p)
    if length < 1.9:
        return 0.0
    others = np.array([xy for key, xy in drawn.place.items() if key not in (a, b)])
    if not len(others):
        return 0.0
    along = np.clip((others - p) @ (q - p) / length**2, 0, 1)
    near = np.linalg.norm(others - (p + along[:, None] * (q - p)), axis=1)
    return 0.25 if near.min() < 0.12 else 0.0


def _curve(points: np.ndarray):
    """A smooth line through points of falling height: straight where there are two."""
    if len(points) == 2:
        return points.T
    from scipy.interpolate import PchipInterpolator

    t = np.arange(len(points))
    fine = np.linspace(0, len(points) - 1, 12 * len(points))
    return PchipInterpolator(t, points[:, 0])(fine), PchipInterpolator(t, points[:, 1])(fine)


def _blend(share: float):
    from matplotlib.colors import to_rgb

    low, high = np.array(to_rgb(PALE)), np.array(to_rgb(FIRST))
    return tuple((low + np.sqrt(max(share, 0.0)) * (high - low)).tolist())


def _mark(ax, drawn: Drawn, key: str, part, names: bool) -> None:
    x, y = drawn.place[key]
    face = PALE if part.kind == "observation" else "white"
    if part.kind == "factor":
        ax.scatter([x], [y], s=26, marker="s", facecolor=INK, edgecolor=INK, zorder=3)
        if names and not drawn.boxes:
            _name(ax, x, y, part.label, (6, 0), "left", "center")
    elif drawn.boxes:
        box = {"boxstyle": "round,pad=0.3", "facecolor": face, "edgecolor": INK, "linewidth": 0.8}
        ax.text(
            x, y, part.label, ha="center", va="center", fontsize=_font(drawn), color=INK, bbox=box, zorder=4
        )
    else:
        marker = "D" if part.kind == "parameter" else "o"
        inside = len(part.label) <= 5
        ax.scatter(
            [x],
            [y],
            s=230 if marker == "D" else 400,
            marker=marker,
            facecolor=face,
            edgecolor=INK,
            linewidth=0.9,
            zorder=3,
        )
        if inside:
            ax.text(
                x,
                y,
                part.label,
                ha="center",
                va="center",
                fontsize=8 if len(part.label) < 4 else 6.5,
                zorder=4,
            )
        label = "\n".join(filter(None, ("" if inside else part.label, part.note)))
        if label:
            _name(ax, x, y, label, (0, -12), "center", "top")


def _name(ax, x, y, text: str, offset, ha: str, va: str) -> None:
    ax.annotate(
        text,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=7.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        zorder=5,
    )


def _bars(ax, place, p: np.ndarray, boxes: bool) -> None:
    """Probabilities as one bar of fixed size under a node, states in their shades."""
    from matplotlib.offsetbox import AnnotationBbox, DrawingArea
    from matplotlib.patches import Rectangle

    width, height = 30.0, 5.0
    area = DrawingArea(width, height)
    left = 0.0
    for share, colour in zip(p.tolist(), shades(len(p)), strict=True):
        area.add_artist(Rectangle((left, 0), width * share, height, facecolor=colour, edgecolor="none"))
        left += width * share
    area.add_artist(Rectangle((0, 0), width, height, facecolor="none", edgecolor=INK, linewidth=0.5))
    ax.add_artist(
        AnnotationBbox(
            area, place, xybox=(0, -13 if boxes else -16), boxcoords="offset points", frameon=False, pad=0
        )
    ).set_zorder(6)
