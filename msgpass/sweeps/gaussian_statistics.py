"""Expected sufficient statistics of a factor over Gaussian variables, from its beliefs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.kernels.gaussian_chain_types import Sums
from msgpass.plan import SwitchingChain, Tree
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.quadratic_instances import QuadraticInstances
from msgpass.sweeps.readings import full, needs_backward
from msgpass.sweeps.relation_moments import placed, summed, with_target
from msgpass.sweeps.switching_statistics import statistics_by_state


def statistics(x, name: str) -> Sums | tuple[Sums, ...]:
    """First and second moments of a factor's variables end to end, summed over its instances; by state in a
    switching chain."""
    x = full(x)
    found = [(k, b, f) for k, b in enumerate(x.plan.blocks) for f in b.families if f.name == name]
    if not found or name not in factor_names(x):
        names = factor_names(x)
        raise UnavailableError(
            f"there are no Gaussian statistics of {name!r}; there are of {', '.join(names) or 'nothing here'}"
        )
    k, block, family = found[0]
    needs_backward(x, f"statistics of {name!r}")
    if isinstance(block, SwitchingChain):
        return statistics_by_state(x.runs[k], family)
    run, family = x.runs[k], x.linear_family(k, family)  # of a noisy step its stand-in
    made = QuadraticInstances(family, x.linearised[k].values if k in x.linearised else x.values)
    if isinstance(run, GaussianChainRun):
        found_whole = _of_the_sweep(run, family, made)
        if found_whole is not None:
            return found_whole
    means, covs = (part[:, None] for part in run.read_factor(family))
    parts = _canonical(made, means, covs) if made.form == "canonical" else _relation(made, means, covs)
    (sums,) = summed(*parts)
    return sums._replace(count=int(sums.count))


def factor_names(x) -> list[str]:
    """Factors that have statistics."""
    found = []
    for b in x.plan.blocks:
        if isinstance(b, Tree) and b.gaussian:
            found += [f.name for f in b.families]
        elif isinstance(b, SwitchingChain):
            found += [f.name for f in (*b.unaries, b.link)]
    return found


def _of_the_sweep(run: GaussianChainRun, family, made: QuadraticInstances) -> Sums | None:
    """Sums that the sweep makes without moments of every step; None where the factor has sources of its
    own."""
    sources = made.latent[:-1] if "y" not in made.parts else made.latent
    if family is run.block.link:
        return run.sweep.statistics.pairs if all(sources) else None
    if made.latent == [True] and "y" not in made.parts:
        firsts = run.arrays.arrays.offsets[:-1]
        if np.array_equal(run.arrays.row_numbers(family), firsts):
            return run.sweep.statistics.starts
        return None
    parts = run.arrays.parts
    alone = len(parts) == 1 and parts[0].made.family is family and len(made.latent) == 2
    if alone and made.form in ("linear", "observation") and all(sources) and not made.latent[-1]:
        shift = parts[0].made.b
        if len(shift) == 1:
            rows = run.sweep.statistics.rows
            mean = rows.mean.copy()
            mean[made.sizes[0] :] += shift[0] if rows.count else 0.0
            return rows._replace(mean=mean)
    return None


def _relation(made: QuadraticInstances, means, covs):
    """(weights, means, covariances) of all variables of a relation or prior."""
    r = LinearFamily(made.family, made.values, states=1)
    weights = np.ones((len(means), 1))
    if r.y is not None:
        return with_target(r, weights, means, covs)
    m = r.Q.shape[-1]
    places = np.concatenate([r.places, r.width + np.arange(m)])
    return weights, *placed(means, covs, places, r.width + m, [(g.columns, g.data) for g in r.given])


def _canonical(made: QuadraticInstances, means, covs):
    count, ends = len(means), np.cumsum([0, *made.sizes])
    columns = [slice(a, e) for a, e in pairwise(ends)]
    free = [np.arange(c.start, c.stop) for c, latent in zip(columns, made.latent, strict=True) if latent]
    given = [
        (c, np.stack([made.data(k, j) for j in range(count)]))
        for k, c in enumerate(columns)
        if not made.latent[k]
    ]
    if any(np.isnan(data).any() for _, data in given):
        raise UnsupportedError(
            f"statistics of {made.family.name!r} with missing values need a linear relation whose last "
            "variable alone is missing"
        )
    return np.ones((count, 1)), *placed(means, covs, np.concatenate(free), int(ends[-1]), given)
