"""One run of loopy belief propagation over a discrete component, and what can be read from it.

``total`` is Bethe's approximation, with ⊕ the algebra's reduction,

    log Z ≈ Σ_i ⊕ B_i + Σ_a ⊕ (θ_a + Σ_i q_{i→a}) − Σ_{(a,i)} ⊕ (q_{i→a} + m_{a→i}),

exact on trees; its gradient at a fixed point is what arrives at parameters (Yedidia, Freeman and Weiss 2005).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.errors import ConvergenceWarning, ImpossibleEvidenceError, UnavailableError, UnsupportedError
from msgpass.kernels import flooding
from msgpass.kernels import flooding_reference as reference
from msgpass.kernels.structured_reference import table_joint
from msgpass.sweeps.flooding.convergence import Convergence
from msgpass.sweeps.flooding.layout import FloodingLayout, layout_of
from msgpass.sweeps.flooding.tables import instances_of, problem_of, structured
from msgpass.sweeps.tree import table_target


def run_flooding(execution, k: int, block, algebra, clamp) -> FloodingRun:
    """Messages of a discrete component; see :class:`msgpass.Flooding`."""
    layout = layout_of(execution.plan, k, block)
    return FloodingRun(block, layout, algebra, execution.values, clamp, execution.schedule)


@dataclass(frozen=True, eq=False)
class Directed:
    """Structured instances under one algebra."""

    made: Any
    maximise: bool

    def log_messages(self, incoming: np.ndarray) -> np.ndarray:
        """Log messages to the variables."""
        return self.made.log_messages(incoming, self.maximise)

    def log_partition(self, incoming: np.ndarray) -> np.ndarray:
        """⊕ of everything at a factor."""
        return self.made.log_partition(incoming, self.maximise)


class FloodingRun:
    """One run over a component with loops.

    Attributes
    ----------
    total : float
        Bethe's approximation of log Z, or of the best score.
    convergence : Convergence
    """

    def __init__(self, block, layout: FloodingLayout, algebra, values, clamp, schedule):
        self.block, self.layout, self.algebra, self.values = block, layout, algebra, values
        self.schedule, self.maximise = schedule, isinstance(algebra, MaxProduct)
        self.families = [instances_of(f, values) for f in block.families]
        self._refuse_algebra()
        ones = [np.ones(len(s)) for s in layout.scopes]
        problem = problem_of(block, layout, self.families, clamp or {}, 1.0, ones)
        self.problem = self._directed(problem)
        self.messages, progress = flooding.run(
            self.problem, self._order(), schedule.damping, schedule.tol, schedule.max_iter,
            self.problem.unit(), algebra.reduce,
        )  # fmt: skip
        self.contradicted = progress.impossible
        self.convergence = Convergence(
            progress.converged, len(progress.history), progress.history, progress.updates, schedule.tol
        )
        if not progress.converged and not progress.impossible:
            warnings.warn(
                f"{schedule!r} {self.convergence} at {', '.join(block.nodes[:3])}: messages are where the "
                "last iteration left them. Try damping=0.5 or more iterations; JunctionTree() is exact",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _refuse_algebra(self) -> None:
        odd = next((m for m in self.families if structured(m.family.potential)), None)
        if odd is not None and type(self.algebra) not in (SumProduct, MaxProduct):
            raise UnsupportedError(
                f"factor {odd.family.name!r} has messages under SumProduct() and MaxProduct(), not under "
                f"{self.algebra.name}; relate its variables with a Table"
            )

    def _directed(self, problem):
        groups = [
            g if g.structured is None else reference.Factors(
                g.scopes, g.states, g.logs, g.counting, Directed(g.structured, self.maximise)
            )
            for g in problem.groups
        ]  # fmt: skip
        return reference.Problem(problem.where, problem.local, tuple(groups))

    def _order(self) -> str:
        """Factors without tables are updated family by family."""
        some = any(g.structured is not None for g in self.problem.groups)
        return "sequential" if some and self.schedule.order == "residual" else self.schedule.order

    # -- beliefs ---------------------------------------------------------------------------------------

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Finite parts of the beliefs, and how many of their terms are −∞."""
        return reference.beliefs(self.problem, self.messages)

    @cached_property
    def beliefs(self) -> np.ndarray:
        """Log beliefs of all variables end to end, not normalised."""
        total, dead = self.sums
        return np.where(dead > 0, -np.inf, total)

    @cached_property
    def said(self) -> list[np.ndarray]:
        """What variables say to the factors of each group, (n, arity · K)."""
        found = []
        for group, own in zip(self.problem.groups, self.messages, strict=True):
            found.append(reference.incoming(*self.sums, own, group.places(self.problem.where)))
        return found

    @cached_property
    def total(self) -> float:
        """Bethe's approximation."""
        if self.contradicted:
            return -np.inf
        found = 0.0
        for k in np.unique(np.diff(self.layout.where)):
            starts = self.layout.where[:-1][np.diff(self.layout.where) == k]
            found += float(self._reduced(self.beliefs[starts[:, None] + np.arange(k)]).sum())
        for group, own, said in zip(self.problem.groups, self.messages, self.said, strict=True):
            found += float(self._at_factors(group, said).sum())
            for columns in group.columns:
                found -= float(self._reduced(said[:, columns] + own[:, columns]).sum())
        return found if found == found else -np.inf

    def _reduced(self, logs: np.ndarray) -> np.ndarray:
        return self.algebra.reduce(logs, (-1,))

    def _at_factors(self, group, said: np.ndarray) -> np.ndarray:
        if group.structured is not None:
            return group.structured.log_partition(said.reshape(len(said), len(group.states), -1))
        joint = self._joint(group, said)
        return self.algebra.reduce(joint, tuple(range(1, joint.ndim)))

    def _joint(self, group, said: np.ndarray) -> np.ndarray:
        joint = group.logs
        for p, columns in enumerate(group.columns):
            joint = joint + reference.spread(said[:, columns], p, len(group.states))
        return joint

    # -- readings --------------------------------------------------------------------------------------

    def node(self, name: str):
        """Graph node."""
        return self.block.families[0].factor.graph.nodes[name]

    def shaped(self, name: str, stacked: np.ndarray) -> np.ndarray:
        """(rows · batch, …) as (T, *batch, …), or (*batch, …) of a single variable."""
        rows = self.layout.flat.rows[name]
        found = stacked.reshape(rows, *self.layout.shape, *stacked.shape[1:])
        return found if name not in self.layout.flat.singles else found[0]

    def _rows(self, name: str) -> np.ndarray:
        rows, states = self.layout.of(name), self.node(name).states
        start = int(self.layout.where[rows.start])
        return self.beliefs[start : start + (rows.stop - rows.start) * states].reshape(-1, states)

    def read_belief(self, name: str) -> np.ndarray:
        """Normalised log beliefs of a node's rows."""
        self.impossible()
        return self.shaped(name, self.algebra.normalise(self._rows(name)))

    def read_assignment(self, name: str) -> np.ndarray:
        """The best state of each row by itself; ties go to the lowest state."""
        return self.shaped(name, np.argmax(self._rows(name), axis=-1))

    def assign(self) -> np.ndarray:
        """Best states of all variables, each by itself."""
        found = np.zeros(len(self.layout.where) - 1, np.int64)
        for name in self.block.nodes:
            found[self.layout.of(name)] = np.argmax(self._rows(name), axis=-1)
        return found

    def read_factor(self, family) -> np.ndarray:
        """Normalised log beliefs of a factor's instances, (n, *batch, states…)."""
        self.impossible()
        joint = self._belief(self.block.families.index(family))
        axes = joint.ndim - 1
        found = self.algebra.normalise(joint, axes)
        return found.reshape(-1, *self.layout.shape, *found.shape[1:])

    def _belief(self, k: int) -> np.ndarray:
        """Joint beliefs of a family's factors, (n, states…), not normalised."""
        layout, scopes, made = self.layout, self.layout.scopes[k], self.families[k]
        if structured(made.family.potential):
            return table_joint(self._said_to(k), made.stacked())
        sizes = np.diff(layout.where)[scopes[0]]
        if scopes.shape[1] == 1:
            return self.beliefs[layout.where[scopes] + np.arange(sizes[0])]
        joint, kept = np.empty((len(scopes), *sizes)), layout.kept[k]
        joint[slice(None) if kept is None else kept] = self._of_group(k)
        for guest in (g for g in layout.guests if g.family == k):
            rows, all_kept = guest.host_rows, layout.kept[guest.host]
            rows = rows if all_kept is None else np.searchsorted(all_kept, rows)
            joint[guest.rows] = self._of_group(guest.host)[rows].transpose(0, *(1 + np.argsort(guest.axes)))
        return joint

    def _of_group(self, k: int) -> np.ndarray:
        """Joint beliefs of the factors that have messages of their own."""
        group = self.group_of[k]
        return self._joint(self.problem.groups[group], self.said[group])

    @cached_property
    def group_of(self) -> dict[int, int]:
        """Family → group of factors with messages."""
        kinds = [structured(m.family.potential) for m in self.families]
        scopes = self.layout.scopes
        own = [k for k, s in enumerate(scopes) if len(s) and (kinds[k] or s.shape[1] > 1)]
        return {k: group for group, k in enumerate(own)}

    def _said_to(self, k: int) -> np.ndarray:
        """What the variables of structured factors say, (n, arity, K)."""
        said = self.said[self.group_of[k]]
        return said.reshape(len(said), self.layout.scopes[k].shape[1], -1)

    def read_forward(self, name: str):
        """There is none."""
        raise self._undirected("forward", name)

    def read_backward(self, name: str):
        """There is none."""
        raise self._undirected("backward", name)

    def _undirected(self, what: str, name: str) -> UnavailableError:
        return UnavailableError(
            f"there is no {what} message of {name!r}: loopy propagation knows no direction; read m.belief"
        )

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """∂total/∂parameter at a fixed point: expected counts under the factors' beliefs."""
        for k, made in enumerate(self.families):
            target = table_target(made, store)
            if target is None or not made.family.factor.n:
                continue
            if structured(made.family.potential):
                self._add_structured(k, made, store, sign, assignment)
                continue
            made.add_counts(sign * self._counts(k, assignment), target)

    def _add_structured(self, k: int, made, store, sign: float, assignment) -> None:
        scopes = self.layout.scopes[k]
        if assignment is not None:
            made.add_gradient_at(assignment[scopes], store, sign)
            return
        made.add_gradient(self._said_to(k), store, sign)

    def _counts(self, k: int, assignment) -> np.ndarray:
        scopes = self.layout.scopes[k]
        if assignment is None:
            joint = self._belief(k)
            counts = np.exp(self.algebra.normalise(joint, joint.ndim - 1))
        else:
            sizes = np.diff(self.layout.where)[scopes[0]]
            counts = np.zeros((len(scopes), *sizes))
            counts[(np.arange(len(scopes)), *assignment[scopes].T)] = 1.0
        return counts.reshape(-1, *self.layout.shape, *counts.shape[1:])

    def impossible(self) -> None:
        """Raise where the evidence leaves a variable or a factor no state."""
        if not self.contradicted and self.total > -np.inf:
            return
        for made, scopes in zip(self.families, self.layout.scopes, strict=True):
            if structured(made.family.potential) and len(scopes) and not self.maximise:
                where, states = self.layout.where, self.node(made.family.args[made.latent[0]].name).states
                made.refuse_contradictions(self.problem.local[where[scopes][..., None] + np.arange(states)])
        raise ImpossibleEvidenceError(
            f"the evidence on {', '.join(self.block.nodes[:4])} leaves no state that all messages allow, so "
            "that no posterior exists; look for −∞ in its tables"
        )
