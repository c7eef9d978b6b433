"""What heads do to a memory (Graves et al. 2014, §3.1-3.2).

    read     r = w M                                    w (…, H, N),  M (…, N, W),  r (…, H W)
    write    M′ = M ∘ Π_h (1 − w_h e_hᵀ) + Σ_h w_h a_hᵀ       e = σ(·) erases, a adds

Several write heads erase and add at once, so their order does not matter.
"""

from __future__ import annotations

import numpy as np

from msgpass import Step
from msgpass.dual_array import tangent_of
from rnn.cells.sigmoid import sigmoid


def _flat(r: np.ndarray) -> np.ndarray:
    return r.reshape(*r.shape[:-2], -1)


def read(w, memory):
    """What the heads read, side by side."""
    return _flat(w @ memory)


def _read_vjp(inputs, cotangent):
    w, memory = inputs
    at_r = cotangent.reshape(*w.shape[:-1], memory.shape[-1])
    return at_r @ np.swapaxes(memory, -1, -2), np.swapaxes(w, -1, -2) @ at_r


def _read_jvp(inputs, tangents):
    (w, memory), (w_dot, memory_dot) = inputs, tangents
    return _flat(w_dot @ memory + w @ memory_dot)


def _read_hvp(inputs, cotangent, tangents):
    return _read_vjp(tangents, cotangent)


READ = Step(read, _read_vjp, _read_jvp, vectorized=True, hvp=_read_hvp)


def _parts(row, w, memory):
    """e, a, what each head keeps, and the product of it over all heads."""
    width = memory.shape[-1]
    erase, add = sigmoid(row[..., -2 * width : -width]), row[..., -width:]
    kept = 1 - w[..., None] * erase[..., None, :]
    return erase, add, kept, _product([kept[..., h, :, :] for h in range(kept.shape[-3])])


def _product(factors):
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product


def _others(kept):
    """Products over all heads but each, (…, H, N, W); without division, for a head may keep nothing."""
    heads = range(kept.shape[-3])
    if len(heads) == 1:
        return np.ones(kept.shape, kept.dtype)
    return np.stack([_product([kept[..., k, :, :] for k in heads if k != h]) for h in heads], axis=-3)


def write(row, w, memory):
    """The memory after the heads' rows (…, H, P), whose last 2 W numbers are e before σ, and a."""
    _, add, _, total = _parts(row, w, memory)
    return memory * total + np.swapaxes(w, -1, -2) @ add


def _write_vjp(inputs, cotangent):
    row, w, memory = inputs
    erase, add, kept, total = _parts(row, w, memory)
    width = memory.shape[-1]
    at_kept = (cotangent * memory)[..., None, :, :] * _others(kept)
    at_row = np.zeros_like(row)
    at_erase = -(at_kept * w[..., None]).sum(axis=-2)
    at_row[..., -2 * width : -width] = erase * (1 - erase) * at_erase
    at_row[..., -width:] = w @ cotangent
    at_w = add @ np.swapaxes(cotangent, -1, -2) - (at_kept * erase[..., None, :]).sum(axis=-1)
    return at_row, at_w, cotangent * total


def _write_jvp(inputs, tangents):
    row, w, memory = inputs
    row_dot, w_dot, memory_dot = tangents
    erase, add, kept, total = _parts(row, w, memory)
    width = memory.shape[-1]
    erase_dot = erase * (1 - erase) * row_dot[..., -2 * width : -width]
    kept_dot = -(w_dot[..., None] * erase[..., None, :] + w[..., None] * erase_dot[..., None, :])
    moved = memory_dot * total + memory * (kept_dot * _others(kept)).sum(axis=-3)
    return moved + np.swapaxes(w_dot, -1, -2) @ add + np.swapaxes(w, -1, -2) @ row_dot[..., -width:]


WRITE = Step(write, _write_vjp, _write_jvp, vectorized=True, hvp=tangent_of(_write_vjp))
