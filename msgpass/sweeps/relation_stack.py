"""Families of linear-Gaussian relations, all instances at once.

A relation is e = G x + c with noise of covariance Q over its latent variables x end to end, so that
Λ = GᵀWG and h = −GᵀWc with W = Q⁻¹. What is missing of e, or flat, has no row in W.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.plan import Family, latent
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.relation_adjoint import invertible
from msgpass.sweeps.stacked_form import Stacked


class RelationStack:
    """Relations, observations and priors.

    Attributes
    ----------
    G : ndarray, shape (1 | instances, m, s)
    c : ndarray, shape (1 | instances, m)
    Q : ndarray, shape (1 | instances, m, m)
        Covariance of e, with a one on the diagonal and zeros beside it where nothing is said.
    seen : ndarray of bool, shape (1 | instances, m)
    exact : bool
        Some noise is singular: W does not exist, and the relation is an equation as far as that goes.
    """

    def __init__(self, family: Family, values):
        self.family = family
        made = self.made = LinearFamily(family, values)
        self.count = family.factor.n
        Q, m = made.Q, made.Q.shape[-1]
        flat = np.isposinf(np.einsum("...ii->...i", Q))
        if made.y is None:
            target = np.eye(m) * ~flat[..., None]
            lead = max(len(made.F), len(target))
            F = np.broadcast_to(made.F, (lead, *made.F.shape[1:]))
            self.G = np.concatenate([-F, np.broadcast_to(target, (lead, m, m))], axis=-1)
            self.c, self.seen = np.where(flat, 0.0, -made.b), ~flat
        else:
            self.seen = ~np.isnan(made.y)
            self.G, self.c = -made.F, np.where(self.seen, made.y - made.b, 0.0)
            if self.seen.all():
                self.seen = self.seen[:1]
            else:
                self.G = np.where(self.seen[..., None], self.G, 0.0)
        self.both = self.seen[..., :, None] & self.seen[..., None, :]
        self.Q = Q if self.both.all() else np.where(self.both, Q, np.eye(m))
        self.exact = not all_invertible(self.Q)

    @cached_property
    def W(self) -> np.ndarray:
        """Q⁻¹ where something is said, 0 elsewhere."""
        return self.said(np.linalg.inv(self.Q))

    def said(self, array: np.ndarray) -> np.ndarray:
        """Zeros where nothing is said."""
        return array if self.both.all() else np.where(self.both, array, 0.0)

    @cached_property
    def form(self) -> Stacked:
        """As functions of the latent variables."""
        return self.weighed(self.W, self.normaliser)

    def weighed(self, W: np.ndarray, log_scale) -> Stacked:
        """exp(log_scale − ½ eᵀWe)."""
        weighed = W @ self.G
        precision = np.swapaxes(self.G, -1, -2) @ weighed
        precision = (precision + np.swapaxes(precision, -1, -2)) / 2
        h = -(np.swapaxes(weighed, -1, -2) @ self.c[..., None])[..., 0]
        quadratic = np.einsum("...i,...i->...", self.c, (W @ self.c[..., None])[..., 0])
        return Stacked(h, precision, log_scale - 0.5 * quadratic)

    @cached_property
    def normaliser(self) -> np.ndarray:
        """−½ log det 2πQ."""
        return -0.5 * (self.seen.sum(axis=-1) * LOG_2PI + np.linalg.slogdet(self.Q)[1])

    def residual(self, x: np.ndarray) -> np.ndarray:
        """e = G x + c at values of all instances, (instances, s)."""
        return (self.G @ x[..., None])[..., 0] + self.c

    def log_value(self, x: np.ndarray) -> np.ndarray:
        """log φ of every instance."""
        e = self.residual(x)
        return self.normaliser - 0.5 * np.einsum("...i,...i->...", e, (self.W @ e[..., None])[..., 0])

    def collect(self, mean: np.ndarray, cov: np.ndarray, store, sign: float = 1.0) -> None:
        """Add sign · ∂log Z/∂(parameters, observations) from the posterior moments of all instances,
        (instances, s) and (instances, s, s).

        ∂b = W E[e],  ∂F = W E[e xᵀ],  ∂Q = ½(W E[e eᵀ] W − W)
        """
        W = self.W
        e = self.residual(mean)
        spread = W @ (self.G @ cov)  # W Cov(e, x)
        r = (W @ e[..., None])[..., 0]
        covered = spread @ np.swapaxes(self.G, -1, -2) @ W
        self.deliver(r, covered - W, spread, mean, store, sign)

    def deliver(self, r, spread_e, spread, mean, store, sign: float) -> None:
        """Pass ∂b = r, ∂Q = ½(r rᵀ + spread_e) and ∂F = r mᵀ + spread on; m is the latent sources' mean."""
        n = self.made.F.shape[-1]
        Q = 0.5 * (r[..., :, None] * r[..., None, :] + self.said(spread_e))
        F = r[..., :, None] * mean[..., None, :n] + spread[..., :n]
        self.made.deliver(store, Q, r, F, None if self.made.y is None else -r, sign)

    @property
    def wanted(self) -> bool:
        """Something behind the family has a gradient."""
        return bool(self.family.parameter_names) or not all(latent(a) for a in self.family.args)


def all_invertible(cov: np.ndarray) -> bool:
    """Whether every covariance of a stack keeps digits when it is inverted, in units of its own diagonal."""
    if len(cov) == 1:
        return invertible(cov[0])
    scale = np.sqrt(np.einsum("...ii->...i", cov))
    if not (scale > 0).all():
        return False
    if cov.shape[-1] == 1:
        return True
    correlation = cov / (scale[:, :, None] * scale[:, None, :])
    return bool((np.linalg.eigvalsh(correlation)[:, 0] > 1e-12).all())
