"""One exact run over a Gaussian component, whatever loops it has."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.errors import NumericalError, UnavailableError
from msgpass.kernels.symmetric_dense import DenseDefinite
from msgpass.kernels.symmetric_sparse import SparseDefinite
from msgpass.kernels.symmetric_system import NotPositive
from msgpass.nodes import Sequence
from msgpass.sweeps.flattened import flat_of
from msgpass.sweeps.gaussian_elimination.layout import DENSE, Layout
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.stacked_quadratics import stacked_quadratics


def run_gaussian_elimination(x, k: int, block, algebra, clamp) -> EliminationRun:
    """Component k of an execution."""
    layout = x.plan.cache.get(("cells", k))
    if layout is None:
        layout = x.plan.cache["cells", k] = Layout(block, flat_of(x.plan, k, block))
    return EliminationRun(block, layout, x.values)


class EliminationRun:
    """The posterior of a component: its mean, and covariances of what stands in one clique.

    log Z = Σ log φ(mean) + ½ n log 2π − ½ log det K, which does not cancel where data are far from zero.
    """

    def __init__(self, block, layout: Layout, values):
        self.block, self.layout, self.values = block, layout, values
        self.families = [stacked_quadratics(f, values) for f in block.families]
        forms = [made.canonical() for made in self.families]
        h = np.zeros(layout.n)
        for cells, form in zip(layout.scopes, forms, strict=True):
            weights = np.broadcast_to(form.h, cells.shape)
            h += np.bincount(cells.ravel(), weights.ravel(), layout.n)
        self.system = self._factorise([form.precision for form in forms])
        self.mean = self.system.solve(h)
        at_mean = sum(
            float(np.sum(np.broadcast_to(made.log_value(self.mean[cells]), (len(cells),))))
            for made, cells in zip(self.families, layout.scopes, strict=True)
        )
        self.total = at_mean + 0.5 * layout.n * LOG_2PI - 0.5 * self.system.log_det

    def _factorise(self, precisions):
        blocks = [*precisions, *(np.zeros((1, c.shape[1], c.shape[1])) for c in self.layout.nodes.values())]
        try:
            if self.layout.n <= DENSE:
                return DenseDefinite(self.layout.cells, blocks, self.layout.n)
            return SparseDefinite(self.layout.pattern, blocks)
        except NotPositive as problem:
            raise self._improper(problem) from None

    def _improper(self, problem: NotPositive) -> NumericalError:
        size = np.abs(problem.direction)
        cells = np.argsort(-size, kind="stable")[:64]
        named = list(dict.fromkeys(self.layout.label(int(c)) for c in cells if size[c] > 0.1 * size.max()))
        text = ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
        if problem.flat:
            return NumericalError(
                f"no posterior exists: nothing determines {text} (the density is flat along a direction of "
                "them); add a prior (Quadratic.prior) or evidence about it"
            )
        return NumericalError(
            f"no posterior exists: along a direction of {text} the density rises without end, for the "
            "precisions add up to a matrix that is not positive; check the precision of each Quadratic"
        )

    # -- readings ----------------------------------------------------------------------------------------

    def impossible(self) -> None:
        """A density is never zero."""

    def read_forward(self, name: str):
        """There is no such message."""
        raise UnavailableError(
            f"JunctionTree eliminates {name!r} in an order that is not time's, so there are no forward or "
            f"backward messages; read m.belief[{name!r}], or run a graph without loops with Sequential()"
        )

    read_backward = read_forward

    def read_belief(self, name: str) -> GaussianBelief:
        """Mean and covariance of every row of a node."""
        cells = self.layout.nodes[name]
        node = self.block.families[0].factor.graph.nodes[name]
        cov = self.system.entries(len(self.layout.scopes) + list(self.layout.nodes).index(name))
        mean = self.mean[cells].reshape(len(cells), *node.shape)
        cov = cov if node.shape else cov[:, 0, 0]
        return GaussianBelief(mean, cov) if isinstance(node, Sequence) else GaussianBelief(mean[0], cov[0])

    def read_factor(self, family) -> GaussianBelief:
        """Joint mean and covariance of every instance of a factor."""
        k = self.block.families.index(family)
        return GaussianBelief(*self._moments(k))

    def _moments(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self.mean[self.layout.scopes[k]], self.system.entries(k)

    @cached_property
    def _wanted(self) -> list[int]:
        return [k for k, made in enumerate(self.families) if made.wanted]

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """What arrives at parameters and observations."""
        for k in self._wanted:
            self.families[k].collect(*self._moments(k), store, sign)
