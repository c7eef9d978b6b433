"""What the messages of a model say beyond posteriors and paths: forecasts and predictive densities.

Everything here is a reading of one run of the model's graph. A forecast is the filter carried over steps
whose observations are missing; log p(x_t | x_0 … x_{t−1}) is what the forward message's sum gains at step t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.autoregressive_moments import Linear, linear, moments_ahead
from hmm.chain import Chain
from hmm.predictive import moments, symbols
from hmm.validation import rows_of_numbers, sequence_lengths, whole
from msgpass import ForwardOnly, Messages, run
from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Forecast:
    """Distributions of what comes after the last observation, one row a step ahead.

    Attributes
    ----------
    states : array, (h, K)
        p(z_{T−1+s} | x_0 … x_{T−1}) for s = 1 … h. With ``lengths``, or a list of sequences, all arrays have
        the sequences in front: (N, h, K).
    mean, variance : array, (h, D), or None
        Of the observations, where the emission has them. Those of an autoregression are exact over all paths
        of states, and NaN where a row that they need is missing.
    probabilities : array, (h, M), or None
        Of the symbols of a categorical model.
    """

    states: np.ndarray
    mean: np.ndarray | None
    variance: np.ndarray | None
    probabilities: np.ndarray | None


def normalised(log_alpha: np.ndarray) -> np.ndarray:
    """Rows of log weights as probabilities."""
    alpha = np.exp(log_alpha - log_alpha.max(axis=-1, keepdims=True))
    return alpha / alpha.sum(axis=-1, keepdims=True)


def filtered(m: Messages) -> np.ndarray:
    """p(z_t | x_0 … x_t), (T, K), from the forward messages."""
    log_alpha = m.forward["z"]
    if np.isneginf(log_alpha.max(axis=1)).any():
        _ = run(m.graph).belief["z"]  # raises the engine's error, which names the first impossible step
    return normalised(log_alpha)


def predictive_log_densities(m: Messages) -> np.ndarray:
    """log p(x_t | x_0 … x_{t−1}), (T,); they sum to the log-likelihood."""
    log_alpha = m.forward["z"]
    top = log_alpha.max(axis=1)
    if np.isneginf(top).any():
        _ = run(m.graph).belief["z"]
    evidence = top + np.log(np.exp(log_alpha - top[:, None]).sum(axis=1))
    gains = np.diff(evidence, prepend=0.0)
    firsts = np.asarray(m.graph["z"].clock.offsets)[:-1]
    gains[firsts] = evidence[firsts]
    return gains


def forecast(model, X, lengths, steps: int, inputs=None) -> Forecast:
    """See :meth:`hmm.base.BaseHMM.forecast`; ``lengths`` None stands for one sequence without an axis."""
    steps = whole("steps", steps, 1)
    X = rows_of_numbers(X, flat=model.FLAT)
    sizes = sequence_lengths(lengths, len(X))
    ahead = np.full((len(sizes), steps, X.shape[1]), np.nan)
    chain = model.chain()
    P = chain.transition.n_inputs
    if P or inputs is not None:
        ahead[..., X.shape[1] - P :] = _inputs_ahead(inputs, (len(sizes), steps, P), lengths is None)
    parts = [p for x, more in zip(np.split(X, np.cumsum(sizes)[:-1]), ahead, strict=True) for p in (x, more)]
    m = model.messages(np.concatenate(parts), [n + steps for n in sizes], schedule=ForwardOnly())
    last = np.cumsum([n + steps for n in sizes])
    alpha = filtered(m)
    states = chain.regimes(alpha[last[:, None] - steps + np.arange(steps)])
    states = states[0] if lengths is None else states
    autoregression = linear(chain.emission)
    if autoregression is not None:
        own = autoregression.of(chain.transition.groups)
        found = [
            _autoregressed(chain, own, model.memory, x, more, alpha[end - steps - 1])
            for x, more, end in zip(np.split(X, np.cumsum(sizes)[:-1]), ahead, last, strict=True)
        ]
        both = np.swapaxes(np.array(found), 0, 1)
        expected, spread = both[:, 0] if lengths is None else both
        return Forecast(states, expected, spread, None)
    mean, variance = moments(chain.emission)
    expected = None if mean is None else states @ mean
    spread = None
    if mean is not None and variance is not None and expected is not None:
        # Var x = E Var[x | z] + Var E[x | z], the second by gaps, so that nothing cancels.
        gap = mean - expected[..., None, :]
        spread = states @ variance + np.einsum("...k,...kd->...d", states, gap**2)
    table = symbols(chain.emission)
    return Forecast(states, expected, spread, None if table is None else states @ table)


def _autoregressed(chain: Chain, own: Linear, order: int, X, ahead, start: np.ndarray):
    """Means and variances (h, D) of the steps after a sequence; NaN where a row that they need is missing."""
    P, (steps, width) = chain.transition.n_inputs, ahead.shape
    D = width - P
    if len(X) < order:
        return np.full((2, steps, D), np.nan)
    U = np.concatenate([X, ahead])[:, D:]
    inputs = chain.transition.prepare(U, [len(U)]) if P else None
    rows = range(len(start))
    into = [
        np.stack([chain.transition.row(s, inputs, len(X) + h) for s in rows])
        for h in range(steps if P else 1)
    ]
    past = np.asarray(X[len(X) - order :, :D][::-1], np.float64)
    return moments_ahead(own, start, past, np.array(into) if P else into[0], steps)


def _inputs_ahead(inputs, shape: tuple[int, int, int], single: bool) -> np.ndarray:
    """Inputs of the transitions for the steps to come, (N, h, P)."""
    if not shape[2]:
        raise DataError("forecast was given inputs, but the transitions of this model take none")
    wanted = shape[1:] if single else shape
    if inputs is None:
        raise DataError(f"forecast needs inputs= of the transitions for the steps to come, {wanted}")
    array = np.asarray(inputs, np.float64)
    if array.shape != wanted and not (shape[2] == 1 and array.shape == wanted[:-1]):
        raise ShapeError(f"inputs have shape {array.shape}, wanted {wanted}, one row for each step to come")
    return array.reshape(shape)
