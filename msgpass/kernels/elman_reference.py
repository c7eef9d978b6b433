"""The Elman recurrence and its adjoint in plain NumPy: the text to read, and the oracle of the compiled
sweep.

    h_t = act(z_t),  z_t = W_ih x_t + b + W_hh h_{t−1}                                   (Elman 1990)
    λ_t = c_t + W_hhᵀ dz_{t+1},  dz_t = act'(z_t) λ_t                                    (Werbos 1990)
    ∂L/∂W_hh = Σ_t dz_t h_{t−1}ᵀ,  ∂L/∂W_ih = Σ_t dz_t x_tᵀ,  ∂L/∂b = Σ_t dz_t,  ∂L/∂h_init = W_hhᵀ dz_0

c_t is the part of ∂L/∂h_t that does not come through later steps. Axes: time T, batch B, inputs I, units H.
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
    dz : ndarray, shape (T, B, H), or None
        ∂L/∂z_t, from which the gradients of the inputs (``dz @ w_ih``) and the adjoints λ_t follow.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    bias: np.ndarray
    h0: np.ndarray
    dz: np.ndarray | None


def forward(x, w_ih, w_hh, bias, h0, activation="tanh", *, reverse=False) -> np.ndarray:
    """All states h, shape (T, B, H); see `msgpass.kernels.elman.forward`."""
    act, _ = ACTIVATIONS[activation]
    h = np.empty((*x.shape[:2], w_hh.shape[0]), x.dtype)
    state = h0
    for t in _times(len(x), reverse):
        h[t] = state = act(x[t] @ w_ih.T + bias + state @ w_hh.T)
    return h


def backward(
    cotangent, x, h, h0, w_ih, w_hh, activation="tanh", want_dz=False, *, reverse=False
) -> ElmanGradients:
    """Gradients of a loss whose local part at each step is given; see `msgpass.kernels.elman.backward`."""
    _, slope = ACTIVATIONS[activation]
    dz = np.empty_like(h)
    through_later = np.zeros_like(h0)
    for t in reversed(_times(len(x), reverse)):
        dz[t] = slope(h[t]) * (cotangent[t] + through_later)
        through_later = dz[t] @ w_hh
    before = np.concatenate([h[1:], h0[None]]) if reverse else np.concatenate([h0[None], h[:-1]])
    return ElmanGradients(
        w_ih=np.einsum("tbh,tbi->hi", dz, x),
        w_hh=np.einsum("tbh,tbk->hk", dz, before),
        bias=dz.sum((0, 1)),
        h0=through_later,
        dz=dz if want_dz else None,
    )


def _times(length: int, reverse: bool) -> range:
    """The steps in the order in which the recurrence visits them."""
    return range(length - 1, -1, -1) if reverse else range(length)
