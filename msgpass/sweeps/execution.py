"""One run of a plan: forward over its blocks in order, then backward against it.

With steps, losses or labels in the graph ``total`` is a loss: a discrete component contributes −log Z, a
labelled one
log Z − log Z clamped. Otherwise ``total`` is log Z. Either way what is added up at a parameter is
∂total/∂parameter.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.algebra import Gaussian, MaxProduct, SumProduct, Tangent
from msgpass.algebra.tangent import Dual
from msgpass.errors import DataError, ImpossibleEvidenceError, NumericalError, UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence, Slice
from msgpass.plan import (
    GaussianChain,
    Losses,
    Map,
    NonlinearTree,
    Plan,
    Recurrence,
    SwitchingChain,
    TableChain,
    Tree,
    noisy,
)
from msgpass.sweeps import real
from msgpass.sweeps.columns import ColumnStore, one_by_one
from msgpass.sweeps.edge_rules import rules_of
from msgpass.sweeps.known_path import KnownPath
from msgpass.sweeps.local import first_broken
from msgpass.sweeps.plain_chain import PlainTables, Recipe
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.structured_chain import chained
from msgpass.sweeps.table_chain import ChainLayout, ChainRun, ChainTables
from msgpass.values import Values, all_finite


class Execution:
    """Results of one run, block by block."""

    def __init__(
        self, plan: Plan, algebras, schedule, values, clamp, overridden, directions=None, recipe=None
    ):
        self.plan, self.algebras, self.schedule = plan, algebras, schedule
        self.values, self.clamp, self.overridden = values, clamp, overridden
        self.runs: dict[int, Any] = {}  # block number → run of a discrete or Gaussian component
        self.clamped: dict[int, Any] = {}  # its run with the labels clamped
        self.linearised: dict[int, Any] = {}  # of a component with noisy steps, whose run is the linear one
        self.sweeps: dict[int, Any] = {}
        self.references: dict[int, Sweep] = {}  # of recurrences, for readings that carry columns
        self.losses: dict[int, tuple[float, list]] = {}
        self.tangents: Any = None
        self.impossible: ImpossibleEvidenceError | None = None
        self.without_rows: frozenset[str] = frozenset()  # what else than parameters a checkpointed run tells
        self.second: Any = None  # how all messages move, in a run of Tangent over another algebra
        if recipe is not None:
            self.tangent_algebra: Any = None
            self.rules: Any = None
            recipe.run(self)
            return
        self.tangent_algebra = next((a for a in algebras if isinstance(a, Tangent)), None)
        self._check_tangent()
        self._check_linearised()
        self.rules = rules_of(plan, algebras, schedule)
        if schedule.slots is not None:
            from msgpass.sweeps.checkpoints import run_checkpointed

            run_checkpointed(self)
            return
        self.forward()
        if self.tangent_algebra is not None:
            self.push_tangents()
        elif self.plan.real and schedule.backward:
            self.backward()
        if directions is not None:
            from msgpass.sweeps.second_order import SecondOrder

            self.second = SecondOrder(self, directions)

    # -- forward -----------------------------------------------------------------------------------------

    def forward(self) -> None:
        """Values of all steps, sweeps of all components, all losses."""
        # Overflow is told by check_finite, with the variable and the step; NumPy would only repeat it.
        with np.errstate(over="ignore", invalid="ignore"):
            self._forward()

    def _forward(self) -> None:
        for k, block in enumerate(self.plan.blocks):
            if isinstance(block, Map):
                self._require_present(block.families)
                real.forward_map(block, self.values)
            elif isinstance(block, Recurrence):
                self._require_present(block.families)
                self.sweeps[k] = self.make_sweep(k, block)
                self.sweeps[k].forward()
            elif isinstance(block, Losses):
                self.losses[k] = real.evaluate_loss(block, self.values)
            else:
                self.runs[k] = self.component(k, block, self.clamp)
                labels = self.labels(block)
                if labels:
                    self.clamped[k] = self.clamped_component(k, block, labels)

    def labels(self, block) -> dict[str, np.ndarray]:
        """Labels of a component's variables in this run."""
        graph = self.plan.graph
        if not graph.conditions:
            return {}
        return {
            n: self.values[graph.labels[n]] if n in graph.labels else graph.conditions[n]
            for n in block.nodes
            if n in graph.conditions
        }

    def clamped_component(self, k: int, block, labels):
        """The component with its labels clamped; where a chain's are all known, its path is."""
        run = self.runs[k]
        if type(run) is ChainRun and not self.clamp and (labels[block.node.name] >= 0).all():
            return KnownPath(run, labels[block.node.name], self.values)
        return self.component(k, block, {**self.clamp, **labels})

    def make_sweep(self, k: int, block: Recurrence):
        """The compiled sweep where the step names one and it fits, the reference otherwise."""
        from msgpass.kernels.registry import recurrence_sweep

        ruled = self.rules is not None and self.rules.touches(block)
        keep, fits = self.schedule.backward and not ruled, self.tangent_algebra is None
        if fits and self.schedule.windowed:
            from msgpass.sweeps.stretches import cut

            # Windows of a plan that can be cut are runs of their own; others bound the sweep's own steps.
            keep, fits = False, cut(self.plan) is not None
        made = recurrence_sweep(self.plan, k, block, self.values, keep) if fits else None
        if ruled:
            from msgpass.sweeps.ruled_recurrence import RuledSweep

            return RuledSweep(block, self.values, self.rules, made)
        return made or Sweep(block, self.values, self.schedule.scans)

    def component(self, k: int, block, clamp):
        """Messages of a discrete or Gaussian component."""
        algebra = self.algebras[k]
        if isinstance(algebra, Tangent):
            algebra = Gaussian() if block.gaussian else SumProduct()
        clamp = {n: v for n, v in clamp.items() if n in block.nodes} if clamp else clamp
        if isinstance(block, SwitchingChain):
            return self.switching(k, block, clamp)
        if isinstance(block, NonlinearTree):
            from msgpass.sweeps.linearised import Linearised

            self._require_present([f for f in block.families if noisy(f)])
            made = self.linearised[k] = Linearised(self, k, block, algebra, clamp)
            return made.linear
        if self.schedule.loops is not None:
            made = self.loopy_component(k, block, algebra, clamp)
            if made is not None:
                return made
        compiled = isinstance(block, TableChain) and type(algebra) in (SumProduct, MaxProduct)
        if self.schedule.windowed and compiled:
            from msgpass.sweeps.windowed import WindowedChain

            return WindowedChain(self.chain(k, block, algebra, clamp), self.schedule)
        if self.schedule.windowed:
            from msgpass.sweeps.windowed_tree import WindowedTree

            return WindowedTree(self, k, block, algebra, clamp)
        if compiled and block.sparse:
            from msgpass.sweeps.sparse_chain import run_sparse

            return run_sparse(self, k, block, isinstance(algebra, MaxProduct), clamp)
        if compiled:
            return self.chain(k, block, algebra, clamp)
        if isinstance(block, GaussianChain) and type(algebra) is Gaussian:
            from msgpass.sweeps.gaussian_chain import run_gaussian_chain

            return run_gaussian_chain(self, k, block, algebra, clamp)
        return self.tree(*chained(self.plan, k, block, algebra, self.values), algebra, clamp)

    def loopy_component(self, k: int, block, algebra, clamp):
        """Messages under a schedule that takes loops; None where the block's own sweep is exact."""
        if self.schedule.loops == "approximate":
            if block.gaussian:
                from msgpass.sweeps.gaussian_flooding import run_gaussian_flooding

                return run_gaussian_flooding(self, k, block, algebra, clamp)
            from msgpass.sweeps.flooding import run_flooding

            return run_flooding(self, k, block, algebra, clamp)
        if isinstance(block, TableChain | GaussianChain):
            return None
        if block.gaussian:
            from msgpass.sweeps.gaussian_elimination import run_gaussian_elimination

            return run_gaussian_elimination(self, k, block, algebra, clamp)
        from msgpass.sweeps.interface import run_interface

        number, chain = chained(self.plan, k, block, algebra, self.values)
        made = run_interface(self, k, block, algebra, clamp) if chain is block else None
        if made is not None:
            return made
        from msgpass.sweeps.junction_tree import run_junction_tree

        run = run_junction_tree(self, number, chain, algebra, clamp)
        if ("how", number) in self.plan.cache:
            self.plan.cache["how", k] = self.plan.cache["how", number]
        return run

    def chain(self, k: int, block: TableChain, algebra, clamp):
        """A TableChain through its kernels."""
        tables = self.chain_tables(k, block, clamp)
        maximise, forward_only = isinstance(algebra, MaxProduct), not self.schedule.backward
        made = block, tables.layout, self.values, maximise, clamp, forward_only, tables
        if not self.schedule.scans:
            return ChainRun(*made)
        from msgpass.kernels import table_chain_scan

        return ChainRun(*made, table_chain_scan)

    def switching(self, k: int, block: SwitchingChain, clamp):
        """A switching chain by Kim's filter."""
        from msgpass.sweeps.switching_chain import SwitchingRun

        if self.schedule.windowed:
            raise UnsupportedError(
                f"{self.schedule!r} drops messages; AssumedDensity has its own filter and smoother: use "
                "Sequential(), or ForwardOnly() for the filter"
            )
        return SwitchingRun(block, self.chain_tables(k, block.states, clamp), self.values)

    def chain_tables(self, k: int, block: TableChain, clamp):
        """A chain's log tables; those that no value of this run touches are kept with the plan."""
        cache = self.plan.cache
        layout = cache.get(("layout", k))
        if layout is None:
            layout = cache[("layout", k)] = ChainLayout(block)
        if clamp:
            return ChainTables(block, layout, self.values, clamp)
        depends = self._depends(k, block)
        if "*" not in depends and depends.isdisjoint(self.overridden):
            tables = cache.get(("tables", k))
            if tables is None:
                tables = cache[("tables", k)] = ChainTables(block, layout, self.values)
            return tables
        kept = self._observed(k, block).isdisjoint(self.overridden)
        recipe = cache.get(("recipe", k)) if kept else None
        if recipe is not None and recipe.fits(self.values):
            return PlainTables(recipe, block, layout, self.values)
        symbols = cache.get(("symbols", k)) if kept else None
        tables = ChainTables(block, layout, self.values, None, symbols)
        if kept and symbols is None and tables.symbols is not None:
            cache[("symbols", k)] = tables.symbols
        if kept and "*" not in depends and ("recipe", k) not in cache:
            cache[("recipe", k)] = Recipe.of(tables)
        return tables

    def _depends(self, k: int, block) -> set:
        """Names whose values the block's tables depend on ("*": something that every run computes)."""
        depends = self.plan.cache.get(("depends", k))
        if depends is None:
            depends = {a.name for f in block.families for a in f.args}
            for f in block.families:
                for part in f.potential.parts.values():
                    name = part.node.name if isinstance(part, Slice) else getattr(part, "name", None)
                    depends |= {name, "*"} if name in self.plan.owner else {name}
            self.plan.cache[("depends", k)] = depends
        return depends

    def _observed(self, k: int, block) -> set:
        """Observations among the block's variables."""
        observed = self.plan.cache.get(("observed", k))
        if observed is None:
            observed = {a.name for f in block.families for a in f.args} - set(block.nodes)
            self.plan.cache[("observed", k)] = observed
        return observed

    def tree(self, k: int, block: Tree, algebra, clamp):
        """A tree by two passes."""
        from msgpass.sweeps.tree import TreeRun

        return TreeRun(block, self.orientation(k, block), algebra, self.values, clamp, self.schedule.backward)

    def orientation(self, k: int, block):
        """Made once a plan."""
        from msgpass.sweeps.tree import orient

        made = self.plan.cache.get(("orientation", k))
        if made is None:
            made = self.plan.cache[("orientation", k)] = orient(block)
        return made

    def _check_linearised(self) -> None:
        cut = self.schedule.windowed or self.schedule.slots is not None
        if cut and any(isinstance(b, NonlinearTree) for b in self.plan.blocks):
            from msgpass.sweeps.linearised import unsupported_schedule

            raise unsupported_schedule(self.schedule)

    def linear_family(self, k: int, family):
        """The family that the run of block k crosses: the stand-in of a noisy step, or itself."""
        if k not in self.linearised:
            return family
        return self.linearised[k].surrogates.block.families[self.plan.blocks[k].families.index(family)]

    def _require_present(self, families) -> None:
        for family in families:
            for arg in family.args:
                name = arg.name
                if not isinstance(arg.slice.node, Observation) or self.values.complete(name):
                    continue
                value = self.values[name]
                real_valued = value.dtype.kind == "f"
                gone = np.isnan(value) if real_valued else value < 0
                place = tuple(int(i) for i in np.unravel_index(int(np.argmax(gone)), gone.shape))
                where = f"row {place[0]}" if len(place) == 1 else f"index {place}" if place else "its value"
                mark = "NaN" if real_valued else "−1"
                raise DataError(
                    f"step {family.name!r} reads {name!r}, which is missing ({mark}) at {where}: a step "
                    "cannot integrate a missing input out. Fill it in, or give the step a mask as a second "
                    "input (targets of a Loss may be missing)"
                )

    @property
    def log_sign(self) -> float:
        """+1 where total is log Z, −1 where it is a loss."""
        return -1.0 if self.plan.real else 1.0

    @property
    def total(self):
        """log Z, best score, or loss; with Tangent the pair (value, directional derivative)."""
        value = sum(v for v, _ in self.losses.values())
        for k in self.runs:
            value += sum(sign * part.total for part, sign in self.shares(k))
        if value != value:
            raise NumericalError(
                "total is NaN: the labels have probability zero, and so has the evidence; look for "
                "−∞ in the tables"
            )
        value = float(value)
        moving = self.tangents if self.second is None else self.second
        return value if moving is None else Dual(value, moving.total)

    # -- backward ----------------------------------------------------------------------------------------

    @property
    def tasks(self) -> list[str | None]:
        """Tasks of the losses (None: losses without one, and components)."""
        found = [self.plan.blocks[k].families[0].potential.task for k in self.losses]
        return list(dict.fromkeys([*found, *map(self.task_of, self.runs)])) or [None]

    def weight_of(self, k: int):
        """Weight of a component, where it has one."""
        weights = self.plan.graph.weights
        return (
            next((weights[n] for n in self.plan.blocks[k].nodes if n in weights), None) if weights else None
        )

    def task_of(self, k: int) -> str | None:
        """Task of a component."""
        weight = self.weight_of(k)
        return None if weight is None else weight.task

    def backward(self) -> None:
        """Cotangents of every task against the order of the plan."""
        self.stores: dict[str | None, tuple[Store, Store]] = {}
        if len(self.tasks) > 1 and self.rules is None and not self.schedule.windowed:
            self._backward_together()
            return
        for task in self.tasks:
            store, later = Store(self.values, self.rules), Store(self.values, self.rules)
            self.stores[task] = store, later
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    self._backward(task, store, later)
            except ImpossibleEvidenceError as problem:
                self.impossible = problem  # total is infinite; whoever asks for a gradient is told
                return
            self.check_gradients(store)

    def _backward_together(self) -> None:
        """All tasks in one sweep, a column each."""
        store, later = (ColumnStore(self.values, len(self.tasks)) for _ in range(2))
        self.stores = {t: (store.each[c], later.each[c]) for c, t in enumerate(self.tasks)}
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                for task, (one, one_later) in self.stores.items():
                    self.local_cotangents(task, one, one_later)
                self.pull_back(store, later)
        except ImpossibleEvidenceError as problem:
            self.impossible = problem
            return
        for one, _ in self.stores.values():
            self.check_gradients(one)

    def _backward(self, task, store: Store, later: Store) -> None:
        if self.schedule.windowed:
            from msgpass.sweeps.windowed import backward_windows

            backward_windows(self, task, store, later)
            return
        self.local_cotangents(task, store, later)
        self.pull_back(store, later)
        if self.rules is not None:
            self.rules.pass_on(store, [n for n in self.rules.nodes if n not in self.plan.owner])

    def check_gradients(self, store: Store) -> None:
        """No NaN leaves in a gradient: look where it came in."""
        given = [n for n in self.values if n not in self.plan.owner and store.has(n)]
        bad = next((n for n in given if not all_finite(store.peek(n))), None)
        if bad is None:
            return
        for k, (_, grads) in self.losses.items():
            family = self.plan.blocks[k].families[0]
            for arg, g in zip(family.args, grads, strict=True):
                if g is not None and not all_finite(np.asarray(g)):
                    rows = np.isfinite(g).reshape(len(g) if g.ndim else 1, -1).all(axis=1)
                    where = f" at row {int(np.argmin(rows))}" if g.ndim else ""
                    raise NumericalError(
                        f"loss {family.name!r} returned a gradient that is NaN or infinite for "
                        f"{arg.slice.name}{where}"
                    )
        raise NumericalError(
            f"∂total/∂{bad} is NaN or infinite, though every value and every loss is finite: the cotangents "
            f"overflow{self._first_cotangent(store)} (clip the weights, shorten the sequence or truncate), "
            "or a step's vjp returns NaN"
        )

    def _first_cotangent(self, store: Store) -> str:
        """The state, and the step, at which the backward sweep meets a cotangent that is not finite."""
        for block in reversed(self.plan.blocks):
            nodes = [out.slice.node for f in block.families for out in f.outs if out.name in store]
            direction = block.direction if isinstance(block, Recurrence) else 1
            broken = []
            for node in nodes:
                cotangent = store.complete(node.name)
                if isinstance(node, Sequence) and not all_finite(cotangent):
                    broken.append((*first_broken(cotangent, node.clock, -direction)[:2], node.name))
            if broken:
                _, step, name = min(broken)
                return f", first at {name!r} at step {step},"
        return ""

    def local_cotangents(self, task, store: Store, later: Store) -> None:
        """What losses and components say to what they read."""
        for k, (_, grads) in self.losses.items():
            if self.plan.blocks[k].families[0].potential.task == task:
                real.backward_loss(self.plan.blocks[k], grads, store, later)
        for k in self.runs:
            if self.task_of(k) == task:
                self.component_parameters(k, store)

    def shares(self, k: int) -> list[tuple[Any, float]]:
        """(run, factor) of what component k adds to the total: ±log Z, or log Z − log Z clamped to labels,
        times its weight."""
        weight, scale = self.weight_of(k), 1.0
        if weight is not None:
            scale = weight.value if weight.observation is None else float(self.values[weight.observation])
        if k in self.clamped:
            return [(self.runs[k], scale), (self.clamped[k], -scale)]
        return [(self.runs[k], self.log_sign * scale)]

    def component_parameters(self, k: int, store: Store) -> None:
        """∂total/∂(parameters and real inputs) of a component."""
        for made, sign in self.shares(k):
            self._add(k, made, store, sign)

    def _add(self, k: int, made, store, sign: float) -> None:
        made.impossible()
        block, made = self.plan.blocks[k], self.linearised.get(k, made)
        if isinstance(self.algebras[k], MaxProduct) and hasattr(made, "assign"):
            made.add_parameters(store, sign, made.assign())
        elif block.gaussian and sign != 1:
            inner = Store(self.values)
            made.add_parameters(inner)
            for name, g in inner.items():
                store[name] = store[name] + sign * g
        else:
            made.add_parameters(store, sign)

    def pull_back(self, store: Store, later: Store) -> None:
        """Steps against the order of the plan."""
        for k in range(len(self.plan.blocks) - 1, -1, -1):
            block = self.plan.blocks[k]
            if not isinstance(block, Map | Recurrence):
                continue
            # A rule may say something where nothing has arrived.
            rules = self.rules if self.rules is not None and self.rules.touches(block) else None
            if rules is None and not any(store.has(n) for n in block.nodes):
                continue
            if isinstance(block, Map):
                if rules is not None:
                    rules.computed(block.families[0], store)
                for one in one_by_one(store, later):
                    real.backward_map(block, self.values, *one)
            else:
                sweep = self.sweeps[k]
                together = store.columns > 1 and isinstance(sweep, Sweep) and sweep.takes_columns()
                for one in ((store, later),) if together else one_by_one(store, later):
                    sweep.backward(*one)

    @cached_property
    def component_store(self) -> Store:
        """∂log Z/∂parameters of a graph without losses, added up when first asked for."""
        store = Store(self.values)
        for k in self.runs:
            self.component_parameters(k, store)
        return store

    @cached_property
    def everything(self):
        """The same run with every message kept (for what a checkpointed run has dropped)."""
        from msgpass.schedule.sequential import Sequential

        given = Values({n: v for n, v in self.values.items() if n not in self.plan.owner})
        return Execution(self.plan, self.algebras, Sequential(), given, self.clamp, self.overridden)

    # -- tangents ----------------------------------------------------------------------------------------

    def _check_tangent(self) -> None:
        if self.tangent_algebra is None:
            return
        if self.schedule.windowed or self.schedule.slots is not None:
            raise UnsupportedError(
                f"Tangent runs forward only, so {self.schedule!r} has nothing to drop or "
                "recompute; use Sequential()"
            )
        algebra = self.tangent_algebra
        if algebra.columns is not None:
            from msgpass.sweeps.tangent_columns import check_columns

            check_columns(self.plan.graph, self.values, algebra.directions, algebra.columns)
            return
        check_directions(self.plan.graph, self.values, algebra.directions)

    def push_tangents(self) -> None:
        """Directional derivatives forward over the plan."""
        if self.tangent_algebra.columns is not None:
            from msgpass.sweeps.tangent_columns import push_columns

            self.tangents = push_columns(self)
            return
        tangents = Tangents(self.plan.graph, self.values, self.tangent_algebra.directions)
        for k, block in enumerate(self.plan.blocks):
            if isinstance(block, Map):
                real.tangent_map(block, self.values, tangents)
            elif isinstance(block, Recurrence):
                self.sweeps[k].tangent(tangents)
            elif isinstance(block, Losses):
                tangents.total += real.tangent_loss(block, self.values, tangents, self.losses[k][1])
            else:
                store = Store(self.values)
                self.component_parameters(k, store)
                tangents.total += sum(
                    float(np.sum(g * tangents[n])) for n, g in store.items() if n in tangents
                )
        self.tangents = tangents


def check_directions(graph, values, directions) -> None:
    """Directions have the names and shapes of real values, and are finite."""
    for name, direction in directions.items():
        given = [
            n
            for n, v in values.items()
            if v.dtype.kind == "f" and isinstance(graph.nodes.get(n), Parameter | Observation)
        ]
        if name not in given:
            raise DataError(
                f"Tangent has a direction for {name!r}, which is no parameter or real "
                f"observation; the graph has {', '.join(given) or 'none'}"
            )
        if direction.shape != values[name].shape:
            raise DataError(
                f"Tangent: the direction of {name!r} has shape {direction.shape}, wanted {values[name].shape}"
            )
        if not all_finite(direction):
            raise DataError(
                f"Tangent: the direction of {name!r} holds NaN or an infinite value; give finite numbers, "
                "such as 0 where nothing moves"
            )


class Tangents(dict):
    """Tangents by node name; a name that is absent does not move."""

    def __init__(self, graph, values, directions):
        super().__init__(directions)
        self.graph, self.values_of, self.total = graph, values, 0.0

    def zero(self, name: str, _like=None) -> None:
        """Register a node that starts with a zero tangent."""
        if name not in self:
            node = self.graph.nodes[name]
            shape = (
                (node.clock.total, *node.shape)
                if isinstance(node, Sequence)
                else np.shape(self.values_of[name])
            )
            self[name] = np.zeros(shape)
