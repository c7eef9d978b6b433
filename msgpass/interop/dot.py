"""Graphs as text for Graphviz, ``dot -Tsvg graph.dot -o graph.svg``; nothing is needed to write it."""

from __future__ import annotations

from pathlib import Path

from msgpass.interop.views import Part, View, view_of

_SHAPES = {
    "variable": "shape=ellipse",
    "observation": 'shape=ellipse, style=filled, fillcolor="#d9d9d9"',
    "parameter": "shape=diamond",
    "factor": 'shape=box, style=filled, fillcolor="#222222", width=0.14, height=0.14, label=""',
}


def to_dot(graph, view: str = "factors", path=None) -> str:
    """A graph in the language DOT.

    Parameters
    ----------
    graph : FactorGraph
    view : "factors", "slices", "unrolled" or "moral"
        As it was built, where a plate holds what has steps; two slices that follow each other; every row and
        instance, in a cluster a slice; or its moral graph, variables that share a factor joined.
    path : path, optional
        Where to write the text, too.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table
    >>> g = FactorGraph()
    >>> a, b = g.variable("a", states=2), g.variable("b", states=2)
    >>> _ = g.factor(Table([[0.0, 1.0], [1.0, 0.0]]), a, b, name="f")
    >>> print(to_dot(g, "moral"))
    digraph {
      node [fontname="Helvetica", fontsize=10];
      edge [fontname="Helvetica", fontsize=8, color="#6b6b6b"];
      "a" [shape=ellipse, label="a"];
      "b" [shape=ellipse, label="b"];
      "a" -> "b" [dir=none];
    }
    """
    found = view_of(graph, view)
    lines = ['  node [fontname="Helvetica", fontsize=10];']
    lines.append('  edge [fontname="Helvetica", fontsize=8, color="#6b6b6b"];')
    clusters = _clusters(graph, found)
    inside = {key for _, keys in clusters for key in keys}
    lines += [_node(key, part) for key, part in found.parts.items() if key not in inside]
    for k, (title, keys) in enumerate(clusters):
        lines += [f"  subgraph cluster_{k} {{", f'    label={_quoted(title)}; color="#6b6b6b"; fontsize=9;']
        lines += ["  " + _node(key, found.parts[key]) for key in keys]
        lines.append("  }")
    lines += [_edge(*edge) for edge in found.edges]
    text = "\n".join(["digraph {", *lines, "}"])
    if path is not None:
        Path(path).write_text(text + "\n", encoding="utf-8")
    return text


def _clusters(graph, found: View) -> list[tuple[str, list[str]]]:
    """Title and parts of every plate or slice."""
    groups: dict = {}
    for key, part in found.parts.items():
        clock = _clock(graph, part) if found.kind == "factors" else part.time
        if clock is not None:
            groups.setdefault(clock, []).append(key)
    if found.kind == "factors":
        return [(_plate(lengths), keys) for lengths, keys in groups.items()]
    return [(f"t = {t}", groups[t]) for t in sorted(groups)]


def _clock(graph, part: Part):
    """Lengths of the sequences that a part runs over."""
    item = graph[part.name]
    if part.kind != "factor":
        return getattr(getattr(item, "clock", None), "lengths", None)
    return item.clock.lengths if item.stepped and not any(s.kind == "pick" for s in item.slices) else None


def _plate(lengths: tuple[int, ...]) -> str:
    return f"{lengths[0]} steps" if len(lengths) == 1 else f"{len(lengths)} sequences, {sum(lengths)} steps"


def _node(key: str, part: Part) -> str:
    label = part.label + (f"\n{part.note}" if part.note else "")
    shown = f"xlabel={_quoted(label)}" if part.kind == "factor" else f"label={_quoted(label)}"
    return f"  {_quoted(key)} [{_SHAPES[part.kind]}, {shown}];"


def _edge(source: str, target: str, arrow: bool, text: str) -> str:
    marks = ([] if arrow else ["dir=none"]) + ([f"label={_quoted(text)}"] if text else [])
    tail = f" [{', '.join(marks)}]" if marks else ""
    return f"  {_quoted(source)} -> {_quoted(target)}{tail};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
