"""``ODERNN``: a hidden state that follows a differential equation between observations and jumps at them.

    before_k = solution at t_k of dh/dt = MLP(h, θ) from h_{k−1} at t_{k−1}
    h_k      = GRU(before_k, [x_k ∘ m_k, m_k]),  m_k which features were seen;   before_k where none was

Both are factors of one recurrence. Rubanova, Chen & Duvenaud, *Latent ordinary differential equations for
irregularly-sampled time series* (NeurIPS 2019), Algorithm 1. A row at which nothing is seen is a time at
which to ask, so that predictions and forecasts are rows, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.cells import held
from rnn.cells.gru import gru
from rnn.dropout import probability
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network, checked_loss
from rnn.ode.neural.explained import blown_up
from rnn.ode.neural.flow import explicit, flow
from rnn.ode.neural.mlp_field import MLPField
from rnn.ode.neural.times import cut_times, read_times
from rnn.ode.tableau import Tableau
from rnn.starts import learned_start
from rnn.validation import flag, float_dtype, generator, one_of, real_array, whole
from rnn.weights import draw


class ODERNN(Network):
    """A gated recurrent unit for irregular times and missing features.

    Parameters
    ----------
    input_size : int
        I, the features of a row; NaN in x is missing.
    hidden_size : int
        H.
    hidden_sizes, activation, time
        Of the MLP that moves the state between rows, as for :class:`NeuralODE`.
    read : {"after", "before"}
        What is put out: the state after a row's jump, or before it, which has seen the past alone.
    initial : {"zero", "learned"}
        The state at a sequence's first time, before it has seen anything: zeros, or the weights ``h0``.
    dropout : float
        Chance that a row is hidden from the state while training; it keeps its target. So the state learns
        to go further than to the next row.
    method : str or Tableau
        Explicit.
    steps : int
        Solver steps between two rows.
    batch_first, dtype, random_state
        As for :class:`rnn.RNN`.

    Notes
    -----
    ``bptt(net, x, loss, t=t)`` and ``fit(net, x, loss, t=t)`` take x (T, B, I), and t (T,), or (T, B) with
    each sequence's own; ``lengths`` of a ragged batch. Messages at ``h`` and ``before`` are λ after and
    before each jump.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import SquaredError, bptt
    >>> net = ODERNN(2, 4, random_state=0)
    >>> x = np.array([[[0.5, np.nan]], [[np.nan, np.nan]], [[1.0, 0.3]]])
    >>> output, h_n = net(x, [0.0, 0.4, 2.0])
    >>> output.shape, h_n.shape
    ((3, 1, 4), (1, 4))
    >>> m = bptt(net, x, SquaredError(np.zeros((3, 1, 4))), t=[0.0, 0.4, 2.0])
    >>> bool((m.gradient["h"][1] == m.gradient["before"][1]).all())  # nothing was seen, no jump
    True
    """

    counts = ("steps",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        hidden_sizes=(32,),
        activation: str = "tanh",
        *,
        time: bool = False,
        read: str = "after",
        initial: str = "zero",
        dropout: float = 0.0,
        method: str | Tableau = "midpoint",
        steps: int = 1,
        batch_first: bool = False,
        dtype=np.float64,
        random_state=None,
    ):
        super().__init__()
        self.input_size = whole("input_size", input_size)
        self.hidden_size = self.output_size = whole("hidden_size", hidden_size)
        self.mlp = MLPField(self.hidden_size, hidden_sizes, activation, time, "field.")
        self.hidden_sizes, self.activation, self.time = self.mlp.hidden_sizes, activation, self.mlp.time
        self.read = one_of("read", read, ("after", "before"))
        self.initial = one_of("initial", initial, ("zero", "learned"))
        self.dropout = probability(dropout)
        self.tableau, self.method, self.steps = explicit(method), method, whole("steps", steps)
        self.batch_first, self.dtype = flag("batch_first", batch_first), float_dtype(dtype)
        roles = gru().shapes(2 * self.input_size, self.hidden_size)
        self._jump = {f"jump.{role}": shape for role, shape in roles.items()}
        self._start = {"h0": (self.hidden_size,)} if self.initial == "learned" else {}
        self.shapes = {**self.mlp.shapes, **self._jump, **self._start}
        self.reset(random_state)

    def reset(self, random_state=None) -> ODERNN:
        """Draw all weights anew: the MLP's by their layer's inputs, the jump's uniform on (−1/√H, 1/√H)."""
        rng = generator(random_state)
        jump = draw(self._jump, self.hidden_size**-0.5, self.dtype, rng)
        self.weights = self.mlp.draw(self.dtype, rng) | jump
        if self.weights and self._start:
            self.weights["h0"] = np.zeros(self.hidden_size, self.dtype)
        return self

    # -- graphs --------------------------------------------------------------------------------------

    def call(  # type: ignore[override]
        self,
        x,
        loss: OutputLoss | None = None,
        t=None,
        h0=None,
        lengths=None,
        random_state=None,
    ) -> Call:
        """One call's data in the graph's axes."""
        x = real_array("x", x, self.dtype)
        layout = Layout.of(x, self.input_size, self.batch_first).with_lengths(lengths)
        rows = layout.hidden(layout.inward("x", x, self.input_size), np.nan)
        if np.isinf(rows).any():
            raise DataError("x holds an infinite value; NaN is missing")
        seen = ~np.isnan(rows)
        if random_state is not None and self.dropout:
            seen &= generator(random_state).random((layout.steps, layout.batch, 1)) >= self.dropout
        times, _ = read_times(t, layout)
        before = np.concatenate([times[:1], times[:-1]])
        arrays = {
            "x": np.concatenate([np.where(seen, rows, 0), seen], axis=-1, dtype=self.dtype),
            "mask": seen.any(axis=-1, keepdims=True).astype(self.dtype),
            "t": before[..., None].astype(self.dtype),
            "gap": (times - before)[..., None].astype(self.dtype),
        }
        if h0 is not None:
            arrays["h0"] = self._given_start(layout, h0)
        if loss is not None:
            width = checked_loss(loss).width(self.output_size, self.dtype)
            arrays |= loss.observed(layout, width, self.dtype)
        return Call(layout, arrays, loss)

    def _given_start(self, layout: Layout, h0) -> np.ndarray:
        array = real_array("h0", h0, self.dtype)
        wanted = (layout.batch, self.hidden_size) if layout.batched else (self.hidden_size,)
        if array.shape != wanted:
            raise ShapeError(f"h0 has shape {array.shape}, wanted {wanted}")
        if not np.isfinite(array).all():
            raise DataError("h0 holds NaN or an infinite value")
        return array if layout.batched else array[None]

    def cut(self, layout: Layout, name: str, value, rows: np.ndarray, steps: int | None):
        """Times may be everyone's; initial states have the batch first."""
        if name == "t":
            return cut_times(layout, value, rows, steps)
        if name == "h0":
            return np.asarray(value)[rows]
        return super().cut(layout, name, value, rows, steps)

    def graph(self, x, loss: OutputLoss | None = None, h0=None, *, t=None, **data) -> FactorGraph:
        """The factor graph that everything runs on."""
        return self.build(self.call(x, loss, t, h0, **data))

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call: sequences ``before`` and ``h`` (B, H); observations ``x`` (values, then which
        are seen), ``mask``, ``t`` and ``gap``."""
        graph, arrays, layout = FactorGraph(), call.arrays, call.layout
        shape = layout.batch, self.hidden_size
        own = {k: graph.parameter(k, w) for k, w in self.weights.items() if k not in arrays}
        if "h0" in own:
            start = learned_start(graph, own["h0"], layout.batch)
        else:
            start = graph.observe("h0", arrays.get("h0", np.zeros(shape, self.dtype)))
        x, mask, t, gap = (graph.observe(name, arrays[name]) for name in ("x", "mask", "t", "gap"))
        before, h = (graph.sequence(name, layout.steps, shape=shape) for name in ("before", "h"))
        move = flow(self.tableau, self.mlp.field(), self.steps, layout.batch * self.hidden_size)
        theta, jump = ([own[k] for k in names] for names in (self.mlp.shapes, self._jump))
        graph.factor(move, h.after(start), t[:], gap[:], *theta, out=before[:], name="flow")
        graph.factor(held(gru().step, 1), before[:], x[:], mask[:], *jump, out=h[:], name="jump")
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, graph[self.output], arrays, layout, width)
        return graph

    @property
    def output(self) -> str:
        """Name of the sequence that comes out."""
        return "h" if self.read == "after" else "before"

    def explained(self, problem: NumericalError, values: Mapping) -> NumericalError:
        """With the time at which it happened."""
        return blown_up(problem, values["t"], values["gap"])

    # -- values --------------------------------------------------------------------------------------

    def __call__(self, x, t, h0=None, lengths=None):
        """States at all rows, and the last ones.

        Parameters
        ----------
        x : array (T, B, I), with ``batch_first`` (B, T, I), unbatched (T, I)
            NaN is missing; a row of nothing else asks for the state at its time.
        t : array (T,), or (T, B) in the axes of ``x``
            Increasing.
        h0 : array (B, H), unbatched (H,), optional
            States at the first times.
        lengths : array (B,) of int, optional

        Returns
        -------
        output : ndarray (T, B, H), in the axes of ``x``
            After each jump or before it, by ``read``; 0 beyond a sequence's length.
        h_n : ndarray (B, H), unbatched (H,)
            After each sequence's last row.
        """
        call = self.call(x, t=t, h0=h0, lengths=lengths)
        values = {**self.weights, **call.arrays}
        try:
            m = run(self.kept(call), schedule=ForwardOnly(), values=values)
        except NumericalError as problem:
            raise self.explained(problem, values) from None
        layout = call.layout
        output = layout.outward(layout.hidden(m.forward[self.output], 0))
        return output, m.forward["h"][-1] if layout.batched else m.forward["h"][-1, 0]

    def __repr__(self) -> str:
        more = "".join(
            f", {name}={value!r}"
            for name, value, usual in (
                ("time", self.time, False),
                ("read", self.read, "after"),
                ("initial", self.initial, "zero"),
                ("dropout", self.dropout, 0.0),
                ("steps", self.steps, 1),
                ("batch_first", self.batch_first, False),
            )
            if value != usual
        )
        sizes = f"{self.input_size}, {self.hidden_size}, {self.hidden_sizes}, {self.activation!r}"
        return f"ODERNN({sizes}{more}, method={self.tableau.name!r}, dtype={self.dtype.name!r})"
