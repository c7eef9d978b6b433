"""A Gaussian chain: one real sequence swept by the kernels of :mod:`~msgpass.kernels.gaussian_chain`.

Forward messages are the filter, beliefs the smoother; what arrives at a parameter comes from the adjoint of
the filter, so that singular covariances have gradients, too. Backward messages are the backward information
filter, swept when they are read:

    Λ_t = Fᵀ Λ′ (I + QΛ′)⁻¹ F,   h_t = Fᵀ (I + Λ′Q)⁻¹ (h′ − Λ′b),   (h′, Λ′) = message at t + 1 with its
    evidence
"""

from __future__ import annotations

import weakref
from functools import cached_property

import numpy as np

from msgpass.kernels import gaussian_chain
from msgpass.kernels.gaussian_chain_information import backward_information
from msgpass.kernels.gaussian_chain_scan import backward_information as scanned_information
from msgpass.plan import GaussianChain
from msgpass.schedule.base import Schedule
from msgpass.sweeps.gaussian_chain_arrays import ChainArrays, NoChainForm
from msgpass.sweeps.gaussian_messages import GaussianBelief, StackedInformation, StackedMoments
from msgpass.sweeps.information_chain import InformationChainRun


def run_gaussian_chain(x, k: int, block: GaussianChain, algebra, clamp):
    """The chain through its kernels; where a quadratic has no observation form, through those that need
    none."""
    # The execution holds this run; a strong reference back would keep its arrays until the collector comes.
    execution = weakref.proxy(x)
    tree = lambda: execution.tree(k, block, algebra, clamp)  # noqa: E731
    try:
        arrays = ChainArrays(block, x.values, x.overridden)
    except NoChainForm:
        return InformationChainRun(block, x.values, tree)
    return GaussianChainRun(block, arrays, x.schedule, tree)


class GaussianChainRun:
    """One run over a :class:`GaussianChain`."""

    def __init__(self, block: GaussianChain, arrays: ChainArrays, schedule: Schedule, make_tree):
        self.block, self.arrays, self.make_tree, self.scans = block, arrays, make_tree, schedule.scans
        self.sweep = gaussian_chain.sweep(arrays.arrays, schedule.backward, schedule.scans)

    # The filter runs when the first reading asks for it: backward messages alone, the Riccati recursion of
    # control, do without.

    @cached_property
    def per_sequence(self) -> np.ndarray:
        """log Z of each sequence."""
        return self.sweep.totals + self.arrays.scales

    @cached_property
    def total(self) -> float:
        """log Z."""
        return float(self.per_sequence.sum())

    @cached_property
    def tree(self):
        """The same run message by message, for what single messages are asked of."""
        return self.make_tree()

    def impossible(self) -> None:
        """A Gaussian chain always has a posterior, or its sweep has said why not."""

    def read_forward(self, name: str) -> StackedMoments:
        """The filter."""
        return StackedMoments(*self.sweep.filtered, self.block.node.shape)

    def read_backward(self, name: str) -> StackedInformation:
        """The backward information filter."""
        arrays = self.arrays.arrays
        scans = self.scans and len(arrays.y) < gaussian_chain.BLOCKS
        made = scanned_information(arrays) if scans else None
        if made is None:
            made = backward_information(arrays)[:2]
        return StackedInformation(*made, self.block.node.shape)

    def belief(self):
        """(mean, cov) of every step given everything, as vectors and matrices."""
        return self.sweep.smoothed

    def read_belief(self, name: str) -> GaussianBelief:
        """The smoother."""
        (mean, cov), shape = self.sweep.smoothed, self.block.node.shape
        return GaussianBelief(mean.reshape(len(mean), *shape), cov if shape else cov[:, 0, 0])

    def read_factor(self, family) -> GaussianBelief:
        """Moments of a factor's latent variables in its order, by instance."""
        mean, cov = self.sweep.smoothed
        if family is not self.block.link:
            rows = self.arrays.row_numbers(family)
            return GaussianBelief(mean[rows], cov[rows])
        first = self.arrays.earlier
        cross = self.sweep.lag_one
        pairs = np.block([[cov[first], np.swapaxes(cross, 1, 2)], [cross, cov[first + 1]]])
        return GaussianBelief(np.concatenate([mean[first], mean[first + 1]], axis=1), pairs)

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """What arrives at parameters and observations."""
        self.arrays.add_gradients(self.sweep.gradients, lambda: self.sweep.smoothed, store)

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, T, *shape) draws from the posterior of the whole sequence."""
        draws = self.sweep.draws(rng, n)
        return draws.reshape(*draws.shape[:2], *self.block.node.shape)
