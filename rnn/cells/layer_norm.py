"""Layer norm of a product u = W v (Ba, Kiros & Hinton 2016): y = g ∘ n,  n = (u − mean u)/s,  s² = var u + ε.

∂n/∂u = (I − 1 1ᵀ/m − n nᵀ/m) / s is symmetric, so that one function gives the VJP and the JVP. The shift of
the paper is the bias that follows. With a gain of None everything is the identity.
"""

from __future__ import annotations

import numpy as np

from rnn.affine import flat, times

EPSILON = 1e-5
"""Added to the variance, as torch's LayerNorm does."""


def normalised(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, s) over the last axis."""
    n = u - u.mean(axis=-1, keepdims=True)
    s = np.sqrt(np.square(n).mean(axis=-1, keepdims=True) + u.dtype.type(EPSILON))
    n /= s
    return n, s


def crossed(n: np.ndarray, s: np.ndarray, v: np.ndarray) -> np.ndarray:
    """∂n/∂u times v, either way."""
    return (v - v.mean(axis=-1, keepdims=True) - n * (n * v).mean(axis=-1, keepdims=True)) / s


def scaled(u: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
    """g ∘ n, or u where there is no gain."""
    return u if gain is None else normalised(u)[0] * gain


def scaled_vjp(v, w, gain, cotangent) -> tuple[np.ndarray, np.ndarray | None]:
    """Cotangents of u = W v and of the gain."""
    if gain is None:
        return cotangent, None
    n, s = normalised(times(v, w))
    return crossed(n, s, cotangent * gain), flat(cotangent * n).sum(axis=0)


def scaled_jvp(v, w, gain, u_dot, gain_dot) -> np.ndarray:
    """ġ ∘ n + g ∘ ṅ."""
    if gain is None:
        return u_dot
    n, s = normalised(times(v, w))
    return gain_dot * n + gain * crossed(n, s, u_dot)


def scaled_hvp(v, w, gain, cotangent, u_dot, gain_dot) -> tuple[np.ndarray, np.ndarray]:
    """How the cotangents of u and of the gain move."""
    n, s = normalised(times(v, w))
    n_dot = crossed(n, s, u_dot)
    s_dot = (n * u_dot).mean(axis=-1, keepdims=True)
    at_n = cotangent * gain
    at_u = crossed(n, s, at_n)
    turned = n_dot * (at_n * n).mean(axis=-1, keepdims=True) + n * (at_n * n_dot).mean(axis=-1, keepdims=True)
    moved = crossed(n, s, cotangent * gain_dot) - turned / s - at_u * s_dot / s
    return moved, flat(cotangent * n_dot).sum(axis=0)
