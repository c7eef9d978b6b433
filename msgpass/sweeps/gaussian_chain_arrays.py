"""From the families of a Gaussian chain to the arrays of its kernels, and gradients back to where they came
from.

Everything that says something of a single step becomes rows of one observation y_t = H_t x_t + noise of
covariance R_t: relations to what is observed as they are, priors beyond the first as observations of x
itself, canonical quadratics with Λ = V diag(λ) Vᵀ as observations of diag(√λ) Vᵀ x. A step where a family
says nothing has missing cells there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.dual_array import contiguous, zeros
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays
from msgpass.nodes import Parameter
from msgpass.plan import Family, GaussianChain, latent
from msgpass.potentials.quadratic import COVARIANCES, check_covariance
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.quadratic_instances import QuadraticInstances
from msgpass.sweeps.rows import instance_numbers, instance_rows


class NoChainForm(Exception):
    """A quadratic has no observation form; the tree sweep crosses it as it is."""


class Rows(NamedTuple):
    """What one family adds to the observation: matrices with a leading axis of 1 or of its instances."""

    made: Any  # LinearFamily, or QuadraticInstances of a canonical form
    H: np.ndarray
    R: np.ndarray
    y: np.ndarray  # (instances, p)
    rows: Any  # slice or array: the row of each instance
    scale: Any = None  # of each instance


class ChainArrays:
    """The arrays of one run, and the way back."""

    def __init__(self, block: GaussianChain, values, given: frozenset[str] = frozenset()):
        self.block, self.values = block, values
        node = block.node
        self.size, self.offsets = node.size, np.asarray(node.clock.offsets, np.int64)
        self.total = int(self.offsets[-1])
        self.link = self.linear(block.link)
        if given:
            self.check_parameters(given)
        self.start: LinearFamily | None = None
        self.parts: list[Rows] = []
        for family in block.unaries:
            if family is block.first:
                self.start = self.linear(family)
            elif family.potential.form == "canonical":
                self.parts.append(self.canonical(family))
            else:
                self.parts.append(self.rows(self.linear(family)))
        self.scales = np.zeros(len(self.offsets) - 1)
        for part in self.parts:
            if part.scale is not None:
                self.scales += self.by_sequence(part)
        mean, cov, flat = self.first()
        H, R, y = self.observed()
        F, Q, b = self.link.F, self.link.Q, self.link.b
        self.arrays = GaussianChainArrays(mean, cov, flat, F, Q, b, H, R, y, self.offsets)

    def linear(self, family: Family) -> LinearFamily:
        """A family of linear relations in this run."""
        return LinearFamily(family, self.values)

    def check_parameters(self, given: frozenset[str]) -> None:
        """Covariances that this run gives are covariances; others were checked with the graph."""
        for family in self.block.families:
            for role, part in family.potential.parts.items():
                if role in COVARIANCES and isinstance(part, Parameter) and part.name in given:
                    check_covariance(f"{family.name}: {role}", self.values[part.name])

    def argument(self, family: Family):
        """Its latent argument."""
        return next(a for a in family.args if latent(a))

    # -- gathering ---------------------------------------------------------------------------------------

    def first(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(mean, cov, flat) of the first state; without a prior it is flat."""
        n = self.size
        if self.start is None:
            return np.zeros((1, n)), np.zeros((1, n, n)), np.eye(n)
        mean, cov = self.start.b, self.start.Q
        infinite = np.isposinf(np.diagonal(cov[0]))
        if infinite.any():
            cov, mean = cov.copy(), np.where(infinite, 0.0, mean)
            cov[:, infinite, infinite] = 0.0
        return mean, cov, np.eye(n)[:, infinite]

    def rows(self, made: LinearFamily) -> Rows:
        """What a family says of single steps, as an observation; a prior observes x itself."""
        rows, count = instance_rows(made.family, self.argument(made.family)), made.family.factor.n
        if made.y is not None:
            return Rows(made, made.F, made.Q, np.broadcast_to(made.y - made.b, made.y.shape), rows)
        infinite = np.isposinf(np.diagonal(made.Q, axis1=1, axis2=2))
        y = np.broadcast_to(np.where(infinite, np.nan, made.b), (count, self.size)).copy()
        return Rows(made, np.eye(self.size)[None], np.where(np.isposinf(made.Q), 1.0, made.Q), y, rows)

    def canonical(self, family: Family) -> Rows:
        """A canonical form as an observation."""
        rows = instance_rows(family, self.argument(family))
        return _canonical_rows(QuadraticInstances(family, self.values), rows, family.factor.n)

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(H, R, y) of all families side by side."""
        T, n, parts = self.total, self.size, self.parts
        if len(parts) == 1 and _covers(parts[0].rows, T):
            return parts[0].H, parts[0].R, contiguous(parts[0].y)
        p = max(sum(part.y.shape[1] for part in parts), 1)  # at least one cell, missing where nothing is said
        lead = T if any(len(part.H) > 1 or len(part.R) > 1 for part in parts) else 1
        like = [array for part in parts for array in (part.H, part.R, part.y)]
        H, R, y = (zeros(shape, float, like) for shape in ((lead, p, n), (lead, p, p), (T, p)))
        R[:], y[:] = np.eye(p), np.nan
        for part, cells in zip(parts, self.places(), strict=True):
            where = part.rows if lead > 1 else slice(None)
            H[where, cells] = part.H
            R[where, cells, cells] = part.R
            y[part.rows, cells] = part.y
        return H, R, y

    def by_sequence(self, part: Rows) -> np.ndarray:
        """A part's constants, added up by sequence."""
        count = len(part.y)
        sequence = np.searchsorted(self.offsets, self.row_numbers(part.made.family), side="right") - 1
        return np.bincount(sequence, np.broadcast_to(part.scale, (count,)), len(self.offsets) - 1)

    def row_numbers(self, family: Family) -> np.ndarray:
        """Row of each instance's latent variable."""
        return instance_numbers(family, self.argument(family))

    @property
    def earlier(self) -> np.ndarray:
        """Row at which each pair starts."""
        last = np.zeros(self.total, bool)
        last[self.offsets[1:] - 1] = True
        return np.flatnonzero(~last)

    def places(self) -> list[slice]:
        """Cells of each family in the observation."""
        ends = np.cumsum([part.y.shape[1] for part in self.parts]).astype(int)
        return [slice(int(e) - part.y.shape[1], int(e)) for e, part in zip(ends, self.parts, strict=True)]

    # -- back --------------------------------------------------------------------------------------------

    def add_gradients(self, found: dict[str, np.ndarray], moments, store) -> None:
        """Add ∂log Z/∂array to the parameters and observations behind the arrays; ``moments()`` gives the
        smoothed means and covariances."""
        if self.start is not None:
            self.start.deliver(store, found["cov"], found["mean"])
        self.link.deliver(store, found["Q"], found["b"], found["F"])
        for part, cells in zip(self.parts, self.places(), strict=True):
            made, rows = part.made, part.rows
            if not isinstance(made, LinearFamily):
                mean, cov = moments()
                _canonical_statistics(made, rows, mean, cov, store)
                continue
            said = found["y"][rows, cells]
            H = found["H"][rows, cells] if len(found["H"]) > 1 else found["H"][:, cells]
            R = found["R"][rows, cells, cells] if len(found["R"]) > 1 else found["R"][:, cells, cells]
            if made.y is None:
                made.deliver(store, R, said)
            else:
                made.deliver(store, R, -said, H, said)


def _covers(rows, total: int) -> bool:
    return isinstance(rows, slice) and rows.start == 0 and rows.stop == total


def _lead(array: np.ndarray, stepped: bool) -> np.ndarray:
    return contiguous(array if stepped else array[None])


def _canonical_rows(made: QuadraticInstances, rows, count: int) -> Rows:
    """g + hᵀx − ½ xᵀΛx as an observation of diag(√λ) Vᵀ x with unit noise."""
    stepped = not all(made.latent) or any(made.parts[r][1] for r in ("h", "precision"))
    if all(made.latent):
        lead = count if stepped else 1
        h, precision = (
            np.broadcast_to(_lead(*made.parts[r]), (lead, *made.parts[r][0].shape[-k:]))
            for r, k in (("h", 1), ("precision", 2))
        )
        scales = np.broadcast_to(np.asarray(made.parts["log_scale"][0], float), (count,))
    else:
        found = [made.potential(j, None) for j in range(count)]
        h, precision = np.stack([m.h for m in found]), np.stack([m.precision for m in found])
        scales = np.array([m.log_scale for m in found])
    values, vectors = np.linalg.eigh((precision + np.swapaxes(precision, 1, 2)) / 2)
    top = np.abs(values).max(axis=1, keepdims=True, initial=0.0)
    if (values < -1e-12 * top).any():
        raise NoChainForm
    said = values > 1e-15 * values.shape[1] * top
    root = np.sqrt(np.where(said, values, 1.0))
    inside = np.einsum("tji,tj->ti", vectors, h)
    if (
        np.abs(np.where(said, 0.0, inside)) > 1e-12 * np.abs(h).max(axis=1, keepdims=True, initial=0.0)
    ).any():
        raise NoChainForm
    H = np.where(said, root, 0.0)[:, :, None] * np.swapaxes(vectors, 1, 2)
    y = np.where(said, inside / root, np.nan)
    constant = 0.5 * np.nansum(y * y, axis=1) + 0.5 * LOG_2PI * said.sum(axis=1)
    return Rows(
        made, H, np.eye(h.shape[1])[None], np.broadcast_to(y, (count, y.shape[1])), rows, scales + constant
    )


def _canonical_statistics(made: QuadraticInstances, rows, mean, cov, store) -> None:
    """∂h = E[x], ∂Λ = −½ E[xxᵀ], ∂g = 1."""
    names = made.family.parameter_names
    if not names and all(made.latent):
        return
    mean, cov = mean[rows], cov[rows]
    if all(made.latent):
        made.add_stacked("h", mean, store)
        made.add_stacked("precision", -0.5 * (cov + mean[:, :, None] * mean[:, None, :]), store)
        made.add_stacked("log_scale", np.ones(len(mean)), store)
        return
    for j in range(len(mean)):
        made.add_statistics(j, mean[j], cov[j], store, names)
