"""One-step-ahead prediction errors, from the forward messages.

    v_t = y_t − H F m_{t−1},    S_t = H (F U_{t−1} Fᵀ + Q) Hᵀ + R

with the filter's mean m and covariance U. While a flat start is open in a direction that H F looks along,
there is no prediction, and the error is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hmm.state_space.structural.assembly import Values
from hmm.state_space.structural.likelihood import Likelihood
from msgpass import ForwardOnly


class Innovations(NamedTuple):
    """Predictions of each step from those before it, and what they missed.

    Attributes
    ----------
    prediction, variance : array, (T,)
        Of y_t given earlier steps; NaN where a flat start leaves it open.
    error : array, (T,)
        v_t, NaN where y_t is missing, too.
    standardised : array, (T,)
        v_t/√S_t, white noise with variance 1 under the model.
    """

    prediction: np.ndarray
    variance: np.ndarray
    error: np.ndarray
    standardised: np.ndarray


def innovations(likelihood: Likelihood, at: Values) -> Innovations:
    """From one forward run."""
    own, y = likelihood.assembly.blocks(at, likelihood.inputs), likelihood.y
    x = likelihood.messages(at, ForwardOnly()).forward["x"]
    H = np.broadcast_to(own.H, (len(y), len(own.F)))
    into = H[1:] @ own.F
    open_ = ~np.isfinite(np.diagonal(x.cov[:-1], axis1=1, axis2=2))
    size = np.abs(into).max(axis=1, initial=0.0, keepdims=True)
    unknown = (open_ & (np.abs(into) > 1e-12 * size)).any(axis=1)
    into = np.where(open_, 0.0, into)
    mean = np.where(open_, 0.0, x.mean[:-1])
    cov = np.where(open_[:, :, None] | open_[:, None, :], 0.0, x.cov[:-1])
    prediction, variance = np.empty(len(y)), np.empty(len(y))
    prediction[0], variance[0] = H[0] @ own.mean, np.nan
    flat = np.isposinf(np.diagonal(own.cov))
    seen = H[0] != 0
    if (flat & seen).any():
        prediction[0] = np.nan
    else:
        proper = np.where(np.isposinf(own.cov), 0.0, own.cov)
        variance[0] = H[0] @ proper @ H[0] + own.R
    noise = np.einsum("ti,ij,tj->t", H[1:], own.Q, H[1:]) + own.R
    prediction[1:] = np.where(unknown, np.nan, np.einsum("ti,ti->t", into, mean))
    variance[1:] = np.where(unknown, np.nan, np.einsum("ti,tij,tj->t", into, cov, into) + noise)
    error = y - prediction
    there = variance > 0
    standardised = np.full(len(y), np.nan)
    standardised[there] = error[there] / np.sqrt(variance[there])
    return Innovations(prediction, variance, error, standardised)
