"""Expected sufficient statistics of a factor over Gaussian variables, from its beliefs."""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.kernels.gaussian_chain_types import Sums
from msgpass.plan import SwitchingChain, Tree
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.instances import QuadraticInstances
from msgpass.sweeps.readings import full, needs_backward
from msgpass.sweeps.rows import rows_of
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
    run, linear = x.runs[k], x.linear_family(k, family)
    if linear is not family:  # a noisy step: of its linear stand-in, over the Gaussian variables
        block, family = x.linearised[k].surrogates.block, linear
    made = QuadraticInstances(family, x.linearised[k].values if k in x.linearised else x.values)
    if isinstance(run, GaussianChainRun):
        summed = _of_the_sweep(run, family, made)
        if summed is not None:
            return summed
    means, covs = _latent_moments(x, run, block, family)
    return _summed(*_with_data(made, means, covs))


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
        shift = run.arrays.shift(made)
        if shift is not None:
            rows = run.sweep.statistics.rows
            mean = rows.mean.copy()
            mean[made.sizes[0] :] += shift if rows.count else 0.0
            return rows._replace(mean=mean)
    return None


def _latent_moments(x, run, block, family) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(run, GaussianChainRun):
        moments = run.factor_belief(family)
        return moments.mean, moments.cov
    place = block.families.index(family)
    parts = sorted(
        (part.j, i, part)
        for i, inst in enumerate(run.o.instances)
        for part in inst.parts
        if part.family == place
    )
    joints = [run.as_factor(run.o.instances[i], part, run.joint(i)) for _, i, part in parts]
    return np.stack([j.mean for j in joints]), np.stack([j.cov for j in joints])


def _with_data(made: QuadraticInstances, means, covs) -> tuple[np.ndarray, np.ndarray]:
    """(means, covariances) of all variables, those of missing cells given everything."""
    count, owner = made.family.factor.n, np.repeat(np.arange(len(made.sizes)), made.sizes)
    free = np.array(made.latent)[owner]
    if "y" in made.parts:
        owner = np.concatenate([owner, np.full(made.parts["y"][0].shape[-1], len(made.sizes))])
        free = np.concatenate([free, np.zeros(len(owner) - len(free), bool)])
    z, cov = np.zeros((count, len(owner))), np.zeros((count, len(owner), len(owner)))
    z[:, free] = means
    cov[np.ix_(np.arange(count), np.flatnonzero(free), np.flatnonzero(free))] = covs
    for k, latent_one in enumerate(made.latent):
        if not latent_one:
            z[:, owner == k] = _rows_of_data(made, k, count)
    if "y" in made.parts:
        y, stepped = made.parts["y"]
        z[:, owner == len(made.sizes)] = y if stepped else y[None]
    gone = np.isnan(z)
    kept = np.ones(count, bool)
    for j in np.flatnonzero(gone.any(axis=1)):
        target = owner == owner[-1]
        if (gone[j] & ~target).any() or made.form not in ("linear", "observation"):
            raise UnsupportedError(
                f"statistics of {made.family.name!r} with missing values need a linear relation whose last "
                "variable alone is missing; a missing source cannot be integrated out"
            )
        kept[j] = not gone[j][target].all()
        if kept[j]:
            _fill(made, int(j), z, cov, target, gone[j])
    return z[kept], cov[kept]


def _rows_of_data(made: QuadraticInstances, k: int, count: int) -> np.ndarray:
    arg = made.family.args[k]
    array = made.values[arg.name]
    rows = array[None] if arg.rows is None else array[rows_of(made.family, arg, slice(None))]
    rows = np.asarray(rows, float)
    return np.broadcast_to(rows.reshape(-1, made.sizes[k]), (count, made.sizes[k]))


def _fill(made: QuadraticInstances, j: int, z, cov, target, gone) -> None:
    """A missing cell is F x + b + its noise, which hangs together with the noise of the cells that are
    there."""
    linear = made.form == "linear"
    F, Q = made.part("F" if linear else "H", j), made.part("Q" if linear else "R", j)
    b = made.part("b", j) if linear else np.zeros(len(Q))
    source, out = ~target, gone[target]
    tied = Q[np.ix_(out, ~out)] @ np.linalg.pinv(Q[np.ix_(~out, ~out)], hermitian=True)
    G = F[out] - tied @ F[~out]
    x, P = z[j, source], cov[j][np.ix_(source, source)]
    seen = z[j, target][~out]
    places = np.flatnonzero(target)[out]
    z[j, places] = F[out] @ x + b[out] + tied @ (seen - F[~out] @ x - b[~out])
    cross = P @ G.T
    cov[j][np.ix_(np.flatnonzero(source), places)] = cross
    cov[j][np.ix_(places, np.flatnonzero(source))] = cross.T
    own = Q[np.ix_(out, out)] - tied @ Q[np.ix_(~out, out)]
    cov[j][np.ix_(places, places)] = G @ cross + (own + own.T) / 2


def _summed(z: np.ndarray, cov: np.ndarray) -> Sums:
    count = len(z)
    mean = z.mean(axis=0) if count else np.zeros(z.shape[1])
    away = z - mean
    return Sums(count, mean, cov.sum(axis=0) + away.T @ away)
