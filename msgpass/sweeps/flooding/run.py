"""One run of loopy belief propagation over a discrete component: from tables to messages that rest.

What they add up to is in ``bethe.py``, what can be read from them in ``readings.py``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.algebra import MaxProduct, SumProduct, Tempered
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    UnsupportedError,
)
from msgpass.kernels import flooding
from msgpass.kernels import flooding_reference as reference
from msgpass.sweeps.flooding.convergence import Convergence, Names
from msgpass.sweeps.flooding.counting import counting_of
from msgpass.sweeps.flooding.layout import FloodingLayout, layout_of
from msgpass.sweeps.flooding.readings import Readings
from msgpass.sweeps.flooding.tables import instances_of, problem_of, structured


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


class FloodingRun(Readings):
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
