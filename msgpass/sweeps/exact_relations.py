"""Relations whose noise is singular: equations, as far as it is.

The information of such a relation has no matrix Q⁻¹. It is split in two, as if two had looked,

    Q⁻¹ = (Q + D)⁻¹ + R⁻¹,    R = Q + Q D⁻¹ Q

of which the first adds to the precision of the variables and the second is kept as an equation Gx + c = Rμ
with a multiplier μ, where a singular R does no harm. D is of the size of what is known of Gx otherwise, so
that either half is well scaled. The whole multiplier λ = (Q + D)⁻¹e + μ stands for Q⁻¹e in all that
parameters are told.
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.sweeps.relation_stack import RelationStack

TIGHT = 1e4
"""Share of what a relation says to what is known of Gx otherwise from which it is kept as an equation: its
gradients are differences of numbers of that size, and would lose four digits."""


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
    def root(self) -> np.ndarray:
        """A with A Aᵀ = R."""
        values, vectors = np.linalg.eigh((self.R + np.swapaxes(self.R, -1, -2)) / 2)
        return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]

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


def exact_relations(families, scopes, n: int) -> dict[int, ExactRelation]:
    """Which of a run's families are kept as equations: noise is singular, or next to nothing.

    Parameters
    ----------
    families : list
        Stacks of every family.
    scopes : list of arrays of int, (instances, s)
        Cells that they read, of n.
    """
    said = [_diagonal(made, cells, n) for made, cells in zip(families, scopes, strict=True)]
    everything = np.sum(said, axis=0)
    # What dominates its variables by far cannot be taken out of a sum with the others.
    alone = [
        made.exact or bool((everything - own < 1e-9 * own).any())
        for made, own in zip(families, said, strict=True)
    ]
    others = np.sum([np.zeros(n), *(own for own, a in zip(said, alone, strict=True) if not a)], axis=0)
    usual = np.exp(np.log(others[others > 0]).mean()) if (others > 0).any() else 1.0
    found = {}
    for k, (made, cells) in enumerate(zip(families, scopes, strict=True)):
        if not isinstance(made, RelationStack):
            continue
        known = others if alone[k] else others - said[k]
        variance = 1 / np.where(known > 0, known, usual)
        if made.exact or _tight(made, variance[cells]):
            found[k] = ExactRelation(made, variance[cells])
    return found


def _diagonal(made, cells: np.ndarray, n: int) -> np.ndarray:
    """What a family says of each cell, where that is a number."""
    if made.exact:
        return np.zeros(n)
    own = np.abs(np.broadcast_to(np.einsum("...ii->...i", made.form.precision), cells.shape))
    return np.bincount(cells.ravel(), own.ravel(), n)


def _tight(made: RelationStack, variance: np.ndarray) -> bool:
    own = np.einsum("...ii->...i", made.W)
    reach = np.einsum("...ij,...j->...i", made.G**2, variance)
    return bool((own * reach).max(initial=0.0) > TIGHT)
