"""A long factor with structure as a chain of small tables, for exact schedules.

Its hidden states become variables of their own, one sequence a link with a row for each instance. Nothing is
approximate: over hidden states, it adds up to the factor (:mod:`~msgpass.kernels.structured_reference`).
A parity check over 200 bits is 200 tables of 8 entries in place of one of 2²⁰⁰. A chain on a tree is a tree.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from msgpass.algebra import SumProduct
from msgpass.errors import UnavailableError
from msgpass.graph import Factor
from msgpass.kernels.chain_reference import log_sum_exp
from msgpass.nodes import Clock, Picked, Sequence, Slice
from msgpass.plan import Arg, Family, Tree, latent
from msgpass.potentials import Structured
from msgpass.potentials.base import Potential
from msgpass.sweeps.structured_instances import StructuredInstances
from msgpass.sweeps.table_instances import TableInstances

WHOLE = 1 << 8
"""Entries up to which a factor stays one table."""


class Link(Potential):
    """One link of a factor's chain; ``axes`` are those of its table (h, x, h') that are variables here."""

    def __init__(self, family: Family, i: int, axes: tuple[int, ...]):
        self.whole, self.i, self.axes, self.parts = family, i, axes, family.potential.parts

    def stepped(self, factor) -> bool:
        """One table an instance."""
        return True


class LinkInstances(TableInstances):
    """The tables of one link in one run."""

    def __init__(self, family: Family, values):
        self.family, link = family, family.potential
        self.whole = StructuredInstances(link.whole, values)
        self.link, self.i, self.axes = link, link.i, link.axes
        self.states, self.batch, self.observed, self.stepped = family.table_layout
        self.has_batch = False
        made, arity = self.whole, len(self.whole.states)
        table = made.potential.links(arity, made.parts, made.states[0])[self.i]
        if self.i in made.observed:
            table = table + made.seen[:, made.observed.index(self.i), None, :, None]
        self.joint = np.broadcast_to(table, (family.factor.n, *table.shape[1:]))
        summed = self.joint if 1 in self.axes else log_sum_exp(self.joint, 2)[:, :, None]
        self.array = self.extended = summed.reshape(family.factor.n, *self.states)

    def target(self, store):
        """Where counts of the table go; None where no part is a parameter."""
        return self.whole.target(store)

    def add_counts(self, weights: np.ndarray, target, chosen=None) -> None:
        """Add what expected counts say of the whole factor's parts."""
        made, full = self.whole, np.zeros(self.joint.shape)
        own = weights.reshape(-1, *(s if a in self.axes else 1 for a, s in enumerate(self.joint.shape[1:])))
        rows = slice(None) if chosen is None else chosen
        if 1 not in self.axes:  # an observed state has all, those of a missing one share by weight
            joint = self.joint[rows]
            top = log_sum_exp(joint, 2)[:, :, None]
            own = own * np.exp(joint - np.where(top == -np.inf, 0.0, top))
        full[rows] = own
        made.add(target, made.potential.link_gradients(self.i, len(made.states), full, made.parts), 1.0)


def chained(plan, k: int, block, algebra, values) -> tuple[Any, Tree]:
    """(number, block) with long factors written as chains; what came where there are none.

    Missing observations are summed out within a link, which is no maximum: other algebras refuse them.
    """
    if not isinstance(block, Tree) or block.gaussian:
        return k, block
    summed = type(algebra) is SumProduct
    key = ("chained", k, summed)
    if key not in plan.cache:
        long = [f for f in block.families if _long(f) and (summed or f.potential.deterministic)]
        plan.cache[key] = _chain(plan.graph, block, long) if long else None
    made = plan.cache[key]
    if made is not None and not summed:
        for family in made.families:
            if isinstance(family.potential, Link) and family.potential.i == 0:
                StructuredInstances(family.potential.whole, values).refuse_missing()
    return (k, block) if made is None else (key, made)


def whole(family: Family) -> Family:
    """The factor that a link of a chain belongs to; others are whole."""
    return family.potential.whole if isinstance(family.potential, Link) else family


def shown(block) -> list[str]:
    """A component's variables without hidden states of chains."""
    nodes = whole(block.families[0]).factor.graph.nodes
    return [name for name in block.nodes if name in nodes]


def _long(family: Family) -> bool:
    return isinstance(family.potential, Structured) and (
        float(family.args[0].slice.node.states) ** len(family.args) > WHOLE
    )


def _chain(graph, block: Tree, long: list[Family]) -> Tree:
    shadow = SimpleNamespace(nodes=dict(graph.nodes), state_names=graph.state_names)
    links: list[Family] = []
    hidden: list[str] = []
    for family in long:
        n, arity = family.factor.n, len(family.args)
        sizes = _hidden_states(family)
        made = []
        for i in range(arity - 1):
            name = f"{family.name} hidden {i}"
            while name in shadow.nodes:
                name += "'"
            node = Sequence(shadow, name, Clock((n,)), (), sizes[i])
            shadow.nodes[name] = node
            rows = np.arange(n)
            made.append(Arg(Slice(node, "pick", Picked(rows)), node.clock, rows, 0))
        hidden += [arg.name for arg in made]
        for i, arg in enumerate(family.args):
            around = (
                made[i - 1] if i else None,
                arg if latent(arg) else None,
                made[i] if i < arity - 1 else None,
            )
            axes = tuple(a for a, found in enumerate(around) if found is not None)
            args = tuple(a for a in around if a is not None)
            potential, slices = Link(family, i, axes), tuple(a.slice for a in args)
            factor = Factor(
                shadow, f"{family.name} link {i}", potential, slices, (), family.clock, family.counts
            )
            links.append(Family(factor, args, (), family.clock, family.counts, family.first))
    rest = tuple(f for f in block.families if f not in long)
    return Tree((*links, *rest), (*block.nodes, *hidden))


def _hidden_states(family: Family) -> list[int]:
    """Sizes of the hidden states between the links."""
    potential, arity = family.potential, len(family.args)
    found = potential.links(arity, potential.arrays(), family.args[0].slice.node.states)
    return [link.shape[3] for link in found[:-1]]


def refuse_long(run, family: Family) -> None:
    """Raise where a belief is asked for of a factor that runs as a chain."""
    block = getattr(run, "block", None)
    if block is not None and family not in block.families and isinstance(family.potential, Structured):
        raise UnavailableError(
            f"the joint belief of {family.name!r} would be a table of "
            f"{family.args[0].slice.node.states}^{len(family.args)} entries; read those of its variables"
        )
