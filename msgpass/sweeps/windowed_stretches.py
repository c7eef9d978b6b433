"""Windows over a plan that can be cut: every window is an ordinary backward sweep over a stretch of rows.

The plan runs forward once. What losses say to rows is known then, at the time of the loss, so that window j
starts from the messages of its own k1 rows and sweeps its k2 rows. Windows are independent of each other:
those of one length lie side by side, and a sweep takes them as one batch. Messages at parameters are added up
at once; those at rows when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.sweeps import real
from msgpass.sweeps.real import Store
from msgpass.sweeps.rows import add_edge
from msgpass.sweeps.stretches import Cut, blocks_before

BATCH = 128
"""Windows side by side: enough for whole register tiles at batch 1."""

BYTES = 1 << 25
"""Of the values of windows that are swept together."""


@dataclass(frozen=True)
class Window:
    """Rows low, …, end − 1 of one sequence, with messages from the losses at rows first, …, end − 1."""

    sequence: int
    first: int
    low: int
    end: int


def backward_stretches(x, cut: Cut, task, store: Store, later: Store) -> None:
    """All windows of one task of a run ``x``, added up in ``store``."""
    core, behind = blocks_before(cut.plan, cut.moving)
    local, unused = Store(x.values), Store(x.values)
    x.local_cotangents(task, local, unused)
    windows = list(_windows(x.schedule, cut.clock))
    _drop_unreached(cut, windows, local)
    # Maps behind the last recurrence pass messages on within their own row: no window cuts them.
    for k in reversed(behind):
        block = cut.plan.blocks[k]
        if any(local.has(n) for n in block.nodes):
            real.backward_map(block, x.values, local, unused)
    inner = {n for k in core for n in cut.plan.blocks[k].nodes}
    for name in list(local):
        if name not in inner:
            store[name] = store[name] + local[name]
    if any(local.has(n) for n in inner):
        sweep = _Windows(x.values, cut, core, local, windows)
        sweep.run(store, later)
    for k in reversed(cut.fixed):
        block = cut.plan.blocks[k]
        if any(store.has(n) for n in block.nodes):
            real.backward_map(block, x.values, store, later)


def _windows(schedule, clock):
    for j in range(schedule.count(max(clock.lengths))):
        for n, (first, low, end) in enumerate(zip(*schedule.window(j, clock.lengths), strict=True)):
            if end > first:
                yield Window(n, int(first), int(low), int(end))


def _drop_unreached(cut: Cut, windows: list[Window], local: Store) -> None:
    """No message from a loss at a row that its own window does not reach (k2 < k1)."""
    outside = [(w.sequence, w.first, w.low) for w in windows if w.low > w.first]
    if not outside:
        return
    for name in cut.nodes:
        if local.has(name):
            rows = local[name]
            for n, first, low in outside:
                offset = int(cut.clock.offsets[n])
                rows[offset + first : offset + low] = 0


class _Windows:
    """The windows of one task. It knows values and no run, which what waits to be read would keep alive."""

    def __init__(self, values, cut: Cut, core: list[int], local: Store, windows: list[Window]):
        self.values, self.cut, self.core, self.local = values, cut, core, local
        self.nodes = [n for k in core for n in cut.plan.blocks[k].nodes]
        self.starts = cut.starts(values)
        self.groups = self._groups(windows)
        self.found: Any = None

    def _groups(self, windows: list[Window]) -> list[list[Window]]:
        """Windows of one length, as many as are swept together; others one after the other on one clock."""
        whole = max((w.end - w.low for w in windows), default=1)
        row = sum(self.values[n][:1].nbytes for n in self.nodes)
        batch = self.values[self.nodes[0]].shape[1:-1]
        room = max(1, BYTES // (whole * row))
        abreast = min(room, -(-BATCH // int(np.prod(batch, dtype=int))))
        long = [w for w in windows if w.end - w.low == whole]
        short = [w for w in windows if w.end - w.low < whole]
        return [
            own[i : i + most]
            for own, most in ((long, abreast), (short, room))
            for i in range(0, len(own), most)
        ]

    def run(self, store: Store, later: Store) -> None:
        """Messages at parameters and edges now; those at rows are left to be read."""
        for group in self.groups:
            own, own_later = self.sweep(group)
            self.add_shared(group, own, store)
            own.close()
            own_later.close()
        names = [*self.nodes, *(n for n in self.cut.rows if n in store)]
        for name in names:
            store.pending.setdefault(name, []).append(self.add_rows)
        for name in self.nodes:
            later.pending.setdefault(name, []).append(self.add_rows_later)

    def sweep(self, group: list[Window]) -> tuple[Store, Store]:
        """One backward sweep over the rows of a group."""
        cut = self.cut
        plan = cut.over(tuple(w.end - w.low for w in group), self.core)
        rows = self.rows(group)
        starts = {e.name: self.before(e, group) for e in cut.edges if e.name in plan.graph.nodes}
        made = cut.prepare(plan, self.values, rows, starts, tuple(self.nodes)).start()
        own, own_later = Store(made.values), Store(made.values)
        seeded = self.seeds(group)
        for name in self.nodes:
            if self.local.has(name):
                own[name] = np.where(_over(seeded, self.local.peek(name)), self.local.peek(name)[rows], 0)
        made.pull_back(own, own_later)
        return own, own_later

    def rows(self, group: list[Window]) -> np.ndarray | slice:
        """Rows of a group's windows end to end."""
        offsets = self.cut.clock.offsets
        if len(group) == 1:
            (w,) = group
            return slice(int(offsets[w.sequence]) + w.low, int(offsets[w.sequence]) + w.end)
        return np.concatenate([np.arange(w.low, w.end) + offsets[w.sequence] for w in group])

    def seeds(self, group: list[Window]) -> np.ndarray:
        """Which of these rows have the losses of their window."""
        return np.concatenate([np.arange(w.low, w.end) >= w.first for w in group])

    def before(self, edge, group: list[Window]) -> np.ndarray:
        """The row before each window: a state of the run, or the edge's own value."""
        states, start = self.values[edge.arg.name], self.starts[edge.name]
        offsets = self.cut.clock.offsets
        made = states[[int(offsets[w.sequence]) + max(w.low - 1, 0) for w in group]]
        for i, w in enumerate(group):
            if w.low == 0:
                made[i] = start[w.sequence if len(start) > 1 else 0]
        return made

    def add_shared(self, group: list[Window], own: Store, store: Store) -> None:
        """What has no rows: parameters, and edges of windows that start with their sequence."""
        timed = {*self.nodes, *self.cut.rows}
        for name in own.values_of:
            if name in self.values and name not in timed and name in store and own.has(name):
                store[name] = store[name] + own[name]
        first = [(i, w.sequence) for i, w in enumerate(group) if w.low == 0]
        for edge in self.cut.edges:
            if first and own.has(edge.name) and edge.arg.edge.name in store:
                at, sequences = (np.array(v) for v in zip(*first, strict=True))
                told = own[edge.name].reshape(len(group), *edge.arg.slice.shape)
                add_edge(edge.arg, store[edge.arg.edge.name], told[at], sequences)

    def add_rows(self, store: Store, name: str, which: int = 0) -> None:
        """Messages at rows, from all windows that reach them."""
        if self.found is None:
            self.found = self._collect()
        message = self.found[which].get(name)
        if message is not None:
            store[name] = store[name] + message

    def add_rows_later(self, later: Store, name: str) -> None:
        """What later steps say of these."""
        self.add_rows(later, name, 1)

    def _collect(self) -> tuple[dict, dict]:
        found: tuple[dict, dict] = ({}, {})
        for group in self.groups:
            stores, rows = self.sweep(group), self.rows(group)
            for target, own in zip(found, stores, strict=True):
                for name in own.values_of:
                    timed = name in self.nodes or name in self.cut.rows
                    if not timed or name not in own:
                        continue
                    own.complete(name)
                    if not own.has(name):
                        continue
                    if name not in target:
                        target[name] = np.zeros_like(self.values[name])
                    if isinstance(rows, slice):
                        target[name][rows] += own.peek(name)
                        continue
                    base = 0
                    for w in group:
                        offset, n = int(self.cut.clock.offsets[w.sequence]), w.end - w.low
                        target[name][offset + w.low : offset + w.end] += own.peek(name)[base : base + n]
                        base += n
                own.close()
        return found


def _over(flags: np.ndarray, like: np.ndarray) -> np.ndarray:
    return flags.reshape(-1, *(1,) * (like.ndim - 1))
