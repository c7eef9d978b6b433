"""Undirected factors by component: chains of tables, Gaussian chains, chains that switch, and trees."""

from __future__ import annotations

import numpy as np

from msgpass.errors import GraphError, UnsupportedError
from msgpass.nodes import Sequence
from msgpass.plan.blocks import Block, GaussianChain, NonlinearTree, SwitchingChain, TableChain, Tree
from msgpass.plan.families import Arg, Family, latent, noisy, picks
from msgpass.potentials import Quadratic, Step, Structured


def _free(f: Family, produced) -> list[Arg]:
    """Arguments of an undirected factor that are inferred (a noisy step also reads what steps compute)."""
    return [a for a in (*f.args, *f.outs) if latent(a) and not (noisy(f) and a.name in produced)]


def _gaussian_source(f: Family, produced) -> int | None:
    """Position of the one Gaussian input of a noisy step; None where it has none."""
    found = [k for k, a in enumerate(f.args) if latent(a) and a.name not in produced]
    for k in found:
        arg = f.args[k]
        if arg.slice.kind in ("after", "before", "all"):
            raise UnsupportedError(
                f"factor {f.name!r} reads {arg.slice.name} of a Gaussian sequence; pair slices such as "
                f"{arg.name}[:-1] and {arg.name}[1:], with Quadratic.prior on {arg.name}[0]"
            )
        if f.factor.stepped and not arg.slice.stepped:
            raise UnsupportedError(
                f"factor {f.name!r}: all its steps read the one Gaussian variable {arg.slice.name}, which "
                "closes loops; make it a parameter, or a part of the state that does not move"
            )
    if len(found) > 1:
        names = ", ".join(f.args[k].slice.name for k in found)
        raise UnsupportedError(
            f"factor {f.name!r} reads several Gaussian variables, {names}; a noisy step reads one. "
            + (
                "For a dynamics of second order let the state hold x[t] and x[t-1], and shift them"
                if len({f.args[k].name for k in found}) == 1
                else "Join them into one state vector"
            )
        )
    return found[0] if found else None


def components(families, produced=()):
    import networkx as nx

    joined = nx.Graph()
    for f in families:
        names = [a.name for a in _free(f, produced)]
        if not names:
            raise GraphError(f"factor {f.name!r} relates observations only; it needs at least one variable")
        joined.add_nodes_from(names)
        joined.add_edges_from((names[0], other) for other in names[1:])
    for nodes in nx.connected_components(joined):
        members = [f for f in families if any(a.name in nodes for a in _free(f, produced))]
        yield tuple(n for n in joined if n in nodes), members


def undirected_block(graph, nodes, members, produced=()) -> Block:
    """The block of one component of tables, or of quadratics and noisy steps."""
    families = tuple(members)
    kinds = {type(f.potential) for f in members}
    discrete = any(graph.nodes[n].discrete for n in nodes)
    if kinds <= {Quadratic, Step} and Step in kinds and not discrete:
        sources = tuple(_gaussian_source(f, produced) if noisy(f) else None for f in families)
        return NonlinearTree(families, nodes, gaussian=True, sources=sources)
    if Quadratic in kinds and discrete:
        switching = _as_switching_chain(graph, nodes, families)
        if switching is not None:
            return switching
        raise UnsupportedError(
            f"states pick the matrices of Gaussian variables at {', '.join(nodes)}, but not as a switching "
            "chain: that is one discrete sequence with tables between neighbours, one real sequence with a "
            "prior on its first step and one Quadratic.linear_gaussian over (x[:-1], x[1:]) or (z[1:], "
            "x[:-1], x[1:]), and observations over (x[:], y[:]) or (z[:], x[:], y[:])"
        )
    if (Quadratic in kinds or Step in kinds) and len(kinds) > 1:
        raise UnsupportedError(
            f"tables and quadratics meet at {', '.join(nodes)}; discrete and Gaussian variables "
            "need a Step or a Table(scores[:]) between them"
        )
    gaussian = kinds == {Quadratic}
    if any(picks(f) or isinstance(f.potential, Structured) for f in families):
        return Tree(families, nodes, gaussian=gaussian)
    if Quadratic not in kinds and len(nodes) == 1 and isinstance(graph.nodes[nodes[0]], Sequence):
        chain = _as_chain(graph.nodes[nodes[0]], families)
        if chain is not None:
            return chain
    if gaussian and len(nodes) == 1 and isinstance(graph.nodes[nodes[0]], Sequence):
        linked = _as_gaussian_chain(graph.nodes[nodes[0]], families)
        if linked is not None:
            return linked
    return Tree(families, nodes, gaussian=gaussian)


def _as_chain(node: Sequence, families) -> TableChain | None:
    unaries, pairs = [], []
    for f in families:
        free = [a for a in f.args if latent(a)]
        if len(free) == 1:
            unaries.append(f)
            continue
        firsts = [a.first for a in free]
        full = (
            len(free) == 2
            and sorted(firsts) == [0, 1]
            and np.array_equal(f.counts, np.asarray(node.clock.lengths) - 1)
        )
        if not full:
            return None
        pairs.append((f, firsts == [1, 0]))
    return TableChain(families, (node.name,), node, tuple(unaries), tuple(pairs))


def _as_gaussian_chain(node: Sequence, families) -> GaussianChain | None:
    pairs = [f for f in families if sum(latent(a) for a in f.args) > 1]
    if len(pairs) != 1:
        return None
    link = pairs[0]
    free = [a for a in link.args if latent(a)]
    linear = link.potential.form == "linear" and latent(link.args[-1])
    forward = [a.first for a in free] == [0, 1] and free[-1] is link.args[-1]
    complete = link.counts is not None and np.array_equal(link.counts, np.asarray(node.clock.lengths) - 1)
    if not (linear and forward and complete):
        return None
    unaries = tuple(f for f in families if f is not link)
    first = next((f for f in unaries if _starts(f, node)), None)
    return GaussianChain(families, (node.name,), True, node, unaries, link, first)


def _starts(f: Family, node: Sequence) -> bool:
    """The family is the density of every sequence's first state."""
    arg = next(a for a in f.args if latent(a))
    directed = f.potential.form == "prior" or (
        f.potential.form in ("linear", "observation") and arg is f.args[-1] and len(f.args) > 1
    )
    rows = np.arange(arg.rows.start, arg.rows.stop) if isinstance(arg.rows, slice) else arg.rows
    return directed and np.array_equal(np.atleast_1d(rows), np.asarray(node.clock.offsets)[:-1])


def _as_switching_chain(graph, nodes, families) -> SwitchingChain | None:
    discrete = [n for n in nodes if graph.nodes[n].discrete]
    real = [n for n in nodes if not graph.nodes[n].discrete]
    if len(discrete) != 1 or len(real) != 1:
        return None
    z, x = graph.nodes[discrete[0]], graph.nodes[real[0]]
    if not (isinstance(z, Sequence) and isinstance(x, Sequence)) or z.shape:
        return None
    if not np.array_equal(z.clock.lengths, x.clock.lengths):
        return None
    tables = tuple(f for f in families if not isinstance(f.potential, Quadratic))
    states = _as_chain(z, tables)
    quadratics = [f for f in families if isinstance(f.potential, Quadratic)]
    links = [f for f in quadratics if sum(a.name == x.name for a in f.args) == 2]
    unaries = tuple(f for f in quadratics if f not in links)
    first = next((f for f in unaries if f.potential.form == "prior"), None)
    if states is None or states.sparse or len(links) != 1 or first is None:
        return None
    link = links[0]
    picks = [a.first for a in link.args if a.name == z.name]
    free = [a for a in link.args if a.name == x.name]
    complete = link.counts is not None and np.array_equal(link.counts, np.asarray(x.clock.lengths) - 1)
    if (
        picks not in ([], [1])
        or [a.first for a in free] != [0, 1]
        or free[-1] is not link.args[-1]
        or not complete
    ):
        return None
    if not all(_switches(f, z, x, first) for f in unaries):
        return None
    return SwitchingChain(families, (z.name, x.name), states, x, unaries, link, first)


def _switches(f: Family, z: Sequence, x: Sequence, first: Family) -> bool:
    """The prior of the first step, or an observation whose states and variable stand at one row."""
    starts = np.asarray(x.clock.offsets)[:-1]
    rows = [
        np.atleast_1d(np.arange(a.rows.start, a.rows.stop) if isinstance(a.rows, slice) else a.rows)
        for a in f.args
        if a.name in (z.name, x.name)
    ]
    if any(not np.array_equal(r, rows[0]) for r in rows):
        return False
    if f is first:
        return np.array_equal(rows[0], starts)
    target_seen = "y" in f.potential.parts or not latent(f.args[-1])
    return f.potential.form in ("linear", "observation") and target_seen
