"""The Elman recurrence and its adjoint in plain NumPy: the text to read, and the oracle of the compiled
sweep.

    h_t = act(z_t),  z_t = W_ih x_t + b + W_hh h_{t−1}                                   (Elman 1990)
    λ_t = c_t + W_hhᵀ dz_{t+1},  dz_t = act'(z_t) λ_t                                    (Werbos 1990)
    ∂L/∂W_hh = Σ_t dz_t h_{t−1}ᵀ,  ∂L/∂W_ih = Σ_t dz_t x_tᵀ,  ∂L/∂b = Σ_t dz_t,  ∂L/∂h_init = W_hhᵀ dz_0

c_t is the part of ∂L/∂h_t that does not come through later steps. Where a mask is 0 the state is held, h_t =
h_{t−1}, dz_t is 0 and λ_{t−1} hears all of λ_t. Axes: time T, batch B, inputs I, units H.
"""

from typing import NamedTuple

import numpy as np

ACTIVATIONS = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda z: np.maximum(z, 0), lambda h: (h > 0).astype(h.dtype)),
}
"""Each activation, and its derivative as a function of its *value*."""


class ElmanGradients(NamedTuple):
    """What `backward` returns.

    Attributes
    ----------
    w_ih : ndarray, shape (H, I)
    w_hh : ndarray, shape (H, H)
    bias : ndarray, shape (H,)
    h0 : ndarray, shape (B, H)
        Gradient with respect to the state before the first step.
    inputs : ndarray, shape (T, B, I), or None
        ∂L/∂x_t.
    carried : ndarray, shape (T, B, H), or None
        λ_t − c_t, what each step hears from the steps after it.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    bias: np.ndarray
    h0: np.ndarray
    inputs: np.ndarray | None
    carried: np.ndarray | None


def forward(x, w_ih, w_hh, bias, h0, activation="tanh", mask=None, *, reverse=False) -> np.ndarray:
    """All states h, shape (T, B, H); see `msgpass.kernels.elman.forward`."""
    act, _ = ACTIVATIONS[activation]
    h = np.empty((*x.shape[:2], w_hh.shape[0]), x.dtype)
    state = h0
    for t in _times(len(x), reverse):
        new = act(x[t] @ w_ih.T + bias + state @ w_hh.T)
        h[t] = state = new if mask is None else np.where(mask[t, :, None] != 0, new, state)
    return h


def backward(
    cotangent, x, h, h0, w_ih, w_hh, activation="tanh", mask=None,
    *, want_inputs=False, want_carried=False, reverse=False,
) -> ElmanGradients:  # fmt: skip
    """Gradients of a loss whose local part at each step is given; see `msgpass.kernels.elman.backward`."""
    _, slope = ACTIVATIONS[activation]
    dz, carried = np.empty_like(h), np.empty_like(h)
    through_later = np.zeros_like(h0)
    for t in reversed(_times(len(x), reverse)):
        carried[t] = through_later
        adjoint = cotangent[t] + through_later
        on = np.ones((len(h0), 1), bool) if mask is None else mask[t, :, None] != 0
        dz[t] = np.where(on, slope(h[t]) * adjoint, 0)
        through_later = np.where(on, 0, adjoint) + dz[t] @ w_hh
    before = np.concatenate([h[1:], h0[None]]) if reverse else np.concatenate([h0[None], h[:-1]])
    return ElmanGradients(
        w_ih=np.einsum("tbh,tbi->hi", dz, x),
        w_hh=np.einsum("tbh,tbk->hk", dz, before),
        bias=dz.sum((0, 1)),
        h0=through_later,
        inputs=dz @ w_ih if want_inputs else None,
        carried=carried if want_carried else None,
    )


def _times(length: int, reverse: bool) -> range:
    """The steps in the order in which the recurrence visits them."""
    return range(length - 1, -1, -1) if reverse else range(length)
