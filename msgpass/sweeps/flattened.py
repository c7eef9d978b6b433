"""A component as numbers: every row of its sequences a variable, every instance of its factors a scope.

This is what schedules that know no time run on. Nothing here loops over rows or instances, so that graphs of
10⁶ factors are laid out in well under a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msgpass.nodes import Sequence
from msgpass.plan import latent
from msgpass.plan.blocks import Block
from msgpass.sweeps.rows import instance_numbers


@dataclass(frozen=True, eq=False)
class Flat:
    """Variables 0, 1, … of a component and the scopes of its factors.

    Attributes
    ----------
    first : dict of str to int
        Number of the first row of each node; a row's number is ``first[name] + row``.
    rows : dict of str to int
        Rows of each node: 1 for a single variable.
    states : array of int, (n,)
        States of each variable; its size in a Gaussian component.
    scopes : tuple of arrays of int, (instances, arity)
        Of each family: the variables of every instance, in the order of the family's latent arguments.
    """

    first: dict[str, int]
    rows: dict[str, int]
    states: np.ndarray
    scopes: tuple[np.ndarray, ...]
    singles: frozenset[str]

    def __len__(self) -> int:
        return len(self.states)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Nodes in the order of their variables."""
        return tuple(self.first)

    @cached_property
    def starts(self) -> np.ndarray:
        """First variable of each node, and the number of all."""
        return np.array([*self.first.values(), len(self.states)], np.int64)

    def owner(self, v: int) -> tuple[str, int]:
        """(name, row) of a variable; row −1 is a single one."""
        name = self.names[int(np.searchsorted(self.starts, v, side="right")) - 1]
        return name, -1 if name in self.singles else int(v) - self.first[name]

    def label(self, v: int) -> str:
        """How a variable is called in the unrolled graph."""
        name, row = self.owner(v)
        return name if row < 0 else f"{name}[{row}]"

    def of(self, name: str) -> slice:
        """Variables of a node."""
        return slice(self.first[name], self.first[name] + self.rows[name])


def flatten(block: Block) -> Flat:
    """Number the variables of a component, and its factors' scopes."""
    nodes = block.families[0].factor.graph.nodes
    first, rows, states, singles, total = {}, {}, [], set(), 0
    for name in block.nodes:
        node = nodes[name]
        sequence = isinstance(node, Sequence)
        first[name], rows[name] = total, node.clock.total if sequence else 1
        total += rows[name]
        states.append(np.full(rows[name], node.states if node.discrete else node.size, np.int64))
        if not sequence:
            singles.add(name)
    scopes = []
    for family in block.families:
        free = [a for a in (*family.args, *family.outs) if latent(a) and a.name in first]
        scope = np.empty((family.factor.n, len(free)), np.int64)
        for k, arg in enumerate(free):
            scope[:, k] = first[arg.name] + (0 if arg.rows is None else instance_numbers(family, arg))
        scopes.append(scope)
    return Flat(first, rows, np.concatenate(states), tuple(scopes), frozenset(singles))


def flat_of(plan, k: int, block: Block) -> Flat:
    """Made once a plan."""
    made = plan.cache.get(("flat", k))
    if made is None:
        made = plan.cache["flat", k] = flatten(block)
    return made
