"""Where a head looks: content, gate, shift and sharpening as one step (Graves et al. 2014, §3.3).

    content    c = softmax(β K(k, M))
    gate       w′ = g c + (1 − g) w_{t−1}
    shift      w̃ = w′ * s
    sharpen    w = w̃^γ / Σ w̃^γ

A head's row of numbers is (k, β, g, s, γ) before their squashing: β = softplus, g = σ, s = softmax and
γ = 1 + softplus. Without location addressing w = c and the row is (k, β).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass import Step
from msgpass.dual_array import tangent_of
from rnn.cells.sigmoid import sigmoid
from rnn.memory.sharpening import sharpen, sharpen_jvp, sharpen_vjp
from rnn.memory.shifting import shift, shift_vjp
from rnn.memory.similarity import cosine, cosine_jvp, cosine_vjp
from rnn.softmax import softmax, through_softmax


def softplus(z: np.ndarray) -> np.ndarray:
    """log(1 + exp z); its derivative is σ(z)."""
    return np.logaddexp(z, z.dtype.type(0))


@dataclass(frozen=True)
class Addressing:
    """What a head's row of numbers means.

    Parameters
    ----------
    width : int
        Numbers a slot, W.
    reach : int or None
        Largest shift S of location addressing; None: content alone.
    """

    width: int
    reach: int | None = 1

    @property
    def size(self) -> int:
        """Numbers that a head gives out to address."""
        return self.width + 1 + (0 if self.reach is None else 2 * self.reach + 3)

    def split(self, row: np.ndarray) -> list[np.ndarray]:
        """k, β, g, s, γ, or k, β, before their squashing; views."""
        W = self.width
        parts = [row[..., :W], row[..., W : W + 1]]
        if self.reach is not None:
            parts += [
                row[..., W + 1 : W + 2],
                row[..., W + 2 : self.size - 1],
                row[..., self.size - 1 : self.size],
            ]
        return parts

    def step(self) -> Step:
        """``address(row (…, H, P), memory (…, N, W), before (…, H, N))`` → weightings (…, H, N). Rows may be
        longer than ``size``; what follows is not read."""
        value, vjp, jvp = self.address, self.address_vjp, self.address_jvp
        if self.reach is None:
            value, vjp, jvp = self.by_content, self.by_content_vjp, self.by_content_jvp
        return Step(value, vjp, jvp, vectorized=True, hvp=tangent_of(vjp))

    # -- content -----------------------------------------------------------------------------------------

    def by_content(self, row, memory, before=None):
        """c = softmax(β K(k, M))."""
        k, beta = self.split(row)[:2]
        return softmax(softplus(beta) * cosine(k, memory))

    def by_content_vjp(self, inputs, cotangent):
        """Cotangents of row and memory, and of the weighting before, which it does not see."""
        at_row = np.zeros_like(inputs[0])
        at_memory = self._content_back(inputs[0], inputs[1], cotangent, self.split(at_row))
        return at_row, at_memory, None

    def by_content_jvp(self, inputs, tangents):
        """Tangent of c."""
        row, memory = inputs[:2]
        (k, beta), (k_dot, beta_dot) = self.split(row)[:2], self.split(tangents[0])[:2]
        K, strength = cosine(k, memory), softplus(beta)
        z_dot = sigmoid(beta) * beta_dot * K + strength * cosine_jvp(k, memory, k_dot, tangents[1])
        return through_softmax(softmax(strength * K), z_dot)

    def _content_back(self, row, memory, cotangent, into) -> np.ndarray:
        k, beta = self.split(row)[:2]
        K, strength = cosine(k, memory), softplus(beta)
        z = through_softmax(softmax(strength * K), cotangent)
        into[0][:], at_memory = cosine_vjp(k, memory, strength * z)
        into[1][:] = sigmoid(beta) * (z * K).sum(axis=-1, keepdims=True)
        return at_memory

    # -- content and location ----------------------------------------------------------------------------

    def _located(self, row, memory, before):
        _, _, gate, shifts, gamma = self.split(row)
        content, g, s = self.by_content(row, memory), sigmoid(gate), softmax(shifts)
        gated = g * content + (1 - g) * before
        return content, g, s, gated, shift(gated, s), 1 + softplus(gamma)

    def address(self, row, memory, before):
        """The whole chain."""
        return sharpen(*self._located(row, memory, before)[-2:])

    def address_vjp(self, inputs, cotangent):
        """Cotangents of row, memory and the weighting before."""
        row, memory, before = inputs
        content, g, s, gated, moved, power = self._located(row, memory, before)
        at_row = np.zeros_like(row)
        into = self.split(at_row)
        at_moved, at_power = sharpen_vjp(moved, power, cotangent)
        at_gated, at_s = shift_vjp(gated, s, at_moved)
        into[4][:] = sigmoid(self.split(row)[4]) * at_power
        into[3][:] = through_softmax(s, at_s)
        into[2][:] = g * (1 - g) * (at_gated * (content - before)).sum(axis=-1, keepdims=True)
        at_memory = self._content_back(row, memory, g * at_gated, into)
        return at_row, at_memory, (1 - g) * at_gated

    def address_jvp(self, inputs, tangents):
        """Tangent of the weighting."""
        row, memory, before = inputs
        row_dot, memory_dot, before_dot = tangents
        content, g, s, gated, moved, power = self._located(row, memory, before)
        _, _, gate_dot, shifts_dot, gamma_dot = self.split(row_dot)
        content_dot = self.by_content_jvp((row, memory), (row_dot, memory_dot))
        g_dot = g * (1 - g) * gate_dot
        gated_dot = g_dot * (content - before) + g * content_dot + (1 - g) * before_dot
        moved_dot = shift(gated_dot, s) + shift(gated, through_softmax(s, shifts_dot))
        return sharpen_jvp(moved, power, moved_dot, sigmoid(self.split(row)[4]) * gamma_dot)
