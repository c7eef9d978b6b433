"""A recurrence whose messages go through rules: the reference sweep backward, after any forward pass.

λ_t = r( local_t + r_edge( J_{t+1}ᵀ λ_{t+1} ) )
"""

from __future__ import annotations

import numpy as np

from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.rows import per_instance


class RuledSweep(Sweep):
    """:class:`Sweep` with the run's :class:`~msgpass.sweeps.edge_rules.EdgeRules`; ``quick`` is a compiled
    sweep that runs forward in its stead."""

    def __init__(self, block, values, rules, quick=None):
        super().__init__(block, values)
        self.rules, self.quick = rules, quick

    def in_parts(self, store) -> bool:
        """Rules act on what single steps say, which is whole."""
        return False

    def forward(self) -> None:
        """Compiled where it can be."""
        if self.quick is None:
            super().forward()
        else:
            self.quick.forward()

    def pull(self, family, inner, J, flat, window) -> None:
        """λ against the order of time, in place, through the rules."""
        for t in reversed(self.times(window)):
            for n in self.active(family, t, window):
                j = family.starts[n] + t - family.first
                self.arrived(family, t, np.array([n]), flat)
                for place, a in enumerate(inner):
                    arg = family.args[a]
                    if self.at_edge(arg, family, n, t):
                        continue
                    message = sum(
                        flat[out.name][self.row(out, family, n, t)] @ row[place][j]
                        for out, row in zip(family.outs, J, strict=True)
                    )
                    through = self.through(family, a, n, t, message.reshape(arg.slice.shape))
                    flat[arg.name][self.row(arg, family, n, t)] += through.reshape(-1)

    def arrived(self, family, t: int, sequences, store) -> None:
        """All that arrives at the rows that a family computes at time t goes through its variables' rules."""
        for out in family.outs:
            if out.name not in self.rules.nodes or not len(sequences):
                continue
            rows, values = self.rows(out, family, sequences, t), self.values[out.name]
            message = store[out.name][rows].reshape(len(rows), *out.slice.shape)
            length = out.clock.lengths[0]
            time = out.slice.index_row(length) if out.slice.kind == "index" else out.first + t - family.first
            times = np.full(len(rows), time)
            if out.slice.kind == "index":
                times = np.array([out.slice.index_row(out.clock.lengths[n]) for n in sequences])
            found = self.rules.at_rows(out.name, message, times, lambda v=values, r=rows: v[r])
            store[out.name][rows] = found.reshape(store[out.name][rows].shape)

    def through(self, family, k: int, n: int, t: int, message):
        """One instance's message at input k, through the edge's rule."""
        if (family.name, k) not in self.rules.edges:
            return message
        arg = family.args[k]
        if arg.rows is None:
            time = 0
        elif arg.slice.kind == "index":
            time = arg.slice.index_row(arg.clock.lengths[n if len(arg.clock.lengths) > 1 else 0])
        else:
            time = arg.first + t - family.first
        whole = arg.slice.kind == "all"

        def value():
            one = np.asarray(self.one(family, arg, n, t))
            return one if whole else one[None]

        return self.rules.on_edge(family, k, np.asarray(message)[None], np.array([time]), value)[0]

    def back_step(self, family, t, store, later, window) -> None:
        """Local VJPs at time t, of what the rules pass on."""
        sequences = self.active(family, t, window)
        self.arrived(family, t, sequences, store)
        # A vectorised VJP hands back sums over sequences at shared inputs; a rule is for each of them.
        apart = any(
            (family.name, k) in self.rules.edges and not per_instance(family, a)
            for k, a in enumerate(family.args)
        )
        for group in [np.array([n]) for n in sequences] if apart else [sequences]:
            self.back_instances(family, t, group, store, later)

    def add_many(self, family, arg, sequences, t, messages, store, later) -> None:
        """Each by itself, for its rule."""
        for n, message in zip(sequences, messages, strict=True):
            self.add_one(family, arg, n, t, message, store, later)

    def add_one(self, family, arg, n, t, message, store, later) -> None:
        """Add one instance's message, through the edge's rule."""
        through = self.through(family, family.args.index(arg), n, t, message)
        super().add_one(family, arg, n, t, through, store, later)
