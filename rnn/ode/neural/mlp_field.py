"""``MLPField``: dy/dt = W_n a(… a(W_0 [y, t] + b_0) …) + b_n, with its VJP as plain matrix products.

Autograd would find the same; by hand all instances of a stage go through one product a layer, which is about
three times faster.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from msgpass.errors import DataError
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.cells.base import Shapes
from rnn.ode.field import Field
from rnn.ode.neural.activations import ACTIVATIONS
from rnn.validation import UNDRAWN, flag, one_of, whole
from rnn.weights import draw


class MLPField:
    """A feedforward net as the right-hand side, linear at its end.

    Parameters
    ----------
    size : int
        Numbers of a state.
    hidden_sizes : sequence of int
    activation : {"tanh", "softplus", "relu", "sigmoid", "silu"}
    time : bool
        t is an input, too.
    prefix : str
        Of the weights' names, ``weight_0``, ``bias_0``, ….

    Examples
    --------
    >>> field = MLPField(2, (8,), time=True)
    >>> field.shapes
    {'weight_0': (8, 3), 'bias_0': (8,), 'weight_1': (2, 8), 'bias_1': (2,)}
    """

    def __init__(
        self, size: int, hidden_sizes=(32,), activation="tanh", time: bool = False, prefix: str = ""
    ):
        self.size, self.time = whole("size", size), flag("time", time)
        if not isinstance(hidden_sizes, Iterable):
            raise DataError(
                f"hidden_sizes is a sequence of whole numbers, such as (32,), got {hidden_sizes!r}"
            )
        self.hidden_sizes = tuple(whole("a hidden size", n) for n in hidden_sizes)
        self.activation = one_of("activation", activation, tuple(ACTIVATIONS))
        widths = self.size + self.time, *self.hidden_sizes, self.size
        self.shapes: Shapes = {}
        for k, (m, n) in enumerate(pairwise(widths)):
            self.shapes |= {f"{prefix}weight_{k}": (n, m), f"{prefix}bias_{k}": (n,)}

    def draw(self, dtype: np.dtype, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Weights uniform on (−1/√inputs, 1/√inputs) of their layer."""
        found: dict[str, np.ndarray] = {}
        if rng is UNDRAWN:
            return found
        keys = [*self.shapes]
        for weight, bias in zip(keys[::2], keys[1::2], strict=True):
            own = {key: self.shapes[key] for key in (weight, bias)}
            found |= draw(own, own[weight][1] ** -0.5, dtype, rng)
        return found

    def __call__(self, t, y, *weights):
        """dy/dt, like y (…, size); t a number or (…, 1)."""
        return self._forward(t, y, weights)[0]

    def _inputs(self, t, y):
        if not self.time:
            return y
        return np.concatenate([y, np.broadcast_to(np.asarray(t, y.dtype), (*y.shape[:-1], 1))], axis=-1)

    def _forward(self, t, y, weights):
        """The rate, and each layer's (input, pre-activation)."""
        function = ACTIVATIONS[self.activation][0]
        x, seen = self._inputs(t, y), []
        for k, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            z = times(x, w) + b
            seen.append((x, z))
            x = function(z) if k < len(self.hidden_sizes) else z
        return x, seen

    def vjp(self, inputs, cotangent):
        """Cotangents of (t, y, *weights)."""
        t, y, *weights = inputs
        slope = ACTIVATIONS[self.activation][1]
        _, seen = self._forward(t, y, weights)
        bar = cotangent
        found: list[np.ndarray] = []
        for k in reversed(range(len(seen))):
            x, z = seen[k]
            if k < len(self.hidden_sizes):
                bar = bar * slope(z, seen[k + 1][0])
            found = [weight_cotangent(bar, x), flat(bar).sum(axis=0), *found]
            bar = times_transposed(bar, weights[2 * k])
        if not self.time:
            return None, bar, *found
        return _summed(bar[..., self.size :], np.shape(t)), bar[..., : self.size], *found

    def field(self) -> Field:
        """For the solvers' steps."""
        return Field(self, self.vjp)


def _summed(bar: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Over the axes that t was broadcast along."""
    bar = bar.sum(axis=tuple(range(bar.ndim - len(shape))))
    ones = tuple(k for k, n in enumerate(shape) if n == 1 and bar.shape[k] != 1)
    return bar.sum(axis=ones, keepdims=True) if ones else bar
