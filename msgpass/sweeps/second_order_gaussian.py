"""A Gaussian chain whose parameters move: its gradients and smoothed moments over dual numbers.

Gradients come from the adjoint of the filter, so that singular covariances and flat starts have Hessians,
too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.dual_array import DualArray
from msgpass.kernels.gaussian_chain_tangent import DualGradients
from msgpass.plan import GaussianChain
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.gaussian_chain_arrays import ChainArrays, NoChainForm
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.quadratic_instances import QuadraticInstances

SYMMETRIC = ("cov", "Q", "R", "precision")
"""Parts of a quadratic that must be symmetric: only their symmetric part can move."""


def dual(array) -> DualArray:
    """A plain array that does not move."""
    return array if isinstance(array, DualArray) else DualArray(array, np.zeros_like(array))


def still(array):
    """Plain where nothing moves: products with a zero tangent cost as much as others."""
    return array.value if isinstance(array, DualArray) and not array.tangent.any() else array


def dual_instances(made):
    """The same potentials, every part of a quadratic dual."""
    if isinstance(made, QuadraticInstances):
        made.parts = dual_parts(made.parts)
    return made


def dual_parts(parts: dict) -> dict:
    """Parts of a quadratic by role, every one dual."""
    return {role: (_part(role, array), stepped) for role, (array, stepped) in parts.items()}


def _part(role: str, array) -> DualArray:
    array = dual(array)
    if role not in SYMMETRIC or array.ndim < 2:
        return array
    return DualArray(array.value, (array.tangent + np.swapaxes(array.tangent, -1, -2)) / 2)


class DualArrays(ChainArrays):
    """A chain's arrays over dual numbers."""

    def linear(self, family):
        """A family whose every part is dual."""
        made = QuadraticInstances(family, self.values)
        return LinearFamily(family, self.values, dual_parts(made.parts))

    def canonical(self, family):
        """A canonical form has eigenvectors, which have no rule here."""
        raise NoChainForm


class DualGaussianChain:
    """One chain in one run over dual numbers; raises NoChainForm where it needs the tree."""

    def __init__(self, block: GaussianChain, values, first: GaussianChainRun):
        self.block = block
        self.arrays = DualArrays(block, values)
        ran = first.sweep.arrays  # with the spread that a flat start may need: it moves nothing
        own = self.arrays.arrays
        cov = dual(own.cov)
        moving: Any = DualArray(ran.cov, cov.tangent)
        own = own._replace(cov=moving)
        self.made = DualGradients(own._replace(**{n: still(a) for n, a in own._asdict().items()}))

    def add_parameters(self, store) -> None:
        """What arrives at parameters and observations, and how it moves."""
        self.arrays.add_gradients(self.made.gradients, lambda: self.made.moments, store)

    def belief(self) -> tuple[DualArray, DualArray]:
        """(mean, cov) of every step given everything."""
        return self.made.moments
