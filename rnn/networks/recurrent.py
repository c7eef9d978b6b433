"""``RecurrentNetwork``: stacked layers of one cell; what it computes is a run of its graph."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, run
from msgpass.errors import DataError
from rnn.cells import Cell
from rnn.dropout import draw_mask, probability
from rnn.layers import Stack, output_name
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network, checked_loss
from rnn.validation import flag, float_dtype, generator, one_of, real_array, whole
from rnn.weights import draw, recurrent_shapes, start_name, suffixes


class RecurrentNetwork(Network):
    """Stacked layers of one cell, in one or two directions; a subclass names the cell (``_cell``).

    Attributes
    ----------
    weights : dict
        Arrays by state-dict key.
    output_size : int
        Numbers a step that come out: H (P with a projection), twice that with two directions.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        *,
        bidirectional=False,
        dropout=0.0,
        initial="zero",
        dtype=np.float64,
        random_state=None,
    ):
        super().__init__()
        self.input_size = whole("input_size", input_size)
        self.hidden_size = whole("hidden_size", hidden_size)
        self.num_layers = whole("num_layers", num_layers)
        self.bias, self.batch_first = flag("bias", bias), flag("batch_first", batch_first)
        self.bidirectional = flag("bidirectional", bidirectional)
        self.dropout = probability(dropout)
        self.initial = one_of("initial", initial, ("zero", "learned"))
        self.dtype = float_dtype(dtype)
        self.cell = self._cell()
        self.shapes = recurrent_shapes(
            self.cell,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bidirectional,
            self.initial == "learned",
        )
        self.reset(random_state)

    def __getstate__(self) -> dict:
        """Everything but the cell, which a network finds by its own settings."""
        return {k: v for k, v in super().__getstate__().items() if k != "cell"}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self.cell = self._cell()

    @abstractmethod
    def _cell(self) -> Cell:
        """The cell, by the network's settings."""

    def reset(self, random_state=None):
        """Draw all weights anew, uniform on (−1/√H, 1/√H)."""
        self.weights = draw(self.shapes, self.hidden_size**-0.5, self.dtype, generator(random_state))
        return self

    # -- graphs ------------------------------------------------------------------------------------

    @property
    def output_size(self) -> int:  # type: ignore[override]
        """Numbers a step that come out."""
        return self.cell.sizes(self.hidden_size)[0] * (1 + self.bidirectional)

    @property
    def output(self) -> str:
        """Name of the sequence that comes out."""
        return output_name(self.num_layers, self.bidirectional)

    @property
    def stack(self) -> Stack:
        """What its graph depends on, besides data."""
        return Stack(self.cell, self.hidden_size, self.num_layers, self.bidirectional)

    @property
    def suffixes(self) -> list[str]:
        """Endings of the names of all layers and directions, in the order of ``h_n``."""
        return [s for layer in range(self.num_layers) for s in suffixes(layer, self.bidirectional)]

    def call(  # type: ignore[override]
        self,
        x,
        loss: OutputLoss | None = None,
        h0=None,
        lengths=None,
        random_state=None,
        gates: bool = False,
    ) -> Call:
        """One call's data in the graph's axes."""
        x = real_array("x", x, self.dtype)
        layout = Layout.of(x, self.input_size, self.batch_first).with_lengths(lengths)
        arrays = {"x": layout.hidden(layout.inward("x", x, self.input_size), 0)}
        present = layout.present
        if present is not None:
            arrays["mask"] = present[..., None].astype(self.dtype)
        if h0 is not None:
            arrays |= self._starts(layout, h0)
        arrays |= self.drawn(layout, random_state)
        if loss is not None:
            width = checked_loss(loss).width(self.output_size, self.dtype)
            arrays |= loss.observed(layout, width, self.dtype)
        return Call(layout, arrays, loss, (flag("gates", gates),))

    def drawn(self, layout: Layout, random_state) -> dict[str, np.ndarray]:
        """Masks of dropout by name; none without a random_state."""
        if random_state is None or not self.dropout:
            return {}
        rng, shape = generator(random_state), (layout.steps, layout.batch, self.output_size)
        layers = range(self.num_layers - 1)
        return {f"dropout_l{k}": draw_mask(self.dropout, shape, self.dtype, rng) for k in layers}

    def _starts(self, layout: Layout, h0) -> dict[str, np.ndarray]:
        given, states = h0 if isinstance(h0, tuple) else (h0,), self.cell.states
        if len(given) != len(states):
            raise DataError(
                f"h0 has {len(given)} parts, but the cell's states are {', '.join(states)}; give "
                + (f"a tuple ({', '.join(s + '0' for s in states)})" if len(states) > 1 else "one array")
            )
        starts: dict[str, np.ndarray] = {}
        for state, value, width in zip(states, given, self.cell.sizes(self.hidden_size), strict=True):
            value = real_array(f"{state}0", value, self.dtype)
            rows = layout.states_inward(f"{state}0", value, len(self.suffixes), width)
            if not np.isfinite(rows).all():
                raise DataError(f"{state}0 holds NaN or an infinite value")
            starts |= {start_name(state, s): row for s, row in zip(self.suffixes, rows, strict=True)}
        return starts

    def graph(
        self,
        x,
        loss: OutputLoss | None = None,
        h0=None,
        *,
        lengths=None,
        random_state=None,
        gates: bool = False,
    ) -> FactorGraph:
        """The factor graph that everything runs on.

        Parameters
        ----------
        x, h0, lengths
            As for a call of the network.
        loss : SquaredError or CrossEntropy, optional
        random_state : int or Generator, optional
            Draws the masks of dropout; without it there is none.
        gates : bool
            The pre-activations of the gates are sequences of their own.

        Returns
        -------
        FactorGraph
            Its parameters are the keys of the state dict (and ``readout.weight``, ``readout.bias``); its
            sequences ``h_l0``, ``h_l0_reverse``, …, with rows of shape (B, H) (``c_l0``, … of an LSTM,
            ``gates_l0``, …), ``y_l0`` of both directions side by side, and ``output`` of a readout; its
            observations ``x``, ``h0_l0``, …, ``mask`` of a ragged batch, ``dropout_l0``, … and ``target`` or
            ``labels``.
        """
        return self.build(self.call(x, loss, h0, lengths, random_state, gates))

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call."""
        graph, output = self.stack.lay_out(self.weights, call.layout, call.arrays, *call.options)
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, output, call.arrays, call.layout, width)
        return graph

    # -- values ------------------------------------------------------------------------------------

    def __call__(self, x, h0=None, lengths=None):
        """Outputs of all steps, and the last states.

        Parameters
        ----------
        x : array (T, B, I), with ``batch_first`` (B, T, I), unbatched (T, I)
        h0 : array (layers · directions, B, H), unbatched (layers · directions, H), optional
            A tuple (h0, c0) for an LSTM. By default zeros, or what the network has learned.
        lengths : array (B,) of int, optional
            Steps of each sequence; what x holds beyond them is not read.

        Returns
        -------
        output : ndarray (T, B, directions · H), in the axes of ``x``
            States of the last layer; 0 beyond a sequence's length.
        h_n : ndarray (layers · directions, B, H), or (h_n, c_n)
            Each layer's and direction's states after its own last step.

        Raises
        ------
        ShapeError, DataError
            When shapes or lengths do not fit, when x holds NaN or infinite values.
        """
        call = self.call(x, h0=h0, lengths=lengths)
        m = run(self.kept(call), schedule=ForwardOnly(), values={**self.weights, **call.arrays})
        return self.read(m, call.layout)

    def read(self, m: Messages, layout: Layout):
        """Outputs and last states of a run, in the user's axes."""
        last = [
            np.stack([m.forward[state + s][0 if s.endswith("_reverse") else -1] for s in self.suffixes])
            for state in self.cell.states
        ]
        states = tuple(layout.states_outward(v) for v in last)
        output = layout.outward(layout.hidden(m.forward[self.output], 0))
        return output, states if len(states) > 1 else states[0]

    # -- in words ----------------------------------------------------------------------------------

    def _sizes(self) -> tuple:
        return self.input_size, self.hidden_size, self.num_layers

    def _flags(self) -> tuple[tuple[str, object, object], ...]:
        """(name, value, usual value) of the settings."""
        return (
            ("bias", self.bias, True),
            ("batch_first", self.batch_first, False),
            ("bidirectional", self.bidirectional, False),
            ("dropout", self.dropout, 0.0),
            ("initial", self.initial, "zero"),
        )

    def __repr__(self) -> str:
        sizes = ", ".join(map(repr, self._sizes()))
        flags = "".join(f", {name}={value!r}" for name, value, usual in self._flags() if value != usual)
        return f"{type(self).__name__}({sizes}{flags}, dtype={self.dtype.name!r})"
