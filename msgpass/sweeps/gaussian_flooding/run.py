"""One run of loopy belief propagation over a Gaussian component."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.algebra.gaussian_forms import Information
from msgpass.errors import ConvergenceWarning, DataError, GraphError, UnavailableError, UnsupportedError
from msgpass.kernels import gaussian_flooding
from msgpass.kernels.gaussian_flooding_beliefs import Beliefs, FactorBeliefs, Undetermined
from msgpass.kernels.gaussian_flooding_types import beginning
from msgpass.nodes import Sequence
from msgpass.sweeps.flooding.convergence import Convergence
from msgpass.sweeps.gaussian_flooding.failures import failed, undetermined
from msgpass.sweeps.gaussian_flooding.layout import Layout, layout_of
from msgpass.sweeps.gaussian_flooding.problem import assemble, forms
from msgpass.sweeps.gaussian_messages import GaussianBelief, GaussianMessages
from msgpass.sweeps.stacked_quadratics import stacked_quadratics


def run_gaussian_flooding(x, k: int, block, algebra, clamp) -> GaussianFloodingRun:
    """Component k of an execution."""
    schedule, begun = x.schedule, None
    if schedule.counting is not None and any(len(f.args) > 1 for f in block.families):
        raise UnsupportedError(
            f"Flooding: counting numbers are those of tables, and {', '.join(block.nodes[:4])} are Gaussian; "
            "leave counting out"
        )
    if schedule.start is not None:
        begun = schedule.start.component(k) if schedule.start.graph is x.plan.graph else None
        if not isinstance(begun, GaussianFloodingRun):
            raise DataError(
                "Flooding(start=m): m is an earlier run on the same graph under Flooding(); "
                f"{', '.join(block.nodes[:4])} had no such messages there"
            )
    return GaussianFloodingRun(block, layout_of(x.plan, k, block), x.values, schedule, begun)


class GaussianFloodingRun:
    """Messages of a component where they came to rest, or where the schedule ended.

    Attributes
    ----------
    convergence : Convergence
    total : float
        Bethe's log Z.
    """

    def __init__(self, block, layout: Layout, values, schedule, begun=None):
        self.block, self.layout, self.values = block, layout, values
        self.families: list[Any] = [
            stacked_quadratics(f, values) if f.factor.n else None for f in block.families
        ]
        self.problem = assemble(layout, forms(self.families))
        start = beginning(self.problem)
        self._believed(start, None)
        start = start if begun is None else begun.messages
        settings = schedule.order, schedule.damping, schedule.tol, schedule.max_iter
        self.messages, progress = gaussian_flooding.run(self.problem, *settings, start)
        if progress.failure is not None:
            raise failed(layout, progress, schedule)
        self.beliefs = self._believed(self.messages, progress)
        self.convergence = Convergence(
            progress.converged, len(progress.history), progress.history, progress.updates, schedule.tol
        )
        if not progress.converged:
            warnings.warn(
                f"{schedule!r} {self.convergence.summary()} at {', '.join(block.nodes[:4])}: messages are "
                "where the last iteration left them. Try damping=0.5 or more iterations, or the exact "
                "JunctionTree()",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _believed(self, messages, progress) -> Beliefs:
        try:
            return Beliefs(self.problem, messages)
        except Undetermined as problem:
            raise undetermined(self.layout, problem.row, progress) from None

    @cached_property
    def total(self) -> float:
        """Bethe's log Z."""
        at_means = sum(
            float(np.sum(np.broadcast_to(made.log_value(self._at(k)), (len(self.layout.flat.scopes[k]),))))
            for k, made in enumerate(self.families)
            if made is not None
        )
        return self.beliefs.bethe(at_means)

    def _at(self, k: int) -> np.ndarray:
        """Means of the latent variables of a family's instances, (instances, s)."""
        return self.beliefs.mean[self.layout.cells(self.layout.flat.scopes[k])]

    # -- readings ----------------------------------------------------------------------------------------

    def impossible(self) -> None:
        """A density is never zero."""

    def read_forward(self, name: str):
        """There is no such message."""
        raise UnavailableError(
            f"Flooding passes messages of {name!r} along every edge and none along time; read "
            f"m.belief[{name!r}], or single messages with m.message(factor[j], variable)"
        )

    read_backward = read_forward

    def read_belief(self, name: str) -> GaussianBelief:
        """Mean and (approximate) covariance of every row of a node."""
        own = self.layout.flat.of(name)
        node = self.block.families[0].factor.graph.nodes[name]
        n, s, made = own.stop - own.start, int(self.layout.sizes[own.start]), self.beliefs
        mean = made.mean[made.problem.cells[own.start] :][: n * s].reshape(n, *node.shape)
        cov = made.cov[made.problem.blocks[own.start] :][: n * s * s].reshape(n, *2 * node.shape)
        return GaussianBelief(mean, cov) if isinstance(node, Sequence) else GaussianBelief(mean[0], cov[0])

    def read_factor(self, family) -> GaussianBelief:
        """Joint mean and covariance of every instance of a factor."""
        return GaussianBelief(*self._moments(self.block.families.index(family)))

    def _moments(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        scope = self.layout.flat.scopes[k]
        cells = self.layout.cells(scope)
        if k in self.layout.unaries:
            blocks = self.problem.blocks[scope[:, 0]][:, None] + np.arange(cells.shape[1] ** 2)
            s = cells.shape[1]
            return self.beliefs.mean[cells], self.beliefs.cov[blocks].reshape(-1, s, s)
        mean, cov = np.empty(cells.shape), np.empty((*cells.shape, cells.shape[1]))
        for chunk in self.layout.chunks:
            if chunk.family == k:
                own = self._groups[chunk.group]
                back = np.argsort(chunk.cells)
                mean[chunk.rows] = own.mean[chunk.at][:, back]
                cov[chunk.rows] = own.cov[chunk.at][:, back[:, None], back]
        return mean, cov

    @cached_property
    def _groups(self) -> list[FactorBeliefs]:
        return [self.beliefs.of_group(g) for g in range(len(self.problem.groups))]

    def read_message(self, k: int, instance, name: str, row: int, from_factor: bool) -> GaussianMessages:
        """One message between an instance of family k and a variable."""
        flat, j = self.layout.flat, instance.t
        v = flat.first[name] + max(row, 0) if name in flat.first else -1
        if v not in flat.scopes[k][j]:
            place = name if row < 0 else f"{name}[{row}]"
            raise GraphError(f"{instance.name} and {place} are not neighbours; no message runs between them")
        h, precision = self._from_factor(k, j, v, instance.name)
        if not from_factor:
            made = self.beliefs
            h = made.h[made.problem.cells[v] :][: len(h)] - h
            precision = (
                made.precision[made.problem.blocks[v] :][: precision.size].reshape(precision.shape)
                - precision
            )
        node = self.block.families[0].factor.graph.nodes[name]
        return GaussianMessages((Information(h, precision, 0.0),), node.shape)

    def _from_factor(self, k: int, j: int, v: int, called: str) -> tuple[np.ndarray, np.ndarray]:
        """(h, precision) of what instance j of family k says to one of its variables."""
        if k in self.layout.unaries:
            form = self.families[k].form
            return form.h[j % len(form.h)], form.precision[j % len(form.precision)]
        chunk = next(c for c in self.layout.chunks if c.family == k and j in c.rows)
        at, group = int(chunk.at[np.searchsorted(chunk.rows, j)]), self.problem.groups[chunk.group]
        together = sum(int((c.at == at).sum()) for c in self.layout.chunks if c.group == chunk.group)
        if together > 1:
            raise UnsupportedError(
                f"{together} factors join the same variables as {called}: no single message of one of them "
                "exists; add their quadratics into one"
            )
        h, precision = self.messages.of(self.problem)[chunk.group]
        place = int(np.flatnonzero(group.scopes[at] == v)[0])
        own, s = group.columns[place], group.sizes[place]
        return h[at, own], precision[at, group.blocks[place]].reshape(s, s)

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """Gradients of Bethe's log Z: at a fixed point, expectations under the factors' beliefs."""
        for k, made in enumerate(self.families):
            if made is not None and made.wanted:
                made.collect(*self._moments(k), store, sign)
