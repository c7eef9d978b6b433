"""Demand: given as arrays, or drawn from distributions by inverse transform, always in one layout."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import flag, generator, real_array, whole


def draw(
    distribution, steps: int, samples: int | None = None, seed=0, stratified: bool = False
) -> np.ndarray:
    """Demand drawn by inverse transform of uniform numbers; negative draws become 0.

    Parameters
    ----------
    distribution : scipy's frozen distribution, or anything with ``ppf``
    steps, samples : int
        None: one sample without an axis.
    seed : int or numpy.random.Generator
    stratified : bool
        In each period, one number in each of ``samples`` equal parts of the unit interval, in random order: a
        Latin hypercube, whose means vary less.

    Returns
    -------
    (samples, steps) or (steps,) array

    Examples
    --------
    >>> from scipy.stats import poisson
    >>> draw(poisson(4), steps=3, seed=1)
    array([4., 8., 2.])
    """
    steps, count = whole("steps", steps), 1 if samples is None else whole("samples", samples)
    if not callable(getattr(distribution, "ppf", None)):
        raise DataError(
            f"demand is drawn from a distribution with a ppf, such as scipy.stats.norm(50, 8), got "
            f"{type(distribution).__name__}; numbers are given as they are, without draw"
        )
    rng = generator(seed)
    if flag("stratified", stratified):
        places = rng.permuted(np.tile(np.arange(count), (steps, 1)), axis=1).T
        uniform = (places + rng.random((count, steps))) / count
    else:
        uniform = rng.random((count, steps))
    drawn = np.maximum(np.asarray(distribution.ppf(uniform), float), 0.0)
    return drawn[0] if samples is None else drawn


def lay_out(demand, facilities) -> tuple[list[str], np.ndarray, bool]:
    """Names of the facilities with demand, (T, samples, E), and whether samples were given."""
    if not isinstance(demand, dict):
        if not facilities:
            raise DataError("an inventory needs at least one facility")
        if len(facilities) > 1:
            raise DataError(
                "several facilities: give demand as a dict from a facility's name to its (T,) or "
                "(samples, T) array"
            )
        demand = {facilities[0].name: demand}
    if not demand:
        raise DataError("demand is an empty dict; name at least one facility with demand")
    arrays = {k: real_array(f"demand at {k!r}", v, np.dtype(float)) for k, v in demand.items()}
    for where, array in arrays.items():
        if array.ndim not in (1, 2) or 0 in array.shape:
            raise ShapeError(f"demand at {where!r} is (T,) or (samples, T), got shape {array.shape}")
        bad = ~(np.isfinite(array) & (array >= 0))
        if bad.any():
            at = tuple(int(k) for k in np.argwhere(bad)[0])
            raise DataError(
                f"demand at {where!r} is {array[at]} in period {at[-1]}"
                + (f" of sample {at[0]}" if len(at) > 1 else "")
                + "; demand is finite and ≥ 0 (np.maximum(demand, 0) cuts off draws below 0)"
            )
    steps, samples = (
        {a.shape[-1] for a in arrays.values()},
        {a.shape[0] for a in arrays.values() if a.ndim == 2},
    )
    if len(steps) > 1 or len(samples) > 1:
        shapes = {k: a.shape for k, a in arrays.items()}
        raise ShapeError(f"demands differ in their numbers of periods or samples: {shapes}")
    count = samples.pop() if samples else 1
    rows = [np.broadcast_to(a, (count, a.shape[-1])).T for a in arrays.values()]
    return list(arrays), np.stack(rows, axis=-1), any(a.ndim == 2 for a in arrays.values())
