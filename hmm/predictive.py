"""Moments of emissions, for forecasts: E[x | k] and Var[x | k], features in columns."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from hmm.emissions.base import Emission
from hmm.emissions.categorical import Categorical
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.poisson import Poisson

Moments = tuple[np.ndarray | None, np.ndarray | None]


@singledispatch
def moments(emission: Emission) -> Moments:
    """(means, variances), each (K, D) or None where the emission does not say: its methods ``mean()`` and
    ``variance()``, if it has them."""
    found = []
    for name in ("mean", "variance"):
        method = getattr(emission, name, None)
        found.append(np.asarray(method()) if callable(method) else None)
    return found[0], found[1]


@moments.register
def _(emission: Gaussian) -> Moments:
    K, D = emission.means.shape
    covars = emission.covars
    if emission.covariance_type == "spherical":
        return emission.means, np.repeat(covars[:, None], D, axis=1)
    if emission.covariance_type == "diag":
        return emission.means, covars
    return emission.means, np.diagonal(np.broadcast_to(covars, (K, D, D)), axis1=1, axis2=2)


@moments.register
def _(emission: Poisson) -> Moments:
    return emission.lambdas, emission.lambdas


@moments.register
def _(emission: Categorical) -> Moments:
    return None, None


def symbols(emission: Emission) -> np.ndarray | None:
    """p(x = m | k), (K, M), of a categorical emission; None of any other."""
    return emission.emissionprob if isinstance(emission, Categorical) else None
