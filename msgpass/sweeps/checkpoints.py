"""Checkpointed runs: one binomial driver over the steps of a sweep, whatever its algebra.

Chains of full tables under SumProduct and MaxProduct go stretch by stretch through their kernels
(:mod:`~msgpass.sweeps.checkpointed_chain`). Other components of tables or quadratics step through their
oriented factor instances; the state is the set of forward messages still to be used. Plans of vectorised
steps that can be cut go stretch by stretch, too (:mod:`~msgpass.sweeps.checkpointed_stretches`); other plans
of steps and losses that are causal step through time, and the state is the last rows that later steps read.
Plans that are not (two directions, attention over whole sequences, components behind a network) need all
values at once and keep them.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.errors import NumericalError, UnsupportedError
from msgpass.nodes import Observation
from msgpass.plan import Losses, Recurrence, SwitchingChain, TableChain
from msgpass.schedule.checkpointed import reverse
from msgpass.sweeps.checkpointed_stretches import CheckpointedStretches, can_run
from msgpass.sweeps.real import Store
from msgpass.sweeps.stretches import cut
from msgpass.sweeps.tree import TreeRun


def run_checkpointed(x) -> None:
    """Run ``x`` (an Execution) with its schedule's slots."""
    undirected = not any(b.kind in ("Map", "Recurrence", "Losses") for b in x.plan.blocks)
    if undirected and not x.plan.real:
        for k, block in enumerate(x.plan.blocks):
            algebra = x.algebras[k]
            compiled = isinstance(block, TableChain) and type(algebra) in (SumProduct, MaxProduct)
            if isinstance(block, SwitchingChain):
                raise UnsupportedError(
                    f"{x.schedule!r} recomputes messages of exact sweeps; AssumedDensity has its own filter "
                    "and smoother: use Sequential()"
                )
            if compiled and not block.sparse:
                from msgpass.sweeps.checkpointed_chain import CheckpointedChain

                clamp = {n: v for n, v in x.clamp.items() if n in block.nodes}
                maximise = isinstance(algebra, MaxProduct)
                x.runs[k] = CheckpointedChain(x.chain_tables(k, block, clamp), maximise, x.schedule.slots)
            else:
                x.runs[k] = CheckpointedTree(x, k, block)
        return
    pieces = cut(x.plan)
    if pieces is not None and x.rules is None and can_run(pieces):
        CheckpointedStretches(x, pieces).run()
        return
    if x.plan.real and not x.runs and _causal(x.plan):
        CheckpointedSteps(x).run()
        return
    x.forward()
    x.backward()


class CheckpointedTree:
    """Total and parameter messages of a component with few forward messages kept; anything else runs it in
    full.
    """

    def __init__(self, x, k: int, block):
        self.x, self.k, self.block = x, k, block
        algebra = x.algebras[k]
        clamp = {n: v for n, v in x.clamp.items() if n in block.nodes}
        self.tree = _Stepped(block, x.orientation(k, block), algebra, x.values, clamp)
        self.total = self.tree.total
        self.store: Store | None = None

    @cached_property
    def everything(self):
        """The run with every message kept."""
        return self.x.everything.runs[self.k]

    def impossible(self) -> None:
        """Raise where the evidence has probability zero, naming the step."""
        if self.total == -np.inf:
            self.everything.impossible()

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """Counts or statistics, added up while the sweep is reversed."""
        self.tree.reverse(self.x.schedule.slots, store, sign)

    def assign(self):
        """Made by the reversal itself."""
        return None


class _Stepped(TreeRun):
    """A tree whose forward messages live only as long as they are needed."""

    def forward_pass(self) -> None:
        """One pass for the total, nothing kept."""
        state = self.advance({}, 0, len(self.o.instances))
        self.total = float(sum(self.algebra.close(self.held(state, r)) for r in self.o.roots))
        self.last = state

    def backward_pass(self) -> None:
        """Happens in :meth:`reverse`."""

    def held(self, state: dict, v: int):
        """Forward message of a variable so far."""
        return state.get(v, self.local[v])

    def advance(self, state: dict, first: int, last: int) -> dict:
        """State before instance ``last`` from the state before instance ``first``."""
        state = dict(state)
        for k in range(first, last):
            inst = self.o.instances[k]
            message = self.algebra.forward(self.potential(inst), [self.held(state, u) for u in inst.ins])
            for u in inst.ins:
                state.pop(u, None)
            state[inst.out] = self.algebra.add(self.held(state, inst.out), message)
        return state

    def reverse(self, slots: int, store, sign: float) -> None:
        """All instances from the last to the first, each from the state before it."""
        ahead: dict = {r: self.unit_like(r) for r in self.o.roots}
        assigned: dict = {}
        maximise = isinstance(self.algebra, MaxProduct)
        if maximise:
            assigned = {r: np.argmax(self.held(self.last, r), axis=-1) for r in self.o.roots}

        def back(state: dict, k: int) -> None:
            inst = self.o.instances[k]
            ins = [self.held(state, u) for u in inst.ins]
            potential = self.potential(inst)
            own = self.algebra.forward(potential, ins)
            before = self.held(state, inst.out)
            at_out = self.algebra.add(before, ahead[inst.out])
            if maximise and inst.ins:
                assigned.update(
                    zip(inst.ins, self.best_ins(inst, potential, ins, assigned[inst.out]), strict=True)
                )
            # The readings of a tree look for the messages around an instance here.
            self.forward = {**dict(zip(inst.ins, ins, strict=True)), inst.out: self.algebra.add(before, own)}
            self.backward, self.at_out = ahead, {k: at_out}
            self.collect(k, store, sign, assigned if maximise else None)
            if inst.ins:
                ahead.update(zip(inst.ins, self.algebra.backward(potential, ins, at_out), strict=True))
            ahead[inst.out] = self.algebra.add(ahead[inst.out], own)

        reverse(len(self.o.instances), slots, {}, self.advance, back)


# -- steps -----------------------------------------------------------------------------------------------


def _causal(plan) -> bool:
    """Every factor reads rows at its own time or before, so that the plan can be run step by step."""
    clocks = {f.clock for b in plan.blocks for f in b.families if f.clock is not None}
    if len(clocks) != 1 or next(iter(clocks)).ragged:
        return False
    for block in plan.blocks:
        if not isinstance(block, Recurrence | Losses) and block.kind != "Map":
            return False
        if isinstance(block, Recurrence) and block.direction < 0:
            return False
        for f in block.families:
            for a in f.args:
                computed = a.name in plan.owner
                if computed and (a.slice.kind == "all" or (a.slice.stepped and a.first > f.first)):
                    return False
                if computed and a.rows is None:
                    return False
                if (
                    computed
                    and a.slice.kind == "index"
                    and (f.factor.stepped or a.slice.index_row(a.clock.lengths[0]) > f.times[0])
                ):
                    return False
                if a.edge is not None and a.edge.name in plan.owner:
                    return False
            if any(o.rows is None for o in f.outs):
                return False
    return True


class CheckpointedSteps:
    """A causal plan step by step: rows are kept while later steps read them, states of a few steps as
    checkpoints.
    """

    def __init__(self, x):
        self.x, self.plan = x, x.plan
        self.families = [f for b in self.plan.blocks for f in b.families]
        self.losses = {f.name for b in self.plan.blocks if isinstance(b, Losses) for f in b.families}
        self.length = max((f.clock.total for f in self.families if f.clock is not None), default=1)
        lags = [
            f.first - a.first
            for f in self.families
            for a in f.args
            if a.name in self.plan.owner and a.slice.stepped
        ]
        rows = [
            int(f.times[0]) - a.slice.index_row(self.length)
            for f in self.families
            for a in f.args
            if a.name in self.plan.owner and a.slice.kind == "index"
        ]
        self.memory = max([1, *lags, *rows])

    def run(self) -> None:
        """Forward once for the total; then back, with parameter messages added up in the run's stores."""
        x = self.x
        x.stores = {task: (Store(x.values, x.rules), Store(x.values, x.rules)) for task in _tasks(self)}
        self.cotangents: dict = {task: {} for task in x.stores}
        self.total = 0.0
        self.task_totals: dict = {}
        reverse(self.length, x.schedule.slots, {}, self.advance, self.back)
        if x.rules is not None:
            given = [n for n in x.rules.nodes if n not in self.plan.owner]
            for store, _ in x.stores.values():
                x.rules.pass_on(store, given)
        for k, block in enumerate(self.plan.blocks):
            if isinstance(block, Losses):
                x.losses[k] = (self.task_totals.get(block.families[0].name, 0.0), [])

    def advance(self, state: dict, first: int, last: int) -> dict:
        """Rows that steps from ``last`` on read, from those that steps from ``first`` on read."""
        state = dict(state)
        for t in range(first, last):
            self.step(state, t)
            self.forget(state, t + 1)
        return state

    def forget(self, state: dict, t: int) -> None:
        """Drop rows that no step from t on reads."""
        for key in [key for key in state if key[1] < t - self.memory]:
            del state[key]

    def at(self, family, t: int) -> int | None:
        """Instance of a family at time t."""
        if family.counts is None:
            return 0 if t == min(family.first, self.length - 1) else None
        if not family.factor.stepped:
            return 0 if int(family.times[0]) == t else None
        j = t - family.first
        return j if 0 <= j < family.factor.n else None

    def inputs(self, family, state: dict, j: int) -> list:
        """Input values of one instance."""
        return [self.value(family, a, state, j) for a in family.args]

    def place(self, family, arg, j: int) -> tuple[str, int] | None:
        """(name, row) that an instance reads; None for a shared value, row −1 for the edge's."""
        if arg.rows is None:
            return None
        if arg.slice.kind == "index":
            return arg.name, arg.slice.index_row(arg.clock.lengths[0])
        row = arg.first + j
        if arg.edge is not None and not 0 <= row < arg.clock.total:
            return None
        return arg.name, row

    def value(self, family, arg, state, j):
        """Value that an instance reads."""
        place = self.place(family, arg, j)
        if place is not None:
            return state[place] if arg.name in self.plan.owner else self.x.values[arg.name][place[1]]
        if arg.edge is not None:
            edge = np.asarray(self.x.values[arg.edge.name])
            if arg.edge.rows is not None:
                return edge[arg.edge.rows][0]
            return edge if edge.ndim == len(arg.slice.shape) else edge[0]
        return self.x.values[arg.name]

    def step(self, state: dict, t: int) -> None:
        """Compute every row of time t."""
        for family in self.families:
            j = self.at(family, t)
            if j is None or family.name in self.losses:
                continue
            inputs = self.lead(family, self.inputs(family, state, j))
            outputs = family.potential.f(*inputs)
            outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
            for out, value in zip(family.outs, outputs, strict=True):
                value = np.asarray(value)[0] if self.leading(family) else np.asarray(value)
                if not np.isfinite(value).all():
                    raise NumericalError(
                        f"{out.name!r} became NaN or infinite at step {t}, computed by {family.name!r}"
                    )
                state[(out.name, self.out_row(family, out, j))] = value

    @staticmethod
    def out_row(family, out, j: int) -> int:
        """Row that an instance computes."""
        return out.slice.index_row(out.clock.lengths[0]) if out.slice.kind == "index" else out.first + j

    @staticmethod
    def leading(family) -> bool:
        """Vectorised functions get a leading axis of one instance."""
        return family.potential.vectorized and any(a.rows is not None for a in (*family.args, *family.outs))

    def lead(self, family, inputs):
        """Add that axis to the inputs that have rows of their own."""
        from msgpass.sweeps.rows import per_instance

        if not self.leading(family):
            return inputs
        return [
            np.asarray(v)[None] if per_instance(family, a) else v
            for v, a in zip(inputs, family.args, strict=True)
        ]

    def back(self, state: dict, t: int) -> None:
        """Recompute time t from the state before it; then its losses and its steps against their order."""
        from msgpass.sweeps.local import vjp_one
        from msgpass.sweeps.rows import per_instance

        state = dict(state)
        self.step(state, t)
        for family in reversed(self.families):
            j = self.at(family, t)
            if j is None:
                continue
            plain = self.inputs(family, state, j)
            inputs = self.lead(family, plain)
            leading = self.leading(family)
            if family.name in self.losses:
                found = self.loss(family, plain, inputs)
                tasks = [family.potential.task]
            else:
                found, tasks = None, list(self.cotangents)
            for task in tasks:
                messages = found
                if messages is None:
                    cells = [
                        self.cotangents[task].pop((o.name, self.out_row(family, o, j)), None)
                        for o in family.outs
                    ]
                    if all(c is None for c in cells) and not self.ruled(family):
                        continue
                    cells = [
                        np.zeros(o.slice.shape) if c is None else c
                        for c, o in zip(cells, family.outs, strict=True)
                    ]
                    if self.x.rules is not None:
                        cells = self.passed_on(family, state, j, cells)
                    messages = vjp_one(family, inputs, [c[None] for c in cells] if leading else cells)
                for arg, message in zip(family.args, messages, strict=True):
                    if message is not None:
                        one = (
                            np.asarray(message)[0]
                            if leading and per_instance(family, arg)
                            else np.asarray(message)
                        )
                        if self.x.rules is not None:
                            one = self.through(family, arg, plain, one, j)
                        self.deliver(family, arg, one, j, task)

    def ruled(self, family) -> bool:
        """Rules act at what a family computes or reads: they may speak where nothing has arrived."""
        return self.x.rules is not None and self.x.rules.touches(self.plan.owner[family.outs[0].name])

    def passed_on(self, family, state, j: int, cells) -> list:
        """What arrived at the rows that an instance computes, through their variables' rules."""
        found = []
        for o, cell in zip(family.outs, cells, strict=True):
            row = self.out_row(family, o, j)
            value = state[(o.name, row)]
            found.append(
                self.x.rules.at_rows(
                    o.name, cell[None], np.array([row]), lambda v=value: np.asarray(v)[None]
                )[0]
            )
        return found

    def through(self, family, arg, plain, message, j: int):
        """An instance's message at an input, through the edge's rule."""
        from msgpass.sweeps.edge_rules import local_times

        k = family.args.index(arg)
        time = local_times(family, arg)[j : j + 1] if (family.name, k) in self.x.rules.edges else None
        return self.x.rules.on_edge(family, k, message[None], time, lambda: np.asarray(plain[k])[None])[0]

    def loss(self, family, plain, inputs) -> list:
        """Value added to the totals, gradients returned; nothing where an observation is missing."""
        from msgpass.sweeps.real import _is_missing, checked_loss

        if any(
            isinstance(a.slice.node, Observation) and _is_missing(a, v)
            for a, v in zip(family.args, plain, strict=True)
        ):
            return [None] * len(inputs)
        value, grads = checked_loss(family, family.potential.value_and_grad(*inputs), inputs)
        self.task_totals[family.name] = self.task_totals.get(family.name, 0.0) + value
        return grads

    def deliver(self, family, arg, message, j: int, task) -> None:
        """Onto a row still to be passed back, an edge, a parameter or an observation."""
        store = self.x.stores[task][0]
        place = self.place(family, arg, j)
        if place is not None and arg.name in self.plan.owner:
            kept = self.cotangents[task]
            kept[place] = kept[place] + message if place in kept else message
        elif place is not None:
            return  # gradients of observations are made by a full run, when they are asked for
        elif arg.edge is not None:
            if arg.edge.rows is None and arg.edge.name in store:
                target = store[arg.edge.name]
                target += message if target.ndim == np.ndim(message) else message[None]
        elif arg.name in store:
            store[arg.name] = store[arg.name] + message


def _tasks(steps: CheckpointedSteps) -> list:
    found = [f.potential.task for f in steps.families if f.name in steps.losses]
    return list(dict.fromkeys(found)) or [None]
