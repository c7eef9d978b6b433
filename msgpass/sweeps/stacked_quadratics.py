"""A family of quadratics over its latent variables as stacked canonical forms, and posterior moments back to
what is behind them; no loop over instances.

A linear relation is e = G x + c with noise of covariance Q over its latent variables x end to end, so that
Λ = GᵀWG and h = −GᵀWc with W = Q⁻¹. What is missing of e, or flat, has no row in W.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.errors import NumericalError
from msgpass.plan import Family, latent
from msgpass.sweeps.linear_family import LinearFamily, add_instances, arriving
from msgpass.sweeps.relation_adjoint import invertible
from msgpass.sweeps.rows import instance_rows


class Stacked(NamedTuple):
    """exp(g + hᵀx − ½ xᵀΛx) of every instance, or of all at once where the first axis is 1."""

    h: np.ndarray
    precision: np.ndarray
    log_scale: np.ndarray


def stacked_quadratics(family: Family, values) -> CanonicalStack | RelationStack:
    """The potentials of a family in one run."""
    return (CanonicalStack if family.potential.form == "canonical" else RelationStack)(family, values)


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
        Some noise is singular: W does not exist.
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
        both = self.seen[..., :, None] & self.seen[..., None, :]
        self.Q = Q if both.all() else np.where(both, Q, np.eye(m))
        self.exact = not all_invertible(self.Q)


    @property
    def W(self) -> np.ndarray:
        """Q⁻¹ where something is said, 0 elsewhere."""
        inverse = np.linalg.inv(self.Q)
        both = self.seen[..., :, None] & self.seen[..., None, :]
        return inverse if both.all() else np.where(both, inverse, 0.0)

    def canonical(self) -> Stacked:
        """As functions of the latent variables."""
        W = self.W
        weighed = W @ self.G
        precision = np.swapaxes(self.G, -1, -2) @ weighed
        precision = (precision + np.swapaxes(precision, -1, -2)) / 2
        h = -(np.swapaxes(weighed, -1, -2) @ self.c[..., None])[..., 0]
        quadratic = np.einsum("...i,...i->...", self.c, (W @ self.c[..., None])[..., 0])
        return Stacked(h, precision, self.normaliser() - 0.5 * quadratic)

    def normaliser(self) -> np.ndarray:
        """−½ log det 2πQ."""
        return -0.5 * (self.seen.sum(axis=-1) * LOG_2PI + np.linalg.slogdet(self.Q)[1])

    def residual(self, x: np.ndarray) -> np.ndarray:
        """e = G x + c at values of all instances, (instances, s)."""
        return (self.G @ x[..., None])[..., 0] + self.c

    def log_value(self, x: np.ndarray) -> np.ndarray:
        """log φ of every instance."""
        e = self.residual(x)
        return self.normaliser() - 0.5 * np.einsum("...i,...i->...", e, (self.W @ e[..., None])[..., 0])

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
        self.deliver(r, 0.5 * (r[..., :, None] * r[..., None, :] + covered - W), spread, mean, store, sign)

    def deliver(self, r, Q, spread, mean, store, sign: float) -> None:
        """Pass ∂b = r, ∂Q and ∂F = r mᵀ + spread on; x are the latent sources."""
        n = self.made.F.shape[-1]
        F = r[..., :, None] * mean[..., None, :n] + spread[..., :n] if n else np.zeros((*r.shape, 0))
        self.made.deliver(store, Q, r, F, None if self.made.y is None else -r, sign)

    @property
    def wanted(self) -> bool:
        """Something behind the family has a gradient."""
        return bool(self.family.parameter_names) or not all(latent(a) for a in self.family.args)


class CanonicalStack:
    """Quadratics given by (h, Λ, g); what is observed of their variables is put in, what is missing of it
    integrated out."""

    exact = False

    def __init__(self, family: Family, values):
        self.family, self.values, self.count = family, values, family.factor.n
        potential = family.potential
        self.parts = {role: potential.stacked(role, family.factor, values) for role in potential.parts}
        sizes = [math.prod(a.slice.shape) for a in family.args]
        ends = np.cumsum([0, *sizes])
        self.columns = [np.arange(*ends[k : k + 2]) for k in range(len(sizes))]
        self.free = np.concatenate([c for c, a in zip(self.columns, family.args, strict=True) if latent(a)])
        self.width = int(ends[-1])

    def lead(self, role: str) -> np.ndarray:
        """A part with an axis of instances, or of 1."""
        array, stepped = self.parts[role]
        return np.asarray(array if stepped else np.asarray(array)[None], float)

    @property
    def known(self) -> np.ndarray:
        """Values of all columns, (1 | instances, width); NaN where they are latent or missing."""
        found = np.full((1 if len(self.free) == self.width else self.count, self.width), np.nan)
        for columns, arg in zip(self.columns, self.family.args, strict=True):
            if not latent(arg):
                array = self.values[arg.name]
                rows = array[None] if arg.rows is None else array[instance_rows(self.family, arg)]
                found[:, columns] = np.reshape(rows, (len(rows), -1))
        return found

    def canonical(self) -> Stacked:
        """As functions of the latent variables."""
        h, precision, scale = (self.lead(role) for role in ("h", "precision", "log_scale"))
        precision = (precision + np.swapaxes(precision, -1, -2)) / 2
        if len(self.free) == self.width:
            return Stacked(h, precision, scale)
        x = self.known
        missing = np.isnan(x)
        x = np.where(missing, 0.0, x)
        pulled = (precision @ x[..., None])[..., 0]
        scale = scale + np.einsum("...i,...i->...", x, h - 0.5 * pulled)
        h = h - pulled
        hidden = missing.copy()
        hidden[:, self.free] = False
        if hidden.any():
            h, precision, scale = self._without(hidden, h, precision, scale)
        return Stacked(h[..., self.free], precision[..., self.free, :][..., self.free], scale)

    @property
    def wanted(self) -> bool:
        """Something behind the family has a gradient."""
        return bool(self.family.parameter_names) or len(self.free) < self.width

    def log_value(self, x: np.ndarray) -> np.ndarray:
        """log φ of every instance."""
        h, precision, scale = self.canonical()
        pulled = (precision @ x[..., None])[..., 0]
        return scale + np.einsum("...i,...i->...", x, h - 0.5 * pulled)

    def _without(self, hidden, h, precision, scale):
        """Schur complement onto what is not hidden, an instance's own cells each."""
        both = hidden[..., :, None] & hidden[..., None, :]
        inner = np.where(both, precision, np.eye(self.width))
        try:
            half = np.linalg.inv(np.linalg.cholesky(inner))
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"what is missing of the observations of {self.family.name!r} cannot be integrated out: the "
                "precision there is singular or not positive"
            ) from None
        inverse = np.where(both, np.swapaxes(half, -1, -2) @ half, 0.0)
        own = np.where(hidden, h, 0.0)
        carried = precision @ inverse
        scale = (
            scale
            + 0.5 * hidden.sum(axis=-1) * LOG_2PI
            + np.log(np.einsum("...ii->...i", half)).sum(axis=-1)
            + 0.5 * np.einsum("...i,...ij,...j->...", own, inverse, own)
        )
        return h - (carried @ own[..., None])[..., 0], precision - carried @ precision, scale

    def collect(self, mean: np.ndarray, cov: np.ndarray, store, sign: float = 1.0) -> None:
        """Add sign · ∂log Z/∂(parameters, observations): ∂h = E[x], ∂Λ = −½ E[x xᵀ], ∂g = 1."""
        names, x, spread = self.family.parameter_names, mean, cov
        if len(self.free) < self.width:
            x = np.broadcast_to(self.known, (self.count, self.width)).copy()
            x[:, self.free] = mean
            if np.isnan(x).any():
                raise NumericalError(
                    f"statistics of {self.family.name!r} with missing observations are available "
                    "for Quadratic.observation only"
                )
            spread = np.zeros((self.count, self.width, self.width))
            spread[:, self.free[:, None], self.free] = cov
        found: dict[str, Any] = {"h": lambda: x, "log_scale": lambda: np.ones(self.count)}
        found["precision"] = lambda: -0.5 * (x[:, :, None] * x[:, None, :] + spread)
        for role, name in names.items():
            store[name] = store[name] + sign * arriving(found[role](), store[name], self.parts[role][1])
        if len(self.free) < self.width:
            self._observed(x, store, sign)

    def _observed(self, x, store, sign: float) -> None:
        """∂log Z/∂ what is observed: h − Λ E[x] in its columns."""
        h, precision = self.lead("h"), self.lead("precision")
        pull = sign * (h - (precision @ x[..., None])[..., 0])
        for columns, arg in zip(self.columns, self.family.args, strict=True):
            if latent(arg):
                continue
            add_instances(self.family, arg, store[arg.name], pull[:, columns])


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
