"""The factor graph of a network with an external memory: one recurrence of eight factors a step.

    u[t]        = (x[t], r[t−1])                         what the controller sees
    h[t], …     = cell(h[t−1], …, u[t])                  the controller
    writing[t]  = rows of the write heads from h[t]
    w_write[t]  = address(writing[t], memory[t−1], w_write[t−1])
    memory[t]   = write(writing[t], w_write[t], memory[t−1])
    reading[t]  = rows of the read heads from h[t]
    w_read[t]   = address(reading[t], memory[t], w_read[t−1])
    r[t]        = read(w_read[t], memory[t])

and outside of it y[t] = (h[t], r[t]). Each is a sequence, so that every weighting, every memory and their
cotangents are messages. The path from memory[t−1] to memory[t] multiplies by 1 − w e: where nothing is
erased, a cotangent passes unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass import FactorGraph
from msgpass.nodes import Sequence
from rnn.beside import SIDE_BY_SIDE
from rnn.cells import Cell
from rnn.layout import Layout
from rnn.memory.access import READ, WRITE
from rnn.memory.addressing import Addressing
from rnn.memory.heads import instruct
from rnn.starts import learned_start


@dataclass(frozen=True)
class MemoryGraph:
    """What the graph depends on, besides data and weights."""

    cell: Cell
    hidden: int
    slots: int
    read_heads: int
    write_heads: int
    addressing: Addressing

    @property
    def widths(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the states that go from step to step, without the batch."""
        cells = {s: (n,) for s, n in zip(self.cell.states, self.cell.sizes(self.hidden), strict=True)}
        return cells | {
            "w_write": (self.write_heads, self.slots),
            "memory": (self.slots, self.addressing.width),
            "w_read": (self.read_heads, self.slots),
            "r": (self.read_heads * self.addressing.width,),
        }

    def lay_out(self, weights, layout: Layout, observed) -> tuple[FactorGraph, Sequence]:
        """The graph without its loss, and its output sequence y.

        Parameters
        ----------
        weights : dict
            By state-dict key; those named as an initial state are learned starts.
        layout : Layout
        observed : dict
            ``x`` (T, B, I), and initial states (B, …) that are given.
        """
        graph = FactorGraph()
        parameters = {k: graph.parameter(k, v) for k, v in weights.items() if k not in observed}
        x = graph.observe("x", observed["x"])

        def rows(name: str, *shape: int) -> Sequence:
            return graph.sequence(name, layout.steps, shape=(layout.batch, *shape))

        s = {name: rows(name, *shape) for name, shape in self.widths.items()}
        before = {}
        for name, sequence in s.items():
            start = f"{name}0"
            if start in parameters:
                before[name] = sequence.after(learned_start(graph, parameters[start], layout.batch))
            else:
                before[name] = sequence.after(graph.observe(start, observed[start]))
        seen = rows("u", x.shape[-1] + self.widths["r"][0])
        graph.factor(SIDE_BY_SIDE, x[:], before["r"], out=seen[:], name="see")
        states = self.cell.states
        shared = [parameters[f"controller.{role}"] for role in self.cell.shapes(seen.shape[-1], self.hidden)]
        graph.factor(
            self.cell.step,
            *(before[n] for n in states),
            seen[:],
            *shared,
            out=tuple(s[n][:] for n in states),
            name="controller",
        )
        h, size, address = s[states[0]], self.addressing.size, self.addressing.step()
        for kind, heads, numbers in (
            ("write", self.write_heads, size + 2 * self.addressing.width),
            ("read", self.read_heads, size),
        ):
            told = rows("writing" if kind == "write" else "reading", heads, numbers)
            own = [parameters[f"{kind}_heads.{part}"] for part in ("weight", "bias")]
            graph.factor(instruct(heads), h[:], *own, out=told[:], name=f"instruct {kind}")
            w = s[f"w_{kind}"]
            memory = before["memory"] if kind == "write" else s["memory"][:]
            graph.factor(address, told[:], memory, before[f"w_{kind}"], out=w[:], name=f"address {kind}")
            if kind == "write":
                graph.factor(WRITE, told[:], w[:], memory, out=s["memory"][:], name="write")
            else:
                graph.factor(READ, w[:], memory, out=s["r"][:], name="read")
        y = rows("y", self.hidden + self.widths["r"][0])
        graph.factor(SIDE_BY_SIDE, h[:], s["r"][:], out=y[:], name="output of the memory")
        return graph, y

    def zero_starts(self, batch: int, dtype) -> dict[str, np.ndarray]:
        """States of nothing: zeros, an almost empty memory, and heads on the first slot.

        A memory of one small constant trains most reliably (Collier & Beel 2018).
        """
        starts = {f"{n}0": np.zeros((batch, *shape), dtype) for n, shape in self.widths.items()}
        starts["memory0"] += dtype.type(1e-6)
        for name in ("w_write0", "w_read0"):
            starts[name][..., 0] = 1
        return starts
