"""Readings of all variables of a component at once: draws, entropies, joints of variables far apart."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.gaussian_forms import LOG_2PI
from msgpass.kernels.symmetric_dense import DenseSystem
from msgpass.kernels.symmetric_sparse import SparseSystem
from msgpass.sweeps.gaussian_messages import GaussianBelief


def draws(run, rng: np.random.Generator, n: int) -> np.ndarray:
    """(cells, n) draws of all variables.

    Where there are equations, a draw y without them is moved onto them by what they would teach (Rue and Held
    2005, section 2.3.3): x = y − Λ⁻¹Gᵀ(R + GΛ⁻¹Gᵀ)⁻¹(Gy + r) with r ~ N(0, R).
    """
    variables = run.layout.n
    normal = rng.standard_normal((variables, n))
    if not run.exact:
        return run.mean[:, None] + run.system.draw(normal)
    drawn = _without_equations(run).draw(normal)
    right = np.zeros((run.equations.n, n))
    for k, made in run.exact.items():
        cells = run.equations.cells[k]
        s = cells.shape[1] - made.m
        read = np.moveaxis(drawn[cells[:, :s]], -1, 0)[..., None]  # (n, instances, s, 1)
        noise = made.root @ rng.standard_normal((n, len(cells), made.m, 1))
        right[cells[:, s:]] = -np.moveaxis((made.stack.G @ read + noise)[..., 0], 0, -1)
    return run.mean[:, None] + drawn + run.system.solve(right)[:variables]


def _without_equations(run):
    """The same system before its multipliers."""
    layout = run.layout
    equations = layout.equations((0,) * len(layout.scopes))
    blocks = [b[:, : c.shape[1], : c.shape[1]] for b, c in zip(run.blocks(), equations.cells, strict=True)]
    if isinstance(run.system, DenseSystem):
        return DenseSystem(equations.cells, blocks, layout.n, layout.n)
    return SparseSystem(equations.pattern(run.max_size), blocks)


def entropies(run) -> np.ndarray:
    """Entropy of every connected part in nats; −∞ where something is known exactly."""
    layout, pivots = run.layout, run.system.log_pivots
    found = np.bincount(layout.parts[layout.owner], 0.5 * (1 + LOG_2PI - pivots[: layout.n]))
    for k, made in run.exact.items():
        cells, own = run.equations.cells[k], layout.parts[layout.flat.scopes[k][:, 0]]
        sign, log_det = np.linalg.slogdet(made.R)
        logs = np.where(sign > 0, log_det, -np.inf) - pivots[cells[:, -made.m :]].sum(axis=1)
        np.add.at(found, own, 0.5 * logs)
    return found


def joint_of(run, cells: np.ndarray) -> GaussianBelief:
    """Mean and covariance of any cells: a column of K⁻¹ each."""
    right = np.zeros((run.equations.n, len(cells)))
    right[cells, np.arange(len(cells))] = 1.0
    cov = run.system.solve(right)[cells]
    return GaussianBelief(run.mean[cells], (cov + cov.T) / 2)
