"""Long short-term memory and its adjoint in plain NumPy: the text to read, and the oracle of the compiled
sweep.

    z_t = W_ih x_t + b + W_hh h_{t−1},  (i, f, g, o)_t = σ, σ, tanh, σ of its four parts
    c_t = f_t ∘ c_{t−1} + i_t ∘ g_t,   h_t = o_t ∘ tanh c_t                        (Gers et al. 2000)

    λh_t = local + W_hhᵀ dz_{t+1},  λc_t = local + f_{t+1} ∘ κ_{t+1}
    κ_t = λc_t + λh_t ∘ o_t ∘ (1 − tanh² c_t)
    dz_t = κ g i(1−i),  κ c_{t−1} f(1−f),  κ i (1−g²),  λh tanh(c) o(1−o)

Where a mask is 0 a step holds its states, and λh, λc go to the step before as they are. Axes: time T, batch
B, inputs I, units H; the 4 H rows of the weights are i, f, g, o.
"""

from typing import NamedTuple

import numpy as np


class LstmStates(NamedTuple):
    """What `forward` returns.

    Attributes
    ----------
    h, c : ndarray, shape (T, B, H)
    gates : ndarray
        i, f, g, o of all steps as `backward` takes them; its layout is the module's own. None if not kept.
    """

    h: np.ndarray
    c: np.ndarray
    gates: np.ndarray | None


class LstmGradients(NamedTuple):
    """What `backward` returns.

    Attributes
    ----------
    w_ih, w_hh : ndarray, shapes (4 H, I), (4 H, H)
    bias : ndarray, shape (4 H,)
    h0, c0 : ndarray, shape (B, H)
        Gradients with respect to the states before the first step.
    x : ndarray, shape (T, B, I), or None
        Gradients of the inputs.
    carried_h, carried_c : ndarray, shape (T, B, H), or None
        What each step's states hear from the steps after it: λh_t and λc_t without the local part.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    bias: np.ndarray
    h0: np.ndarray
    c0: np.ndarray
    x: np.ndarray | None
    carried_h: np.ndarray | None
    carried_c: np.ndarray | None


def forward(x, w_ih, w_hh, bias, h0, c0, mask=None, *, reverse=False, keep=True) -> LstmStates:
    """All states; see `msgpass.kernels.lstm.forward`."""
    steps, batch, hidden = len(x), len(h0), w_hh.shape[1]
    h, c = (np.empty((steps, batch, hidden), x.dtype) for _ in range(2))
    gates = np.empty((steps, batch, 4, hidden), x.dtype)
    before_h, before_c = h0, c0
    for t in _times(steps, reverse):
        z = (x[t] @ w_ih.T + bias + before_h @ w_hh.T).reshape(batch, 4, hidden)
        gates[t] = sigmoid(z)
        gates[t, :, 2] = np.tanh(z[:, 2])
        i, f, g, o = (gates[t, :, k] for k in range(4))
        c[t] = f * before_c + i * g
        h[t] = o * np.tanh(c[t])
        if mask is not None:
            new = mask[t][:, None] != 0
            h[t], c[t] = np.where(new, h[t], before_h), np.where(new, c[t], before_c)
        before_h, before_c = h[t], c[t]
    return LstmStates(h, c, gates if keep else None)


def backward(
    local_h,
    local_c,
    x,
    h,
    c,
    gates,
    h0,
    c0,
    w_ih,
    w_hh,
    mask=None,
    *,
    reverse=False,
    inputs=False,
    carried=False,
) -> LstmGradients:
    """Gradients of a loss whose local part at each step is given; see `msgpass.kernels.lstm.backward`."""
    steps, batch, hidden = h.shape
    dz = np.zeros((steps, batch, 4, hidden), h.dtype)
    through_h, through_c = np.zeros_like(h0), np.zeros_like(c0)
    heard_h, heard_c = np.zeros_like(h), np.zeros_like(c)
    order = _times(steps, reverse)
    before_h, before_c = _shifted(h, h0, reverse), _shifted(c, c0, reverse)
    for t in reversed(order):
        heard_h[t], heard_c[t] = through_h, through_c
        at_h = through_h if local_h is None else through_h + local_h[t]
        at_c = through_c if local_c is None else through_c + local_c[t]
        i, f, g, o = (gates[t, :, k] for k in range(4))
        tanh_c = np.tanh(c[t])
        total = at_c + at_h * o * (1 - tanh_c * tanh_c)
        dz[t, :, 0] = total * g * i * (1 - i)
        dz[t, :, 1] = total * before_c[t] * f * (1 - f)
        dz[t, :, 2] = total * i * (1 - g * g)
        dz[t, :, 3] = at_h * tanh_c * o * (1 - o)
        held_h, held_c, through_c = np.zeros_like(h0), np.zeros_like(c0), total * f
        if mask is not None:
            old = mask[t][:, None] == 0
            dz[t] = np.where(old[:, None], 0, dz[t])
            held_h, held_c = np.where(old, at_h, 0), np.where(old, at_c, 0)
            through_c = np.where(old, 0, through_c)
        through_h = held_h + dz[t].reshape(batch, -1) @ w_hh
        through_c = held_c + through_c
    flat = dz.reshape(steps, batch, 4 * hidden)
    return LstmGradients(
        w_ih=np.einsum("tbg,tbi->gi", flat, x),
        w_hh=np.einsum("tbg,tbk->gk", flat, before_h),
        bias=flat.sum((0, 1)),
        h0=through_h,
        c0=through_c,
        x=flat @ w_ih if inputs else None,
        carried_h=heard_h if carried else None,
        carried_c=heard_c if carried else None,
    )


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^{−z}) without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def _shifted(states: np.ndarray, start: np.ndarray, reverse: bool) -> np.ndarray:
    """The state before each step."""
    return np.concatenate([states[1:], start[None]] if reverse else [start[None], states[:-1]])


def _times(length: int, reverse: bool) -> range:
    """The steps in the order in which the recurrence visits them."""
    return range(length - 1, -1, -1) if reverse else range(length)
