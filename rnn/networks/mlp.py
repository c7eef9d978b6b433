"""``MLP``: the same feedforward layers at every step, h_l = tanh(W_l h_{l−1} + b_l); no step sees another."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Step, run
from msgpass.nodes import Observation, Sequence
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network, checked_loss
from rnn.validation import flag, float_dtype, generator, real_array, whole
from rnn.weights import draw


def layer(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """tanh(W x + b)."""
    return np.tanh(times(x, w) + b)


def _vjp(inputs, cotangent):
    x, w, b = inputs
    z = cotangent * (1 - layer(x, w, b) ** 2)
    return times_transposed(z, w), weight_cotangent(z, x), flat(z).sum(axis=0)


def _inward(inputs, tangents):
    (x, w, _), (x_dot, w_dot, b_dot) = inputs, tangents
    return times(x_dot, w) + times(x, w_dot) + b_dot


def _hvp(inputs, cotangent, tangents):
    x, w, b = inputs
    h, (x_dot, w_dot, _) = layer(x, w, b), tangents
    z, z_dot = cotangent * (1 - h * h), cotangent * (-2 * h * (1 - h * h)) * _inward(inputs, tangents)
    at_x = times_transposed(z_dot, w) + times_transposed(z, w_dot)
    return at_x, weight_cotangent(z_dot, x) + weight_cotangent(z, x_dot), flat(z_dot).sum(axis=0)


LAYER = Step(
    layer,
    vjp=_vjp,
    jvp=lambda inputs, tangents: (1 - layer(*inputs) ** 2) * _inward(inputs, tangents),
    hvp=_hvp,
    vectorized=True,
)


class MLP(Network):
    """Feedforward layers applied to every step by itself; without layers the input goes through as it is.

    Parameters
    ----------
    input_size : int
    hidden_sizes : sequence of int
        Width of each tanh layer; readouts belong to losses.
    batch_first : bool
    dtype : {"float64", "float32"} or dtype
    random_state : int, Generator or None
        Weights are drawn uniform on (−1/√inputs, 1/√inputs) of their layer.

    Examples
    --------
    >>> net = MLP(3, [5, 4], random_state=0)
    >>> net(np.zeros((7, 2, 3))).shape
    (7, 2, 4)
    >>> list(net.state_dict())
    ['weight_0', 'bias_0', 'weight_1', 'bias_1']
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes=(),
        batch_first: bool = False,
        *,
        dtype=np.float64,
        random_state=None,
    ):
        super().__init__()
        self.input_size, self.batch_first = whole("input_size", input_size), flag("batch_first", batch_first)
        self.hidden_sizes = tuple(whole("a hidden size", n) for n in hidden_sizes)
        self.dtype = float_dtype(dtype)
        widths = (self.input_size, *self.hidden_sizes)
        self.output_size = widths[-1]
        self.shapes = {}
        for k, (n, m) in enumerate(zip(widths[1:], widths, strict=False)):
            self.shapes |= {f"weight_{k}": (n, m), f"bias_{k}": (n,)}
        self.reset(random_state)

    def reset(self, random_state=None) -> MLP:
        """Draw all weights anew."""
        rng, self.weights = generator(random_state), {}
        for k in range(len(self.hidden_sizes)):
            own = {key: self.shapes[key] for key in (f"weight_{k}", f"bias_{k}")}
            self.weights |= draw(own, own[f"weight_{k}"][1] ** -0.5, self.dtype, rng)
        return self

    def call(self, x, loss: OutputLoss | None = None, lengths=None) -> Call:  # type: ignore[override]
        """One call's data in the graph's axes."""
        x = real_array("x", x, self.dtype)
        layout = Layout.of(x, self.input_size, self.batch_first).with_lengths(lengths)
        arrays = {"x": layout.hidden(layout.inward("x", x, self.input_size), 0)}
        if loss is not None:
            arrays |= loss.observed(
                layout, checked_loss(loss).width(self.output_size, self.dtype), self.dtype
            )
        return Call(layout, arrays, loss)

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call: sequences ``h_0``, ``h_1``, …."""
        graph = FactorGraph()
        below: Observation | Sequence = graph.observe("x", call.arrays["x"])
        for k, n in enumerate(self.hidden_sizes):
            own = [graph.parameter(key, self.weights[key]) for key in (f"weight_{k}", f"bias_{k}")]
            h = graph.sequence(f"h_{k}", call.layout.steps, shape=(call.layout.batch, n))
            graph.factor(LAYER, below[:], *own, out=h[:], name=f"layer_{k}")
            below = h
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, below, call.arrays, call.layout, width)
        return graph

    def graph(self, x, loss: OutputLoss | None = None, *, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on."""
        return self.build(self.call(x, loss, lengths))

    def __call__(self, x, lengths=None) -> np.ndarray:
        """Outputs of all steps, 0 beyond a sequence's length."""
        call = self.call(x, lengths=lengths)
        if not self.hidden_sizes:
            return call.layout.outward(call.arrays["x"])
        m = run(self.kept(call), schedule=ForwardOnly(), values={**self.weights, **call.arrays})
        output = m.forward[f"h_{len(self.hidden_sizes) - 1}"]
        return call.layout.outward(call.layout.hidden(output, 0))

    def __repr__(self) -> str:
        return f"MLP({self.input_size}, {list(self.hidden_sizes)}, dtype={self.dtype.name!r})"
