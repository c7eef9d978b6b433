"""What a component's junction tree looks like, made once a plan: it depends on scopes and sizes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.elimination import CliqueTree, clique_tree
from msgpass.errors import GraphError, TreewidthError
from msgpass.kernels.clique_program import CliqueProgram
from msgpass.sweeps.flattened import Flat, flat_of
from msgpass.sweeps.junction_tree.inputs import Tables


@dataclass(frozen=True, eq=False)
class JunctionLayout:
    """A component's clique tree and what runs over it use again; ``shape`` is that of an aligned batch."""

    plan: Any
    block: Any
    flat: Flat
    tree: CliqueTree
    shape: tuple[int, ...]

    @cached_property
    def state_starts(self) -> np.ndarray:
        """Where each variable's states begin among those of all, and the end."""
        return np.concatenate([[0], np.cumsum(self.flat.states)])

    @cached_property
    def slots(self) -> dict[str, tuple[int, int, tuple[int, ...] | None]]:
        """Of each node the start and end of its states, and the shape of its marginals where there is no
        batch. A network's marginals are read one by one: slicing is all that is left to do then."""
        found: dict[str, tuple[int, int, tuple[int, ...] | None]] = {}
        for name in self.flat.first:
            rows = self.flat.of(name)
            start, end = map(int, self.state_starts[[rows.start, rows.stop]])
            own = (-1,) if name in self.flat.singles else (self.flat.rows[name], -1)
            found[name] = start, end, None if self.shape else own
        return found

    @cached_property
    def batch(self) -> int:
        """Members of an aligned batch, 1 without."""
        return int(np.prod(self.shape, dtype=np.int64))

    @cached_property
    def program(self) -> CliqueProgram:
        """What compiled sweeps run down."""
        return CliqueProgram.of(self.tree, self.flat.scopes)

    @cached_property
    def tables(self) -> Tables:
        """The program's inputs, run after run."""
        return Tables(self.plan, self.block, self.program)


def layout_of(plan, k: int, block, schedule) -> JunctionLayout:
    """Made once a plan and schedule."""
    key = ("junction tree", k, schedule)
    made = plan.cache.get(key)
    if made is None:
        flat = flat_of(plan, k, block)
        tree = _tree(flat, schedule)
        node = plan.graph.nodes[block.nodes[0]]
        made = plan.cache[key] = JunctionLayout(plan, block, flat, tree, node.shape)
        plan.cache["how", k] = (
            f"junction tree of {len(tree)} cliques, width {tree.width}, largest table {int(tree.largest)}"
        )
    return made


def _tree(flat: Flat, schedule) -> CliqueTree:
    order = schedule.order
    if not isinstance(order, str):
        order = _numbers(flat, order)
    try:
        return clique_tree(flat.scopes, flat.states, order, schedule.max_size, schedule.tries, schedule.seed)
    except TreewidthError as problem:
        raise named(problem, flat, schedule.max_size, f"exact inference by {schedule!r}") from None


def named(problem: TreewidthError, flat: Flat, max_size: int, what: str) -> TreewidthError:
    """The error with the names of its variables, and the ways out."""
    names = [flat.label(v) for v in problem.clique]
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return TreewidthError(
        f"{what} needs a clique of {len(names)} variables (width {problem.width}) whose table has "
        f"{problem.size:.4g} entries, more than max_size={max_size}: {shown}. Observe some of these "
        'variables in the graph, try order="best" or your own order, raise max_size (8 bytes an entry), '
        "or run Flooding(), which is approximate",
        problem.width,
        problem.size,
        names,
    )


def _numbers(flat: Flat, order) -> list[int]:
    """Variables of an order that is given by nodes and rows."""
    found: list[int] = []
    for entry in order:
        name, row = entry if isinstance(entry, tuple) else (entry, None)
        if name not in flat.first:
            continue  # of another component
        rows = range(flat.rows[name]) if row is None else (row,)
        if row is not None and not 0 <= row < flat.rows[name]:
            raise GraphError(f"JunctionTree: the order names {name}[{row}], which has {flat.rows[name]} rows")
        found += [flat.first[name] + r for r in rows]
    missing = sorted(set(range(len(flat))) - set(found))
    if missing or len(found) != len(set(found)):
        what = f"{flat.label(missing[0])} is missing" if missing else "a variable comes twice"
        raise GraphError(f"JunctionTree: an order names every variable once; {what}")
    return found
