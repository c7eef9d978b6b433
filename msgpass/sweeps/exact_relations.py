"""Relations whose noise is singular: equations, as far as it is.

The information of such a relation has no matrix Q⁻¹. It is split in two that are as good as independent looks,

    Q⁻¹ = (Q + D)⁻¹ + R⁻¹,    R = Q + Q D⁻¹ Q

of which the first adds to the precision of the variables and the second is kept as an equation Gx + c = Rμ with a
multiplier μ, where a singular R does no harm. D is of the size of what is known of Gx otherwise, so that either
half is well scaled. The whole multiplier λ = (Q + D)⁻¹e + μ stands for Q⁻¹e in all that is told of parameters.
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.sweeps.relation_stack import RelationStack


class ExactRelation:
    """A stack of relations with a multiplier a row.

    Parameters
    ----------
    stack : RelationStack
    variance : array, (instances, s)
        About what is known of each latent variable otherwise; only digits depend on it.
    """

    def __init__(self, stack: RelationStack, variance: np.ndarray):
        self.stack, self.m = stack, stack.Q.shape[-1]
        Q, m = stack.Q, self.m
        own = np.einsum("...ii->...i", Q)
        reach = np.einsum("...ij,...j->...i", stack.G**2, variance)
        self.D = np.maximum(own, np.where(reach > 0, reach, 1.0))
        self.both = Q + self.D[..., None] * np.eye(m)
        self.W = np.linalg.inv(self.both)
        self.R = Q + Q @ (Q / self.D[..., None])

    @property
    def blocks(self) -> np.ndarray:
        """[GᵀWG  Gᵀ; G  −R] of every instance."""
        G = self.stack.G
        precision = self.stack.weighed(self.W, 0.0).precision
        n, s = max(len(precision), len(self.R)), G.shape[-1]
        found = np.empty((n, s + self.m, s + self.m))
        found[:, :s, :s], found[:, s:, s:] = precision, -(self.R + np.swapaxes(self.R, -1, -2)) / 2
        found[:, s:, :s], found[:, :s, s:] = G, np.swapaxes(G, -1, -2)
        return found

    @property
    def right(self) -> np.ndarray:
        """(−GᵀWc, −c) of every instance."""
        h = self.stack.weighed(self.W, 0.0).h
        n = max(len(h), len(self.stack.c))
        parts = (h, -self.stack.c)
        return np.concatenate([np.broadcast_to(a, (n, a.shape[-1])) for a in parts], axis=-1)

    def pull(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(e, λ) at the solution, (instances, s + m)."""
        s = found.shape[-1] - self.m
        e = self.stack.residual(found[:, :s])
        return e, (self.W @ e[..., None])[..., 0] + found[:, s:]

    def log_value(self, found: np.ndarray) -> np.ndarray:
        """What an instance adds to log Z beside the log pivots of its multipliers."""
        e, force = self.pull(found)
        scale = self.stack.seen.sum(axis=-1) * LOG_2PI
        scale = scale - np.linalg.slogdet(self.both)[1] + np.log(self.D).sum(axis=-1)
        return -0.5 * (scale + np.einsum("...i,...i->...", e, force))

    def collect(self, found: np.ndarray, inverse: np.ndarray, store, sign: float = 1.0) -> None:
        """As :meth:`RelationStack.collect`, from the solution and blocks of K⁻¹ over (x, μ).

        With λ = We + μ, Cov(λ, x) = W G Σ + K⁻¹_μx, and K⁻¹_λλ likewise.
        """
        s = found.shape[-1] - self.m
        G, W = self.stack.G, self.W
        _, force = self.pull(found)
        ahead, beside = W @ G, inverse[:, s:, :s]
        spread = ahead @ inverse[:, :s, :s] + beside
        turned = np.swapaxes(ahead, -1, -2)
        inner = spread @ turned + ahead @ np.swapaxes(beside, -1, -2) + inverse[:, s:, s:] - W
        self.stack.deliver(force, inner, spread, found[:, :s], store, sign)
