"""Families of quadratics in canonical form, all instances at once."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.errors import NumericalError
from msgpass.plan import Family, latent
from msgpass.sweeps.linear_family import add_instances, arriving
from msgpass.sweeps.rows import instance_rows
from msgpass.sweeps.stacked_form import Stacked


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

    @cached_property
    def known(self) -> np.ndarray:
        """Values of all columns, (1 | instances, width); NaN where they are latent or missing."""
        found = np.full((1 if len(self.free) == self.width else self.count, self.width), np.nan)
        for columns, arg in zip(self.columns, self.family.args, strict=True):
            if not latent(arg):
                array = self.values[arg.name]
                rows = array[None] if arg.rows is None else array[instance_rows(self.family, arg)]
                found[:, columns] = np.reshape(rows, (len(rows), -1))
        return found

    @cached_property
    def hidden(self) -> np.ndarray:
        """What is missing of the observations, (1 | instances, width)."""
        hidden = np.isnan(self.known)
        hidden[:, self.free] = False
        return hidden

    @cached_property
    def given(self) -> tuple[np.ndarray, np.ndarray]:
        """(h, g) with what is observed put in, over all columns."""
        h, scale = self.lead("h"), self.lead("log_scale")
        if len(self.free) == self.width:
            return h, scale
        x = np.where(np.isnan(self.known), 0.0, self.known)
        pulled = (self.precision @ x[..., None])[..., 0]
        return h - pulled, scale + np.einsum("...i,...i->...", x, h - 0.5 * pulled)

    @cached_property
    def precision(self) -> np.ndarray:
        """Λ over all columns."""
        precision = self.lead("precision")
        return (precision + np.swapaxes(precision, -1, -2)) / 2

    @cached_property
    def half(self) -> np.ndarray:
        """A with AᵀA the inverse of Λ at the hidden cells; ones on the diagonal elsewhere."""
        both = self.hidden[..., :, None] & self.hidden[..., None, :]
        try:
            return np.linalg.inv(np.linalg.cholesky(np.where(both, self.precision, np.eye(self.width))))
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"what is missing of the observations of {self.family.name!r} cannot be integrated out: the "
                "precision there is singular or not positive"
            ) from None

    @cached_property
    def inverse(self) -> np.ndarray:
        """Covariance of the hidden cells given all others, zero elsewhere."""
        both = self.hidden[..., :, None] & self.hidden[..., None, :]
        return np.where(both, np.swapaxes(self.half, -1, -2) @ self.half, 0.0)

    @cached_property
    def form(self) -> Stacked:
        """As functions of the latent variables."""
        (h, scale), precision = self.given, self.precision
        if self.hidden.any():
            own = np.where(self.hidden, h, 0.0)
            pulled = (self.inverse @ own[..., None])[..., 0]
            scale = (
                scale
                + 0.5 * self.hidden.sum(axis=-1) * LOG_2PI
                + np.log(np.einsum("...ii->...i", self.half)).sum(axis=-1)
                + 0.5 * np.einsum("...i,...i->...", own, pulled)
            )
            h = h - (precision @ pulled[..., None])[..., 0]
            precision = precision - precision @ self.inverse @ precision
        return Stacked(h[..., self.free], precision[..., self.free, :][..., self.free], scale)

    def log_value(self, x: np.ndarray) -> np.ndarray:
        """log φ of every instance."""
        h, precision, scale = self.form
        pulled = (precision @ x[..., None])[..., 0]
        return scale + np.einsum("...i,...i->...", x, h - 0.5 * pulled)

    @property
    def wanted(self) -> bool:
        """Something behind the family has a gradient."""
        return bool(self.family.parameter_names) or len(self.free) < self.width

    def collect(self, mean: np.ndarray, cov: np.ndarray, store, sign: float = 1.0) -> None:
        """Add sign · ∂log Z/∂(parameters, observations): ∂h = E[x], ∂Λ = −½ E[x xᵀ], ∂g = 1."""
        names, (x, spread) = self.family.parameter_names, self.moments(mean, cov)
        found: dict[str, Any] = {"h": lambda: x, "log_scale": lambda: np.ones(self.count)}
        found["precision"] = lambda: -0.5 * (x[:, :, None] * x[:, None, :] + spread)
        for role, name in names.items():
            store[name] = store[name] + sign * arriving(found[role](), store[name], self.parts[role][1])
        if len(self.free) < self.width:
            self._observed(x, store, sign)

    def moments(self, mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of all columns, from those of the latent ones: the hidden cells follow these."""
        if len(self.free) == self.width:
            return mean, cov
        x = np.where(np.isnan(self.known), 0.0, self.known) + np.zeros((self.count, 1))
        x[:, self.free] = mean
        follow = np.zeros((1, self.width, len(self.free)))
        follow[:, self.free, np.arange(len(self.free))] = 1.0
        if not self.hidden.any():
            return x, follow @ cov @ np.swapaxes(follow, -1, -2)
        across = self.precision[..., self.free]
        left = self.given[0] - (across @ mean[..., None])[..., 0]
        x = x + (self.inverse @ left[..., None])[..., 0]
        follow = follow - self.inverse @ across
        return x, follow @ cov @ np.swapaxes(follow, -1, -2) + self.inverse

    def _observed(self, x, store, sign: float) -> None:
        """∂log Z/∂ what is observed: h − Λ E[x] in its columns."""
        pull = sign * (self.lead("h") - (self.precision @ x[..., None])[..., 0])
        pull = np.where(self.hidden, 0.0, pull)
        for columns, arg in zip(self.columns, self.family.args, strict=True):
            if not latent(arg):
                add_instances(self.family, arg, store[arg.name], pull[:, columns])
