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
from msgpass.sweeps.instances import QuadraticInstances, missing_source, parameter_names
from msgpass.sweeps.rows import rows_of


class NoChainForm(Exception):
    """A quadratic has no observation form; the tree sweep crosses it as it is."""


class Rows(NamedTuple):
    """What one family adds to the observation: matrices with a leading axis of 1 or of its instances."""

    made: QuadraticInstances
    H: np.ndarray
    R: np.ndarray
    y: np.ndarray  # (instances, p)
    rows: Any  # slice or array: the row of each instance
    scale: Any = None  # of each instance


def linked(made: QuadraticInstances) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(F, Q, b) of the transitions, with what is observed of the sources in b."""
    F, b, _ = sources(made)
    return F, _lead(*made.parts["Q"]), b


def sources(made: QuadraticInstances) -> tuple[np.ndarray, np.ndarray, list]:
    """(F of the latent source, b with the observed sources, [(argument, columns, data)])."""
    role = "F" if made.form == "linear" else "H"
    full = _lead(*made.parts[role])
    b = _lead(*made.parts["b"]) if "b" in made.parts else np.zeros((1, full.shape[1]))
    sources = len(made.latent) - (0 if "y" in made.parts else 1)
    F, start, observed = np.zeros((1, full.shape[1], 0)), 0, []
    for k, size in enumerate(made.sizes[:sources]):
        columns = slice(start, start + size)
        start += size
        if made.latent[k]:
            F = full[:, :, columns]
            continue
        data = _data(made, k)
        if np.isnan(data).any():
            raise missing_source(made.family, k, int(np.argmax(np.isnan(data).any(axis=1))))
        b = b + _times(full[:, :, columns], data)
        observed.append((k, columns, data))
    return contiguous(F), b, observed


class ChainArrays:
    """The arrays of one run, and the way back."""

    def __init__(self, block: GaussianChain, values, given: frozenset[str] = frozenset()):
        self.block, self.values = block, values
        node = block.node
        self.size, self.offsets = node.size, np.asarray(node.clock.offsets, np.int64)
        self.total = int(self.offsets[-1])
        self.link = self.instances(block.link)
        if given:
            self.check_parameters(given)
        self.start: QuadraticInstances | None = None
        self.parts: list[Rows] = []
        for family in block.unaries:
            made = self.instances(family)
            if self.start is None and family is block.first and _is_prior(made):
                self.start = made
            else:
                self.parts.append(self.rows(made))
        self.scales = np.zeros(len(self.offsets) - 1)
        for part in self.parts:
            if part.scale is not None:
                self.scales += self.by_sequence(part)
        mean, cov, flat = self.first()
        H, R, y = self.observed()
        F, Q, b = linked(self.link)
        self.arrays = GaussianChainArrays(mean, cov, flat, F, Q, b, H, R, y, self.offsets)

    def instances(self, family: Family) -> QuadraticInstances:
        """Potentials of a family in this run."""
        return QuadraticInstances(family, self.values)

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
        mean, cov, _ = _prior_parts(self.start)
        infinite = np.isposinf(np.diagonal(cov[0]))
        if infinite.any():
            cov, mean = cov.copy(), np.where(infinite, 0.0, mean)
            cov[:, infinite, infinite] = 0.0
        return mean, cov, np.eye(n)[:, infinite]

    def rows(self, made: QuadraticInstances) -> Rows:
        """What a family says of single steps, as an observation."""
        rows, count = instance_rows(made.family, self.argument(made.family)), made.family.factor.n
        if made.form == "canonical":
            return _canonical_rows(made, rows, count)
        if _is_prior(made):
            mean, cov, _ = _prior_parts(made)
            infinite = np.isposinf(np.diagonal(cov, axis1=1, axis2=2))
            y = np.broadcast_to(np.where(infinite, np.nan, mean), (count, self.size)).copy()
            return Rows(made, np.eye(self.size)[None], np.where(np.isposinf(cov), 1.0, cov), y, rows)
        H, b, _ = sources(made)
        R = _lead(*made.parts["Q" if made.form == "linear" else "R"])
        y = _lead(*made.parts["y"]) if "y" in made.parts else _data(made, len(made.latent) - 1)
        return Rows(made, H, R, np.broadcast_to(y - b, (count, H.shape[1])), rows)

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

    def shift(self, made: QuadraticInstances) -> np.ndarray | None:
        """The constant that was taken off the observation; None where it differs by step."""
        b = sources(made)[1]
        return b[0] if len(b) == 1 else None

    def by_sequence(self, part: Rows) -> np.ndarray:
        """A part's constants, added up by sequence."""
        count = len(part.y)
        sequence = np.searchsorted(self.offsets, self.row_numbers(part.made.family), side="right") - 1
        return np.bincount(sequence, np.broadcast_to(part.scale, (count,)), len(self.offsets) - 1)

    def row_numbers(self, family: Family) -> np.ndarray:
        """Row of each instance's latent variable."""
        return np.atleast_1d(_numbers(instance_rows(family, self.argument(family))))

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
            self._to_prior(self.start, found["mean"], found["cov"], store)
        self._to_relation(self.link, found["F"], found["Q"], found["b"], None, store)
        for part, cells in zip(self.parts, self.places(), strict=True):
            made, rows = part.made, part.rows
            if made.form == "canonical":
                mean, cov = moments()
                _canonical_statistics(made, rows, mean, cov, store)
                continue
            said = found["y"][rows, cells]
            H = found["H"][rows, cells] if len(found["H"]) > 1 else found["H"][:, cells]
            R = found["R"][rows, cells, cells] if len(found["R"]) > 1 else found["R"][:, cells, cells]
            if _is_prior(made):
                self._to_prior(made, said, R, store)
            else:
                self._to_relation(made, H, R, -said, said, store)

    def _to_prior(self, made, mean, cov, store) -> None:
        if made.form == "prior":
            _add(made, "mean", mean, store)
            _add(made, "cov", cov, store)
        else:
            self._to_relation(made, np.zeros((1, self.size, 0)), cov, mean, None, store)

    def _to_relation(self, made, F, Q, b, y, store) -> None:
        names, linear = parameter_names(made.family), made.form == "linear"
        role = "F" if linear else "H"
        observed = sources(made)[2]
        if role in names:
            full, stepped = made.parts[role]
            free = np.ones(full.shape[-1], bool)
            for _, columns, _ in observed:
                free[columns] = False
            lead = max(len(F) if free.any() else 1, len(b) if observed and stepped else 1)
            total = zeros((lead, *full.shape[-2:]), float, [F, b])
            if free.any():
                total[:, :, free] = F
            for _, columns, data in observed:
                said = b[:, :, None] * data[:, None, :]
                total[:, :, columns] = said if stepped else 0.0
                if not stepped:
                    total[0, :, columns] = said.sum(axis=0)
            _add(made, role, total, store)
        _add(made, "Q" if linear else "R", Q, store)
        if linear:
            _add(made, "b", b, store)
        for k, columns, _ in observed:
            pulled = _times(np.swapaxes(_lead(*made.parts[role])[:, :, columns], 1, 2), b)
            _add_rows(made, k, pulled, store)
        if y is not None and "y" not in made.parts:
            _add_rows(made, len(made.latent) - 1, y, store)
        elif y is not None:
            _add(made, "y", y, store)


def instance_rows(family: Family, arg):
    """Row of each instance, as a slice where they follow each other."""
    rows = rows_of(family, arg)
    return slice(int(rows), int(rows) + 1) if np.ndim(rows) == 0 and not isinstance(rows, slice) else rows


def _numbers(rows) -> np.ndarray:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows)


def _covers(rows, total: int) -> bool:
    return isinstance(rows, slice) and rows.start == 0 and rows.stop == total


def _lead(array: np.ndarray, stepped: bool) -> np.ndarray:
    return contiguous(array if stepped else array[None])


def _times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Products of matrices (1 | T, i, j) and vectors (T, j)."""
    return vectors @ matrices[0].T if len(matrices) == 1 else (matrices @ vectors[..., None])[..., 0]


def _data(made: QuadraticInstances, k: int) -> np.ndarray:
    """Observed rows of argument k, (instances, size)."""
    arg, count = made.family.args[k], made.family.factor.n
    array = made.values[arg.name]
    rows = array[None] if arg.rows is None else array[instance_rows(made.family, arg)]
    return np.broadcast_to(contiguous(rows).reshape(len(rows), made.sizes[k]), (count, made.sizes[k]))


def _is_prior(made: QuadraticInstances) -> bool:
    """A prior, or a relation whose target alone is latent."""
    return made.form == "prior" or (
        made.form in ("linear", "observation")
        and "y" not in made.parts
        and made.latent[-1]
        and not any(made.latent[:-1])
    )


def _prior_parts(made: QuadraticInstances) -> tuple[np.ndarray, np.ndarray, bool]:
    if made.form == "prior":
        return _lead(*made.parts["mean"]), _lead(*made.parts["cov"]), True
    role = "F" if made.form == "linear" else "H"
    F = _lead(*made.parts[role])
    mean = _lead(*made.parts["b"]) if "b" in made.parts else np.zeros((1, F.shape[1]))
    start = 0
    for k, size in enumerate(made.sizes[:-1]):
        data = _data(made, k)
        if np.isnan(data).any():
            raise missing_source(made.family, k, int(np.argmax(np.isnan(data).any(axis=1))))
        mean = mean + _times(F[:, :, start : start + size], data)
        start += size
    return mean, _lead(*made.parts["Q" if made.form == "linear" else "R"]), False


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
    names = parameter_names(made.family)
    if not names and all(made.latent):
        return
    mean, cov = mean[rows], cov[rows]
    if all(made.latent):
        _add(made, "h", mean, store)
        _add(made, "precision", -0.5 * (cov + mean[:, :, None] * mean[:, None, :]), store)
        _add(made, "log_scale", np.ones(len(mean)), store)
        return
    for j in range(len(mean)):
        made.add_statistics(j, mean[j], cov[j], store, names)


def _add(made: QuadraticInstances, role: str, found: np.ndarray, store) -> None:
    """Add what arrived (leading axis 1 or instances) to the parameter behind a role."""
    names = parameter_names(made.family)
    if role not in names:
        return
    target = store[names[role]]
    stepped = made.parts[role][1]
    total = found if stepped else found.sum(axis=0)
    if target.shape == () and np.size(total) != 1:
        total = np.sum(total)  # a scalar that stands for a constant vector
    store[names[role]] = target + np.reshape(total, target.shape)


def _add_rows(made: QuadraticInstances, k: int, found: np.ndarray, store) -> None:
    """Add ∂log Z/∂(rows of an observation)."""
    arg = made.family.args[k]
    target = store[arg.name]
    if arg.rows is None:
        target += found.sum(axis=0).reshape(target.shape)
    else:
        np.add.at(target, instance_rows(made.family, arg), found.reshape(len(found), *target.shape[1:]))
