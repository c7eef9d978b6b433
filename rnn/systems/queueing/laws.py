"""Interarrival and service times: given, or drawn by inverse transform, and scaled by a rate.

times = Q(U) / (mean · rate)        U uniform, drawn once; so d(times)/d(rate) = −times / rate, on every path
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import positive, real_array


class Times(NamedTuple):
    """Times (N, samples) at a ``base`` rate, to be had at ``rate``; and whether samples were given.

    The base is 1 of drawn times, and their own rate of given ones, which there stay as they are to the bit.
    """

    at_base: np.ndarray
    base: float
    rate: float
    sampled: bool


def times_of(what: str, law, rate, customers, samples, rng: np.random.Generator) -> Times:
    """Read one law.

    Parameters
    ----------
    what : str
        For errors.
    law : str, scipy's frozen distribution, or array
        "M" (exponential), "D" (constant), "E3" (Erlang of three phases); a distribution with ``ppf`` and
        ``mean``; or times, (N,) or (samples, N).
    rate : float or None
        None: that of the law itself, 1 / mean.
    customers, samples : int or None
    rng : numpy.random.Generator
    """
    if isinstance(law, str):
        law, own = _named(what, law), None
    elif callable(getattr(law, "ppf", None)):
        own = 1 / _mean(what, law)
    else:
        return _given(what, law, rate)
    if rate is None and own is None:
        raise DataError(f"{what}: a law by name needs its rate")
    if customers is None:
        raise DataError(f"{what} are drawn: give the number of customers")
    uniform = rng.random((samples or 1, customers)).T
    unit = np.asarray(law.ppf(uniform), float) / _mean(what, law)
    _check(what, unit)
    return Times(unit, 1.0, positive(f"rate of {what}", own if rate is None else rate), samples is not None)


def _named(what: str, code: str):
    from scipy import stats

    found = re.fullmatch(r"(M|D|E)([1-9]\d*)?", code)
    if not found or (found[1] == "E") != (found[2] is not None):
        raise DataError(
            f'{what}: a law is "M", "D", "E2", "E3", …, a scipy.stats distribution or an array of times, got '
            f"{code!r}"
        )
    if found[1] == "D":
        return _Constant()
    return stats.expon() if found[1] == "M" else stats.gamma(int(found[2]))


class _Constant:
    """Always 1."""

    def ppf(self, uniform):
        return np.ones_like(uniform)

    def mean(self):
        return 1.0


def _mean(what: str, law) -> float:
    mean = float(law.mean())
    if not 0 < mean < np.inf:
        raise DataError(f"{what}: their distribution has mean {mean:g}; wanted a finite mean > 0")
    return mean


def _given(what: str, law, rate) -> Times:
    array = real_array(what, law, np.dtype(float))
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ShapeError(f"{what} are (N,) or (samples, N), got shape {array.shape}")
    _check(what, array if array.ndim == 1 else array.T)
    own = 1 / array.mean() if array.any() else None
    if own is None:
        raise DataError(f"{what} are all 0, and have no rate")
    return Times(
        np.atleast_2d(array).T,
        own,
        own if rate is None else positive(f"rate of {what}", rate),
        array.ndim == 2,
    )


def _check(what: str, array) -> None:
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        at = tuple(int(k) for k in np.argwhere(bad)[0])
        of = f" in sample {at[1]}" if len(at) > 1 and array.shape[1] > 1 else ""
        raise DataError(f"{what}: the time of customer {at[0]}{of} is {array[at]}; times are finite and ≥ 0")


def alike(first: Times, second: np.ndarray) -> int:
    """Samples of both, which must fit."""
    if first.at_base.shape[0] != second.shape[0]:
        raise ShapeError(
            f"{first.at_base.shape[0]} interarrival times but {second.shape[0]} service times; one of each a "
            "customer"
        )
    counts = {first.at_base.shape[1], second.shape[1]} - {1}
    if len(counts) > 1:
        raise ShapeError(
            f"interarrival times have {first.at_base.shape[1]} samples, service times {second.shape[1]}"
        )
    return counts.pop() if counts else 1
