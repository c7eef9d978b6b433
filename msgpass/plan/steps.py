"""Directed factors in order: strongly connected components that feed themselves across time, and maps.

The direction and the lag of every edge inside a recurrence are verified here, so that a compiled sweep never
runs a recurrence that it was not made for.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import GraphError, UnsupportedError
from msgpass.nodes import Sequence, Variable
from msgpass.plan.blocks import Map, Recurrence
from msgpass.plan.families import Family, noisy, row_times
from msgpass.potentials import Loss, Quadratic

WAY_OUT = (
    "a loop that is meant to settle is one step, Step.fixed_point(f) of (start, …), with f once around it"
)
"""Of loops among steps."""


def producers(graph, steps, undirected) -> dict[str, list[Family]]:
    """Families that compute each real node; every row must be computed exactly once before it is read."""
    produced: dict[str, list[Family]] = {}
    for f in steps:
        for out in f.outs:
            produced.setdefault(out.name, []).append(f)
    for name, makers in produced.items():
        node = graph.nodes[name]
        hits = np.zeros(node.clock.total if isinstance(node, Sequence) else 1, np.int8)
        for f in makers:
            for out in f.outs:
                if out.name == name:
                    hits[out.rows if out.rows is not None else 0] += 1
        if hits.max(initial=0) > 1:
            raise GraphError(
                f"over-determined: row {int(np.argmax(hits))} of {name!r} is computed by more than "
                f"one step ({', '.join(f.name for f in makers)})"
            )
        if hits.min(initial=1) < 1:
            raise GraphError(
                f"row {int(np.argmin(hits))} of {name!r} is computed by no step; start the "
                f"recurrence with {name}.after(start) or compute {name}[0] by a step"
            )
    related = {a.name for f in undirected if isinstance(f.potential, Quadratic) for a in f.args}
    related |= {o.name for f in undirected if noisy(f) for o in f.outs}
    for name in produced:
        if name in related:
            raise UnsupportedError(
                f"{name!r} is computed by a step and also related by a Quadratic or a step with noise; a "
                "variable is either deterministic (Step, with Loss for "
                "evidence) or Gaussian (Quadratic or Step(f, noise=Q) for dynamics and evidence)"
            )
    gaussian = related | {a.name for f in undirected if noisy(f) for a in f.args}
    readers = [*steps, *(f for f in undirected if f.potential.reads)]
    for f in readers:
        for s in (*(a.slice for a in f.args), *(a.edge.slice for a in f.args if a.edge), *f.potential.reads):
            if (
                isinstance(s.node, Variable | Sequence)
                and not s.node.discrete
                and s.node.name not in produced
            ):
                raise GraphError(
                    f"factor {f.name!r} reads {s.node.describe()}, "
                    + (
                        "which is Gaussian and has no one value; a Step(f, noise=Q) reads Gaussian variables"
                        if s.node.name in gaussian
                        else "which no step computes; give it a step with out=, or make it a parameter or an "
                        "observation"
                    )
                )
    for f in graph.factors.values():
        if isinstance(f.potential, Loss):
            for s in f.args:
                if isinstance(s.node, Variable | Sequence) and s.node.name not in produced:
                    raise GraphError(
                        f"loss {f.name!r} reads {s.node.describe()}, "
                        + (
                            "which is Gaussian and has no one value; give evidence about it as "
                            "g.factor(Step(h, noise=R), …, out=y[:]) or as Quadratic.observation"
                            if s.node.name in gaussian
                            else "which no step computes; give it a step with out=, or make it a parameter"
                        )
                    )
    return produced


def _inputs(f: Family):
    for a in f.args:
        yield a
        if a.edge is not None:
            yield a.edge


def log_values(readers, undirected) -> set[str]:
    """Names that tables read and nothing else does."""
    read = {a.name for f in (*readers, *(f for f in undirected if noisy(f))) for a in _inputs(f)}
    return {s.node.name for f in undirected for s in f.potential.reads} - read


def order_steps(steps, produced, logs):
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(steps)))
    index = {f.name: k for k, f in enumerate(steps)}
    for k, f in enumerate(steps):
        for a in _inputs(f):
            graph.add_edges_from((index[maker.name], k) for maker in produced.get(a.name, ()))
    condensed = nx.condensation(graph)
    for component in nx.lexicographical_topological_sort(
        condensed, key=lambda c: min(condensed.nodes[c]["members"])
    ):
        members = [steps[k] for k in sorted(condensed.nodes[component]["members"])]
        nodes = tuple(dict.fromkeys(o.name for f in members for o in f.outs))
        if len(members) == 1 and not any(a.name in nodes for a in _inputs(members[0])):
            yield Map((members[0],), nodes, logs=frozenset(logs.intersection(nodes)))
        else:
            yield _recurrence(members, nodes)


def _recurrence(members: list[Family], nodes: tuple[str, ...]) -> Recurrence:
    """Verify lags and find the order within one time step."""
    import networkx as nx

    lags: list[int] = []
    within = nx.DiGraph()
    within.add_nodes_from(range(len(members)))
    makers: dict[str, list[int]] = {o.name: [] for f in members for o in f.outs}
    for k, f in enumerate(members):
        for o in f.outs:
            makers[o.name].append(k)
    for k, f in enumerate(members):
        for a in f.args:
            if a.name not in nodes:
                continue
            if a.slice.kind in ("all", "single"):
                raise GraphError(
                    f"a loop of steps: {f.name!r} reads {a.slice.name}, which depends on what "
                    f"{f.name!r} computes; {WAY_OUT}"
                )
            lag = f.times - row_times(a, f)
            if (lag == 0).any():
                within.add_edges_from((m, k) for m in makers[a.name])
            lags += [int(lag.min(initial=0)), int(lag.max(initial=0))]
        for a in f.args:
            if a.edge is not None and a.edge.name in nodes:
                raise GraphError(
                    f"a loop of steps: the edge {a.edge.slice.name} of {a.slice.name} depends on "
                    f"{f.name!r} itself; {WAY_OUT}"
                )
    if min(lags) < 0 < max(lags):
        raise GraphError(
            f"the steps {', '.join(f.name for f in members)} feed each other both forward and "
            "backward in time; no order runs them"
        )
    try:
        order = list(nx.lexicographical_topological_sort(within))
    except nx.NetworkXUnfeasible:
        raise GraphError(
            f"a loop of steps within one time step: {', '.join(f.name for f in members)}; one of "
            f"them must read an earlier row, such as h.after(h0); or {WAY_OUT}"
        ) from None
    return Recurrence(
        tuple(members[k] for k in order),
        nodes,
        direction=-1 if min(lags) < 0 else 1,
        order=max(abs(v) for v in lags),
    )
