"""Elman's cell (Elman 1990): h_t = act(z_t),  z_t = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh.

    VJP   z̄ = act'(z) h̄;  h̄_{t−1} = W_hhᵀ z̄,  x̄ = W_ihᵀ z̄,  W̄_hh = Σ z̄ h_{t−1}ᵀ,  W̄_ih = Σ z̄ xᵀ,  b̄ = Σ z̄
    JVP   ḣ = act'(z) (Ẇ_ih x + W_ih ẋ + Ẇ_hh h + W_hh ḣ_{t−1} + ḃ_ih + ḃ_hh)
    HVP   the VJP's tangent, with the tangent of z̄ = act'(z) h̄ being act″(z) ż h̄

Both act' are functions of the value h alone: 1 − h² and [h > 0]; act″ is −2 h (1 − h²) and 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from msgpass import Step
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.cells.base import Cell, gate_shapes
from rnn.cells.compose import compose
from rnn.cells.products import SUM, products, roles

Arrays = tuple[np.ndarray, ...]


def elman_step(
    activation: Callable[[np.ndarray], np.ndarray],
    slope: Callable[[np.ndarray], np.ndarray],
    curvature: Callable[[np.ndarray], np.ndarray],
    kernel: str,
) -> Step:
    """The step with its own derivatives; inputs (h, x, w_ih, w_hh[, b_ih, b_hh]), rows stacked in front.

    Parameters
    ----------
    activation : callable
    slope : callable
        The activation's derivative as a function of its value.
    curvature : callable
        Its second derivative as a function of its value.
    kernel : {"tanh", "relu"}
        The compiled sweep that computes the same.
    """

    def step(
        h: np.ndarray, x: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, *biases: np.ndarray
    ) -> np.ndarray:
        z = times(x, w_ih)
        z += times(h, w_hh)
        for b in biases:
            z += b
        return activation(z)

    def vjp(inputs: Arrays, cotangent: np.ndarray) -> Arrays:
        h, x, w_ih, w_hh, *biases = inputs
        z = cotangent * slope(step(*inputs))
        bias = flat(z).sum(axis=0)
        states = times_transposed(z, w_hh), times_transposed(z, w_ih)
        return (*states, weight_cotangent(z, x), weight_cotangent(z, h), *(bias for _ in biases))

    def early(inputs: Arrays, cotangent: np.ndarray):
        _, _, w_ih, w_hh, *biases = inputs
        z = cotangent * slope(step(*inputs))
        return times_transposed(z, w_hh), times_transposed(z, w_ih), None, None, *(None for _ in biases)

    def late(inputs: Arrays, cotangent: np.ndarray):
        h, x, _, _, *biases = inputs
        z = cotangent * slope(step(*inputs))
        bias = flat(z).sum(axis=0)
        return None, None, weight_cotangent(z, x), weight_cotangent(z, h), *(bias for _ in biases)

    def inward(inputs: Arrays, tangents: Arrays) -> np.ndarray:
        h, x, w_ih, w_hh, *_ = inputs
        h_dot, x_dot, w_ih_dot, w_hh_dot, *biases_dot = tangents
        z = times(x, w_ih_dot) + times(x_dot, w_ih) + times(h, w_hh_dot) + times(h_dot, w_hh)
        for b in biases_dot:
            z += b
        return z

    def jvp(inputs: Arrays, tangents: Arrays) -> np.ndarray:
        return inward(inputs, tangents) * slope(step(*inputs))

    def hvp(inputs: Arrays, cotangent: np.ndarray, tangents: Arrays) -> Arrays:
        h, x, w_ih, w_hh, *biases = inputs
        h_dot, x_dot, w_ih_dot, w_hh_dot, *_ = tangents
        value = step(*inputs)
        z = cotangent * slope(value)
        z_dot = cotangent * curvature(value) * inward(inputs, tangents)
        bias = flat(z_dot).sum(axis=0)
        return (
            times_transposed(z_dot, w_hh) + times_transposed(z, w_hh_dot),
            times_transposed(z_dot, w_ih) + times_transposed(z, w_ih_dot),
            weight_cotangent(z_dot, x) + weight_cotangent(z, x_dot),
            weight_cotangent(z_dot, h) + weight_cotangent(z, h_dot),
            *(bias for _ in biases),
        )

    step.__name__ = f"{kernel}_cell"
    split = early, late
    return Step(step, vjp=vjp, jvp=jvp, vectorized=True, kernel=kernel, hvp=hvp, split=split)


def activated(activation, slope, curvature) -> Step:
    """``combine(z, h)`` → act(z), which does not read h."""

    def combine(z, h):
        return activation(z)

    def vjp(inputs, cotangent):
        return cotangent * slope(activation(inputs[0])), None

    def jvp(inputs, tangents):
        return tangents[0] * slope(activation(inputs[0]))

    def hvp(inputs, cotangent, tangents):
        return cotangent * curvature(activation(inputs[0])) * tangents[0], None

    return Step(combine, vjp=vjp, jvp=jvp, vectorized=True, hvp=hvp)


FUNCTIONS: dict[str, tuple[Callable, Callable, Callable]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h, lambda h: -2 * h * (1 - h * h)),
    "relu": (lambda z: np.maximum(z, 0), lambda h: (h > 0).astype(h.dtype), np.zeros_like),
}
"""Activations by name, with both derivatives as functions of the value."""

STEPS = {name: elman_step(*functions, name) for name, functions in FUNCTIONS.items()}


@cache
def elman(nonlinearity: str = "tanh", bias: bool = True, layer_norm: bool = False) -> Cell:
    """The cell.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}
    bias : bool
    layer_norm : bool
        Both products are normalised over their H rows, with gains ``norm_ih`` and ``norm_hh``.
    """
    affine, combine = products(SUM, 1, bias, layer_norm), activated(*FUNCTIONS[nonlinearity])
    if not layer_norm:
        return Cell(STEPS[nonlinearity], gate_shapes(1, bias), affine=affine, combine=combine)
    names = roles(bias, True)

    def shapes(inputs: int, hidden: int):
        plain = gate_shapes(1, bias)(inputs, hidden)
        return {role: plain.get(role, (hidden,)) for role in names}

    step = compose(affine, combine, 1, names, ())
    step.f.__name__ = f"{nonlinearity}_cell"
    return Cell(step, shapes, affine=affine, combine=combine)


ELMAN: dict[str, Cell] = {name: elman(name) for name in FUNCTIONS}
"""Elman's cell by the name of its nonlinearity."""
