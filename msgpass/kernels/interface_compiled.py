"""Compiled sweeps from slice to slice, with the readings of the reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.kernels import interface_decide, interface_log, interface_sum
from msgpass.kernels.interface_types import Programs, Slices, Tables, settle


class InterfaceCompiled:
    """One sweep; see :class:`~msgpass.kernels.interface_reference.InterfaceReference`.

    Parameters
    ----------
    programs, slices, tables, batch
        As of the reference.
    maximise : bool
    exponentials : callable (Tables) → Tables
        Asked for once, by sum-product.
    """

    def __init__(
        self,
        programs: Programs,
        slices: Slices,
        tables: Tables,
        batch: int,
        maximise: bool,
        exponentials: Callable[[Tables], Tables],
    ):
        self.p, self.s, self.logs, self.batch, self.maximise = programs, slices, tables, batch, maximise
        self.count = int(slices.number[-1])
        sizes = programs.residual * programs.separator
        self.table = np.empty(int(sizes.max(initial=1)))
        self.work = np.empty(int(max(programs.separator.max(initial=1), programs.size.max(initial=1))))
        self.in_logs = maximise
        if not maximise:
            self.t = exponentials(tables)
            self.collect_numbers()
        if self.in_logs:
            self.collect_logs()
        self.kept: dict[bool, np.ndarray] = {}

    def collect_numbers(self) -> None:
        """Messages of sums, or the need for logarithms."""
        up, low = np.empty((self.batch, int(self.s.block[-1]))), self.exponents()
        scale = self.t.scale.copy()
        self.in_logs = bool(interface_sum.collect(self.p, self.s, self.t, up, low, scale, self.table))
        self.up, self.low, self.scale = up, low, scale

    def collect_logs(self) -> None:
        """Messages in logarithms."""
        self.t, self.in_logs, self.kept = self.logs, True, {}
        self.up, self.scale = np.empty((self.batch, int(self.s.block[-1]))), self.t.scale.copy()
        made = self.up, self.scale, self.maximise, self.table, self.work
        interface_log.collect(self.p, self.s, self.t, *made)

    def exponents(self) -> np.ndarray:
        """Room for the lowest exponent of every message."""
        return np.zeros((self.batch, self.count), np.int64)

    @property
    def down(self):
        """What later cliques and slices say to each message."""
        return self.distribute()

    def distribute(self, local: bool = False):
        """Last slice to first; ``local``: each slice without what later ones say."""
        if local not in self.kept:
            down, below = np.zeros_like(self.up), self.exponents()
            if not self.in_logs and interface_sum.distribute(
                self.p, self.s, self.t, self.up, self.low, down, below, local, self.table
            ):
                self.collect_logs()
            if self.in_logs:
                made = self.up, down, local, self.maximise, self.table, self.work
                interface_log.distribute(self.p, self.s, self.t, *made)
            self.kept[local] = (down, below)
        return self.kept[local]

    def read(self, sink: int, count: int, local: bool = False) -> np.ndarray:
        """Log beliefs of a family's instances, or of a node's rows, (B, count, entries), normalised by ⊕."""
        found = self.numbers({sink: count}, local) if not self.in_logs else None
        if found is not None:
            with np.errstate(divide="ignore"):
                return np.log(found[sink])
        base, step, size = self.places({sink: count})
        out = np.full((self.batch, count * size[sink]), -np.inf)
        down, _ = self.distribute(local)
        made = self.up, down, base, step, out, self.maximise, self.table, self.work
        interface_log.read(self.p, self.s, self.t, *made)
        return out.reshape(self.batch, count, -1)

    def numbers(self, wanted: dict[int, int], local: bool = False, shared: frozenset[int] = frozenset()):
        """Beliefs of several readings in one pass, each (B, count, entries), those that are ``shared`` added
        up over instances, (B, 1, entries); None where they need logarithms."""
        down, below = self.distribute(local)
        if self.in_logs:
            return None
        base, step, size = self.places(wanted, shared)
        lengths = {k: (1 if k in shared else n) * size[k] for k, n in wanted.items()}
        out = np.zeros((self.batch, sum(lengths.values())))
        if interface_sum.read(
            self.p, self.s, self.t, self.up, self.low, down, below, base, step, out, self.table
        ):
            self.collect_logs()
            return None
        return {k: out[:, base[k] : base[k] + n].reshape(self.batch, -1, size[k]) for k, n in lengths.items()}

    def places(self, wanted: dict[int, int], shared: frozenset[int] = frozenset()):
        """(where each reading begins, how far its rows are apart, entries of each row)."""
        every = int(self.p.sink.max(initial=-1)) + 1
        base, step = np.full(every, -1, np.int64), np.zeros(every, np.int64)
        size, at = {}, 0
        for k, count in wanted.items():
            size[k] = int(self.p.sink_size[np.argmax(self.p.sink == k)])
            base[k], step[k] = at, 0 if k in shared or count == 1 else size[k]
            at += (1 if k in shared else count) * size[k]
        return base, step, size

    def decide(self, states: np.ndarray, firsts: np.ndarray, draws: np.ndarray | None = None) -> None:
        """Fill in states (B, n, variables): the best ones, or draws."""
        if draws is None:
            for b in range(self.batch):
                for own in states[b]:
                    self.complete(own, firsts, b, 0, self.count)
            return
        made = self.up, states, firsts, draws, self.in_logs, self.table
        interface_decide.draw(self.p, self.s, self.t, *made)

    def complete(self, states: np.ndarray, firsts: np.ndarray, b: int, first: int, last: int) -> None:
        """The best states of what cliques first ≤ number < last decide, given what later ones do."""
        interface_decide.best(self.p, self.s, self.t, self.up, states, firsts, b, first, last, self.table)

    def settle(self, states: np.ndarray, firsts: np.ndarray, number: int, chosen) -> None:
        """Write the states that number ``chosen`` of a residual stands for."""
        settle(self.p, self.s, states, firsts, number, chosen)

    def losses(self, states: np.ndarray, firsts: np.ndarray, b: int, first: int, last: int) -> np.ndarray:
        """What every other state of each residual gives away, from the last clique to the first."""
        found = np.empty(int(self.p.residual.max(initial=1)) * (last - first))
        made = self.up, states, firsts, b, first, last, found, self.table
        return found[: interface_decide.losses(self.p, self.s, self.t, *made)]
