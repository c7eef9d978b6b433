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

from msgpass.algebra import MaxProduct, SumProduct, Tempered
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    GraphError,
    ImpossibleEvidenceError,
    UnavailableError,
    UnsupportedError,
)
from msgpass.kernels import flooding
from msgpass.kernels import flooding_reference as reference
from msgpass.kernels.structured_reference import table_joint
from msgpass.sweeps.flooding.convergence import Convergence, Names
from msgpass.sweeps.flooding.counting import counting_of
from msgpass.sweeps.flooding.layout import FloodingLayout, layout_of
from msgpass.sweeps.flooding.tables import instances_of, logs_of, problem_of, structured
from msgpass.sweeps.tree import table_target


def run_flooding(execution, k: int, block, algebra, clamp) -> FloodingRun:
    """Messages of a discrete component; see :class:`msgpass.Flooding`."""
    layout = layout_of(execution.plan, k, block)
    schedule, start = execution.schedule, None
    if schedule.start is not None:
        start = schedule.start.component(k) if schedule.start.graph is execution.plan.graph else ()
    return FloodingRun(block, layout, algebra, execution.values, clamp, schedule, start)


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

    def __init__(self, block, layout: FloodingLayout, algebra, values, clamp, schedule, start=None):
        self.block, self.layout, self.algebra, self.values = block, layout, algebra, values
        self.schedule, self.maximise = schedule, isinstance(algebra, MaxProduct)
        # Tables divided by the temperature are swept under SumProduct, and what they say is multiplied by it.
        self.temperature = algebra.temperature if type(algebra) is Tempered else 1.0
        self.ring = SumProduct() if type(algebra) is Tempered else algebra
        self.families = [instances_of(f, values) for f in block.families]
        self._refuse_algebra()
        counting = counting_of(block, layout, schedule.counting)
        problem = problem_of(block, layout, self.families, clamp or {}, self.temperature, counting)
        self.problem = self._directed(problem)
        kind = {SumProduct: False, MaxProduct: True}.get(type(self.ring))
        self.messages, progress = flooding.run(
            self.problem, self._order(), schedule.damping, schedule.tol, schedule.max_iter,
            self._begun(start), self.ring.reduce, kind,
        )  # fmt: skip
        self.contradicted = progress.impossible
        self.convergence = self._report(progress)
        if not progress.converged and not progress.impossible:
            warnings.warn(
                f"{schedule!r} {self.convergence.summary()} at {', '.join(block.nodes[:3])}: messages are "
                "where the last iteration left them. Try damping=0.5 or more iterations, or the exact "
                "JunctionTree()",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _begun(self, start):
        """Messages to begin with."""
        if start is None:
            return self.problem.unit()
        fits = isinstance(start, FloodingRun) and len(start.messages) == len(self.problem.groups)
        if not fits or any(
            m.shape != u.shape for m, u in zip(start.messages, self.problem.unit(), strict=True)
        ):
            raise DataError(
                "Flooding(start=m): m is an earlier run on the same graph under Flooding(), and its factors "
                f"are those of this run; {', '.join(self.block.nodes[:3])} had no such messages there"
            )
        scale = start.temperature / self.temperature
        return [m * scale for m in start.messages]

    def _report(self, progress) -> Convergence:
        n = max(self.problem.messages, 1)
        nothing = Names([], self.layout.label)
        settled = progress.converged or progress.impossible
        return Convergence(
            bool(progress.converged), -(-progress.updates // n), self.temperature * progress.history,
            progress.updates, self.schedule.tol,
            nothing if settled else Names(self._moving, self.layout.label),
            Names(self._tied, self.layout.label) if self.maximise else nothing,
        )  # fmt: skip

    def _moving(self) -> np.ndarray:
        """Variables at which a message would still change."""
        found = np.zeros(len(self.layout.where) - 1, bool)
        for group, own in zip(
            self.problem.groups, reference.changes(self.problem, self.messages, self.ring.reduce), strict=True
        ):
            found[group.scopes[own > self.schedule.tol]] = True
        return np.flatnonzero(found)

    def _tied(self) -> np.ndarray:
        """Variables whose two best states are alike to the tolerance."""
        found = np.zeros(len(self.layout.where) - 1, bool)
        sizes = np.diff(self.layout.where)
        for k in np.unique(sizes[sizes > 1]):
            variables = np.flatnonzero(sizes == k)
            logs = np.sort(self.beliefs[self.layout.where[variables][:, None] + np.arange(k)], axis=1)
            with np.errstate(invalid="ignore"):
                tied = (logs[:, -1] > -np.inf) & (logs[:, -1] - logs[:, -2] <= 2 * self.schedule.tol)
            found[variables[tied]] = True
        return np.flatnonzero(found)

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
    def stateless(self) -> bool:
        """Whether some variable or factor has no state left."""
        if (self.beliefs > -np.inf).all():
            return False
        return bool((np.maximum.reduceat(self.beliefs, self.layout.where[:-1]) == -np.inf).any()) or (
            self.total == -np.inf
        )

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
        found = sum(float(values.sum()) for _, values in self._terms())
        return -np.inf if self.contradicted or found != found else self.temperature * found

    @cached_property
    def part_totals(self) -> np.ndarray:
        """Bethe's approximation of every part that no factor links to another, (parts,)."""
        parts = self.layout.parts
        found = np.zeros(int(parts.max(initial=-1)) + 1)
        for variables, values in self._terms():
            found += np.bincount(parts[variables], values, len(found))
        return np.where(np.isnan(found), -np.inf, self.temperature * found)

    def _terms(self):
        """Terms of Bethe's log Z, each with a variable it belongs to: (variables, values)."""
        starts, sizes = self.layout.where[:-1], np.diff(self.layout.where)
        for k in np.unique(sizes):
            (own,) = np.nonzero(sizes == k)
            yield own, self._reduced(self.beliefs[starts[own][:, None] + np.arange(k)])
        for group, own, said in zip(self.problem.groups, self.messages, self.said, strict=True):
            local = self._at_factors(group, said)
            for columns in group.columns:
                with np.errstate(invalid="ignore"):
                    local = local - self._reduced(said[:, columns] + own[:, columns])
            yield group.scopes[:, 0], group.counting * local

    def _reduced(self, logs: np.ndarray) -> np.ndarray:
        return self.ring.reduce(logs, (-1,))

    def _at_factors(self, group, said: np.ndarray) -> np.ndarray:
        if group.structured is not None:
            return group.structured.log_partition(said.reshape(len(said), len(group.states), -1))
        joint = self._joint(group, said)
        return self.ring.reduce(joint, tuple(range(1, joint.ndim)))

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
        return self.shaped(name, self.ring.normalise(self._rows(name)))

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
        found = self.ring.normalise(joint, axes)
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

    def read_message(self, place: int, instance, name: str, row: int, from_factor: bool) -> np.ndarray:
        """One message along an edge, its best state at 0."""
        layout, scopes, j = self.layout, self.layout.scopes[place], instance.t
        if layout.shape:
            raise UnsupportedError("single messages of an aligned batch: run one member alone")
        v = layout.of(name).start + max(row, 0) if name in layout.flat.first else -1
        positions = np.flatnonzero(scopes[j] == v)
        if not len(positions):
            where = name if row < 0 else f"{name}[{row}]"
            raise GraphError(f"{instance.name} and {where} are not neighbours; no message runs between them")
        if place not in self.group_of:
            own = np.broadcast_to(logs_of(self.families[place], ()), (len(scopes), self.node(name).states))[j]
            if from_factor:
                return own.copy()
            with np.errstate(invalid="ignore"):
                return self.temperature * self.beliefs[layout.where[v] : layout.where[v + 1]] - own
        kept = layout.kept[place]
        shares = kept is not None and j not in kept
        hosts = any(g.host == place and (g.host_rows == j).any() for g in layout.guests)
        if shares or hosts:
            raise UnsupportedError(
                f"several factors join the same variables as {instance.name}: no single message of one of "
                "them exists; add their tables into one"
            )
        group, at = self.group_of[place], j if kept is None else int(np.searchsorted(kept, j))
        columns = self.problem.groups[group].columns[int(positions[0])]
        found = (self.messages if from_factor else self.said)[group][at, columns]
        top = found.max()
        return self.temperature * (found - (top if top > -np.inf else 0.0))

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
            counts = np.exp(self.ring.normalise(joint, joint.ndim - 1))
        else:
            sizes = np.diff(self.layout.where)[scopes[0]]
            counts = np.zeros((len(scopes), *sizes))
            counts[(np.arange(len(scopes)), *assignment[scopes].T)] = 1.0
        return counts.reshape(-1, *self.layout.shape, *counts.shape[1:])

    def impossible(self) -> None:
        """Raise where the evidence leaves a variable or a factor no state."""
        if not (self.contradicted or self.stateless):
            return
        for made, scopes in zip(self.families, self.layout.scopes, strict=True):
            if structured(made.family.potential) and len(scopes) and not self.maximise:
                where, states = self.layout.where, self.node(made.family.args[made.latent[0]].name).states
                made.refuse_contradictions(self.problem.local[where[scopes][..., None] + np.arange(states)])
        raise ImpossibleEvidenceError(
            f"the evidence on {', '.join(self.block.nodes[:4])} leaves no state that all messages allow, so "
            "that no posterior exists; look for −∞ in its tables"
        )
