"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate of Gers et al. 2000), in torch's order.

i = σ(z_i),  f = σ(z_f),  g = tanh(z_g),      c_t = f ∘ c_{t−1} + i ∘ g
o = σ(z_o + w_co ∘ c_t),  m = o ∘ tanh(c_t),   h_t = m, or W_hr m with a projection (Sak et al. 2014)

VJP   z̄_o = m̄ t o (1 − o),  c̄ = c̄_t + m̄ o (1 − t²) + z̄_o w_co  with t = tanh c_t,
      z̄_i = c̄ g i (1 − i),  z̄_f = c̄ c_{t−1} f (1 − f),  z̄_g = c̄ i (1 − g²),  c̄_{t−1} = c̄ f
"""

from __future__ import annotations

from functools import cache

import numpy as np

from msgpass import Step
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.cells.base import Cell
from rnn.cells.compose import compose
from rnn.cells.peepholes import with_peepholes
from rnn.cells.products import SUM, products, roles
from rnn.cells.sigmoid import sigmoid


def combination(projection: bool, peepholes: bool) -> Step:
    """``combine(z, h, c[, w_hr][, w_co])`` → (h, c)."""

    def read(arrays):
        """z, c, w_hr, w_co of inputs or of tangents."""
        z, _, c, *rest = arrays
        w_hr = rest[0] if projection else None
        return z, c, w_hr, rest[-1] if peepholes else None

    def gates(z, c, w_co):
        H = z.shape[-1] // 4
        both, e = sigmoid(z[..., : 2 * H]), z[..., 3 * H :]
        i, f, g = both[..., :H], both[..., H:], np.tanh(z[..., 2 * H : 3 * H])
        new = f * c + i * g
        o = sigmoid(e if w_co is None else e + w_co * new)
        return i, f, g, o, new, np.tanh(new)

    def combine(*inputs):
        z, c, w_hr, w_co = read(inputs)
        *_, o, new, t = gates(z, c, w_co)
        m = o * t
        return (m if w_hr is None else times(m, w_hr)), new

    def arranged(at_z, at_c, at_hr, at_co):
        return at_z, None, at_c, *((at_hr,) if projection else ()), *((at_co,) if peepholes else ())

    def vjp(inputs, cotangent):
        (z, c, w_hr, w_co), (at_h, at_new) = read(inputs), cotangent
        i, f, g, o, new, t = gates(z, c, w_co)
        at_m = at_h if w_hr is None else times_transposed(at_h, w_hr)
        at_o = at_m * t * o * (1 - o)
        at_c = at_new + at_m * o * (1 - t * t)
        if w_co is not None:
            at_c += at_o * w_co
        at_z = [at_c * g * i * (1 - i), at_c * c * f * (1 - f), at_c * i * (1 - g * g), at_o]
        at_hr = None if w_hr is None else weight_cotangent(at_h, o * t)
        at_co = None if w_co is None else flat(at_o * new).sum(axis=0)
        return arranged(np.concatenate(at_z, axis=-1), at_c * f, at_hr, at_co)

    def moved(inputs, tangents):
        """Values (i, f, g, o, c_t, tanh c_t) and their tangents."""
        (z, c, _, w_co), (z_dot, c_dot, _, w_co_dot) = read(inputs), read(tangents)
        i, f, g, o, new, t = values = gates(z, c, w_co)
        a_dot, b_dot, d_dot, e_dot = np.split(z_dot, 4, axis=-1)
        i_dot, f_dot, g_dot = i * (1 - i) * a_dot, f * (1 - f) * b_dot, (1 - g * g) * d_dot
        new_dot = f_dot * c + f * c_dot + i_dot * g + i * g_dot
        if w_co is not None:
            e_dot = e_dot + w_co_dot * new + w_co * new_dot
        return values, (i_dot, f_dot, g_dot, o * (1 - o) * e_dot, new_dot, (1 - t * t) * new_dot)

    def jvp(inputs, tangents):
        (*_, o, _, t), (*_, o_dot, new_dot, t_dot) = moved(inputs, tangents)
        m_dot = o_dot * t + o * t_dot
        w_hr, w_hr_dot = read(inputs)[2], read(tangents)[2]
        return (m_dot if w_hr is None else times(m_dot, w_hr) + times(o * t, w_hr_dot)), new_dot

    def hvp(inputs, cotangent, tangents):
        (_, c, w_hr, w_co), (_, c_dot, w_hr_dot, w_co_dot) = read(inputs), read(tangents)
        (i, f, g, o, new, t), (i_dot, f_dot, g_dot, o_dot, new_dot, t_dot) = moved(inputs, tangents)
        at_h, at_new = cotangent
        at_m = at_h if w_hr is None else times_transposed(at_h, w_hr)
        at_m_dot = np.zeros_like(at_m) if w_hr is None else times_transposed(at_h, w_hr_dot)
        slope, slope_dot = o * (1 - o), (1 - 2 * o) * o_dot
        at_o = at_m * t * slope
        at_o_dot = (at_m_dot * t + at_m * t_dot) * slope + at_m * t * slope_dot
        at_c = at_new + at_m * o * (1 - t * t)
        at_c_dot = (at_m_dot * o + at_m * o_dot) * (1 - t * t) - 2 * at_m * o * t * t_dot
        if w_co is not None:
            at_c = at_c + at_o * w_co
            at_c_dot += at_o_dot * w_co + at_o * w_co_dot
        at_z_dot = [
            (at_c_dot * g + at_c * g_dot) * i * (1 - i) + at_c * g * (1 - 2 * i) * i_dot,
            (at_c_dot * c + at_c * c_dot) * f * (1 - f) + at_c * c * (1 - 2 * f) * f_dot,
            (at_c_dot * i + at_c * i_dot) * (1 - g * g) - 2 * at_c * i * g * g_dot,
            at_o_dot,
        ]
        at_hr = None if w_hr is None else weight_cotangent(at_h, o_dot * t + o * t_dot)
        at_co = None if w_co is None else flat(at_o_dot * new + at_o * new_dot).sum(axis=0)
        return arranged(np.concatenate(at_z_dot, axis=-1), at_c_dot * f + at_c * f_dot, at_hr, at_co)

    return Step(combine, vjp=vjp, jvp=jvp, vectorized=True, hvp=hvp)


@cache
def lstm(bias: bool = True, proj_size: int = 0, peepholes: bool = False, layer_norm: bool = False) -> Cell:
    """The cell; rows of its weights are i, f, g, o.

    Parameters
    ----------
    bias : bool
    proj_size : int
        Width P of h_t = W_hr m; 0 is none.
    peepholes : bool
        The gates see the cell state (Gers, Schraudolph & Schmidhuber 2002): i and f see c_{t−1} through
        ``weight_ci`` and ``weight_cf``, o sees c_t through ``weight_co``. The pre-activation z_o is
        without it.
    layer_norm : bool
        Both products are normalised over their 4 H rows, with gains ``norm_ih`` and ``norm_hh``.
    """
    early = roles(bias, layer_norm) + (("weight_ci", "weight_cf") if peepholes else ())
    late = (("weight_hr",) if proj_size else ()) + (("weight_co",) if peepholes else ())
    plain = roles(bias, False)
    names = (*plain, *late[: bool(proj_size)], *early[len(plain) :], *late[bool(proj_size) :])
    affine = products(SUM, 2, bias, layer_norm)
    if peepholes:
        affine = with_peepholes(affine)

    def shapes(inputs: int, hidden: int):
        wide = {
            "weight_ih": (4 * hidden, inputs),
            "weight_hh": (4 * hidden, proj_size or hidden),
            "weight_hr": (proj_size, hidden),
            **{f"weight_c{gate}": (hidden,) for gate in "ifo"},
        }
        return {role: wide.get(role, (4 * hidden,)) for role in names}

    combine = combination(bool(proj_size), peepholes)
    kernel = None if proj_size or peepholes or layer_norm else "lstm"
    step = compose(affine, combine, 2, names, late, kernel)
    step.f.__name__ = "lstm_cell"
    return Cell(
        step,
        shapes,
        states=("h", "c"),
        widths=lambda hidden: (proj_size or hidden, hidden),
        affine=affine,
        combine=combine,
        late=late,
        gates=4,
    )
