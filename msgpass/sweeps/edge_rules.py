"""Rules of :class:`msgpass.OnEdges`, found in a plan, and applied to stacks of messages."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.algebra.on_edges import OnEdges, TimeEdge
from msgpass.algebra.rules.base import Place, Rule
from msgpass.algebra.rules.then import Then
from msgpass.errors import GraphError, ShapeError, UnavailableError, UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence
from msgpass.plan import Losses, Map, Recurrence, noisy
from msgpass.potentials import Loss
from msgpass.sweeps.instance_vjps import shared_messages
from msgpass.sweeps.real import lagged, loss_messages, present_instances, spread_rows
from msgpass.sweeps.rows import per_instance, read, rows_of


def rules_of(plan, algebras, schedule) -> EdgeRules | None:
    """The rules of a run, or None."""
    wrapped = list({id(a): a for a in algebras if isinstance(a, OnEdges)}.values())
    rules = [(key, rule) for a in wrapped for key, rule in a.rules.items()]
    if not rules:
        return None
    if schedule.windowed:
        raise UnsupportedError(
            f"{schedule!r} adds up messages of several windows, each of which a rule would see alone; run "
            "OnEdges under Sequential(), with Truncate(k) as a rule on the time edges"
        )
    made = EdgeRules(plan)
    for key, rule in rules:
        made.add(key, rule)
    return made


class EdgeRules:
    """Rules by variable, and by factor and position among its inputs."""

    def __init__(self, plan):
        self.plan = plan
        self.nodes: dict[str, Rule] = {}
        self.edges: dict[tuple[str, int], Rule] = {}

    # -- finding places ----------------------------------------------------------------------------------

    def add(self, key, rule: Rule) -> None:
        """Register a rule; several of one place act one after another."""
        if isinstance(key, TimeEdge):
            self._known(key.variable)
            places: list[Any] = [
                (f.name, k)
                for b in self.plan.blocks
                if isinstance(b, Map | Recurrence)
                for f in b.families
                for k, a in enumerate(f.args)
                if a.name == key.variable and lagged(f, a)
            ]
            if not places:
                raise UnavailableError(
                    f"no later slice speaks to {key.variable!r}, so it has no time edge; name the variable, "
                    "or an edge as (factor, variable)"
                )
        elif isinstance(key, tuple):
            places = self._edge(*key)
        else:
            self._known(key)
            places = [key]
        for place in places:
            where: dict = self.edges if isinstance(place, tuple) else self.nodes
            where[place] = Then(where[place], rule) if place in where else rule

    def _known(self, name) -> None:
        node = self.plan.graph.nodes.get(name)
        if node is None:
            raise UnavailableError(
                f"OnEdges has a rule for {name!r}, which the graph does not; it has "
                f"{', '.join(self.plan.graph.nodes)}, and edges as (factor, variable)"
            )
        block = self.plan.owner.get(name)
        if node.discrete or not (block is None or isinstance(block, Map | Recurrence)):
            kind = "discrete" if node.discrete else "Gaussian"
            raise UnsupportedError(
                f"OnEdges has a rule for {name!r}, which is {kind}: its messages are no cotangents; rules "
                "act at real variables that steps compute, at parameters and at real observations"
            )

    def _edge(self, factor: str, name: str) -> list[tuple[str, int]]:
        found = next(
            ((b, f) for b in self.plan.blocks for f in b.families if f.name == factor),
            None,
        )
        if found is None:
            raise UnavailableError(
                f"OnEdges has a rule for the edge ({factor!r}, {name!r}), but the graph has no factor "
                f"{factor!r}; it has {', '.join(self.plan.graph.factors)}"
            )
        self._known(name)
        block, family = found
        if not isinstance(block, Map | Recurrence | Losses) or noisy(family):
            raise UnsupportedError(
                f"OnEdges has a rule for the edge ({factor!r}, {name!r}), but {factor!r} is part of a "
                f"component whose factors speak together; give the rule to the variable {name!r}"
            )
        places = [(factor, k) for k, a in enumerate(family.args) if a.name == name]
        if places:
            return places
        if any(o.name == name for o in family.outs):
            raise GraphError(
                f"OnEdges: {factor!r} computes {name!r}, so what it says there is a value; the message that "
                f"{name!r} passes back to it has the place {name!r}"
            )
        start = next((a for a in family.args if a.edge is not None and a.edge.name == name), None)
        if start is not None:
            raise GraphError(
                f"OnEdges: {factor!r} reads {name!r} as the start of {start.name!r}; name the edge "
                f"({factor!r}, {start.name!r}), or the variable {name!r}"
            )
        raise GraphError(
            f"OnEdges: {factor!r} and {name!r} are not neighbours; {factor!r} reads "
            f"{', '.join(dict.fromkeys(a.name for a in family.args))}"
        )

    def touches(self, block) -> bool:
        """A rule acts where a block is crossed backward."""
        return any(n in self.nodes for n in block.nodes) or any(
            (f.name, k) in self.edges for f in block.families for k in range(len(f.args))
        )

    # -- applying ----------------------------------------------------------------------------------------

    def at_rows(self, name: str, message, times, value) -> np.ndarray:
        """What a variable passes on, of messages (n, *row) that arrive at some of its rows."""
        rule = self.nodes.get(name)
        return message if rule is None else self._apply(rule, name, message, times, value)

    def on_edge(self, family, k: int, message, times, value) -> np.ndarray:
        """What n instances say to input k, (n, *row), or (n, T, *row) where each of them reads all rows."""
        rule = self.edges.get((family.name, k))
        if rule is None:
            return message
        arg = family.args[k]
        message = np.asarray(message)
        if arg.slice.kind != "all":
            return self._apply(rule, arg.name, message, times, value)
        n, rows = message.shape[:2]

        def every():
            one = np.asarray(value())
            return np.broadcast_to(one, (n, *one.shape)).reshape(-1, *one.shape[1:])

        flat = message.reshape(n * rows, *message.shape[2:])
        return self._apply(rule, arg.name, flat, np.tile(np.arange(rows), n), every).reshape(message.shape)

    def _apply(self, rule: Rule, name: str, message, times, value) -> np.ndarray:
        message = np.asarray(message)
        node = self.plan.graph.nodes[name]
        leading = 1 if isinstance(node, Parameter) else 1 + max(message.ndim - 2, 0)
        found = np.asarray(rule(message, Place(np.asarray(times), leading, value)))
        if found.shape != message.shape:
            raise ShapeError(
                f"{rule!r} at {name!r} returned messages of shape {found.shape}, wanted {message.shape}"
            )
        return found.astype(message.dtype, copy=False)

    def stacked(self, family, k: int, message, values, chosen=None) -> np.ndarray:
        """The edge's rule on messages of (chosen) instances that have rows of their own."""
        arg = family.args[k]
        if (family.name, k) not in self.edges or not per_instance(family, arg):
            return message  # of a shared input the instances' messages went through the rule one by one
        times = local_times(family, arg)
        times = times if chosen is None else times[chosen]
        return self.on_edge(family, k, message, times, lambda: read(family, arg, values, chosen))

    def shared(self, family, found: list, inputs, stacked, cotangents) -> list:
        """``found`` with the messages at shared inputs that have a rule: each instance's through it, then
        their sum."""
        found = list(found)
        for k, s in enumerate(stacked):
            if s or (family.name, k) not in self.edges or found[k] is None:
                continue
            if family.counts is None and not any(stacked):
                messages, n = np.asarray(found[k])[None], 1
            else:
                n = len(cotangents[0])
                messages = shared_messages(family, inputs, stacked, cotangents, n, k)
            found[k] = self.shared_sum(family, k, messages, inputs[k])
        return found

    def shared_sum(self, family, k: int, messages: np.ndarray, value) -> np.ndarray:
        """Sum of the instances' messages at a shared input, each through the edge's rule."""
        arg, n = family.args[k], len(messages)
        times = np.full(n, local_times(family, arg)[0])
        whole = arg.slice.kind == "all"

        def values():
            return value if whole else np.broadcast_to(value, (n, *np.shape(value)))

        return self.on_edge(family, k, messages, times, values).sum(axis=0)

    def of_instance(self, family, j: int, found: list, values) -> list:
        """What one instance says to each of its inputs, through its edges' rules."""
        found = list(found)
        if isinstance(family.potential, Loss):
            inputs = [read(family, a, values) for a in family.args]
            stacked = [per_instance(family, a) for a in family.args]
            if not np.ravel(present_instances(family, inputs, stacked, values))[j if any(stacked) else 0]:
                return found
        for k, arg in enumerate(family.args):
            if (family.name, k) not in self.edges:
                continue
            own = per_instance(family, arg)
            times = local_times(family, arg)[j : j + 1]

            def value(arg=arg, own=own):
                one = read(family, arg, values, slice(j, j + 1)) if own else read(family, arg, values)
                return one if own or arg.slice.kind == "all" else one[None]

            found[k] = self.on_edge(family, k, np.asarray(found[k])[None], times, value)[0]
        return found

    def of_loss(self, block, grads: list, values) -> list:
        """A loss's gradients through the rules of its edges; a missing observation says nothing."""
        family = block.families[0]
        if not any(name == family.name for name, _ in self.edges):
            return grads
        grads = list(grads)
        inputs = [read(family, a, values) for a in family.args]
        stacked = [per_instance(family, a) for a in family.args]
        present = np.broadcast_to(
            present_instances(family, inputs, stacked, values),
            family.factor.n if family.counts is not None else 1,
        )
        chosen = np.flatnonzero(present)
        for k in range(len(family.args)):
            if (family.name, k) not in self.edges or grads[k] is None:
                continue
            if stacked[k]:
                through = self.stacked(family, k, grads[k][chosen], values, chosen)
                grads[k] = spread_rows(through, present)
            else:
                messages = np.stack([loss_messages(block, values, int(j))[k] for j in chosen])
                grads[k] = self.shared_sum(family, k, messages, inputs[k])
        return grads

    def computed(self, family, store) -> None:
        """The rules of variables that a map computes, at the rows that this family does."""
        for out in family.outs:
            if out.name not in self.nodes:
                continue
            if out.rows is None:
                self.pass_on(store, [out.name])
                continue
            rows, value = rows_of(family, out), store.values_of[out.name]
            message = store.complete(out.name)
            found = self.at_rows(
                out.name, message[rows], local_times(family, out), lambda v=value, r=rows: v[r]
            )
            store[out.name][rows] = found

    def pass_on(self, store, names) -> None:
        """The rules of whole variables, once everything has arrived."""
        for name in names:
            if name not in self.nodes:
                continue
            message, value = store.complete(name), np.asarray(store.values_of[name])
            times = self._row_times(name, len(message) if message.ndim else 1)
            if times is None:
                store[name] = self.at_rows(name, message[None], np.zeros(1, int), lambda v=value: v[None])[0]
            else:
                store[name] = self.at_rows(name, message, times, lambda v=value: v)

    def _row_times(self, name: str, rows: int) -> np.ndarray | None:
        """Local time of every row of a variable; None where it is one row."""
        node = self.plan.graph.nodes[name]
        if isinstance(node, Sequence):
            return _times_on(node.clock)
        if not isinstance(node, Observation):
            return None
        families = [f for b in self.plan.blocks for f in b.families]
        read_so = [a for f in families for a in f.args if a.name == name and a.slice.kind != "single"]
        if not read_so:
            return None
        clock = next((a.clock for a in read_so if a.clock is not None and a.clock.total == rows), None)
        return np.arange(rows) if clock is None else _times_on(clock)


def _times_on(clock) -> np.ndarray:
    return np.concatenate([np.arange(n) for n in clock.lengths])


def local_times(family, arg) -> np.ndarray:
    """Row within its sequence that each instance reads; −1 or T at a start, 0 for a single variable."""
    n = family.factor.n
    if arg.rows is None:
        return np.zeros(n, int)
    if arg.slice.kind == "index":
        own = np.array([arg.slice.index_row(length) for length in arg.clock.lengths])
        if len(own) == 1:
            return np.full(n, own[0])
        return np.repeat(own, family.counts) if family.factor.stepped else own
    return arg.first + family.times - family.first
