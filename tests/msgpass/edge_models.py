"""A slow, obvious backward pass with rules on edges: one instance after another, each once all that its
outputs are told has arrived."""

import numpy as np
from hypothesis import strategies as st

from msgpass import TimeEdge
from msgpass.algebra.rules import (
    At,
    ClipNorm,
    ClipValue,
    Mask,
    Normalise,
    Place,
    Replace,
    Scale,
    Stop,
    Then,
    Truncate,
)
from msgpass.interop.differentiators import autograd_vjp
from msgpass.nodes import Parameter, Sequence
from msgpass.potentials import Step
from tests.oracles import cell, cells_of


def smooth(t, value, message):
    return 0.5 * message + 0.1 * np.sin(np.nan_to_num(value)) + 0.01 * t


LINEAR = [Scale(0.5), Scale(-1.0), Stop(), Truncate(2), At([0, 2], Scale(3.0)), Mask([1.0, 0.5])]
RULES = [
    *LINEAR,
    ClipNorm(0.3),
    ClipNorm(0.3, per="step"),
    ClipValue(0.2),
    Normalise(0.7),
    Replace(smooth),
    Replace(lambda t, v, m: smooth(t.reshape(-1, *(1,) * (m.ndim - 1)), v, m), vectorized=True),
    At(lambda t: t % 2 == 0, ClipNorm(0.1)),
    Then(Scale(2.0), ClipNorm(0.5)),
]


def places_of(graph) -> list:
    """Every variable, parameter and real observation, every edge and every time edge that a rule can have."""
    real = [n.name for n in graph.nodes.values() if not n.discrete]
    edges = {(f.name, s.node.name) for f in graph.factors.values() for s in f.args if not s.node.discrete}
    return [*real, *sorted(edges), *(TimeEdge(n) for n in real if any(lags(graph, n)))]


def lags(graph, name):
    """(factor, position) of what reads an earlier row of a sequence, in the order of its sweep."""
    for f in graph.factors.values():
        for k, s in enumerate(f.args):
            stepped = s.kind in ("after", "before") or (s.kind in ("range", "index") and _behind(f, s))
            if s.node.name == name and f.out and isinstance(s.node, Sequence) and stepped:
                yield f.name, k


def _behind(factor, s) -> bool:
    if not len(factor) or not factor.out or (factor.stepped and s.kind == "index"):
        return False
    own, out = cells_of(s, factor)[0][1], cells_of(factor.out[0], factor)[0][1]
    return own != out


def passed_back(graph, values, rules: dict) -> dict:
    """What arrives at every node, through the rules."""
    on_edge = {key: r for key, r in rules.items() if isinstance(key, tuple) and len(key) == 2}
    at_node = {key: r for key, r in rules.items() if isinstance(key, str)}
    on_time = {
        (f, k): r
        for key, r in rules.items()
        if isinstance(key, TimeEdge)
        for f, k in lags(graph, key.variable)
    }
    arrived = {n: np.zeros_like(v, float) for n, v in values.items() if np.asarray(v).dtype.kind == "f"}
    instances = [(f, j) for f in graph.factors.values() for j in range(len(f))]
    columns = {
        f.name: ([cells_of(s, f) for s in f.args], [cells_of(s, f) for s in f.out]) for f, _ in instances
    }
    waiting = list(instances)

    def rows_read(f, j):
        for place in (c[j] for c in columns[f.name][0]):
            whole = place[0].kind == "all"
            for row in range(len(values[place[0].node.name])) if whole else [place[1]]:
                yield place[0].node.name, row

    while waiting:
        read = {place for f, j in waiting for place in rows_read(f, j)}
        ready = [
            (f, j)
            for f, j in waiting
            if not any((c[j][0].node.name, c[j][1]) in read for c in columns[f.name][1])
        ]
        for f, j in ready:
            waiting.remove((f, j))
            ins, outs = ([c[j] for c in side] for side in columns[f.name])
            inputs = [cell(values, c) for c in ins]
            for place, row in outs:
                name = place.node.name
                if name in at_node:
                    told = apply(at_node[name], graph, name, row, arrived[name][row], values[name][row])
                    arrived[name][row] = told
            for k, message in messages(f, inputs, [arrived[p.node.name][row] for p, row in outs]):
                place, row = ins[k]
                name, s = place.node.name, f.args[k]
                for where, rule in ((on_edge, (f.name, s.node.name)), (on_time, (f.name, k))):
                    if rule in where:
                        time = "start" if place is s.edge else row
                        message = apply(
                            where[rule], graph, name, time, message, inputs[k], s, place.kind == "all"
                        )
                if row < 0:
                    arrived[name] = arrived[name] + message
                else:
                    arrived[name][row] += message
    for name, rule in at_node.items():
        if name in graph.nodes and not isinstance(graph[name], Sequence):
            stepped = any(
                s.node.name == name and s.kind != "single" for f in graph.factors.values() for s in f.args
            )
            if stepped:
                for row in range(len(arrived[name])):
                    told = arrived[name][row], values[name][row]
                    arrived[name][row] = apply(rule, graph, name, row, *told)
            else:
                arrived[name] = apply(rule, graph, name, -1, arrived[name], values[name])
    return arrived


def messages(factor, inputs, cotangents):
    """(position, cotangent) of every real input of one instance."""
    if not isinstance(factor.potential, Step):
        if any(np.isnan(v).all() for v in inputs):
            return
        grads = factor.potential.value_and_grad(*inputs)[1]
        grads = grads if isinstance(grads, tuple) else (grads,)
        yield from ((k, g) for k, g in enumerate(grads) if g is not None)
        return
    wanted = range(len(inputs))
    _, pull = autograd_vjp(factor.potential.f, inputs, list(wanted))
    found = pull(tuple(cotangents) if len(cotangents) > 1 else cotangents[0])
    yield from zip(wanted, found, strict=True)


def apply(rule, graph, name, row, message, value, s=None, whole=False):
    """A rule on the message at one row (of every row of a whole sequence)."""
    if whole:
        return np.stack(
            [apply(rule, graph, name, t, m, v) for t, (m, v) in enumerate(zip(message, value, strict=True))]
        )
    if row == "start":
        time = -1 if s.kind == "after" else start_of(s, graph)
    else:
        time = local_time(graph, name, row)
    message = np.asarray(message, float)
    leading = 1 if isinstance(graph[name], Parameter) else 1 + max(message.ndim - 1, 0)
    return rule(message[None], Place(np.array([time]), leading, lambda: np.asarray(value)[None]))[0]


def start_of(s, graph):
    """Local time of the row that ``before`` puts behind a sequence of one length."""
    (length,) = set(s.node.clock.lengths)
    return length


def local_time(graph, name, row) -> int:
    """Row within its sequence; 0 of a single value."""
    if row < 0:
        return 0
    clock = next(
        (
            n.clock
            for n in graph.nodes.values()
            if isinstance(n, Sequence)
            and n.clock.total > row
            and (n.name == name or f"e_{n.name}" == name or name in ("x", "y", "goal"))
        ),
        None,
    )
    if clock is None:
        return row
    offsets = np.asarray(clock.offsets)
    return int(row - offsets[np.searchsorted(offsets, row, side="right") - 1])


@st.composite
def rules_for(draw, graph, rules=RULES, most=4):
    """Rules at some places of a graph."""
    places = places_of(graph)
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=most, unique=True))
    return {place: draw(st.sampled_from(rules)) for place in chosen}
