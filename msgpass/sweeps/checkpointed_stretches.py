"""Steps under ``Checkpointed``, stretch by stretch: checkpoints are the states between stretches of rows.

A stretch is a run of its own (:mod:`~msgpass.sweeps.stretches`): forward from the state before it, back from
the cotangent that the stretch behind it left at its edges. :func:`~msgpass.schedule.checkpointed.reverse`
says in which order. Data are given arrays; what is bounded is everything that the run computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import NumericalError
from msgpass.nodes import Observation
from msgpass.schedule.checkpointed import reach, reverse
from msgpass.sweeps import real
from msgpass.sweeps.execution import Execution
from msgpass.sweeps.real import Store
from msgpass.sweeps.rows import add_edge
from msgpass.sweeps.stretches import Cut, blocks_before
from msgpass.values import all_finite

BYTES = 1 << 23
"""Of the values in a stretch; with cotangents and what sweeps keep, a few times as much."""

REPEATS = 2
"""How often a step may run forward before the run that uses it; few slots make long stretches."""

State = dict[str, np.ndarray]


def can_run(cut: Cut) -> bool:
    """One sequence, vectorised steps, and losses of whole sequences, of one row, or of no row at all."""
    families = [f for k in cut.moving for f in cut.plan.blocks[k].families]
    if not cut.moving or cut.clock.ragged or not all(f.potential.vectorized for f in families):
        return False
    return all(_still(cut, f) or _whole(f) or _row(cut, f) is not None for f in _losses(cut))


def _losses(cut: Cut):
    return [f for k in cut.losses for f in cut.plan.blocks[k].families]


def _still(cut: Cut, family) -> bool:
    """A loss of values outside time, such as a penalty on weights."""
    return family.clock is None and not any(a.name in cut.nodes for a in family.args)


def _whole(family) -> bool:
    stepped = [a for a in family.args if a.slice.stepped]
    return (
        bool(stepped)
        and all(a.slice.kind in ("range", "single") and a.first == 0 for a in family.args)
        and (family.factor.n == family.clock.total)
    )


def _row(cut: Cut, family) -> int | None:
    """The one row that a loss reads."""
    if family.factor.stepped or not any(a.name in cut.nodes for a in family.args):
        return None
    rows = {a.slice.index_row(cut.clock.total) for a in family.args if a.slice.kind == "index"}
    whole = any(a.slice.kind == "all" and not isinstance(a.slice.node, Observation) for a in family.args)
    return rows.pop() if len(rows) == 1 and not whole else None


class CheckpointedStretches:
    """One run of a plan that can be cut: totals, and messages at what has no rows."""

    def __init__(self, x, cut: Cut):
        self.x, self.cut, self.plan = x, cut, cut.plan
        self.core = blocks_before(cut.plan, cut.moving)[0]
        self.carried = {e.name: e.arg.name for e in cut.edges}
        self.rows_of = {k: _row(cut, cut.plan.blocks[k].families[0]) for k in cut.losses}
        self.still = [k for k in cut.losses if _still(cut, cut.plan.blocks[k].families[0])]
        self.totals = dict.fromkeys(cut.losses, 0.0)
        self.tasks = list(dict.fromkeys(self._task(k) for k in cut.losses)) or [None]
        x.stores = {task: (Store(x.values), Store(x.values)) for task in self.tasks}
        self.ahead: dict[Any, dict[str, np.ndarray]] = {task: {} for task in self.tasks}

    def _task(self, k: int):
        return self.plan.blocks[k].families[0].potential.task

    def run(self) -> None:
        """Forward for the checkpoints, then back."""
        x = self.x
        with np.errstate(over="ignore", invalid="ignore"):
            for k in (*self.cut.fixed, *self.cut.moving):
                x._require_present(self.plan.blocks[k].families)
            for k in self.cut.fixed:
                real.forward_map(self.plan.blocks[k], x.values)
            self._still_losses()
            self.cuts = self._cuts()
            starts = self.cut.starts(x.values)
            reverse(len(self.cuts) - 1, x.schedule.slots, starts, self.advance, self.back)
            self._finish()
        x.losses = {k: (total, []) for k, total in self.totals.items()}
        x.without_rows = frozenset(n for n in x.values if n not in self.plan.owner) - self.cut.rows
        self._check()

    def _cuts(self) -> np.ndarray:
        """First rows of the stretches, and the number of rows."""
        total, schedule = self.cut.clock.total, self.x.schedule
        length = schedule.stretch
        if length is None:
            nodes = self.plan.graph.nodes
            row = 8 * sum(nodes[n].size for n in self.cut.nodes)
            length = max(1, BYTES // row, -(-total // reach(schedule.slots, REPEATS)))
        count = -(-total // length)
        return np.arange(count + 1) * total // count

    def _still_losses(self) -> None:
        for k in self.still:
            block = self.plan.blocks[k]
            self.totals[k], grads = real.evaluate_loss(block, self.x.values)
            real.backward_loss(block, grads, *self.x.stores[self._task(k)])

    def _sweep(self, state: State, s: int, blocks: list[int], backward: bool) -> Execution:
        """Stretch s forward from the state before it."""
        first, last = int(self.cuts[s]), int(self.cuts[s + 1])
        at = {k: row - first for k in blocks if (row := self.rows_of.get(k)) is not None}
        plan = self.cut.over((last - first,), blocks, at)
        own = {name: state[name] for name in state if name in plan.graph.nodes}
        made = self.cut.prepare(plan, self.x.values, slice(first, last), own, backward=backward)
        try:
            return made.start()
        except NumericalError:
            raise self._not_finite(made.values, first) from None

    def _not_finite(self, values, first: int) -> NumericalError:
        """Name the variable and the row of the whole sequence."""
        for k in self.cut.moving:
            for name in self.plan.blocks[k].nodes:
                if name in values and not all_finite(values[name]):
                    flat = values[name].reshape(len(values[name]), -1)
                    row = first + int(np.argmin(np.isfinite(flat).all(axis=1)))
                    family = self.plan.blocks[k].families[0].name
                    return NumericalError(
                        f"{name!r} became NaN or infinite at step {row}, computed by {family!r}; missing "
                        "inputs (NaN) must be filled in before a step reads them, and parameters kept in "
                        "range"
                    )
        return NumericalError(f"a value became NaN or infinite in the steps from {first} on")

    def advance(self, state: State, first: int, last: int) -> State:
        """State before stretch ``last`` from the state before stretch ``first``."""
        for s in range(first, last):
            made = self._sweep(state, s, self.core, backward=False)
            state = {edge: made.values[name][-1:].copy() for edge, name in self.carried.items()}
        return state

    def back(self, state: State, s: int) -> None:
        """Stretch s again, with its losses, and against its order."""
        x = self.x
        first, last = int(self.cuts[s]), int(self.cuts[s + 1])
        timed = [k for k in self.cut.losses if k not in self.still]
        losses = [k for k in timed if (row := self.rows_of[k]) is None or first <= row < last]
        made = self._sweep(state, s, [*self.cut.moving, *losses], backward=True)
        numbers = {f.name: k for k in losses for f in self.plan.blocks[k].families}
        for k, (value, _) in made.losses.items():
            self.totals[numbers[made.plan.blocks[k].families[0].name]] += value
        for task in self.tasks:
            own, later = Store(made.values), Store(made.values)
            made.local_cotangents(task, own, later)
            for edge, message in self.ahead[task].items():
                own[self.carried[edge]][-1:] += message
            made.pull_back(own, later)
            self.ahead[task] = {e: own[e][None].copy() for e in self.carried if own.has(e)}
            store = x.stores[task][0]
            for name in own.values_of:
                shared = name in x.values and name not in self.cut.rows and name not in self.carried
                if shared and name in store and own.has(name):
                    store[name] = store[name] + own[name]
            own.close()
            later.close()

    def _finish(self) -> None:
        """What reached the first states goes on to what they are made of."""
        x = self.x
        for task, (store, later) in x.stores.items():
            for edge in self.cut.edges:
                message, name = self.ahead[task].get(edge.name), edge.arg.edge.name
                if message is not None and name in store:
                    add_edge(edge.arg, store[name], message, np.zeros(1, np.int64))
            for k in reversed(self.cut.fixed):
                block = self.plan.blocks[k]
                if any(store.has(n) for n in block.nodes):
                    real.backward_map(block, x.values, store, later)

    def _check(self) -> None:
        for store, _ in self.x.stores.values():
            for name in self.x.values:
                if name not in self.plan.owner and store.has(name) and not all_finite(store.peek(name)):
                    raise NumericalError(
                        f"∂total/∂{name} is NaN or infinite, though every value is finite: the cotangents "
                        "overflow (clip the weights, shorten the sequence or truncate), or a step's vjp or a "
                        "loss returns NaN"
                    )
