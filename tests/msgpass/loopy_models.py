"""Random graphs of tables of any shape: loops, forests, several factors over one scope, rows picked by index
arrays, one-state variables, hard zeros off a planted assignment, observed, missing and clamped variables,
aligned batches."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Table
from tests.msgpass.table_models import Tables, seeds


class Model:
    """A graph, values for a run of it, and the planted assignment (name, row) → states (*batch)."""

    def __init__(self, graph, values, planted):
        self.graph, self.values, self.planted = graph, values, planted

    def __repr__(self) -> str:
        return f"{self.graph!r} with {self.values}"


@st.composite
def loopy_models(draw, batched=None, zeros=None, clamp=True):
    """See the module."""
    rng = np.random.default_rng(draw(seeds))
    batch = draw(st.sampled_from([(), (), (2,)])) if batched is None else (2,) if batched else ()
    return loopy_model(
        rng,
        singles=draw(st.integers(0, 5)),
        rows=draw(st.sampled_from([0, 0, 2, 4])) if not batch else 0,
        factors=draw(st.integers(1, 8)),
        zeros=draw(st.sampled_from([0.0, 0.3])) if zeros is None else zeros,
        batch=batch,
        clamp=draw(st.booleans()) if clamp else False,
    )


def loopy_model(rng, singles=5, rows=0, factors=6, zeros=0.3, batch=(), clamp=False) -> Model:
    """Parameters are called p0, p1, …; the sequence of picked rows is s; observed variables y0, y1, …"""
    g, table = FactorGraph(), Tables(rng, zeros)
    planted = {}
    nodes = []
    for k in range(max(singles, 0 if rows else 1)):
        states = int(rng.choice([1, 2, 2, 3]))
        nodes.append(g.variable(f"v{k}", states=states, shape=batch))
        planted[f"v{k}", -1] = rng.integers(states, size=batch)
    if rows:
        states = int(rng.integers(2, 4))
        s = g.sequence("s", length=rows, states=states)
        for r in range(rows):
            planted["s", r] = rng.integers(states)
        _picked(rng, g, s, nodes, table, planted)
    for k in range(factors if nodes else 0):
        arity = int(min(rng.integers(1, 4), len(nodes)))
        chosen = [nodes[i] for i in rng.permutation(len(nodes))[:arity]]
        if rng.random() < 0.2:
            states = int(rng.integers(2, 4))
            seen = rng.integers(states, size=batch)
            name = f"y{k}"
            planted[name, -1] = seen
            chosen.insert(int(rng.integers(len(chosen) + 1)), g.observe(name, _missing(rng, seen), states))
        _factor(rng, g, f"p{k}", chosen, table, planted, batch)
        if rng.random() < 0.2:
            _factor(rng, g, f"again{k}", chosen[::-1], table, planted, batch)
    for node in nodes:
        if not any(a.node is node for f in g.factors.values() for a in f.args):
            _factor(rng, g, f"own {node.name}", [node], table, planted, batch)
    values = {}
    if clamp:
        for node in nodes:
            if rng.random() < 0.4:
                values[node.name] = _missing(rng, planted[node.name, -1])
    return Model(g, values, planted)


def _missing(rng, states):
    return np.where(rng.random(np.shape(states)) < 0.2, -1, states)


def _factor(rng, g, name, chosen, table, planted, batch):
    shape = tuple(n.states for n in chosen)
    own = bool(batch) and rng.random() < 0.5
    at = [planted[n.name, -1] for n in chosen]
    cells = tuple(np.ravel(a) for a in at)
    if own:
        cells = (np.arange(batch[0]), *cells)
    array = table((*(batch if own else ()), *shape), cells)
    if rng.random() < 0.3:
        array = array.astype(np.float32)
    g.factor(Table(g.parameter(name, array)), *chosen, name=f"f {name}")


def _picked(rng, g, s, nodes, table, planted):
    n = int(rng.integers(1, 6))
    path = np.array([planted["s", r] for r in range(len(s))])
    first = rng.integers(len(s), size=n)
    second = (first + rng.integers(1, len(s), size=n)) % len(s)
    args, at = [s[first], s[second]], [path[first], path[second]]
    if nodes and rng.random() < 0.5:
        args.append(nodes[0])
        at.append(np.full(n, planted[nodes[0].name, -1]))
    shape = tuple(a.states if a is nodes[0] else s.states for a in args) if nodes else (s.states,) * 2
    stepped = rng.random() < 0.3
    array = table((n, *shape) if stepped else shape, ((np.arange(n), *at) if stepped else tuple(at)))
    g.factor(Table(g.parameter("pair tables", array)), *args, name="pairs")
    if rng.random() < 0.7:
        seen = rng.integers(2, size=len(s))
        y = g.observe("seen", _missing(rng, seen), states=2)
        emit = table((s.states, 2), (path, seen))
        g.factor(Table(g.parameter("emissions", emit)), s[:], y[:], name="emit")
