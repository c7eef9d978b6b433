"""The affine half of a cell, z = join(N(W_ih x) + b_ih, N(W_hh h) + b_hh), and its derivatives.

N is the identity or a layer norm of each product (`layer_norm.py`). ``join`` is linear: a sum for RNN and
LSTM; for GRU it sums two gates and leaves both parts of the third side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from msgpass import Step
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.cells import layer_norm as norm

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Join:
    """A linear map of both products, and its transpose."""

    join: Callable[[np.ndarray, np.ndarray], np.ndarray]
    split: Callable[[np.ndarray], Pair]


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a += b
    return a


SUM = Join(_add, lambda z: (z, z))
"""z = a + b."""


def products(join: Join, states: int, bias: bool, layer_norm: bool) -> Step:
    """``affine(*states, x, w_ih, w_hh[, b_ih, b_hh][, g_ih, g_hh])``; the first state is h.

    Parameters
    ----------
    join : Join
    states : int
        How many states come before x.
    bias : bool
        With b_ih and b_hh.
    layer_norm : bool
        With gains g_ih and g_hh of the normalised products.
    """
    first = states + 3

    def parts(arrays):
        """((x, W_ih), (h, W_hh)), biases, gains."""
        x, w_ih, w_hh = arrays[states:first]
        rest = arrays[first:]
        biases = rest[:2] if bias else ()
        gains = rest[2 * bias :] if layer_norm else (None, None)
        return ((x, w_ih), (arrays[0], w_hh)), biases, gains

    def f(*inputs):
        pairs, biases, gains = parts(inputs)
        z = [norm.scaled(times(v, w), g) for (v, w), g in zip(pairs, gains, strict=True)]
        for part, b in zip(z, biases, strict=False):
            part += b
        return join.join(*z)

    def arranged(at_pairs, at_biases, at_gains):
        (x, w_ih), (h, w_hh) = at_pairs
        gains = at_gains if layer_norm else ()
        return (h, *(None for _ in range(states - 1)), x, w_ih, w_hh, *at_biases, *gains)

    def vjp(inputs, cotangent, early=True, late=True):
        pairs, biases, gains = parts(inputs)
        at_pairs, at_biases, at_gains = [], [], []
        for (v, w), g, z in zip(pairs, gains, join.split(cotangent), strict=True):
            u, at_gain = norm.scaled_vjp(v, w, g, z)
            at_pairs.append(
                (times_transposed(u, w) if early else None, weight_cotangent(u, v) if late else None)
            )
            at_gains.append(at_gain if late else None)
            at_biases.append(flat(z).sum(axis=0) if late and biases else None)
        return arranged(at_pairs, at_biases if bias else (), at_gains)

    def jvp(inputs, tangents):
        pairs, _, gains = parts(inputs)
        moved, biases_dot, gains_dot = parts(tangents)
        z = [
            norm.scaled_jvp(v, w, g, times(v_dot, w) + times(v, w_dot), g_dot)
            for (v, w), g, (v_dot, w_dot), g_dot in zip(pairs, gains, moved, gains_dot, strict=True)
        ]
        for k, b in enumerate(biases_dot):
            z[k] = z[k] + b
        return join.join(*z)

    def hvp(inputs, cotangent, tangents):
        pairs, _, gains = parts(inputs)
        moved, _, gains_dot = parts(tangents)
        at_pairs, at_gains = [], []
        for (v, w), g, (v_dot, w_dot), g_dot, z in zip(
            pairs, gains, moved, gains_dot, join.split(cotangent), strict=True
        ):
            u, _ = norm.scaled_vjp(v, w, g, z)
            at_input = times_transposed(u, w_dot)
            at_weight = weight_cotangent(u, v_dot)
            at_gain = None
            if g is not None:
                u_dot, at_gain = norm.scaled_hvp(v, w, g, z, times(v_dot, w) + times(v, w_dot), g_dot)
                at_input += times_transposed(u_dot, w)
                at_weight += weight_cotangent(u_dot, v)
            at_pairs.append((at_input, at_weight))
            at_gains.append(at_gain)
        return arranged(at_pairs, (None, None) if bias else (), at_gains)

    split = partial(vjp, late=False), partial(vjp, early=False)
    return Step(f, vjp=vjp, jvp=jvp, vectorized=True, hvp=hvp, split=split)


def roles(bias: bool, layer_norm: bool) -> tuple[str, ...]:
    """Roles of the weights of :func:`products`."""
    return (
        "weight_ih",
        "weight_hh",
        *(("bias_ih", "bias_hh") if bias else ()),
        *(("norm_ih", "norm_hh") if layer_norm else ()),
    )
