"""``RNN``: a network is its weights and the graph that they go into; what it computes is a run of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from msgpass.errors import DataError
from rnn.cells import ELMAN, Cell
from rnn.layers import lay_out, output_name, start_name
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.validation import flag, float_dtype, generator, one_of, real_array, whole
from rnn.weights import checked, draw, recurrent_shapes, suffixes

KEPT_GRAPHS = 8
"""Graphs that a network keeps, the latest used: each holds the data that it was built with."""


class RecurrentNetwork:
    """Stacked layers of one cell, in one or two directions. Abstract: :class:`RNN` names the cell.

    Attributes
    ----------
    weights : dict
        Arrays by state-dict key.
    output_size : int
        Numbers a step that come out: H, or 2 H with two directions.
    """

    def __init__(
        self,
        cell: Cell,
        input_size,
        hidden_size,
        num_layers,
        bias,
        batch_first,
        bidirectional,
        dtype,
        random_state,
    ):
        self.cell = cell
        self.input_size = whole("input_size", input_size)
        self.hidden_size = whole("hidden_size", hidden_size)
        self.num_layers = whole("num_layers", num_layers)
        self.bias, self.batch_first = flag("bias", bias), flag("batch_first", batch_first)
        self.bidirectional = flag("bidirectional", bidirectional)
        self.dtype = float_dtype(dtype)
        self.shapes = recurrent_shapes(
            self.input_size, self.hidden_size, cell.gates, self.num_layers, self.bias, self.bidirectional
        )
        self.weights: dict[str, np.ndarray] = {}
        self._graphs: OrderedDict[tuple, FactorGraph] = OrderedDict()
        self.reset(random_state)

    def __getstate__(self) -> dict:
        """Everything but the cell, which a network finds by its own name, and the graphs, which are made
        anew."""
        return {k: v for k, v in self.__dict__.items() if k not in ("cell", "_graphs")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.cell, self._graphs = self._cell(), OrderedDict()

    def _cell(self) -> Cell:
        raise TypeError(f"{type(self).__name__} has no cell; use RNN")

    # -- weights -----------------------------------------------------------------------------------

    def reset(self, random_state=None) -> RecurrentNetwork:
        """Draw all weights anew, uniform on (−1/√H, 1/√H)."""
        self.weights = draw(self.shapes, self.hidden_size**-0.5, self.dtype, generator(random_state))
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the weights, by torch's keys."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self, state: Mapping) -> RecurrentNetwork:
        """Take in weights, from a torch module's ``state_dict()`` too.

        Raises
        ------
        DataError
            Missing or unknown keys; entries that are not finite numbers.
        ShapeError
            An entry of another shape.
        """
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    # -- graphs ------------------------------------------------------------------------------------

    @property
    def output_size(self) -> int:
        """Numbers a step that come out."""
        return self.hidden_size * (1 + self.bidirectional)

    @property
    def output(self) -> str:
        """Name of the sequence that comes out."""
        return output_name(self.num_layers, self.bidirectional)

    @property
    def suffixes(self) -> list[str]:
        """Endings of the names of all layers and directions, in the order of ``h_n``."""
        return [s for layer in range(self.num_layers) for s in suffixes(layer, self.bidirectional)]

    def observed(self, x, h0=None, loss: OutputLoss | None = None) -> tuple[Layout, dict[str, np.ndarray]]:
        """One call's data in the graph's axes, by name; checked but for NaN, which the graph looks for."""
        x = real_array("x", x, self.dtype)
        layout = Layout.of(x, self.input_size, self.batch_first)
        arrays = {"x": layout.inward("x", x, self.input_size)}
        if h0 is not None:
            arrays |= self._starts(layout, h0)
        if loss is not None:
            if not isinstance(loss, OutputLoss):
                raise DataError(
                    f"loss must be SquaredError(target) or CrossEntropy(labels), got {type(loss).__name__}"
                )
            arrays |= loss.observed(layout, loss.width(self.output_size, self.dtype), self.dtype)
        return layout, arrays

    def _starts(self, layout: Layout, h0) -> dict[str, np.ndarray]:
        given = h0 if isinstance(h0, tuple) else (h0,)
        if len(given) != len(self.cell.states):
            raise DataError(
                f"h0 has {len(given)} parts, but the cell's states are {', '.join(self.cell.states)}"
            )
        starts: dict[str, np.ndarray] = {}
        for state, value in zip(self.cell.states, given, strict=True):
            value = real_array(f"{state}0", value, self.dtype)
            rows = layout.states_inward(f"{state}0", value, len(self.suffixes), self.hidden_size)
            if not np.isfinite(rows).all():
                raise DataError(f"{state}0 holds NaN or an infinite value")
            starts |= {start_name(state, s): row for s, row in zip(self.suffixes, rows, strict=True)}
        return starts

    def graph(self, x, loss: OutputLoss | None = None, h0=None) -> FactorGraph:
        """The factor graph that everything runs on.

        Parameters
        ----------
        x, h0
            As for a call of the network.
        loss : SquaredError or CrossEntropy, optional

        Returns
        -------
        FactorGraph
            Its parameters are the keys of the state dict (and ``readout.weight``, ``readout.bias``); its
            sequences ``h_l0``, ``h_l0_reverse``, …, with rows of shape (B, H), ``y_l0`` of both directions
            side by side, and ``output`` of a readout; its observations ``x``, ``h0_l0``, … and ``target``
            or ``labels``.
        """
        return self._build(*self.observed(x, h0, loss), loss)

    def _build(self, layout: Layout, arrays, loss: OutputLoss | None) -> FactorGraph:
        graph, output = lay_out(self.cell, self.weights, self.num_layers, self.bidirectional, layout, arrays)
        if loss is not None:
            loss.attach(graph, output, arrays, layout, loss.width(self.output_size, self.dtype))
        return graph

    def kept_graph(self, layout: Layout, arrays, loss: OutputLoss | None) -> FactorGraph:
        """The graph for data of these shapes, to be run with new values: built once, with its plan."""
        key = layout.steps, layout.batch, None if loss is None else loss.key
        graph = self._graphs.get(key)
        if graph is None:
            starts = tuple(start_name(state, s) for state in self.cell.states for s in self.suffixes)
            graph = self._graphs[key] = self._build(
                layout, {k: v for k, v in arrays.items() if k not in starts}, loss
            )
            if len(self._graphs) > KEPT_GRAPHS:
                self._graphs.popitem(last=False)
        else:
            self._graphs.move_to_end(key)
        return graph

    # -- values ------------------------------------------------------------------------------------

    def __call__(self, x, h0=None):
        """Outputs of all steps, and the last states.

        Parameters
        ----------
        x : array (T, B, I), with ``batch_first`` (B, T, I), unbatched (T, I)
        h0 : array (layers · directions, B, H), unbatched (layers · directions, H), optional
            Zeros by default.

        Returns
        -------
        output : ndarray (T, B, directions · H), in the axes of ``x``
            States of the last layer.
        h_n : ndarray (layers · directions, B, H)
            Each layer's and direction's state after its last step.

        Raises
        ------
        ShapeError, DataError
            When shapes do not fit, when x holds NaN or infinite values.
        """
        layout, arrays = self.observed(x, h0)
        m = run(
            self.kept_graph(layout, arrays, None), schedule=ForwardOnly(), values={**self.weights, **arrays}
        )
        last = [
            np.stack([m.forward[state + s][0 if s.endswith("_reverse") else -1] for s in self.suffixes])
            for state in self.cell.states
        ]
        states = tuple(layout.states_outward(v) for v in last)
        return layout.outward(m.forward[self.output]), states if len(states) > 1 else states[0]


class RNN(RecurrentNetwork):
    """Elman's network, h_t = act(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), laid out as ``torch.nn.RNN``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        ``x`` and the output are (B, T, ·) instead of (T, B, ·); inside the graph, and among its messages,
        time is first.
    bidirectional : bool
        A second direction from the last step to the first; the output has both side by side.
    dtype : {"float64", "float32"} or dtype
        Of the weights and of everything computed.
    random_state : int, Generator or None
        Weights are drawn uniform on (−1/√H, 1/√H).

    Examples
    --------
    >>> import numpy as np
    >>> net = RNN(3, 5, num_layers=2, bidirectional=True, random_state=0)
    >>> output, h_n = net(np.zeros((7, 2, 3)))
    >>> output.shape, h_n.shape
    ((7, 2, 10), (4, 2, 5))
    >>> list(net.state_dict())[:4]
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        *,
        bidirectional: bool = False,
        dtype=np.float64,
        random_state=None,
    ):
        self.nonlinearity = one_of("nonlinearity", nonlinearity, tuple(ELMAN))
        cell = ELMAN[nonlinearity]
        sizes = input_size, hidden_size, num_layers
        super().__init__(cell, *sizes, bias, batch_first, bidirectional, dtype, random_state)

    def _cell(self) -> Cell:
        return ELMAN[self.nonlinearity]

    def __repr__(self) -> str:
        sizes = f"{self.input_size}, {self.hidden_size}, {self.num_layers}, {self.nonlinearity!r}"
        flags = "".join(f", {name}={value}" for name, value, usual in self._flags() if value != usual)
        return f"RNN({sizes}{flags}, dtype={self.dtype.name!r})"

    def _flags(self):
        return (
            ("bias", self.bias, True),
            ("batch_first", self.batch_first, False),
            ("bidirectional", self.bidirectional, False),
        )
