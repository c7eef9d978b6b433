"""Fixed-lag and truncated smoothing of a Gaussian (or general) chain of one sequence, in any algebra over
trees.

The exact forward messages of the tree, and for each time t a backward message that starts at the window end
of t.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.nodes import Sequence
from msgpass.sweeps.tree import TreeRun


class WindowedTree(TreeRun):
    """A tree run over one sequence whose factors link neighbours, with bounded backward messages."""

    def __init__(self, x, k: int, block, algebra, clamp):
        node = x.plan.graph.nodes[block.nodes[0]]
        self.schedule = x.schedule
        if len(block.nodes) != 1 or not isinstance(node, Sequence):
            raise UnsupportedError(
                f"{x.schedule!r} drops messages by time; {', '.join(block.nodes[:3])} … is not one "
                "sequence linked step to step. Use Sequential()"
            )
        super().__init__(block, x.orientation(k, block), algebra, x.values, clamp)
        self.check_links()
        self.bound_backward(x.schedule.horizons(node.clock.offsets))

    def check_links(self) -> None:
        """Every pair factor links row t to row t + 1."""
        for inst in self.o.instances:
            if len(inst.ins) > 1 or (
                inst.ins and self.o.variables[inst.out][1] - self.o.variables[inst.ins[0]][1] != 1
            ):
                raise UnsupportedError(
                    f"{self.schedule!r} needs factors between neighbouring steps (x[:-1], x[1:]); "
                    "use Sequential()"
                )

    def bound_backward(self, end: np.ndarray) -> None:
        """Replace each backward message by one over the evidence up to the row's window end."""
        name = self.block.nodes[0]
        local: dict[int, Any] = {}
        link: dict[int, int] = {}
        for k, inst in enumerate(self.o.instances):
            row = self.o.variables[inst.out][1]
            if inst.ins:
                link[row] = k
            else:
                local[row] = self.sent[k] if row not in local else self.algebra.add(local[row], self.sent[k])
        for v, (_, row) in enumerate(self.o.variables):
            message = self.unit_like(v)
            for later in range(int(end[row]), row, -1):
                inst = self.o.instances[link[later]]
                ahead = self.algebra.add(message, local[later]) if later in local else message
                message = self.algebra.backward(
                    self.potential(inst), [self.forward[self.o.index[(name, later - 1)]]], ahead
                )[0]
            self.backward[v] = message
            self.spread(v)

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """As for a tree, from the bounded messages."""
        if (self.schedule.horizons(self.node(0).clock.offsets) < 0).any():
            raise UnsupportedError(
                f"{self.schedule!r} leaves some factors without any evidence of their own window; use k2 ≥ k1"
            )
        super().add_parameters(store, sign, assignment)
