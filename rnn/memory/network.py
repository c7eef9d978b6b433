"""``Memory``: a controller with an external memory, as the Neural Turing Machine has it."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from msgpass.errors import DataError, ShapeError
from rnn.cells import Cell, elman, gru, lstm
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.memory.addressing import Addressing
from rnn.memory.graph import MemoryGraph
from rnn.networks.base import Call, Network, checked_loss
from rnn.validation import flag, float_dtype, generator, one_of, real_array, whole
from rnn.weights import draw

CONTROLLERS = {"lstm": lstm, "gru": gru, "rnn": elman}


class Memory(Network):
    """A recurrent controller that reads and writes an external memory (Graves, Wayne & Danihelka 2014).

    Each step the controller sees x_t and what its heads have read, then its write heads erase and add, and
    its read heads read. Heads find their slots by content (cosine similarity) and, unless ``reach`` is None,
    by location (gate, circular shift, sharpening). Training is differentiable throughout.

    Parameters
    ----------
    input_size, hidden_size : int
        Of the controller.
    slots, width : int
        The memory is N slots of W numbers.
    read_heads, write_heads : int
    reach : int or None
        Largest shift S of a head in one step; None: content addressing alone.
    controller : {"lstm", "gru", "rnn"}
    batch_first : bool
    initial : {"zero", "learned"}
        Where no ``h0`` is given: nothing, or weights ``h0``, …, ``memory0`` and ``r0``. Heads start on the
        first slot.
    dtype, random_state
        As for :class:`rnn.RNN`.

    Attributes
    ----------
    weights : dict
        ``controller.weight_ih`` …, as torch's ``LSTMCell``, over inputs (x, r); ``write_heads.weight`` and
        ``.bias``, ``read_heads.weight`` and ``.bias``, heads one below the other, each in the order k, β, g,
        s, γ (, e, a).
    states : tuple of str
        What a call takes as ``h0`` and gives back: the controller's, then ``w_write``, ``memory``,
        ``w_read``, ``r``.

    Examples
    --------
    >>> import numpy as np
    >>> net = Memory(3, 8, slots=6, width=4, random_state=0)
    >>> output, state = net(np.ones((5, 2, 3)))
    >>> output.shape, dict(zip(net.states, state))["memory"].shape
    ((5, 2, 12), (2, 6, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        slots: int,
        width: int,
        read_heads: int = 1,
        write_heads: int = 1,
        reach: int | None = 1,
        controller: str = "lstm",
        batch_first: bool = False,
        *,
        initial: str = "zero",
        dtype=np.float64,
        random_state=None,
    ):
        super().__init__()
        self.input_size = whole("input_size", input_size)
        self.hidden_size = whole("hidden_size", hidden_size)
        self.slots, self.width = whole("slots", slots), whole("width", width)
        self.read_heads = whole("read_heads", read_heads)
        self.write_heads = whole("write_heads", write_heads)
        self.reach = None if reach is None else whole("reach", reach, least=0)
        if self.reach is not None and 2 * self.reach + 1 > self.slots:
            raise ShapeError(
                f"reach={self.reach} shifts over {2 * self.reach + 1} slots, but the memory has "
                f"{self.slots}; take more slots, a shorter reach, or reach=None"
            )
        self.controller = one_of("controller", controller, tuple(CONTROLLERS))
        self.batch_first = flag("batch_first", batch_first)
        self.initial = one_of("initial", initial, ("zero", "learned"))
        self.dtype = float_dtype(dtype)
        self.output_size = self.hidden_size + self.read_heads * self.width
        self.shapes = self._shapes()
        self.reset(random_state)

    @property
    def _cell(self) -> Cell:
        return CONTROLLERS[self.controller]()

    @property
    def _addressing(self) -> Addressing:
        return Addressing(self.width, self.reach)

    @property
    def _plates(self) -> MemoryGraph:
        heads = self.read_heads, self.write_heads
        return MemoryGraph(self._cell, self.hidden_size, self.slots, *heads, self._addressing)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of what goes from step to step."""
        return tuple(self._plates.widths)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        seen = self.input_size + self.read_heads * self.width
        found = {f"controller.{k}": s for k, s in self._cell.shapes(seen, self.hidden_size).items()}
        size, W = self._addressing.size, self.width
        for kind, rows in (
            ("write_heads", self.write_heads * (size + 2 * W)),
            ("read_heads", self.read_heads * size),
        ):
            found |= {f"{kind}.weight": (rows, self.hidden_size), f"{kind}.bias": (rows,)}
        if self.initial == "learned":
            widths = self._plates.widths
            found |= {f"{n}0": s for n, s in widths.items() if not n.startswith("w_")}
        return found

    def reset(self, random_state=None):
        """Draw all weights anew, uniform on (−1/√H, 1/√H); a learned memory starts almost empty."""
        self.weights = draw(self.shapes, self.hidden_size**-0.5, self.dtype, generator(random_state))
        if "memory0" in self.weights:
            self.weights["memory0"][:] = 1e-6
        return self

    # -- graphs --------------------------------------------------------------------------------------

    def call(self, x, loss: OutputLoss | None = None, h0=None, lengths=None) -> Call:  # type: ignore[override]
        """One call's data in the graph's axes."""
        x = real_array("x", x, self.dtype)
        layout = Layout.of(x, self.input_size, self.batch_first).with_lengths(lengths)
        arrays = {"x": layout.hidden(layout.inward("x", x, self.input_size), 0)}
        starts = self._plates.zero_starts(layout.batch, self.dtype)
        arrays |= {k: v for k, v in starts.items() if k not in self.weights}
        if h0 is not None:
            arrays |= self._given(layout, h0)
        if loss is not None:
            width = checked_loss(loss).width(self.output_size, self.dtype)
            arrays |= loss.observed(layout, width, self.dtype)
        return Call(layout, arrays, loss)

    def _given(self, layout: Layout, h0) -> dict[str, np.ndarray]:
        widths = self._plates.widths
        if not isinstance(h0, tuple | list) or len(h0) != len(widths):
            raise DataError(
                f"h0 must be a tuple of the states {', '.join(widths)}, as a call gives them back"
            )
        found = {}
        for (name, shape), value in zip(widths.items(), h0, strict=True):
            wanted = (layout.batch, *shape) if layout.batched else shape
            array = real_array(f"{name}0", value, self.dtype)
            if array.shape != wanted:
                raise ShapeError(f"{name}0 has shape {array.shape}, wanted {wanted}")
            if not np.isfinite(array).all():
                raise DataError(f"{name}0 holds NaN or an infinite value")
            if name.startswith("w_") and ((array < 0).any() or not np.allclose(array.sum(-1), 1, atol=1e-5)):
                raise DataError(f"{name}0 must hold weightings: numbers ≥ 0 that sum to one over the slots")
            found[f"{name}0"] = array if layout.batched else array[None]
        return found

    def graph(self, x, loss: OutputLoss | None = None, h0=None, *, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on; `rnn.memory.graph` names its sequences."""
        return self.build(self.call(x, loss, h0, lengths))

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call."""
        graph, output = self._plates.lay_out(self.weights, call.layout, call.arrays)
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, output, call.arrays, call.layout, width)
        return graph

    # -- values --------------------------------------------------------------------------------------

    def __call__(self, x, h0=None, lengths=None):
        """Outputs (h_t, r_t) of all steps, and the states after each sequence's last step.

        Parameters
        ----------
        x : array (T, B, I), with ``batch_first`` (B, T, I), unbatched (T, I)
        h0 : tuple of arrays, optional
            What an earlier call gave back, to go on from there.
        lengths : array (B,) of int, optional

        Returns
        -------
        output : ndarray (T, B, H + R W), in the axes of ``x``
        state : tuple of ndarray
            In the order of ``states``, batch first.

        Raises
        ------
        ShapeError, DataError
        """
        call = self.call(x, h0=h0, lengths=lengths)
        m = run(self.kept(call), schedule=ForwardOnly(), values={**self.weights, **call.arrays})
        layout, batch = call.layout, np.arange(call.layout.batch)
        last = layout.steps - 1 if layout.lengths is None else layout.lengths - 1
        state = tuple(m.forward[name][last, batch] for name in self.states)
        output = layout.outward(layout.hidden(m.forward["y"], 0))
        return output, state if layout.batched else tuple(s[0] for s in state)

    def __repr__(self) -> str:
        sizes = f"{self.input_size}, {self.hidden_size}, slots={self.slots}, width={self.width}"
        usual = {
            "read_heads": 1,
            "write_heads": 1,
            "reach": 1,
            "controller": "lstm",
            "batch_first": False,
            "initial": "zero",
        }
        flags = "".join(f", {k}={getattr(self, k)!r}" for k, v in usual.items() if getattr(self, k) != v)
        return f"Memory({sizes}{flags}, dtype={self.dtype.name!r})"
