"""Random graphs of tables for the laws: chains in every form that a slice allows, trees, forests and DAGs of
any shape.

Hypothesis draws the structure and a seed; the numbers come from the seed. Hard zeros never touch one planted
path, so that the evidence stays possible.
"""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Table

seeds = st.integers(0, 2**32 - 1)


class Tables:
    """Random log tables with hard zeros off a planted assignment."""

    def __init__(self, rng, zeros: float):
        self.rng, self.zeros = rng, zeros

    def __call__(self, shape, planted=()):
        """A table of ``shape``; ``planted`` cells (one index tuple, or arrays of them) are kept possible."""
        table = self.rng.normal(size=shape)
        gone = self.rng.random(shape) < self.zeros
        gone[planted] = False
        table[gone] = -np.inf
        return table


@st.composite
def chains(draw, max_assignments=1500, batched=None):
    """A discrete sequence, possibly ragged or an aligned batch, with any mix of local tables and
    transitions."""
    K = draw(st.integers(1, 3))
    limit = max(1, int(np.log(max_assignments) / np.log(max(K, 2))))
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3).filter(lambda ls: sum(ls) <= limit))
    batch = draw(st.sampled_from([(), (), (2,)])) if batched is None else (2,) if batched else ()
    transition = draw(st.sampled_from(["shared", "by step", "flipped", "driven", "by member"]))
    locals_ = draw(st.lists(st.sampled_from(LOCALS), unique=True))
    rng, zeros = np.random.default_rng(draw(seeds)), draw(st.sampled_from([0.0, 0.0, 0.4]))
    return chain(rng, K, lengths, batch, transition, locals_, zeros)


LOCALS = [
    "first",
    "last",
    "emission",
    "missing",
    "emission by step",
    "constant",
    "by step",
    "flipped emission",
    "inner",
]


def chain(rng, K, lengths, batch=(), transition="shared", locals_=("first", "emission"), zeros=0.0):
    """See :func:`chains`; parameters are called after what they parametrise."""
    total, n = sum(lengths), sum(lengths) - len(lengths)
    g, table = FactorGraph(), Tables(rng, zeros)
    z = g.sequence("z", length=lengths if len(lengths) > 1 else lengths[0], states=K, shape=batch)
    path = rng.integers(0, K, (total, *batch))
    firsts = np.cumsum([0, *lengths[:-1]])
    inside = np.setdiff1d(np.arange(total), firsts)
    here, before = path[inside].reshape(-1), path[inside - 1].reshape(-1)
    columns = [np.repeat(np.arange(n), int(np.prod(batch))), before, here]

    if min(lengths) == 1 and not {"first", "constant", "by step"} & {*locals_}:
        locals_ = [*locals_, "constant"]  # a step of its own is connected by its local tables alone
    if transition == "by step" and n:
        A = g.parameter("transition", table((n, K, K), tuple(columns)))
        g.factor(Table(A), z[:-1], z[1:], name="link")
    elif transition == "flipped":
        A = g.parameter("transition", table((K, K), (here, before)))
        g.factor(Table(A), z[1:], z[:-1], name="link")
    elif transition == "by member" and batch:
        members = np.tile(np.arange(batch[0]), n)
        A = g.parameter("transition", table((*batch, K, K), (members, before, here)))
        g.factor(Table(A), z[:-1], z[1:], name="link")
    elif transition == "driven":
        u = rng.integers(-1, 2, (total, *batch))
        A = g.parameter("transition", table((K, K, 2), (before, here)))
        g.factor(Table(A), z[:-1], z[1:], g.observe("u", u, states=2)[1:], name="link")
    else:
        A = g.parameter("transition", table((K, K), (before, here)))
        g.factor(Table(A), z[:-1], z[1:], name="link")
        if transition == "twice":
            g.factor(Table(g.parameter("second", rng.normal(size=(K, K)))), z[1:], z[:-1], name="link too")

    where = path.reshape(-1)
    rows = np.repeat(np.arange(total), int(np.prod(batch)))
    for kind in locals_:
        if kind == "first":
            pi = g.parameter("initial", table((K,), path[firsts].reshape(-1)))
            g.factor(Table(pi), z[0], name="start")
        elif kind == "last":
            g.factor(Table(g.parameter("final", rng.normal(size=K))), z[-1], name="end")
        elif kind == "emission":
            x = g.observe("x", rng.integers(0, 3, (total, *batch)), states=3)
            g.factor(Table(g.parameter("emission", table((K, 3), where))), z[:], x[:], name="emit")
        elif kind == "flipped emission":
            w = g.observe("w", rng.integers(0, 2, (total, *batch)), states=2)
            g.factor(Table(g.parameter("flipped", rng.normal(size=(2, K)))), w[:], z[:], name="emit flipped")
        elif kind == "missing":
            y = g.observe("y", rng.integers(-1, 2, (total, *batch)), states=2)
            g.factor(Table(g.parameter("gappy", table((K, 2), where))), z[:], y[:], name="emit gappy")
        elif kind == "emission by step":
            v = g.observe("v", rng.integers(0, 2, (total, *batch)), states=2)
            g.factor(
                Table(g.parameter("drifting", rng.normal(size=(total, K, 2)))),
                z[:],
                v[:],
                name="emit drifting",
            )
        elif kind == "constant":
            g.factor(Table(g.parameter("bias", rng.normal(size=K))), z[:], name="bias everywhere")
        elif kind == "by step":
            g.factor(
                Table(g.parameter("local", table((total, K), (rows, where)))), z[:], name="local evidence"
            )
        elif kind == "inner" and min(lengths) > 2:
            g.factor(Table(g.parameter("middle", rng.normal(size=K))), z[1:-1], name="inner evidence")
    return g


@st.composite
def trees(draw, max_assignments=1500):
    """Single variables joined by tables over one to four of them into a forest; some tables have an observed
    axis."""
    rng, zeros = np.random.default_rng(draw(seeds)), draw(st.sampled_from([0.0, 0.0, 0.3]))
    batch = draw(st.sampled_from([(), (), (2,)]))
    g, table = FactorGraph(), Tables(rng, zeros)
    variables, planted, size = [], [], 1

    def grow(states):
        variables.append(g.variable(f"v{len(variables)}", states=states, shape=batch))
        planted.append(int(rng.integers(states)))
        return len(variables) - 1

    grow(draw(st.integers(1, 3)))
    size = variables[0].states
    g.factor(Table(table((size,), (planted[0],))), variables[0], name="root")
    for k in range(draw(st.integers(0, 7))):
        kind = draw(st.sampled_from(["unary", "pair", "pair", "triple", "quadruple", "observed", "new root"]))
        members = [int(rng.integers(len(variables)))]
        fresh = {"pair": 1, "triple": 2, "quadruple": 3, "observed": 1, "new root": 1}.get(kind, 0)
        states = [int(rng.integers(1, 4)) for _ in range(fresh)]
        if size * np.prod(states) > max_assignments:
            continue
        size *= int(np.prod(states))
        members = ([] if kind == "new root" else members) + [grow(s) for s in states]
        members = [members[i] for i in rng.permutation(len(members))]
        axes, at = [variables[m] for m in members], [planted[m] for m in members]
        if kind == "observed":
            where = int(rng.integers(len(axes) + 1))
            axes.insert(where, g.observe(f"o{k}", rng.integers(-1, 2, batch), states=2))
            at.insert(where, slice(None))
        shape = tuple(a.states for a in axes)
        if batch and rng.random() < 0.5:
            shape, at = batch + shape, [slice(None), *at]
        values = table(shape, tuple(at))
        g.factor(Table(g.parameter(f"p{k}", values) if rng.random() < 0.6 else values), *axes, name=f"f{k}")
    return g


@st.composite
def sliced_trees(draw, spine_only=False):
    """Trees over slices that are no simple chain: a local variable at each step, order two, two sequences
    joined at an end."""
    rng, T = np.random.default_rng(draw(seeds)), draw(st.integers(2, 4))
    shapes = ["comb", "second order", "three at a step", "ragged comb"] + ([] if spine_only else ["joined"])
    shape = draw(st.sampled_from(shapes))
    return sliced_tree(rng, shape, T)


def sliced_tree(rng, shape: str, T: int):
    """See :func:`sliced_trees`."""
    g = FactorGraph()
    lengths = [T, 1, T - 1] if shape == "ragged comb" else T
    z = g.sequence("z", length=lengths, states=2)
    rows = sum(lengths) if shape == "ragged comb" else T

    def parameter(name, *size):
        return Table(g.parameter(name, rng.normal(size=size)))

    if shape == "second order":
        g.factor(parameter("leap", 2, 2), z[:-2], z[2:], name="leap apart")
        g.factor(parameter("local", rows, 2), z[:], name="evidence")
        return g
    g.factor(parameter("initial", 2), z[0], name="start")
    w = g.sequence("w", length=lengths, states=2 if rows > 5 else 3)
    K = w.states
    if shape == "three at a step":
        g.factor(parameter("gate", 2, 2, K), z[:-1], z[1:], w[1:], name="gated")
        g.factor(parameter("loose", K), w[0], name="first gate")
    else:
        g.factor(parameter("transition", 2, 2), z[:-1], z[1:], name="link")
    if shape == "joined":
        g.factor(parameter("second", K, K), w[:-1], w[1:], name="link of w")
        g.factor(parameter("bridge", K, 2), w[0], z[-1], name="bridge between")
    elif shape != "three at a step":
        g.factor(parameter("tooth", 2, K), z[:], w[:], name="teeth")
    x = g.observe("x", rng.integers(-1, 2, rows), states=2)
    g.factor(parameter("emission", K, 2), w[:], x[:], name="emit")
    return g
