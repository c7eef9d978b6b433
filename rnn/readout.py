"""``Linear``: the readout y = W h + b of every time step, a vectorised step of the graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass import FactorGraph, Step
from msgpass.errors import ShapeError
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.validation import flag, float_dtype, generator, real_array, whole
from rnn.weights import checked, draw


def linear(h: np.ndarray, w: np.ndarray, *bias: np.ndarray) -> np.ndarray:
    """h Wᵀ + b."""
    y = times(h, w)
    for b in bias:
        y += b
    return y


def _vjp(inputs, cotangent):
    h, w, *bias = inputs
    at_bias = [flat(cotangent).sum(axis=0) for _ in bias]
    return times_transposed(cotangent, w), weight_cotangent(cotangent, h), *at_bias


def _jvp(inputs, tangents):
    h, w, *_ = inputs
    h_dot, w_dot, *bias_dot = tangents
    return linear(h_dot, w) + linear(h, w_dot, *bias_dot)


def _hvp(inputs, cotangent, tangents):
    h_dot, w_dot, *bias_dot = tangents
    return times_transposed(cotangent, w_dot), weight_cotangent(cotangent, h_dot), *(None for _ in bias_dot)


LINEAR = Step(linear, vjp=_vjp, jvp=_jvp, vectorized=True, hvp=_hvp)


class Linear:
    """An affine readout; give it to a loss, which trains it together with the network.

    Parameters
    ----------
    in_features, out_features : int
        ``in_features`` is the network's ``output_size``.
    bias : bool
    dtype : {"float64", "float32"} or dtype
        That of the network.
    random_state : int, Generator or None
        Weights are drawn uniform on (−1/√in_features, 1/√in_features).

    Attributes
    ----------
    weights : dict
        ``weight`` (out, in) and ``bias`` (out); in a graph and among its messages ``readout.weight`` and
        ``readout.bias``.

    Examples
    --------
    >>> import numpy as np
    >>> readout = Linear(3, 2, random_state=0)
    >>> readout(np.zeros((5, 1, 3))).shape
    (5, 1, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype=np.float64, random_state=None
    ):
        self.in_features = whole("in_features", in_features)
        self.out_features = whole("out_features", out_features)
        self.bias = flag("bias", bias)
        self.dtype = float_dtype(dtype)
        self.shapes = {"weight": (self.out_features, self.in_features)} | (
            {"bias": (self.out_features,)} if bias else {}
        )
        self.weights: dict[str, np.ndarray] = {}
        self.reset(random_state)

    def reset(self, random_state=None) -> Linear:
        """Draw all weights anew."""
        self.weights = draw(self.shapes, self.in_features**-0.5, self.dtype, generator(random_state))
        return self

    def __call__(self, h) -> np.ndarray:
        """The readout of an array of shape (…, in_features)."""
        h = real_array("the readout's input", h, self.dtype)
        if h.ndim == 0 or h.shape[-1] != self.in_features:
            raise ShapeError(
                f"the readout's input has shape {h.shape}, wanted {self.in_features} on the last axis"
            )
        return linear(h, *self.weights.values())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the weights, by torch's keys."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self, state: Mapping) -> Linear:
        """Take in weights; a DataError names missing and unknown keys, a ShapeError a wrong shape."""
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    def save(self, path) -> None:
        """Write settings and weights to a safetensors file, for :func:`rnn.load` and for torch."""
        from rnn.keeping import save

        save(self, path)

    def attach(
        self, graph: FactorGraph, h, clock: int, batch: int, name: str = "readout", output: str = "output"
    ):
        """Add the readout of the sequence ``h`` to a graph; returns the sequence ``output``."""
        weights = [graph.parameter(f"{name}.{key}", value) for key, value in self.weights.items()]
        out = graph.sequence(output, clock, shape=(batch, self.out_features))
        graph.factor(LINEAR, h[:], *weights, out=out[:], name=name)
        return out

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}{'' if self.bias else ', bias=False'})"
