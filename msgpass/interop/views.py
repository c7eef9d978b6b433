"""Views of a factor graph to draw: which nodes there are, and what joins them.

    factors     variables, parameters, data and factors, a sequence as one node
    slices      two slices that follow each other; what a factor joins is shown once a slice
    unrolled    every row a node, every instance a factor
    moral       variables alone, joined where a factor has both

Figures and DOT files are written from these, so that both show the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgpass.errors import DataError, UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence, Slice

VIEWS = ("factors", "slices", "unrolled", "moral")
MOST = 5000
"""Nodes of an unrolled view: what is larger than that no figure shows."""


@dataclass
class Part:
    """One node of a view.

    Attributes
    ----------
    kind : str
        "variable", "parameter", "observation" or "factor".
    label, note : str
        Its name, and what stands under it.
    time : int or None
        Its slice, where it has one.
    name : str
        Of the node or factor of the graph.
    row : int or None
        Of the sequence or instance.
    """

    kind: str
    label: str
    note: str = ""
    time: int | None = None
    name: str = ""
    row: int | None = None


@dataclass
class View:
    """Parts by key, and edges (from, to, arrow, text)."""

    kind: str
    parts: dict[str, Part] = field(default_factory=dict)
    edges: list[tuple[str, str, bool, str]] = field(default_factory=list)

    def join(self, source: str, target: str, arrow: bool, text: str = "") -> None:
        """An edge; a second one between the same ends adds its text."""
        for k, (a, b, towards, seen) in enumerate(self.edges[-12:], max(0, len(self.edges) - 12)):
            if (a, b, towards) == (source, target, arrow):
                if text and text not in seen.split(", "):
                    self.edges[k] = (a, b, arrow, ", ".join(filter(None, (seen, text))))
                return
        self.edges.append((source, target, arrow, text))


def view_of(graph, view: str = "factors") -> View:
    """Parts and edges of one view; see the module.

    Parameters
    ----------
    graph : FactorGraph
    view : "factors", "slices", "unrolled" or "moral"
    """
    if view not in VIEWS:
        raise DataError(f"view is one of {', '.join(VIEWS)}, got {view!r}")
    if view == "factors":
        return _factors(graph)
    if view == "slices":
        return _unrolled(graph, view, (0, 1))
    found = _unrolled(graph, view, None)
    return _moral(found) if view == "moral" else found


# -- over slices


def _factors(graph) -> View:
    made = View("factors")
    for node in graph.nodes.values():
        made.parts[node.name] = Part(_kind(node), node.name, _size(node), name=node.name)
    for factor in graph.factors.values():
        note = type(factor.potential).__name__ + (f" × {factor.n}" if factor.n > 1 else "")
        made.parts[factor.name] = Part("factor", factor.name, note, name=factor.name)
        directed = bool(factor.out)
        for s in (*factor.args, *factor.potential.reads):
            made.join(s.node.name, factor.name, directed, short(s))
        for p in factor.potential.parameters.values():
            made.join(p.name, factor.name, False)
        for s in factor.args:
            if s.edge is not None:
                made.join(s.edge.node.name, factor.name, directed)
        for s in factor.out:
            made.join(factor.name, s.node.name, True, short(s))
    return made


def _kind(node) -> str:
    kind = {Parameter: "parameter", Observation: "observation"}
    return kind.get(type(node), "variable")


def _size(node) -> str:
    if not isinstance(node, Sequence):
        return ""
    return f"{node.clock.total} steps, " + (
        f"{node.states} states" if node.discrete else f"shape {node.shape}"
    )


def short(s: Slice) -> str:
    """What of a slice's name is behind the node's, if it says anything."""
    text = s.name[len(s.node.name) :] if s.name.startswith(s.node.name) else ""
    return "" if text in ("", "[:]") else text


# -- over rows


def _unrolled(graph, kind: str, window: tuple[int, int] | None) -> View:
    """Every row, or those of the first two slices."""
    from msgpass.plan import resolve

    if window is not None and not any(isinstance(n, Sequence) for n in graph.nodes.values()):
        raise UnsupportedError('the graph has no sequence, so no slices; draw view="factors" or view="moral"')
    total = sum(len(n) for n in graph.nodes.values() if isinstance(n, Sequence))
    if window is None and total > MOST:
        raise UnsupportedError(
            f'the graph has {total} rows, and an unrolled view {MOST} at most; draw view="factors" or '
            'view="slices"'
        )
    made = View(kind)
    for factor in graph.factors.values():
        family = resolve(factor)
        columns = [_places(family, a, window) for a in (*family.args, *family.outs)]
        for j in range(factor.n if window is None else min(factor.n, 4)):
            scope = [column(j) for column in columns]
            rows = [p for places in scope for p in places]
            times = [row for _, row, clocked in rows if clocked]
            if window is not None and times and not (min(times) >= 0 and max(times) <= window[1]):
                continue
            single = factor.n == 1 and family.counts is None
            key = factor.name if single else f"{factor.name}[{j}]"
            made.parts[f"factor {key}"] = Part(
                "factor", key, type(factor.potential).__name__, max(times, default=None), factor.name, j
            )
            for k, places in enumerate(scope):
                for node, row, clocked in places:
                    label = _add(made, node, row, clocked)
                    if k < len(factor.args):
                        made.join(label, f"factor {key}", bool(factor.out))
                    else:
                        made.join(f"factor {key}", label, True)
    return made


def _places(family, arg, window):
    """Instance → the (node, row, whether its row is a time) that an argument touches."""
    from msgpass.sweeps.rows import edges_of, instance_numbers

    node: Any = arg.slice.node
    clocked = isinstance(node, Sequence) or arg.slice.stepped
    if arg.slice.kind == "all":
        rows = range(len(node.value) if isinstance(node, Observation) else node.clock.total)
        if window is not None:
            rows = range(min(len(rows), window[1] + 1))
        return lambda j: [(node, r, True) for r in rows]
    if arg.rows is None:
        return lambda j: [(node, None, False)]
    numbers = instance_numbers(family, arg)
    if arg.edge is None:
        return lambda j: [(node, int(numbers[j if len(numbers) > 1 else 0]), clocked)]
    at = {int(j): int(s) for j, s in zip(*edges_of(family, arg), strict=True)}
    edge_rows = None if arg.edge.rows is None else instance_numbers(family, arg.edge)

    def place(j):
        if j not in at:
            return [(node, int(numbers[j]), True)]
        if edge_rows is None:
            return [(arg.edge.slice.node, None, False)]
        return [(arg.edge.slice.node, int(edge_rows[min(at[j], len(edge_rows) - 1)]), False)]

    return place


def _add(made: View, node, row: int | None, clocked: bool) -> str:
    key = node.name if row is None else f"{node.name}[{row}]"
    if key not in made.parts:
        made.parts[key] = Part(_kind(node), key, "", row if clocked else None, node.name, row)
    return key


def _moral(found: View) -> View:
    made = View("moral", {k: p for k, p in found.parts.items() if p.kind in ("variable", "observation")})
    scopes: dict[str, list[str]] = {}
    for a, b, _, _ in found.edges:
        factor, node = (b, a) if found.parts[b].kind == "factor" else (a, b)
        if node in made.parts:
            scopes.setdefault(factor, []).append(node)
    seen: set[tuple[str, str]] = set()
    for scope in scopes.values():
        for k, a in enumerate(scope):
            for b in scope[k + 1 :]:
                if (a, b) not in seen and (b, a) not in seen:
                    seen.add((a, b))
                    made.edges.append((a, b, False, ""))
    return made
