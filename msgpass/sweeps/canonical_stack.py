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
    def form(self) -> Stacked:
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
        h, precision, scale = self.form
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
