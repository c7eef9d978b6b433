"""One exact run over a Gaussian component, whatever loops it has."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.errors import UnavailableError
from msgpass.kernels.symmetric_dense import DenseSystem
from msgpass.kernels.symmetric_sparse import SparseSystem
from msgpass.kernels.symmetric_system import NotPositive
from msgpass.nodes import Sequence
from msgpass.sweeps.exact_relations import exact_relations
from msgpass.sweeps.flattened import flat_of
from msgpass.sweeps.gaussian_elimination import whole
from msgpass.sweeps.gaussian_elimination.improper import improper
from msgpass.sweeps.gaussian_elimination.layout import DENSE, Layout
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.stacked_quadratics import stacked_quadratics

MAX_SIZE = 1 << 26
"""Entries of the factor where the schedule sets no bound: a joint may be asked of any run."""


def run_gaussian_elimination(x, k: int, block, algebra, clamp) -> EliminationRun:
    """Component k of an execution."""
    layout = x.plan.cache.get(("cells", k))
    if layout is None:
        layout = x.plan.cache["cells", k] = Layout(block, flat_of(x.plan, k, block))
    return EliminationRun(block, layout, x.values, getattr(x.schedule, "max_size", MAX_SIZE))


class EliminationRun:
    """The posterior of a component: its mean, and covariances of what stands in one clique.

    log Z = Σ log φ(mean) + ½ n log 2π − ½ log det K, which does not cancel where data are far from zero.
    """

    def __init__(self, block, layout: Layout, values, max_size: int):
        self.block, self.layout, self.values, self.max_size = block, layout, values, max_size
        self.families = [stacked_quadratics(f, values) for f in block.families]
        self.exact = exact_relations(self.families, layout.scopes, layout.n)
        self.equations = layout.equations(
            tuple(self.exact[k].m if k in self.exact else 0 for k in range(len(self.families)))
        )
        self.system = self._factorise()
        self.solution = self.system.solve(self._right())
        self.mean = self.solution[: layout.n]
        self.total = float(self.by_part.sum())

    def blocks(self) -> list[np.ndarray]:
        """What families say, and nothing of each node by itself."""
        said = [
            self.exact[k].blocks if k in self.exact else made.form.precision
            for k, made in enumerate(self.families)
        ]
        return said + [np.zeros((1, c.shape[1], c.shape[1])) for c in self.layout.nodes.values()]

    def _factorise(self):
        blocks, equations = self.blocks(), self.equations
        try:
            if equations.n <= DENSE:
                return DenseSystem(equations.cells, blocks, equations.n, self.layout.n)
            return SparseSystem(equations.pattern(self.max_size), blocks)
        except NotPositive as problem:
            raise improper(problem, equations) from None

    def _right(self) -> np.ndarray:
        found = np.zeros(self.equations.n)
        for k, (made, cells) in enumerate(zip(self.families, self.equations.cells, strict=False)):
            own = self.exact[k].right if k in self.exact else made.form.h
            found += np.bincount(cells.ravel(), np.broadcast_to(own, cells.shape).ravel(), len(found))
        return found

    @cached_property
    def by_part(self) -> np.ndarray:
        """log Z of every connected part."""
        layout, equations = self.layout, self.equations
        parts = layout.parts if len(self.layout.flat) > 1 else np.zeros(1, int)
        pivots = self.system.log_pivots
        found = np.bincount(parts[layout.owner], 0.5 * (LOG_2PI - pivots[: layout.n]))
        for k, (made, scope) in enumerate(zip(self.families, layout.flat.scopes, strict=True)):
            cells, own = equations.cells[k], parts[scope[:, 0]]
            if k in self.exact:
                logs = self.exact[k].log_value(self.solution[cells])
                logs = logs - 0.5 * pivots[cells[:, -self.exact[k].m :]].sum(axis=1)
            else:
                logs = made.log_value(self.mean[cells])
            found += np.bincount(own, np.broadcast_to(logs, own.shape), len(found))
        return found

    # -- readings ----------------------------------------------------------------------------------------

    def impossible(self) -> None:
        """A density is never zero."""

    def read_forward(self, name: str):
        """There is no such message."""
        raise UnavailableError(
            f"there are no forward and backward messages of {name!r}: JunctionTree eliminates variables in "
            f"an order that is not time's; read m.belief[{name!r}], or run a graph without loops with "
            "Sequential()"
        )

    read_backward = read_forward

    def read_belief(self, name: str) -> GaussianBelief:
        """Mean and covariance of every row of a node."""
        cells = self.layout.nodes[name]
        node = self.block.families[0].factor.graph.nodes[name]
        cov = self._cov(len(self.layout.scopes) + list(self.layout.nodes).index(name), cells.shape[1])
        mean = self.mean[cells].reshape(len(cells), *node.shape)
        cov = cov if node.shape else cov[:, 0, 0]
        return GaussianBelief(mean, cov) if isinstance(node, Sequence) else GaussianBelief(mean[0], cov[0])

    def read_factor(self, family) -> GaussianBelief:
        """Joint mean and covariance of every instance of a factor."""
        k = self.block.families.index(family)
        scope = self.layout.scopes[k]
        return GaussianBelief(self.mean[scope], self._cov(k, scope.shape[1]))

    def _cov(self, k: int, s: int) -> np.ndarray:
        """Covariances at the first s cells of block k; rounding leaves no negative variance."""
        cov = self.system.entries(k)[:, :s, :s]
        if self.exact:
            variance = np.einsum("nii->ni", cov)
            variance[...] = np.maximum(variance, 0.0)
        return cov

    def read_totals(self, name: str) -> np.ndarray:
        """log Z of every part that holds rows of a variable."""
        return self.by_part[self._parts_of(name)]

    def read_entropy(self, name: str) -> np.ndarray:
        """Differential entropy of every part that holds rows of a variable."""
        return whole.entropies(self)[self._parts_of(name)]

    def _parts_of(self, name: str) -> np.ndarray:
        return np.unique(self.layout.parts[self.layout.flat.of(name)])

    def read_sample(self, name: str, rng: np.random.Generator, n: int) -> np.ndarray:
        """n draws of a node; of one seed, they belong to the same draws of all others."""
        cells = self.layout.nodes[name]
        node = self.block.families[0].factor.graph.nodes[name]
        lead = (len(cells),) if isinstance(node, Sequence) else ()
        return whole.draws(self, rng, n)[cells.ravel()].T.reshape(n, *lead, *node.shape)

    def read_joint(self, places: list[tuple[str, int]]) -> GaussianBelief:
        """Mean and covariance of variables end to end, however far apart."""
        return whole.joint_of(self, np.concatenate([self.layout.nodes[n][max(row, 0)] for n, row in places]))

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """What arrives at parameters and observations."""
        for k, made in enumerate(self.families):
            if not made.wanted:
                continue
            found = self.solution[self.equations.cells[k]]
            self.exact.get(k, made).collect(found, self.system.entries(k), store, sign)
