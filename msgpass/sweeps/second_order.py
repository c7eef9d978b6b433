"""``Tangent`` over another algebra: every message of a finished run moves along a direction.

Differentiating the backward pass of steps along a direction gives the same pass with other local messages,

    λ_t = local_t + J_{t+1}ᵀ λ_{t+1}
    λ̇_t = (∂²ℓ_t ẋ + Σ ∂²(λ·f) ẋ) + J_{t+1}ᵀ λ̇_{t+1}

(Pearlmutter 1994): once values, tangents and cotangents are there, the curvature of all factors is local, and
what remains is a backward pass over the same linear maps, by the sweeps that the first run used. Components
of tables and quadratics run over dual numbers. What arrives at a parameter is the Hessian times the
direction.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.algebra import Gaussian, MaxProduct, SumProduct
from msgpass.algebra.gaussian_forms import to_information, to_moments
from msgpass.algebra.tangent import Dual
from msgpass.dual_array import DualArray, pair
from msgpass.errors import GraphError, NumericalError, UnsupportedError
from msgpass.nodes import Sequence
from msgpass.plan import GaussianChain, Losses, Map, Recurrence, TableChain, Tree
from msgpass.sweeps import real
from msgpass.sweeps.curvature import curve_loss, curve_steps
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.gaussian_chain_arrays import NoChainForm
from msgpass.sweeps.real import Store
from msgpass.sweeps.second_order_chain import DualChain
from msgpass.sweeps.second_order_gaussian import DualGaussianChain, dual, dual_instances
from msgpass.sweeps.table_chain import ChainLayout, ChainRun
from msgpass.sweeps.tree import TreeRun
from msgpass.values import Values


class DualValues(Values):
    """The values of a run as dual arrays, made as they are read."""

    def __init__(self, values, tangents):
        super().__init__({})
        self.plain, self.moves = values, tangents

    def __contains__(self, name) -> bool:
        return name in self.plain

    def __missing__(self, name):
        value = self.plain[name]
        if value.dtype.kind == "f":
            moved = self.moves.get(name)
            value = DualArray(
                value, np.zeros_like(value) if moved is None else np.asarray(moved, value.dtype)
            )
        self[name] = value
        return value

    def complete(self, name: str) -> bool:
        """Nothing is missing."""
        return self.plain.complete(name)


class DualStore(Store):
    """Accumulators that hold tangents, too."""

    def __contains__(self, name) -> bool:
        return self.values_of[name].dtype.kind == "f"


class DualGaussian(Gaussian):
    """Gaussian over dual numbers: messages that say nothing can be written to."""

    def unit(self, size, dtype):
        """The constant 1."""
        said = super().unit(size, dtype)
        return said._replace(h=dual(said.h), precision=dual(said.precision))


class DualTree(TreeRun):
    """A tree over dual numbers."""

    def instances(self, family):
        """Potentials whose every part is dual."""
        return dual_instances(super().instances(family))


class SecondOrder:
    """Tangents of the messages of a finished run.

    Parameters
    ----------
    x : Execution
    directions : dict
        Name of a parameter or real observation → direction.
    kept : dict, optional
        What does not depend on the direction, for the next one over the same run.
    """

    def __init__(self, x, directions: dict[str, np.ndarray], kept: dict | None = None):
        from msgpass.sweeps.execution import Tangents, check_directions

        check_directions(x.plan.graph, x.values, directions)
        self.x, self.kept = x, {} if kept is None else kept
        self.tangents = Tangents(x.plan.graph, x.values, directions)
        self.values = DualValues(x.values, self.tangents)
        self.runs: dict[int, list[tuple[Any, float]]] = {}
        with np.errstate(over="ignore", invalid="ignore"):
            self.push()
            if x.plan.real and x.impossible is None:
                self.stores = {task: self.pull(task) for task in x.tasks}

    # -- tangents forward ------------------------------------------------------------------------------------

    def push(self) -> None:
        """Tangents of what steps compute."""
        for k, block in enumerate(self.x.plan.blocks):
            if isinstance(block, Map):
                real.tangent_map(block, self.x.values, self.tangents)
            elif isinstance(block, Recurrence):
                self.x.sweeps[k].tangent(self.tangents)

    @cached_property
    def total(self) -> float:
        """Directional derivative of the total."""
        x = self.x
        return sum(self._of_task(task) for task in x.tasks)

    def _of_task(self, task) -> float:
        x = self.x
        own = [k for k in x.losses if x.plan.blocks[k].families[0].potential.task == task]
        total = sum(real.tangent_loss(x.plan.blocks[k], x.values, self.tangents, x.losses[k][1]) for k in own)
        for k in x.runs:
            if x.task_of(k) == task:
                store = Store(x.values)
                x.component_parameters(k, store)
                total += sum(
                    float(np.sum(store.complete(n) * self.tangents[n])) for n in store if n in self.tangents
                )
        return total

    # -- tangents backward -----------------------------------------------------------------------------------

    def pull(self, task) -> tuple[Store, Store]:
        """How a task's cotangents move: curvature first, then the pass of the first run."""
        x = self.x
        first, store, later = x.stores[task][0], Store(x.values), Store(x.values)
        checked = x.plan.cache.setdefault("symmetric", set())
        for k, block in enumerate(x.plan.blocks):
            if isinstance(block, Losses):
                if block.families[0].potential.task == task:
                    curve_loss(block, x.values, self.tangents, store, later, checked)
            elif isinstance(block, Map | Recurrence):
                curve_steps(block, x.values, self.tangents, first, store, later, checked)
            elif x.task_of(k) == task:
                self.add_component(k, store)
        x.pull_back(store, later)
        self._check(store)
        return store, later

    def _check(self, store: Store) -> None:
        for name in [n for n in self.x.values if n not in self.x.plan.owner and store.has(n)]:
            if not np.isfinite(store.complete(name)).all():
                raise NumericalError(
                    f"the Hessian-vector product at {name!r} is NaN or infinite, though the gradient is "
                    "finite: the tangents overflow (a shorter direction, or weights of a less chaotic "
                    "recurrence), or a step's hvp returns NaN"
                )

    def component(self, k: int) -> list[tuple[Any, float]]:
        """(run over dual numbers, sign) of what component k adds to the total."""
        if k not in self.runs:
            x, block = self.x, self.x.plan.blocks[k]
            self.runs[k] = []
            labels = x.labels(block)
            clamps = [x.clamp, {**x.clamp, **labels}]
            for place, (made, sign) in enumerate(x.shares(k)):
                made.impossible()
                kept = self.kept.setdefault((k, place), {})
                self.runs[k].append((self.made(k, block, clamps[place], made, kept), sign))
        return self.runs[k]

    def made(self, k: int, block, clamp, first, kept: dict):
        """One component over dual numbers."""
        own = {n: v for n, v in clamp.items() if n in block.nodes}
        algebra = self.x.algebras[k]
        if type(block) not in (TableChain, Tree, GaussianChain):  # linearised, or a mixture in truth
            raise UnsupportedError(
                f"{algebra.name} over {', '.join(block.nodes)} is approximate: what arrives at its "
                "parameters is no exact gradient and has no second derivatives; take differences of whole "
                "runs"
            )
        if isinstance(block, TableChain) and type(algebra) in (SumProduct, MaxProduct):
            layout, best = ChainLayout(block), None
            if type(algebra) is MaxProduct:
                sparse = not isinstance(first, ChainRun)  # its counts are by entry
                best = ChainRun(block, layout, self.x.values, True, own) if sparse else first
            return DualChain(block, layout, self.values, own, best, kept)
        if isinstance(first, GaussianChainRun):
            try:
                return DualGaussianChain(block, self.values, first)
            except NoChainForm:
                return self.tree(k, block, own)
        return self.tree(k, block, own)

    def tree(self, k: int, block, clamp) -> DualTree:
        """A component as a tree, in its algebra's own functions."""
        algebra = DualGaussian() if block.gaussian else self.x.algebras[k]
        try:
            orientation = self.x.orientation(k, block)
        except GraphError:
            raise UnsupportedError(
                f"the component of {', '.join(block.nodes[:4])} has loops: its gradients are exact, but they "
                "come without second derivatives; take differences of m.parameters"
            ) from None
        return DualTree(block, orientation, algebra, self.values, clamp)

    def read(self, k: int):
        """The run that messages of component k are read from."""
        run = self.component(k)[0][0]
        if isinstance(run, DualGaussianChain) or (isinstance(run, DualChain) and run.best is not None):
            own = {n: v for n, v in self.x.clamp.items() if n in run.block.nodes}
            return self.tree(k, run.block, own)
        return run

    def add_component(self, k: int, store: Store) -> None:
        """How ∂total/∂(parameters and real inputs) of a component moves."""
        for made, sign in self.component(k):
            inner = DualStore(self.values)
            if isinstance(made, DualTree) and isinstance(self.x.algebras[k], MaxProduct):
                made.add_parameters(inner, assignment=made.assign())
            else:
                made.add_parameters(inner)
            for name in list(inner):
                store[name] += sign * pair(inner[name])[1]

    @cached_property
    def component_store(self) -> Store:
        """Hessian-vector products of a graph without losses."""
        store = Store(self.x.values)
        with np.errstate(over="ignore", invalid="ignore"):
            for k in self.x.runs:
                self.add_component(k, store)
        self._check(store)
        return store

    # -- readings --------------------------------------------------------------------------------------------

    def gradient(self, name: str, first) -> Dual:
        """(gradient, Hessian-vector product)."""
        if not self.x.plan.real:
            return Dual(first, self.component_store[name])
        return Dual(first, sum(store.complete(name) for store, _ in self.stores.values()))

    def of_task_total(self, task: str, first: float) -> Dual:
        """A task's loss and how it moves."""
        return Dual(first, self._of_task(task))

    def of_task(self, task: str, name: str, first) -> Dual:
        """The same of one task."""
        return Dual(first, self.stores[task][0].complete(name))

    def forward(self, name: str, first):
        """Forward messages and how they move."""
        k = self._number(name)
        if isinstance(self.x.plan.blocks[k], Map | Recurrence):
            return Dual(first, self.tangents[name])
        return self._messages(k, name, first, 0)

    def backward(self, name: str, first):
        """Backward messages and how they move."""
        k = self._number(name)
        if isinstance(self.x.plan.blocks[k], Map | Recurrence):
            return Dual(first, sum(later.complete(name) for _, later in self.stores.values()))
        return self._messages(k, name, first, 1)

    def belief(self, name: str, first):
        """Beliefs of a variable and how they move: a Dual of log marginals; of a Gaussian variable mean and
        cov, each a Dual."""
        if name in self.x.plan.graph.factors:
            raise UnsupportedError(
                f"beliefs of factors such as {name!r} come without tangents; run without Tangent, or read "
                "those of its variables"
            )
        k = self._number(name)
        run = self.component(k)[0][0]
        if isinstance(run, DualGaussianChain):
            moved = (pair(part)[1] for part in run.belief())
            return type(first)(*(Dual(a, b.reshape(a.shape)) for a, b in zip(first, moved, strict=True)))
        run = self.read(k)
        if isinstance(run, DualChain):
            return Dual(first, _steady(first, run.belief().tangent))
        if run.block.gaussian:
            found = [to_moments(run.belief(v)) for v in self._places(run, name)]
            moved = (self._stack(name, [getattr(f, part) for f in found]) for part in ("mean", "cov"))
            return type(first)(*(Dual(a, b.reshape(a.shape)) for a, b in zip(first, moved, strict=True)))
        found = [run.algebra.normalise(run.belief(v)) for v in self._places(run, name)]
        return Dual(first, _steady(first, self._stack(name, found)))

    @staticmethod
    def without_tangents(what: str) -> UnsupportedError:
        """For readings that a run over dual numbers does not have."""
        return UnsupportedError(
            f"{what} comes without a tangent; run without Tangent, or read forward, backward, belief, "
            "gradient and parameters, which are Dual"
        )

    def _messages(self, k: int, name: str, first, which: int):
        run = self.read(k)
        if isinstance(run, DualChain):
            return Dual(first, _steady(first, run.message(which).tangent))
        found = [(run.forward, run.backward)[which][v] for v in self._places(run, name)]
        if run.block.gaussian:
            return DualGaussianMessages(first, found)
        return Dual(first, _steady(first, self._stack(name, found)))

    def _number(self, name: str) -> int:
        return self.x.plan.blocks.index(self.x.plan.owner[name])

    def _places(self, run, name: str) -> list[int]:
        node = self.x.plan.graph.nodes[name]
        rows = range(node.clock.total) if isinstance(node, Sequence) else (-1,)
        return [run.o.index[(name, row)] for row in rows]

    def _stack(self, name: str, found: list) -> np.ndarray:
        tangents = [np.asarray(pair(f)[1]) for f in found]
        return np.stack(tangents) if isinstance(self.x.plan.graph.nodes[name], Sequence) else tangents[0]


class DualGaussianMessages:
    """Stacked Gaussian messages and how they move; h, precision, mean and cov, each a Dual, where they
    exist."""

    def __init__(self, first, items: list):
        self._first, self._items = first, items

    def _pick(self, form, part: str) -> Dual:
        value = getattr(self._first, part)
        return Dual(
            value, np.stack([pair(getattr(form(m), part))[1] for m in self._items]).reshape(value.shape)
        )

    @property
    def h(self) -> Dual:
        """Information vectors."""
        return self._pick(to_information, "h")

    @property
    def precision(self) -> Dual:
        """Precision matrices."""
        return self._pick(to_information, "precision")

    @property
    def mean(self) -> Dual:
        """Means."""
        return self._pick(to_moments, "mean")

    @property
    def cov(self) -> Dual:
        """Covariances."""
        return self._pick(to_moments, "cov")


def _steady(first: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Where a log message is −∞ it does not move."""
    return np.where(np.isfinite(first), moved, 0.0)
