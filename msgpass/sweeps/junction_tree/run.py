"""One run of a discrete component over its clique tree, and what can be read from it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.errors import ImpossibleEvidenceError, UnavailableError
from msgpass.kernels.clique_reference import CliqueReference
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.junction_tree import paths
from msgpass.sweeps.junction_tree.evidence import impossible_evidence
from msgpass.sweeps.junction_tree.inputs import logs_of
from msgpass.sweeps.junction_tree.layout import JunctionLayout, layout_of
from msgpass.sweeps.tree import table_target


def run_junction_tree(execution, k: int, block, algebra, clamp) -> JunctionRun:
    """Messages of a discrete component; see :class:`msgpass.JunctionTree`."""
    layout = layout_of(execution.plan, k, block, execution.schedule)
    overridden = [getattr(key, "name", key) for key in execution.overridden]
    return JunctionRun(block, layout, algebra, execution.values, clamp, overridden)


class JunctionRun:
    """One run over a junction tree.

    Attributes
    ----------
    sweep : CliqueReference, SumSweep or MaxSweep
    part_totals : array (B, trees)
    """

    def __init__(self, block, layout: JunctionLayout, algebra, values, clamp, overridden):
        self.block, self.layout, self.algebra, self.values = block, layout, algebra, values
        self.clamp = clamp or {}
        self.overridden = list(overridden)
        self.ranked: tuple[np.ndarray, np.ndarray] | None = None
        self.problem: ImpossibleEvidenceError | None = None
        compiled = type(algebra) in (SumProduct, MaxProduct)
        self.sweep = self.compiled(overridden) if compiled else self.reference()

    @property
    def part_totals(self) -> np.ndarray:
        """log Z, or best score, of every tree, (B, trees)."""
        return self.sweep.totals

    @cached_property
    def total(self) -> float:
        """log Z, or the best score."""
        return float(np.sum(self.part_totals))

    @cached_property
    def families(self):
        """Tables of each family in this run."""
        return [table_instances(f, self.values) for f in self.block.families]

    def compiled(self, overridden):
        """The passes over the cliques as one compiled loop."""
        from msgpass.kernels.clique_sweep import MaxSweep, SumSweep

        layout, flat, labels = self.layout, self.layout.flat, None
        if self.clamp:
            rows = [np.arange(flat.rows[n]) + flat.first[n] for n in self.clamp]
            states = [self.labels(n, own) for n, own in self.clamp.items()]
            labels = np.concatenate(rows), np.ascontiguousarray(np.concatenate(states, axis=1), np.int64)
        maximise = type(self.algebra) is MaxProduct
        made = layout.tables.inputs(self.values, overridden, labels, not maximise)
        if maximise:
            return MaxSweep(layout.program, layout.batch, made.logs)
        return SumSweep(
            layout.program, layout.batch, made.values, made.part_shifts, made.lows, made.labelled_logs
        )

    def reference(self):
        """The passes over the cliques in NumPy, for any reduction."""
        layout, flat = self.layout, self.layout.flat
        scopes = list(flat.scopes)
        tables = [logs_of(made, layout.shape) for made in self.families]
        for name, labels in self.clamp.items():
            scopes.append(np.arange(flat.rows[name])[:, None] + flat.first[name])
            tables.append(label_logs(self.labels(name, labels), int(flat.states[flat.first[name]])))
        return CliqueReference(layout.tree, scopes, tables, self.algebra.reduce, layout.batch)

    def labels(self, name: str, labels) -> np.ndarray:
        """Clamped states of a node, (B, rows); −1 where it is free."""
        rows = self.layout.flat.rows[name]
        return np.asarray(labels).reshape(rows, self.layout.batch).T

    # -- readings ------------------------------------------------------------------------------------

    @cached_property
    def marginals(self) -> np.ndarray:
        """Normalised log marginals of all variables end to end, (B, Σ states)."""
        return self.sweep.marginals()

    def shaped(self, name: str, stacked: np.ndarray) -> np.ndarray:
        """(B, rows, …) as (T, *batch, …), or (*batch, …) of a single variable."""
        sequence = name not in self.layout.flat.singles
        if not self.layout.shape:
            return stacked[0] if sequence else stacked[0, 0]
        found = np.moveaxis(stacked, 1, 0).reshape(stacked.shape[1], *self.layout.shape, *stacked.shape[2:])
        return found if sequence else found[0]

    def read_belief(self, name: str) -> np.ndarray:
        """Normalised log marginals of a node's rows."""
        if self.total == -np.inf:
            self.impossible()
        start, end, shape = self.layout.slots[name]
        if shape is not None:
            return self.marginals[0, start:end].reshape(shape)
        own = self.marginals[:, start:end]
        return self.shaped(name, own.reshape(len(own), self.layout.flat.rows[name], -1))

    def read_factor(self, family) -> np.ndarray:
        """Normalised log beliefs of a factor's instances, (n, *batch, states…)."""
        self.impossible()
        k = self.block.families.index(family)
        known = "factor_logs" in self.__dict__
        return self.stacked(k, self.factor_logs[k] if known else self.sweep.factors(k))

    @cached_property
    def factor_logs(self) -> list[np.ndarray]:
        """Normalised log beliefs of all factors' instances, (B, n, states…) each."""
        self.impossible()
        return self.sweep.all_factors()

    def stacked(self, k: int, found: np.ndarray) -> np.ndarray:
        """(B, n, states…) of family k as (n, *batch, states…)."""
        return np.moveaxis(found, 1, 0).reshape(found.shape[1], *self.layout.shape, *found.shape[2:])

    def read_forward(self, name: str):
        """There is none."""
        raise self.undirected("forward", name)

    def read_backward(self, name: str):
        """There is none."""
        raise self.undirected("backward", name)

    def undirected(self, what: str, name: str) -> UnavailableError:
        """Messages of a junction tree run between cliques."""
        return UnavailableError(
            f"there is no {what} message of {name!r}: a junction tree passes messages between cliques, not "
            "along time; read m.belief, or m.cliques for the messages themselves"
        )

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """What arrives at parameters and at real sequences behind tables."""
        for k, made in enumerate(self.families):
            target = table_target(made, store)
            if target is not None and made.family.factor.n:
                made.add_counts(sign * self.counts(k, assignment), target)

    def counts(self, k: int, assignment=None) -> np.ndarray:
        """Expected counts of a family's instances (along the best path: one where the assignment goes)."""
        if assignment is None:
            return self.stacked(k, np.exp(self.factor_logs[k]))
        scope, layout = self.layout.flat.scopes[k], self.layout
        states = assignment[:, scope]  # (B, n, arity)
        one = np.zeros((*states.shape[:2], *layout.tree.sizes[scope[0]]))
        rows = np.ix_(*map(range, states.shape[:2]))
        one[(*rows, *np.moveaxis(states, -1, 0))] = 1
        return np.moveaxis(one, 1, 0).reshape(one.shape[1], *layout.shape, *one.shape[2:])

    def assign(self) -> np.ndarray:
        """Best assignment, (B, variables); ties go to the lowest states of each clique."""
        return self.sweep.best()

    def read_assignment(self, name: str) -> np.ndarray:
        """Best states of a node's rows."""
        return self.shaped(name, self.assigned[:, self.layout.flat.of(name)])

    @cached_property
    def assigned(self) -> np.ndarray:
        """Best assignment, (B, variables)."""
        return self.assign()

    def read_sample(self, name: str, rng: np.random.Generator, n: int) -> np.ndarray:
        """n draws of a node's states, (n, …), from the posterior over whole assignments."""
        draws = self.sweep.draw(rng, n)[..., self.layout.flat.of(name)]
        return np.stack([self.shaped(name, one) for one in draws])

    def read_k_best(self, name: str, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(scores (parts, k), states of a node in them (k, …))."""
        if self.ranked is None or self.ranked[0].shape[1] != k:
            self.ranked = paths.k_best(self, k)
        scores, states = self.ranked
        own = states[..., self.layout.flat.of(name)]
        return scores, np.stack([self.shaped(name, one) for one in own])

    def read_entropy(self, name: str) -> np.ndarray:
        """Entropy of every part."""
        return paths.entropy(self)

    def impossible(self) -> None:
        """Raise where the evidence has probability zero."""
        if self.total == -np.inf:
            if self.problem is None:
                self.problem = impossible_evidence(self)
            raise self.problem


def label_logs(labels: np.ndarray, states: int) -> np.ndarray:
    """0 at the label, −∞ elsewhere; zeros where there is none."""
    free = labels[..., None] < 0
    return np.where(free | (labels[..., None] == np.arange(states)), 0.0, -np.inf)
