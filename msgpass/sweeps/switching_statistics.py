"""Expected sufficient statistics of the factors of a switching chain, by state."""

from __future__ import annotations

import numpy as np

from msgpass.kernels.gaussian_chain_types import Sums
from msgpass.sweeps.relation_moments import summed, with_sources, with_target
from msgpass.sweeps.switching_chain import SwitchingRun


def statistics_by_state(run: SwitchingRun, family) -> tuple[Sums, ...]:
    """Sums of a factor's variables end to end for each state, every instance weighted by what the smoother
    gives the state there."""
    if family is run.block.first:
        rows = run.row_numbers(family)
        mixtures = run.mixtures
        return summed(np.exp(mixtures.log_weights[rows]), mixtures.means[rows], mixtures.covs[rows])
    if family is run.block.link:
        pairs = run.pairs
        n = run.n
        z, cov = with_sources(run.link, pairs.means[..., :n], pairs.covs[..., :n, :n])
        q = z.shape[-1]
        z = np.concatenate([z, pairs.means[..., n:]], axis=-1)
        cov = np.pad(cov, [(0, 0), (0, 0), (0, n), (0, n)])
        own = run.link.places
        cov[..., q:, q:] = pairs.covs[..., n:, n:]
        cov[..., q:, own] = pairs.covs[..., n:, :n]
        cov[..., own, q:] = pairs.covs[..., :n, n:]
        return summed(pairs.weights.sum(1), z, cov)
    relation = next(r for r in run.local if r.family is family)
    mixtures, rows = run.mixtures, run.row_numbers(family)
    x, P = mixtures.means[rows], mixtures.covs[rows]
    return summed(*with_target(relation, np.exp(mixtures.log_weights[rows]), x, P))
