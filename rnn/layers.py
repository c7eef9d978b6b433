"""The factor graph of a stacked, possibly bidirectional network: one recurrence a layer and direction.

    h_l{l}[t] = cell(h_l{l}[t−1], below[t], …)
    h_l{l}_reverse[t] = cell(h_l{l}_reverse[t+1], below[t], …)      where there are two directions,
    y_l{l}[t] = (h_l{l}[t], h_l{l}_reverse[t])                      and then both side by side

Initial states are observations ``h0_l{l}{d}``, or parameters where they are learned, so that the parameters
of the graph are the keys of the state dict. In a ragged batch a cell also reads ``mask`` and holds its states
where that is 0. With gates, a cell is two factors with the sequence ``gates_l{l}{d}`` between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass import FactorGraph
from msgpass.nodes import Observation, Parameter, Sequence
from rnn.beside import SIDE_BY_SIDE
from rnn.cells import Cell, held
from rnn.dropout import DROP
from rnn.layout import Layout
from rnn.starts import learned_start
from rnn.weights import start_name, suffixes


def output_name(layers: int, bidirectional: bool) -> str:
    """The sequence that the whole network outputs."""
    return f"y_l{layers - 1}" if bidirectional else f"h_l{layers - 1}"


@dataclass(frozen=True)
class Stack:
    """What a network's graph depends on, besides data."""

    cell: Cell
    hidden: int
    layers: int
    bidirectional: bool

    def lay_out(
        self,
        weights,
        layout: Layout,
        observed,
        gates: bool = False,
        graph=None,
        below: Observation | Sequence | None = None,
        starts: Mapping[str, Any] | None = None,
    ) -> tuple[FactorGraph, Observation | Sequence]:
        """The graph of a network without its loss, and its output sequence.

        Parameters
        ----------
        weights : dict
            By state-dict key.
        layout : Layout
        observed : dict
            ``x`` (T, B, I), initial states (B, H), ``mask`` and ``dropout_l0`` by name. Initial states that
            are neither here nor among the weights are zero.
        gates : bool
            The pre-activations are a sequence of their own.
        graph : FactorGraph or Prefixed, optional
            Where to add it; a new graph by default.
        below : sequence or observation (T, B, I), optional
            Read instead of an observation ``x``.
        starts : dict, optional
            Nodes of that graph that stand for initial states, by name.
        """
        graph = FactorGraph() if graph is None else graph
        starts = {} if starts is None else starts
        given = {k: v for k, v in observed.items() if k != "x"} | dict(starts)
        parameters = {k: graph.parameter(k, v) for k, v in weights.items() if k not in given}
        below = graph.observe("x", observed["x"]) if below is None else below
        mask = graph.observe("mask", observed["mask"]) if "mask" in observed else None
        for layer in range(self.layers):
            outputs = [
                self._direction(graph, {**parameters, **starts}, layout, observed, suffix, below, mask, gates)
                for suffix in suffixes(layer, self.bidirectional)
            ]
            below = outputs[0]
            if self.bidirectional:
                shape = layout.batch, 2 * outputs[0].shape[-1]
                below = graph.sequence(f"y_l{layer}", layout.steps, shape=shape)
                graph.factor(
                    SIDE_BY_SIDE, *(s[:] for s in outputs), out=below[:], name=f"concatenate_l{layer}"
                )
            drop = f"dropout_l{layer}"
            if drop in observed:
                whole = below
                below = graph.sequence(f"dropped_l{layer}", layout.steps, shape=whole.shape)
                graph.factor(
                    DROP,
                    whole[:],
                    graph.observe(drop, observed[drop])[:],
                    out=below[:],
                    name=f"drop_l{layer}",
                )
        return graph, below

    def _direction(self, graph, parameters, layout, observed, suffix, below, mask, gates) -> Sequence:
        cell = self.cell
        sizes = cell.sizes(self.hidden)
        states = [
            graph.sequence(s + suffix, layout.steps, shape=(layout.batch, n))
            for s, n in zip(cell.states, sizes, strict=True)
        ]
        starts = []
        for state, n in zip(cell.states, sizes, strict=True):
            name = start_name(state, suffix)
            if name not in parameters:
                dtype = parameters[f"weight_hh{suffix}"].value.dtype
                starts.append(graph.observe(name, observed.get(name, np.zeros((layout.batch, n), dtype))))
            elif isinstance(parameters[name], Parameter):
                starts.append(learned_start(graph, parameters[name], layout.batch))
            else:
                starts.append(parameters[name])
        backward = suffix.endswith("_reverse")
        before = [s.before(e) if backward else s.after(e) for s, e in zip(states, starts, strict=True)]
        width = below.shape[-1]
        shared = {role: parameters[role + suffix] for role in cell.shapes(width, self.hidden)}
        masks = [] if mask is None else [mask[:]]
        out = tuple(s[:] for s in states)
        if not gates:
            step = cell.step if mask is None else held(cell.step, len(states))
            graph.factor(step, *before, below[:], *masks, *shared.values(), out=out, name=f"cell{suffix}")
            return states[0]
        affine, combine = cell.halves()
        early = [p for role, p in shared.items() if role not in cell.late]
        late = [p for role, p in shared.items() if role in cell.late]
        z = graph.sequence(f"gates{suffix}", layout.steps, shape=(layout.batch, cell.gates * self.hidden))
        graph.factor(affine, *before, below[:], *early, out=z[:], name=f"affine{suffix}")
        step = combine if mask is None else held(combine, len(states), first=1)
        graph.factor(step, z[:], *before, *masks, *late, out=out, name=f"combine{suffix}")
        return states[0]
