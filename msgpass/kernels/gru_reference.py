"""The gated recurrent unit and its adjoint in plain NumPy: the text to read, and the oracle of the compiled
sweep.

    r_t = σ(W_ir x_t + b_ir + W_hr h_{t−1} + b_hr),   z_t = σ(W_iz x_t + b_iz + W_hz h_{t−1} + b_hz)
    q_t = W_hn h_{t−1} + b_hn,   n_t = tanh(W_in x_t + b_in + r_t q_t),   h_t = (1 − z_t) n_t + z_t h_{t−1}

(Cho et al. 2014, with the reset gate behind the product as torch and cuDNN have it), and against it

    λ_t = c_t + z_{t+1} λ_{t+1} + W_hhᵀ (ṙ, ż, q̇)_{t+1},   ż = λ (h_{t−1} − n) z (1 − z),
    ṅ = λ (1 − z) (1 − n²),   q̇ = ṅ r,   ṙ = ṅ q r (1 − r).

c_t is the part of ∂L/∂h_t that does not come through later steps, and a dot marks ∂L/∂(pre-activation).
Where a mask is 0 the state is held, h_t = h_{t−1}, and λ_{t−1} hears all of λ_t. Axes: time T, batch B,
inputs I, units H; gates in torch's order r, z, n.
"""

from typing import NamedTuple

import numpy as np


class GruGradients(NamedTuple):
    """What `backward` returns.

    Attributes
    ----------
    w_ih, w_hh, b_ih, b_hh : ndarray, shapes (3 H, I), (3 H, H), (3 H,), (3 H,)
    h0 : ndarray, shape (B, H)
        Gradient with respect to the state before the first step.
    inputs : ndarray, shape (T, B, I), or None
        ∂L/∂x_t.
    carried : ndarray, shape (T, B, H), or None
        λ_t − c_t, what each step hears from the steps after it.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    b_ih: np.ndarray
    b_hh: np.ndarray
    h0: np.ndarray
    inputs: np.ndarray | None
    carried: np.ndarray | None


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def gates(x, h, w_ih, w_hh, b_ih, b_hh) -> tuple[np.ndarray, ...]:
    """(r, z, n, q) of a step, (…, H) each."""
    inward, recurrent = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    (x_r, x_z, x_n), (h_r, h_z, q) = np.split(inward, 3, axis=-1), np.split(recurrent, 3, axis=-1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    return r, z, np.tanh(x_n + r * q), q


def forward(x, w_ih, w_hh, b_ih, b_hh, h0, mask=None, *, reverse=False) -> np.ndarray:
    """All states h, shape (T, B, H); see `msgpass.kernels.gru.forward`."""
    states = np.empty((*x.shape[:2], w_hh.shape[1]), x.dtype)
    h = h0
    for t in _times(len(x), reverse):
        _, z, n, _ = gates(x[t], h, w_ih, w_hh, b_ih, b_hh)
        new = (1 - z) * n + z * h
        states[t] = h = new if mask is None else np.where(mask[t, :, None] != 0, new, h)
    return states


def backward(
    cotangent, x, h, h0, w_ih, w_hh, b_ih, b_hh, mask=None, *, reverse=False, want_inputs=False,
    want_carried=False,
) -> GruGradients:  # fmt: skip
    """Gradients of a loss whose local part at each step is given; see `msgpass.kernels.gru.backward`."""
    before = np.concatenate([h[1:], h0[None]]) if reverse else np.concatenate([h0[None], h[:-1]])
    r, z, n, q = gates(x, before, w_ih, w_hh, b_ih, b_hh)
    inward, recurrent = (np.zeros((*h.shape[:2], w_hh.shape[0]), h.dtype) for _ in range(2))
    carried = np.empty_like(h)
    through_later = np.zeros_like(h0)
    for t in reversed(_times(len(x), reverse)):
        carried[t] = through_later
        adjoint = cotangent[t] + through_later
        on = np.ones((len(h0), 1), bool) if mask is None else mask[t, :, None] != 0
        dz = adjoint * (before[t] - n[t]) * z[t] * (1 - z[t])
        dn = adjoint * (1 - z[t]) * (1 - n[t] ** 2)
        dr = dn * q[t] * r[t] * (1 - r[t])
        inward[t] = np.where(on, np.concatenate([dr, dz, dn], axis=-1), 0)
        recurrent[t] = np.where(on, np.concatenate([dr, dz, dn * r[t]], axis=-1), 0)
        through_later = np.where(on, adjoint * z[t], adjoint) + recurrent[t] @ w_hh
    return GruGradients(
        w_ih=np.einsum("tbg,tbi->gi", inward, x),
        w_hh=np.einsum("tbg,tbk->gk", recurrent, before),
        b_ih=inward.sum((0, 1)),
        b_hh=recurrent.sum((0, 1)),
        h0=through_later,
        inputs=inward @ w_ih if want_inputs else None,
        carried=carried if want_carried else None,
    )


def _times(length: int, reverse: bool) -> range:
    """The steps in the order in which the recurrence visits them."""
    return range(length - 1, -1, -1) if reverse else range(length)
