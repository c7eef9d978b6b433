"""One run of a sliced component, and what can be read from it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.errors import ImpossibleEvidenceError
from msgpass.nodes import Sequence
from msgpass.sweeps.contradictions import refuse_contradicted
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.interface import paths
from msgpass.sweeps.interface.layout import InterfaceLayout, interface_layout
from msgpass.sweeps.interface.sweep import make_sweep
from msgpass.sweeps.interface.tables import gathered, label_logs
from msgpass.sweeps.table_instances import TableInstances
from msgpass.sweeps.tree import table_target


def run_interface(execution, k: int, block, algebra, clamp) -> InterfaceRun | None:
    """Messages of a component slice by slice; None where it is not sliced."""
    layout = interface_layout(execution.plan, k, block, execution.schedule, tuple(clamp or ()))
    return None if layout is None else InterfaceRun(block, layout, algebra, execution.values, clamp)


class InterfaceRun:
    """One run from slice to slice.

    ``total`` needs the messages that run forward; what runs backward is computed when something asks for it.
    """

    def __init__(self, block, layout: InterfaceLayout, algebra, values, clamp):
        self.block, self.layout, self.algebra, self.values = block, layout, algebra, values
        self.clamp = clamp or {}
        self.families = [table_instances(f, values) for f in block.families]
        self.tables = gathered(layout, self.families, layout.labelled, self.label_logs)
        self.sweep = make_sweep(layout, self.tables, algebra)
        self.total = float(self.part_totals.sum())
        self.ranked: tuple[np.ndarray, np.ndarray] | None = None

    def label_logs(self, name: str) -> np.ndarray:
        """Tables of a labelled node, (B, rows, states)."""
        rows = self.layout.flat.rows[name]
        labels = np.asarray(self.clamp[name]).reshape(rows, self.layout.batch).T
        return label_logs(labels, self.node(name).states)

    @cached_property
    def part_totals(self) -> np.ndarray:
        """log Z (or best score) of each independent part, (B, parts)."""
        ends = np.flatnonzero(self.layout.slices.closed)
        starts = np.concatenate([[0], ends[:-1] + 1])
        return np.add.reduceat(self.sweep.scale, starts, axis=1)

    def node(self, name: str):
        """Graph node."""
        return self.block.families[0].factor.graph.nodes[name]

    def shaped(self, name: str, stacked: np.ndarray) -> np.ndarray:
        """(B, rows, …) as (T, *batch, …), or (*batch, …) of a single variable."""
        found = np.moveaxis(stacked, 1, 0).reshape(stacked.shape[1], *self.layout.shape, *stacked.shape[2:])
        return found if isinstance(self.node(name), Sequence) else found[0]

    def logs(self, name: str, local: bool = False) -> np.ndarray:
        """Log beliefs of a node's rows, (B, rows, states), normalised; ``local``: without later slices."""
        layout = self.layout
        sink = len(layout.sliced.scopes) + layout.sliced.nodes.index(name)
        return self.sweep.read(sink, layout.flat.rows[name], local)

    # -- readings ------------------------------------------------------------------------------------

    def read_belief(self, name: str) -> np.ndarray:
        """Normalised log marginals of a node's rows."""
        self.impossible()
        return self.shaped(name, self.logs(name))

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where sequences begin, and the end; variables without rows make one of all."""
        singles = self.layout.sliced.singles
        clock = next(n.clock for n in map(self.node, self.block.nodes) if isinstance(n, Sequence))
        return np.array([0, clock.total]) if singles else clock.offsets

    @cached_property
    def totals_so_far(self) -> np.ndarray:
        """What slices up to each one say in all, (B, rows), within each sequence."""
        parts = np.split(self.sweep.scale, self.offsets[1:-1], axis=1)
        return np.concatenate([np.cumsum(part, axis=1) for part in parts], axis=1)

    def read_forward(self, name: str) -> np.ndarray:
        """What slices up to and including its own say of each row: log ⊕ over everything else."""
        logs = self.logs(name, local=True)
        return self.shaped(name, logs + self.totals_so_far[:, : logs.shape[1], None])

    def read_backward(self, name: str) -> np.ndarray:
        """What later slices say of each row given those up to its own."""
        self.impossible()
        forward = self.logs(name, local=True) + self.totals_so_far[:, :, None]
        ends = np.repeat(self.offsets[1:] - 1, np.diff(self.offsets))
        both = self.logs(name) + self.totals_so_far[:, ends, None]
        with np.errstate(invalid="ignore"):
            return self.shaped(name, np.where(np.isfinite(forward), both - forward, 0.0))

    def read_factor(self, family) -> np.ndarray:
        """Normalised log beliefs of a factor's instances, (n, *batch, states…)."""
        self.impossible()
        k, n = self.block.families.index(family), family.factor.n
        states = self.layout.scope_sizes(k)
        found = self.sweep.read(k, n) if n else np.zeros((self.layout.batch, 0, *states))
        return np.moveaxis(found, 1, 0).reshape(n, *self.layout.shape, *states)

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """What arrives at parameters and at real sequences behind tables."""
        wanted = {
            k: target
            for k, made in enumerate(self.families)
            if made.family.factor.n and (target := table_target(made, store)) is not None
        }
        found = self.numbers(wanted) if assignment is None else None
        for k, target in wanted.items():
            made, states = self.families[k], self.layout.scope_sizes(k)
            if found is None:
                made.add_counts(sign * self.counts(k, assignment), target)
            elif k in self.shared:
                own = sign * found[k][:, 0]
                target += (
                    own.reshape(*self.layout.shape, *states)
                    if made.has_batch
                    else own.sum(axis=0).reshape(states)
                )
            else:
                own = np.moveaxis(found[k], 1, 0).reshape(-1, *self.layout.shape, *states)
                made.add_counts(sign * own, target)

    @cached_property
    def shared(self) -> frozenset[int]:
        """Families whose instances share one table, so that their counts are added up on the way."""
        return frozenset(
            k
            for k, made in enumerate(self.families)
            if type(made) is TableInstances and not (made.observed or made.stepped)
        )

    def numbers(self, wanted) -> dict[int, np.ndarray] | None:
        """Expected counts of families in one pass; None where the sweep has logarithms only."""
        if not wanted or getattr(self.sweep, "in_logs", True):
            return None
        self.impossible()
        return self.sweep.numbers({k: self.families[k].family.factor.n for k in wanted}, shared=self.shared)

    def counts(self, k: int, assignment=None) -> np.ndarray:
        """Expected counts of a family's instances (along the best assignment: one where it goes)."""
        if assignment is None:
            return np.exp(self.read_factor(self.block.families[k]))
        states = assignment[:, self.layout.flat.scopes[k]]  # (B, n, arity)
        one = np.zeros((*states.shape[:2], *self.layout.scope_sizes(k)))
        rows = np.ix_(*map(range, states.shape[:2]))
        one[(*rows, *np.moveaxis(states, -1, 0))] = 1
        return np.moveaxis(one, 1, 0).reshape(one.shape[1], *self.layout.shape, *one.shape[2:])

    # -- whole assignments -----------------------------------------------------------------------------

    def assign(self) -> np.ndarray:
        """Best assignment, (B, variables)."""
        states = np.zeros((self.layout.batch, 1, len(self.layout.flat)), np.int64)
        self.sweep.decide(states, self.layout.firsts)
        return states[:, 0]

    def read_assignment(self, name: str) -> np.ndarray:
        """Best states of a node's rows."""
        if "assigned" not in self.__dict__:
            self.assigned = self.assign()
        return self.shaped(name, self.assigned[:, self.layout.flat.of(name)])

    def read_totals(self, name: str) -> np.ndarray:
        """Total of every part, (parts,)."""
        return paths.totals(self)

    def read_sample(self, name: str, rng: np.random.Generator, n: int) -> np.ndarray:
        """n draws of a node's rows, (n, …); one seed draws all nodes together."""
        states = paths.draws(self, rng, n)[..., self.layout.flat.of(name)]
        return np.stack([self.shaped(name, own) for own in states])

    def read_k_best(self, name: str, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(scores (parts, k), states of a node (k, …))."""
        if self.ranked is None or self.ranked[0].shape[-1] < k:
            self.ranked = paths.k_best(self, k)
        scores, states = self.ranked
        states = states[:k, :, self.layout.flat.of(name)]
        return scores[:, :k], np.stack([self.shaped(name, own) for own in states])

    def read_entropy(self, name: str) -> np.ndarray:
        """Entropy of every part, (parts,)."""
        return paths.entropy(self)

    def impossible(self) -> None:
        """Raise where the evidence has probability zero, naming the first impossible slice."""
        if self.total > -np.inf:
            return
        refuse_contradicted(self.block, self.values, self.clamp)
        step = int(np.argwhere(np.isneginf(self.sweep.scale))[:, 1].min())
        raise ImpossibleEvidenceError(
            f"the evidence on {', '.join(self.block.nodes[:4])} has probability zero, so that no posterior "
            f"exists: what slices up to row {step} say is impossible; look for −∞ in the tables there",
            step,
        )
