"""The gated recurrent unit (Cho et al. 2014) in the form of torch: reset after the product.

r = σ(z_r),  u = σ(z_z),  n = tanh(z_nx + r ∘ z_nh),      h_t = (1 − u) ∘ n + u ∘ h_{t−1}
z_r, z_z sums of both products;  z_nx = W_in x + b_in,  z_nh = W_hn h + b_hn apart: 4 H pre-activations

VJP   n̄ = h̄ (1 − u)(1 − n²),  z̄_z = h̄ (h − n) u (1 − u),  z̄_r = n̄ z_nh r (1 − r),  z̄_nx = n̄,  z̄_nh = n̄ r,
      h̄_{t−1} = h̄ u
"""

from __future__ import annotations

from functools import cache

import numpy as np

from msgpass import Step
from rnn.cells.base import Cell
from rnn.cells.compose import compose
from rnn.cells.products import Join, products, roles
from rnn.cells.sigmoid import sigmoid


def _join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    two = a.shape[-1] // 3 * 2
    return np.concatenate([a[..., :two] + b[..., :two], a[..., two:], b[..., two:]], axis=-1)


def _split(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    two, three = z.shape[-1] // 2, z.shape[-1] // 4 * 3
    return z[..., :three], np.concatenate([z[..., :two], z[..., three:]], axis=-1)


JOIN = Join(_join, _split)


def _gates(z: np.ndarray):
    H = z.shape[-1] // 4
    both, n_x, n_h = sigmoid(z[..., : 2 * H]), z[..., 2 * H : 3 * H], z[..., 3 * H :]
    r, u = both[..., :H], both[..., H:]
    return r, u, n_h, np.tanh(n_x + r * n_h)


def combine(z: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The new state from pre-activations r, z, n_x, n_h."""
    _, u, _, n = _gates(z)
    return (1 - u) * n + u * h


def _vjp(inputs, cotangent):
    z, h = inputs
    r, u, n_h, n = _gates(z)
    at_n = cotangent * (1 - u) * (1 - n * n)
    at_u = cotangent * (h - n) * u * (1 - u)
    at_r = at_n * n_h * r * (1 - r)
    return np.concatenate([at_r, at_u, at_n, at_n * r], axis=-1), cotangent * u


def _moved(z, z_dot):
    """(r, u, z_nh, n) and their tangents, and z_nh's."""
    r, u, n_h, n = _gates(z)
    a_dot, b_dot, n_x_dot, n_h_dot = np.split(z_dot, 4, axis=-1)
    r_dot, u_dot = r * (1 - r) * a_dot, u * (1 - u) * b_dot
    n_dot = (1 - n * n) * (n_x_dot + r_dot * n_h + r * n_h_dot)
    return (r, u, n_h, n), (r_dot, u_dot, n_h_dot, n_dot)


def _jvp(inputs, tangents):
    (z, h), (z_dot, h_dot) = inputs, tangents
    (_, u, _, n), (_, u_dot, _, n_dot) = _moved(z, z_dot)
    return (1 - u) * n_dot + u * h_dot + u_dot * (h - n)


def _hvp(inputs, cotangent, tangents):
    (z, h), (z_dot, h_dot) = inputs, tangents
    (r, u, n_h, n), (r_dot, u_dot, n_h_dot, n_dot) = _moved(z, z_dot)
    at_n = cotangent * (1 - u) * (1 - n * n)
    at_n_dot = -cotangent * (u_dot * (1 - n * n) + 2 * (1 - u) * n * n_dot)
    slope_u, slope_r = u * (1 - u), r * (1 - r)
    at_u_dot = cotangent * ((h_dot - n_dot) * slope_u + (h - n) * (1 - 2 * u) * u_dot)
    at_r_dot = (at_n_dot * n_h + at_n * n_h_dot) * slope_r + at_n * n_h * (1 - 2 * r) * r_dot
    at_n_h_dot = at_n_dot * r + at_n * r_dot
    return np.concatenate([at_r_dot, at_u_dot, at_n_dot, at_n_h_dot], axis=-1), cotangent * u_dot


COMBINE = Step(combine, vjp=_vjp, jvp=_jvp, vectorized=True, hvp=_hvp)


@cache
def gru(bias: bool = True, layer_norm: bool = False) -> Cell:
    """The cell; rows of its weights are r, z, n.

    Parameters
    ----------
    bias : bool
    layer_norm : bool
        Both products are normalised over their 3 H rows, with gains ``norm_ih`` and ``norm_hh``.
    """
    names = roles(bias, layer_norm)
    affine = products(JOIN, 1, bias, layer_norm)

    def shapes(inputs: int, hidden: int):
        rows = 3 * hidden
        wide = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
        return {role: wide.get(role, (rows,)) for role in names}

    step = compose(affine, COMBINE, 1, names, (), None if layer_norm else "gru")
    step.f.__name__ = "gru_cell"
    return Cell(step, shapes, affine=affine, combine=COMBINE, gates=4)
