"""Moments of what an autoregression does next, over all paths of states that may lead there.

Given the states, x_t = a(s_t) + C(s_t) ℓ_t + noise, ℓ_t the rows before. Carried from step to step are, for
each state s, p(s_t = s), E[ℓ_t; s_t = s] and E[ℓ_t ℓ_tᵀ; s_t = s]: exact, though the paths are too many to
count. Everything is about a point near the last rows, so that nothing cancels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from hmm.emissions.autoregressive import Autoregressive
from hmm.emissions.base import Emission
from hmm.emissions.switching_mean import SwitchingMean


@dataclass(frozen=True, eq=False)
class Linear:
    """x_t = intercept[s] + coef[s] · [x_{t−1}, …, x_{t−p}] + noise, of what an emission sees of the state.

    Parameters
    ----------
    intercept : array, (S, D)
    coef : array, (S, D, D·p)
        Columns D·(i − 1) to D·i belong to lag i.
    variances : array, (S, D)
    """

    intercept: np.ndarray
    coef: np.ndarray
    variances: np.ndarray

    def of(self, groups: np.ndarray | None) -> Linear:
        """The same of the graph's states, each of which belongs to a group."""
        if groups is None:
            return self
        return Linear(self.intercept[groups], self.coef[groups], self.variances[groups])

    def about(self, centre: np.ndarray) -> Linear:
        """The same of x − centre, (D,)."""
        lags = np.tile(centre, self.coef.shape[2] // len(centre))
        return Linear(self.intercept + self.coef @ lags - centre, self.coef, self.variances)


@singledispatch
def linear(emission: Emission) -> Linear | None:
    """Its autoregression, or None if it is none."""
    return None


@linear.register
def _(emission: Autoregressive) -> Linear:
    return Linear(emission.intercept, emission.coef, emission.covars)


@linear.register
def _(emission: SwitchingMean) -> Linear:
    loadings = emission.loadings
    coef = np.broadcast_to(emission.coef, (len(loadings), 1, len(emission.coef)))
    return Linear((loadings @ emission.means)[:, None], coef, emission.variances[:, None])


def moments_ahead(
    model: Linear, start: np.ndarray, past: np.ndarray, matrices: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of the next rows, (h, D) each.

    Parameters
    ----------
    model : Linear
        Of the graph's states, (S, …).
    start : array, (S,)
        p(s | all so far) of the last row.
    past : array, (p, D)
        The last rows, the latest one first. NaN in it makes everything NaN.
    matrices : iterable of arrays (S, S)
        Transitions into each of the steps to come.

    Examples
    --------
    >>> one = Linear(np.zeros((1, 1)), np.array([[[0.5]]]), np.ones((1, 1)))
    >>> means, variances = moments_ahead(one, np.ones(1), np.array([[4.0]]), [np.eye(1)] * 2)
    >>> means.ravel(), variances.ravel()
    (array([2., 1.]), array([1.  , 1.25]))
    """
    D, centre = past.shape[1], past.mean(axis=0)
    own, lags, kept = model.about(centre), (past - centre).ravel(), past.size - past.shape[1]
    p, first = start, start[:, None] * lags
    second = first[:, :, None] * lags
    means, variances = [], []
    for A in matrices:
        p, first = A.T @ p, A.T @ first
        second = np.einsum("ji,jlm->ilm", A, second)
        pulled, mixed = np.einsum("sdl,sl->sd", own.coef, first), np.einsum("sdl,slm->sdm", own.coef, second)
        x = p[:, None] * own.intercept + pulled
        with_lags = own.intercept[:, :, None] * first[:, None, :] + mixed
        a = own.intercept
        squares = np.einsum("sd,se->sde", a, p[:, None] * a + pulled) + np.einsum("sd,se->sde", pulled, a)
        squares += np.einsum("sdl,sel->sde", mixed, own.coef)
        squares[:, np.arange(D), np.arange(D)] += p[:, None] * own.variances
        means.append(x.sum(axis=0))
        variances.append(np.diagonal(squares.sum(axis=0)) - means[-1] ** 2)
        rest = with_lags[:, :, :kept]
        top = np.concatenate([squares, rest], axis=2)
        bottom = np.concatenate([np.swapaxes(rest, 1, 2), second[:, :kept, :kept]], axis=2)
        first = np.concatenate([x, first[:, :kept]], axis=1)
        second = np.concatenate([top, bottom], axis=1)
    return np.array(means) + centre, np.array(variances)
