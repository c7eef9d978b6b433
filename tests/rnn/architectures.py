"""Random networks of every cell with every option, with data, for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from rnn import GRU, LSTM, RNN
from rnn.networks import RecurrentNetwork


@dataclass
class Case:
    """A network with all its weights drawn, and what a call of it takes."""

    net: RecurrentNetwork
    x: np.ndarray
    h0: tuple[np.ndarray, ...]
    lengths: np.ndarray | None

    @property
    def start(self):
        """The initial states as a call takes them."""
        return self.h0 if len(self.h0) > 1 else self.h0[0]

    def data(self) -> dict:
        """Arguments beside x."""
        given = {"h0": self.start}
        return given if self.lengths is None else given | {"lengths": self.lengths}


@st.composite
def cases(draw, kinds=("RNN", "LSTM", "GRU"), ours: bool = True, dtype: str = "float64") -> Case:
    """A small net; ``ours`` adds the options that torch does not have."""
    sizes = st.integers(1, 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, hidden = draw(st.sampled_from(kinds)), draw(st.integers(1, 4))
    options = {
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "dtype": dtype,
    }
    if kind == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind == "LSTM":
        options["proj_size"] = draw(st.integers(0, hidden - 1))
    if ours:
        options |= {"layer_norm": draw(st.booleans()), "initial": draw(st.sampled_from(["zero", "learned"]))}
        if kind == "LSTM":
            options["peepholes"] = draw(st.booleans())
    net = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}[kind](draw(sizes), hidden, draw(sizes), **options)
    net.weights = {k: rng.uniform(-1, 1, w.shape).astype(dtype) for k, w in net.weights.items()}
    batch, steps = draw(sizes), draw(st.integers(1, 6))
    axes = (batch, steps) if net.batch_first else (steps, batch)
    x = rng.normal(size=(*axes, net.input_size)).astype(dtype)
    h0 = tuple(rng.normal(size=(len(net.suffixes), batch, n)).astype(dtype) for n in net.cell.sizes(hidden))
    lengths = rng.integers(1, steps + 1, size=batch) if draw(st.booleans()) else None
    return Case(net, x, h0, lengths)
