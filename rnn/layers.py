"""The factor graph of a stacked, possibly bidirectional network: one recurrence a layer and direction.

    h_l{l}[t] = cell(h_l{l}[t−1], below[t], …)
    h_l{l}_reverse[t] = cell(h_l{l}_reverse[t+1], below[t], …)      where there are two directions,
    y_l{l}[t] = (h_l{l}[t], h_l{l}_reverse[t])                      and then both side by side

Initial states are observations ``h0_l{l}{d}``, so that the parameters of the graph are the keys of the
state dict.
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, Step
from msgpass.nodes import Observation, Sequence
from rnn.cells import Cell
from rnn.layout import Layout
from rnn.weights import layer_keys, suffixes


def concatenate(forward: np.ndarray, reverse: np.ndarray) -> np.ndarray:
    """Both directions side by side."""
    return np.concatenate([forward, reverse], axis=-1)


def _split(inputs, cotangent):
    width = inputs[0].shape[-1]
    return cotangent[..., :width], cotangent[..., width:]


CONCATENATE = Step(
    concatenate,
    vjp=_split,
    jvp=lambda _, tangents: concatenate(*tangents),
    vectorized=True,
    hvp=lambda *_: (None, None),
)


def start_name(state: str, suffix: str) -> str:
    """Name of an initial state: "h0_l1_reverse"."""
    return f"{state}0{suffix}"


def output_name(layers: int, bidirectional: bool) -> str:
    """The sequence that the whole network outputs."""
    return f"y_l{layers - 1}" if bidirectional else f"h_l{layers - 1}"


def lay_out(
    cell: Cell, weights, layers: int, bidirectional: bool, layout: Layout, observed
) -> tuple[FactorGraph, Observation | Sequence]:
    """The graph of a network without its loss, and its output sequence.

    Parameters
    ----------
    cell : Cell
    weights : dict
        By state-dict key.
    layers, bidirectional, layout
    observed : dict
        ``x`` (T, B, I) and initial states (B, H) by name; those that are absent are zero.
    """
    graph = FactorGraph()
    parameters = {key: graph.parameter(key, value) for key, value in weights.items()}
    below: Observation | Sequence = graph.observe("x", observed["x"])
    hidden = weights["weight_hh_l0"].shape[1]
    zeros = np.zeros((layout.batch, hidden), observed["x"].dtype)
    for layer in range(layers):
        outputs: list[Sequence] = []
        for suffix in suffixes(layer, bidirectional):
            states = [graph.sequence(s + suffix, layout.steps, shape=zeros.shape) for s in cell.states]
            names = [start_name(s, suffix) for s in cell.states]
            starts = [graph.observe(name, observed.get(name, zeros)) for name in names]
            backward = suffix.endswith("_reverse")
            before = [s.before(e) if backward else s.after(e) for s, e in zip(states, starts, strict=True)]
            shared = [parameters[k] for k in layer_keys(suffix, bias=True) if k in parameters]
            graph.factor(
                cell.step, *before, below[:], *shared, out=tuple(s[:] for s in states), name=f"cell{suffix}"
            )
            outputs.append(states[0])
        below = outputs[0]
        if bidirectional:
            below = graph.sequence(f"y_l{layer}", layout.steps, shape=(layout.batch, 2 * hidden))
            graph.factor(CONCATENATE, *(s[:] for s in outputs), out=below[:], name=f"concatenate_l{layer}")
    return graph, below
