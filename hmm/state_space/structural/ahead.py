"""Forecasts: the same graph with steps whose observations are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.state_space.structural.assembly import Values
from hmm.state_space.structural.estimate import Estimate, projected
from hmm.state_space.structural.likelihood import Likelihood
from msgpass import ForwardOnly
from msgpass.errors import NumericalError


@dataclass(frozen=True, eq=False)
class Forecast(Estimate):
    """What comes after the series, one row a step ahead, given the parameters.

    Attributes
    ----------
    mean, variance : array, (h,)
        Of the observations, irregular component included.
    level : float
        Of the intervals.
    signal : Estimate
        The same without the irregular component.
    contributions : dict of str to Estimate
        By component.
    """

    signal: Estimate | None = None
    contributions: dict[str, Estimate] | None = None


def forecast(likelihood: Likelihood, at: Values, steps: int, inputs: np.ndarray, level: float) -> Forecast:
    """``inputs`` (steps, k) of the steps ahead."""
    T = len(likelihood.y)
    longer = Likelihood(
        likelihood.assembly,
        np.concatenate([likelihood.y, np.full(steps, np.nan)]),
        np.concatenate([likelihood.inputs, inputs]),
    )
    own = longer.assembly.blocks(at, longer.inputs)
    x = longer.messages(at, ForwardOnly()).forward["x"]
    mean, cov = x.mean[T:], x.cov[T:]
    if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
        raise NumericalError(
            "the series does not determine all states that start flat, so that there is no forecast; give a "
            "longer "
            "series, or fewer components or regressors"
        )
    H = own.H if len(own.H) == 1 else own.H[T:]
    signal = projected(H, mean, cov, level)
    parts = {
        name: projected(rows, mean, cov, level) for name, rows in longer.assembly.contributions(H).items()
    }
    return Forecast(signal.mean, signal.variance + float(own.R), level, signal, parts)
