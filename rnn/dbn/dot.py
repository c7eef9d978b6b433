"""Two-slice networks as text for Graphviz: what is computed has a double border, a cluster a slice."""

from __future__ import annotations

import json
from pathlib import Path

from rnn.dbn.template import Template
from rnn.dbn.views import view_of

SHAPES = {
    "deterministic": "shape=ellipse, peripheries=2",
    "input": 'shape=ellipse, style=filled, fillcolor="#d9d9d9"',
    "evidence": 'shape=box, style=filled, fillcolor="#d9d9d9"',
    "shared": "shape=diamond",
}


def dot_text(template: Template, view: str, length: int | None, shared: bool, path) -> str:
    """See :meth:`rnn.dbn.DBN.to_dot`."""
    graph, directed = view_of(template, view, length, shared)
    lines = ['  node [fontname="Helvetica", fontsize=10];', '  edge [color="#6b6b6b"];', "  rankdir=LR;"]
    for t in dict.fromkeys(time for _, time in graph):
        rows = [_node(graph, node) for node in graph if node[1] == t]
        if t is None:
            lines += rows
            continue
        lines += [f"  subgraph cluster_{t} {{", f'    label="t = {t}"; color="#6b6b6b"; fontsize=9;']
        lines += ["  " + row for row in rows] + ["  }"]
    tail = "" if directed else " [dir=none]"
    lines += [f"  {_name(a)} -> {_name(b)}{tail};" for a, b in graph.edges]
    text = "\n".join(["digraph {", *lines, "}"])
    if path is not None:
        Path(path).write_text(text + "\n", encoding="utf-8")
    return text


def _name(node) -> str:
    name, t = node
    return json.dumps(name if t is None else f"{name}[{t}]", ensure_ascii=False)


def _node(graph, node) -> str:
    return f"  {_name(node)} [{SHAPES[graph.nodes[node]['kind']]}];"
