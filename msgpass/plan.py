"""The plan: a graph condensed into blocks in dependency order. It reads no values, is made once, and can be
printed.

Undirected factors (tables, quadratics) join their latent variables into components: a ``TableChain`` where
one discrete sequence is linked step to step, a ``GaussianChain`` where one real sequence is, a ``Tree``
otherwise; a ``NonlinearTree`` where steps with Gaussian noise are among them. Directed factors (steps) are
condensed into strongly connected components: one that feeds itself
across time is a ``Recurrence``, any other a ``Map``. Losses and discrete components that read real values
come last. The direction and the lag of every edge inside a recurrence are verified here, so that a compiled
sweep never runs a recurrence that it was not made for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import GraphError, UnsupportedError
from msgpass.nodes import Clock, Parameter, Sequence, Slice, Variable
from msgpass.potentials import TABLES, Loss, Quadratic, SparseTable, Step


@dataclass(frozen=True, eq=False)
class Arg:
    """One slice of a family, resolved: which rows of which stacked array its instances touch."""

    slice: Slice
    clock: Any  # Clock, or None for what has no steps
    rows: Any  # a slice or an index array; None: one value shared by all instances (single or all)
    first: int  # row of the first instance within each sequence
    edge: Any = None  # Arg of an after or before

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.slice.node.name


@dataclass(frozen=True, eq=False)
class Family:
    """A factor with its slices resolved; instance j is (sequence n, step i) in that order."""

    factor: Any
    args: tuple[Arg, ...]
    outs: tuple[Arg, ...]
    clock: Any  # Clock, or None for a single instance
    counts: Any  # instances of each sequence, or None
    first: int  # local time of the first instance

    @property
    def name(self) -> str:
        """Name of the factor."""
        return self.factor.name

    @property
    def potential(self):
        """Potential of the factor."""
        return self.factor.potential

    @property
    def parameter_names(self) -> dict[str, str]:
        """Role → name of the parameters behind the potential."""
        return {role: p.name for role, p in self.potential.parts.items() if isinstance(p, Parameter)}

    @cached_property
    def table_layout(self) -> tuple[tuple[int, ...], tuple[int, ...], list[int], bool]:
        """Of a table: states of its variables, aligned batch, positions of the observed ones, whether its
        first axis is the step.
        """
        states = tuple(a.slice.node.states for a in self.args)
        batch = next((a.slice.shape for a in self.args if a.slice.shape), ())
        return (
            states,
            batch,
            [k for k, a in enumerate(self.args) if not latent(a)],
            self.potential.stepped(self.factor),
        )

    @cached_property
    def starts(self) -> np.ndarray:
        """First instance of each sequence."""
        return (
            np.concatenate([[0], np.cumsum(self.counts)[:-1]])
            if self.counts is not None
            else np.zeros(1, np.int64)
        )

    @cached_property
    def times(self) -> np.ndarray:
        """Local time of every instance."""
        if self.counts is None:
            return np.array([self.first])
        if not self.factor.stepped:
            arg = next(a for a in (*self.outs, *self.args) if a.slice.kind == "index")
            return np.array([arg.slice.index_row(n) for n in arg.clock.lengths])
        return (
            np.concatenate([self.first + np.arange(c) for c in self.counts])
            if len(self.counts)
            else np.zeros(0, np.int64)
        )


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the plan that one sweep runs."""

    families: tuple[Family, ...]
    nodes: tuple[str, ...]
    gaussian = False

    @property
    def kind(self) -> str:
        """Class name."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(self.nodes) or '–'}; {', '.join(f.name for f in self.families)})"


@dataclass(frozen=True, eq=False, repr=False)
class TableChain(Block):
    """One discrete sequence linked step to step."""

    node: Any = None  # Sequence
    unaries: tuple[Family, ...] = ()
    pairs: tuple[tuple[Family, bool], ...] = ()  # (family, its table is written (later, earlier))

    @property
    def sparse(self) -> bool:
        """One sparse table links the steps."""
        return len(self.pairs) == 1 and isinstance(self.pairs[0][0].potential, SparseTable)


@dataclass(frozen=True, eq=False, repr=False)
class Tree(Block):
    """Latent variables joined by tables or by quadratics, without loops."""

    gaussian: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class GaussianChain(Tree):
    """One real sequence, linked step to step by one linear-Gaussian relation, with anything on single
    steps."""

    gaussian: bool = True
    node: Any = None  # Sequence
    unaries: tuple[Family, ...] = ()
    link: Any = None  # Family
    first: Any = None  # Family: the prior of the first state, where there is one


@dataclass(frozen=True, eq=False, repr=False)
class SwitchingChain(Block):
    """A chain of states that picks the matrices of a Gaussian chain."""

    states: Any = None  # TableChain
    node: Any = None  # the real Sequence
    unaries: tuple[Family, ...] = ()
    link: Any = None  # Family
    first: Any = None  # Family: the prior of the first state


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearTree(Tree):
    """Gaussian variables that noisy steps relate, perhaps beside quadratics: a tree once it is linearised."""

    sources: tuple[int | None, ...] = ()  # of each family: which argument is Gaussian, if it is a noisy step


@dataclass(frozen=True, eq=False, repr=False)
class Map(Block):
    """Steps that do not feed themselves: all instances at once."""

    logs: frozenset[str] = frozenset()  # what tables alone read: log values, which may be −∞


@dataclass(frozen=True, eq=False, repr=False)
class Recurrence(Block):
    """Steps that feed themselves across time, in the order in which one time step runs them."""

    direction: int = 1
    order: int = 1  # largest lag


@dataclass(frozen=True, eq=False, repr=False)
class Losses(Block):
    """One loss factor."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Blocks in dependency order."""

    graph: Any
    blocks: tuple[Block, ...]
    owner: dict[str, Block]  # latent node → its block
    real: bool  # total is a loss (the graph has steps or losses, or conditioned labels)
    cache: dict = field(default_factory=dict, repr=False)

    def start_compiled(self) -> None:
        """Run compiled recurrences from the first run on, and not only once they are worth their loading.

        The two agree to rounding; afterwards bits do not depend on how often the graph has run.
        """
        self.cache["start compiled"] = True

    def __repr__(self) -> str:
        return "Plan\n" + "\n".join(f"  {k + 1}. {b!r}" for k, b in enumerate(self.blocks))


def make_plan(graph) -> Plan:
    """Condense ``graph`` into blocks; raise a :class:`GraphError` where that cannot be done."""
    families = [resolve(f) for f in graph.factors.values()]
    _check_used(graph, families)
    undirected = [f for f in families if isinstance(f.potential, (*TABLES, Quadratic)) or noisy(f)]
    steps = [f for f in families if isinstance(f.potential, Step) and not noisy(f)]
    losses = [f for f in families if isinstance(f.potential, Loss)]
    produced = _producers(graph, steps, undirected)
    blocks: list[Block] = list(_order_steps(steps, produced, _log_values([*steps, *losses], undirected)))
    for nodes, members in _components(undirected, produced):
        blocks.append(undirected_block(graph, nodes, members, produced))
    blocks += [Losses((f,), ()) for f in losses]
    owner = {name: b for b in blocks for name in b.nodes}
    return Plan(graph, tuple(blocks), owner, bool(steps or losses or graph.conditions))


def resolve(factor) -> Family:
    """Rows and local times of a factor's slices."""
    clock, counts = factor.clock, factor.counts

    def arg(s: Slice) -> Arg:
        if s.kind in ("single", "all"):
            return Arg(s, None, None, 0)
        own = (
            s.node.clock
            if isinstance(s.node, Sequence)
            else Clock((s.node.shape[0],))
            if not s.stepped and clock is None
            else clock
        )
        edge = arg(s.edge) if s.edge is not None else None
        first = s.span(own.lengths)[0] if s.stepped else 0
        return Arg(s, own, s.rows(own, counts), first, edge)

    args, outs = tuple(map(arg, factor.args)), tuple(map(arg, factor.out))
    stepped = [a for a in outs if a.slice.stepped] or [
        a for a in args if a.slice.stepped and a.slice.kind == "range"
    ]
    if stepped:
        first = max(a.first for a in stepped)
    else:
        first = max(
            (a.slice.index_row(a.clock.lengths[0]) for a in (*outs, *args) if a.slice.kind == "index"),
            default=0,
        )
    return Family(factor, args, outs, clock, counts, first)


def _check_used(graph, families) -> None:
    used = {a.name for f in families for a in (*f.args, *f.outs)}
    used |= {a.edge.name for f in families for a in f.args if a.edge is not None}
    used |= {s.node.name for f in families for s in f.potential.reads}
    loose = [n for n in graph.nodes.values() if isinstance(n, Variable | Sequence) and n.name not in used]
    if loose:
        raise GraphError(
            f"{loose[0].describe()} is not connected to any factor; add a factor over it or leave it out"
        )
    if not families:
        raise GraphError("the graph has no factor; add one with g.factor(potential, …)")


def _producers(graph, steps, undirected) -> dict[str, list[Family]]:
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


# -- steps -----------------------------------------------------------------------------------------------


def _inputs(f: Family):
    for a in f.args:
        yield a
        if a.edge is not None:
            yield a.edge


def _log_values(readers, undirected) -> set[str]:
    """Names that tables read and nothing else does."""
    read = {a.name for f in (*readers, *(f for f in undirected if noisy(f))) for a in _inputs(f)}
    return {s.node.name for f in undirected for s in f.potential.reads} - read


def _order_steps(steps, produced, logs):
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
                    f"{f.name!r} computes"
                )
            lag = f.times - _row_times(a, f)
            if (lag == 0).any():
                within.add_edges_from((m, k) for m in makers[a.name])
            lags += [int(lag.min(initial=0)), int(lag.max(initial=0))]
        for a in f.args:
            if a.edge is not None and a.edge.name in nodes:
                raise GraphError(
                    f"a loop of steps: the edge {a.edge.slice.name} of {a.slice.name} depends on "
                    f"{f.name!r} itself"
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
            "them must read an earlier row, such as h.after(h0)"
        ) from None
    return Recurrence(
        tuple(members[k] for k in order),
        nodes,
        direction=-1 if min(lags) < 0 else 1,
        order=max(abs(v) for v in lags),
    )


def _row_times(a: Arg, f: Family) -> np.ndarray:
    if a.slice.kind == "index":
        rows = np.array([a.slice.index_row(n) for n in a.clock.lengths])
        return np.repeat(rows, f.counts) if f.factor.stepped else rows
    return np.concatenate([a.first + np.arange(c) for c in f.counts])


# -- undirected components -------------------------------------------------------------------------------


def latent(a: Arg) -> bool:
    """Still free: a variable or sequence."""
    return isinstance(a.slice.node, Variable | Sequence)


def noisy(f: Family) -> bool:
    """A step with Gaussian noise: it relates Gaussian variables as a quadratic does."""
    return isinstance(f.potential, Step) and f.potential.noisy


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


def _components(families, produced=()):
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
    if Quadratic not in kinds and len(nodes) == 1 and isinstance(graph.nodes[nodes[0]], Sequence):
        chain = _as_chain(graph.nodes[nodes[0]], families)
        if chain is not None:
            return chain
    gaussian = kinds == {Quadratic}
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
