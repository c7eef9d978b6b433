"""A stretch of rows of a causal plan is the same plan over fewer rows.

Where every factor reads rows of its own time and rows one step before, the rows a, …, b − 1 are what the same
factors say over b − a rows, started from the rows a − 1. So a stretch runs with the sweeps, compiled or not,
that serve the whole; stretches that do not need each other's results lie side by side as sequences on one
clock. In a cut plan every ``after`` edge is an observation of its own, with a row a stretch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.algebra import Adjoint
from msgpass.graph import FactorGraph
from msgpass.nodes import Observation, Parameter, Sequence
from msgpass.plan import Block, Losses, Map, Plan, Recurrence
from msgpass.schedule.forward_only import ForwardOnly
from msgpass.schedule.sequential import Sequential
from msgpass.sweeps.execution import Execution
from msgpass.sweeps.rows import edge_value
from msgpass.values import Values


@dataclass(frozen=True)
class Edge:
    """An ``after`` edge: which input of which family it stands in for, and its name in a cut plan."""

    family: Any
    arg: Any
    name: str


@dataclass(frozen=True, eq=False)
class Cut:
    """A plan that can be cut, and the plans over its stretches.

    Attributes
    ----------
    fixed : list of int
        Blocks outside time, such as what makes an initial state from parameters; they run once.
    moving : list of int
        Maps and recurrences on the clock.
    losses : list of int
    clock : Clock
    edges : list of Edge
    rows : set of str
        Observations that have a row a step.
    """

    plan: Plan
    fixed: list[int]
    moving: list[int]
    losses: list[int]
    clock: Any
    edges: list[Edge]
    rows: set[str]

    @property
    def nodes(self) -> list[str]:
        """Sequences that the moving blocks compute."""
        return [n for k in self.moving for n in self.plan.blocks[k].nodes]

    def starts(self, values) -> dict[str, np.ndarray]:
        """What stands at each edge before the first rows: a row a sequence, or one in all."""
        return {e.name: edge_value(e.family, e.arg, values) for e in self.edges}

    def over(self, lengths: tuple[int, ...], blocks: list[int], at: dict[int, int] | None = None) -> Plan:
        """The plan of some blocks over stretches of these lengths; made once. ``at``: rows of losses of one
        row, by block.
        """
        at, same = at or {}, len(set(lengths)) == 1
        key = "cut", (len(lengths), lengths[0]) if same else lengths, tuple(blocks), tuple(at.items())
        made = self.plan.cache.get(key)
        if made is None:
            made = self.plan.cache[key] = self._build(lengths, blocks, at).plan()
            self._remember(made)
        return made

    def _remember(self, made: Plan) -> None:
        """The work of recurrences that has come by, which decides when they are compiled."""
        if self.plan.cache.get("start compiled"):
            made.cache["start compiled"] = True
        numbers = {n: k for k, b in enumerate(self.plan.blocks) for n in b.nodes}
        for k, block in enumerate(made.blocks):
            for name in block.nodes[:1]:
                key, own = ((("compiled recurrence", n), "spent") for n in (numbers[name], k))
                if key in self.plan.cache:
                    made.cache[own] = self.plan.cache[key]

    def _build(self, lengths: tuple[int, ...], blocks: list[int], at: dict[int, int]) -> FactorGraph:
        graph, total = FactorGraph(), sum(lengths)
        families = [f for k in blocks for f in self.plan.blocks[k].families]
        used = {a.name for f in families for a in (*f.args, *f.outs)}
        own = [e for e in self.edges if any(e.family is f for f in families)]
        for node in self.plan.graph.nodes.values():
            if node.name not in used:
                continue
            if isinstance(node, Sequence):
                computed = any(node.name in self.plan.blocks[k].nodes for k in blocks)
                if computed:
                    graph.sequence(node.name, lengths, shape=node.shape)
                else:
                    graph.observe(node.name, np.zeros((total, *node.shape)))
            elif isinstance(node, Parameter):
                graph.parameter(node.name, node.value)
            elif isinstance(node, Observation) and node.name in self.rows:
                kind = node.value.dtype
                graph.observe(node.name, np.zeros((total, *node.shape[1:]), kind), node.states)
            elif isinstance(node, Observation):
                graph.observe(node.name, node.value, node.states)
            else:
                graph.observe(node.name, np.zeros(node.shape))
        for e in own:
            # One stretch has its start as a run has it, so that the same sweeps take it.
            several = (len(lengths),) if len(lengths) > 1 else ()
            graph.observe(e.name, np.zeros((*several, *e.arg.slice.shape)))
        names = {(id(e.family), id(e.arg)): e.name for e in own}
        for k in blocks:
            for f in self.plan.blocks[k].families:
                args = [_slice(graph, a, names.get((id(f), id(a))), at.get(k)) for a in f.args]
                outs = tuple(graph[o.name][:] for o in f.outs) or None
                graph.factor(f.potential, *args, out=outs, name=f.name)
        return graph

    def prepare(
        self,
        plan: Plan,
        values: Values,
        rows,
        starts: dict[str, np.ndarray],
        kept: tuple[str, ...] = (),
        backward: bool = True,
    ) -> Stretch:
        """A run of a cut plan over some rows of a run's values; it waits to be started.

        Parameters
        ----------
        plan : Plan
            From :meth:`over`.
        values : Values
        rows : slice or ndarray of int
            Rows of the observations, stretches end to end.
        starts : dict
            Row before each stretch at every edge, (stretches, …).
        kept : tuple of str
            Sequences that are among the values already.
        backward : bool
            Cotangents will follow.
        """
        given = {}
        for name, node in plan.graph.nodes.items():
            if isinstance(node, Sequence):
                if name in kept:
                    given[name] = values[name][rows]
            elif name in starts:
                own = starts[name]
                given[name] = own if own.ndim == node.value.ndim else own[0]
            else:
                value = values[name]
                given[name] = value[rows] if name in self.rows else value
        known = {n: True for n in given if values.known.get(n, n not in self.rows)}
        return Stretch(plan, Values(given, known), bool(kept), backward)


class Stretch(Execution):
    """An execution that is started by hand, and waits for cotangents at its end."""

    def __init__(self, plan: Plan, values: Values, resumed: bool, backward: bool):
        self.resumed = resumed
        self.given = (
            plan,
            (Adjoint(),) * len(plan.blocks),
            Sequential() if backward else ForwardOnly(),
            values,
        )
        self.values = values

    def start(self) -> Stretch:
        """Run forward."""
        super().__init__(*self.given, {}, frozenset())
        return self

    def _forward(self) -> None:
        if not self.resumed:
            super()._forward()
            return
        # The values are there: only sweeps that keep more than values go forward again.
        for k, block in enumerate(self.plan.blocks):
            if isinstance(block, Recurrence):
                self.sweeps[k] = self.make_sweep(k, block)
                if not getattr(self.sweeps[k], "resumes", False):
                    self.sweeps[k].forward()

    def backward(self) -> None:
        """Left to whoever knows the cotangents."""


def cut(plan: Plan) -> Cut | None:
    """How a plan is cut into stretches, or None where a stretch needs more than the rows before it."""
    key = "cuts"
    if key not in plan.cache:
        plan.cache[key] = _cut(plan)
    return plan.cache[key]


def _cut(plan: Plan) -> Cut | None:
    if plan.graph.conditions:
        return None
    fixed, moving, losses = [], [], []
    for k, block in enumerate(plan.blocks):
        if isinstance(block, Losses):
            losses.append(k)
        elif isinstance(block, Map) and not any(
            _timed(a) for f in block.families for a in (*f.args, *f.outs)
        ):
            fixed.append(k)
        elif isinstance(block, Map | Recurrence):
            moving.append(k)
        else:
            return None
    nodes = {n for k in moving for n in plan.blocks[k].nodes}
    families = [f for k in moving for f in plan.blocks[k].families]
    clocks = {f.clock for f in families}
    if len(clocks) != 1 or None in clocks:
        return None
    clock = clocks.pop()
    if not all(
        isinstance(plan.graph.nodes[n], Sequence) and plan.graph.nodes[n].clock == clock for n in nodes
    ):
        return None
    for block in (plan.blocks[k] for k in moving):
        if not all(_own_time(f, clock, nodes) for f in block.families):
            return None
        if isinstance(block, Recurrence) and (block.direction < 0 or block.order != 1):
            return None
    edges = [
        Edge(f, a, f"start {i} of {f.name}")
        for f in families
        for i, a in enumerate(f.args)
        if a.slice.kind == "after"
    ]
    loss_families = [f for k in losses for f in plan.blocks[k].families]
    if not all(_instant(f, clock, nodes) for f in loss_families):
        return None
    given = [a for f in (*families, *loss_families) for a in f.args if isinstance(a.slice.node, Observation)]
    rows = {a.name for a in given if a.slice.stepped or a.slice.kind == "index"}
    whole = {a.name for a in given if a.slice.kind in ("single", "all")}
    return None if rows & whole else Cut(plan, fixed, moving, losses, clock, edges, rows)


def _timed(arg) -> bool:
    return arg.slice.kind != "single" or isinstance(arg.slice.node, Sequence)


def _own_time(family, clock, nodes) -> bool:
    """One instance a row, which reads its own row, the row before, and what has no time."""
    if not family.factor.stepped or not np.array_equal(family.counts, clock.sizes):
        return False
    for arg in (*family.args, *family.outs):
        kind = arg.slice.kind
        if kind == "range":
            if arg.first != 0:
                return False
        elif kind == "after":
            edge = arg.edge.slice
            if isinstance(arg.slice.node, Observation) or edge.kind != "single" or edge.node.name in nodes:
                return False
        elif kind == "all":
            if not isinstance(arg.slice.node, Observation):
                return False
        elif kind != "single":
            return False
    return True


def _instant(family, clock, nodes) -> bool:
    """A loss of rows that have its own time, so that what it says to a row is what the loss of that time
    says.
    """
    for arg in family.args:
        if arg.name not in nodes:
            if arg.slice.kind == "index" and not isinstance(arg.slice.node, Observation):
                return False
            continue
        if family.clock != clock or arg.slice.kind not in ("range", "index"):
            return False
        if arg.slice.stepped and arg.first != family.first:
            return False
        if arg.slice.kind == "index" and (
            family.factor.stepped
            or any(arg.slice.index_row(n) != t for n, t in zip(clock.lengths, family.times, strict=True))
        ):
            return False
    return any(a.name in nodes for a in family.args) or family.clock in (None, clock)


def _slice(graph: FactorGraph, arg, edge: str | None, row: int | None):
    node = graph[arg.name]
    if edge is not None:
        return node.after(graph[edge])
    if arg.slice.kind == "index":
        return node[row]
    return {"range": lambda: node[:], "single": lambda: node, "all": lambda: node.all}[arg.slice.kind]()


def blocks_before(plan: Plan, moving: list[int]) -> tuple[list[int], list[int]]:
    """Moving blocks up to the last one that reads earlier rows, and the maps behind it, which do not."""
    last = max(
        (i for i, k in enumerate(moving) if _reads_before(plan.blocks[k])),
        default=-1,
    )
    return moving[: last + 1], moving[last + 1 :]


def _reads_before(block: Block) -> bool:
    return isinstance(block, Recurrence) or any(
        a.slice.kind == "after" for f in block.families for a in f.args
    )
