"""The bridge: initial states of a decoder from the last states of an encoder.

    s₀ = tanh(W [h_S; h_1 of the reverse direction] + b)         (Bahdanau et al. 2015)

or W […] + b, or the last state itself where sizes agree, or zeros. A layer starts from the encoder's layer at
the same distance from the top.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.attention.joined import joined_step
from rnn.beside import SIDE_BY_SIDE
from rnn.networks import RecurrentNetwork
from rnn.readout import Linear
from rnn.starts import learned_start
from rnn.validation import one_of
from rnn.weights import start_name, suffixes

BRIDGES = ("copy", "linear", "tanh", "zero")


class Bridge:
    """How a decoder starts.

    Parameters
    ----------
    encoder, decoder : RecurrentNetwork
    kind : {"copy", "linear", "tanh", "zero"}, optional
        By default "copy" where all sizes agree, else "tanh"; a decoder whose ``initial`` is "learned" starts
        from its own weights and has no bridge.
    random_state : int, Generator or None
    """

    def __init__(self, encoder: RecurrentNetwork, decoder: RecurrentNetwork, kind: str | None, random_state):
        self.encoder, self.decoder = encoder, decoder
        sizes = self._sizes()
        agree = all(a == b for a, b in sizes.values())
        own = decoder.initial == "learned"
        if own and kind not in (None, "zero"):
            raise DataError(
                f"bridge={kind!r}, but the decoder has initial='learned' and starts from weights of its own; "
                "take initial='zero' for a bridge"
            )
        if kind is None:
            kind = "zero" if own else "copy" if agree else "tanh"
        self.kind = one_of("bridge", kind, BRIDGES)
        if kind == "copy" and not agree:
            name, (a, b) = next((n, s) for n, s in sizes.items() if s[0] != s[1])
            raise ShapeError(
                f"bridge='copy': the encoder ends with {a} numbers, the decoder's {name} has {b}; take "
                "'tanh' or 'linear'"
            )
        self.maps = {
            name: Linear(a, b, dtype=decoder.dtype, random_state=random_state)
            for name, (a, b) in sizes.items()
            if kind in ("linear", "tanh")
        }

    def _sources(self, layer: int) -> list[str]:
        """Endings of the encoder's states that a decoder's layer starts from."""
        top = self.encoder.num_layers - self.decoder.num_layers
        source = layer + top if top >= 0 else min(layer, self.encoder.num_layers - 1)
        return suffixes(source, self.encoder.bidirectional)

    def _state(self, state: str) -> int:
        """The encoder's state for a decoder's: of the same name, or the output."""
        states = self.encoder.cell.states
        return states.index(state) if state in states else 0

    def _places(self):
        """(name of the start, state, its width, layer) of all starts of the decoder."""
        cell = self.decoder.cell
        for layer in range(self.decoder.num_layers):
            for state, width in zip(cell.states, cell.sizes(self.decoder.hidden_size), strict=True):
                yield start_name(state, f"_l{layer}"), state, width, layer

    def _sizes(self) -> dict[str, tuple[int, int]]:
        """Numbers that the encoder ends with and the decoder starts with, by start."""
        widths = self.encoder.cell.sizes(self.encoder.hidden_size)
        return {
            name: (widths[self._state(state)] * len(self._sources(layer)), width)
            for name, state, width, layer in self._places()
        }

    def attach(self, graph, batch: int, encoder: str, decoder: str) -> dict[str, Any]:
        """Starts of the decoder by name, as nodes or rows of ``graph``; both parts' prefixes are given."""
        starts: dict[str, Any] = {}
        for name, state, width, layer in self._places():
            if self.decoder.initial == "learned":
                parameter = graph.parameter(decoder + name, self.decoder.weights[name])
                starts[name] = learned_start(graph, parameter, batch)
                continue
            if self.kind == "zero":
                starts[name] = graph.observe(decoder + name, np.zeros((batch, width), self.decoder.dtype))
                continue
            own = self.encoder.cell.states[self._state(state)]
            ends = [
                graph[f"{encoder}{own}{suffix}"][0 if suffix.endswith("_reverse") else -1]
                for suffix in self._sources(layer)
            ]
            if self.kind == "copy" and len(ends) == 1:
                starts[name] = ends[0]
                continue
            start = starts[name] = graph.sequence(decoder + name, 1, shape=(batch, width))[0]
            if self.kind == "copy":
                graph.factor(SIDE_BY_SIDE, *ends, out=start, name=f"bridge.{name}")
            else:
                weights = [
                    graph.parameter(f"bridge.{name}.{key}", w) for key, w in self.maps[name].weights.items()
                ]
                graph.factor(
                    joined_step(self.kind == "tanh"), *ends, *weights, out=start, name=f"bridge.{name}"
                )
        return starts
