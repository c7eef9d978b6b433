"""Moments of what an autoregression does next, over all paths of states that may lead there.

Given the states, x_t = a(s_t) + C(s_t) ℓ_t + noise, ℓ_t the rows before. A recurrence carries, for each state
s, p(s_t = s), E[ℓ_t; s_t = s] and E[ℓ_t ℓ_tᵀ; s_t = s]: exact, though the paths are too many to count. All is
about a point near the last rows, so that nothing cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from hmm.emissions.autoregressive import Autoregressive
from hmm.emissions.base import Emission
from hmm.emissions.switching_mean import SwitchingMean
from msgpass import FactorGraph, ForwardOnly, Step, run


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
    model: Linear, start: np.ndarray, past: np.ndarray, transition: np.ndarray, steps: int
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
    transition : array, (S, S) or (h, S, S)
        Into each of the steps to come.
    steps : int
        How many, h.

    Examples
    --------
    >>> one = Linear(np.zeros((1, 1)), np.array([[[0.5]]]), np.ones((1, 1)))
    >>> means, variances = moments_ahead(one, np.ones(1), np.array([[4.0]]), np.eye(1), 2)
    >>> means.ravel(), variances.ravel()
    (array([2., 1.]), array([1.  , 1.25]))
    """
    D, S = past.shape[1], len(start)
    if np.isnan(past).any():
        return np.full((steps, D), np.nan), np.full((steps, D), np.nan)
    centre = past.mean(axis=0)
    lags = (past - centre).ravel()
    g = FactorGraph()
    p = g.sequence("p", length=steps, shape=(S,))
    first = g.sequence("first", length=steps, shape=(S, lags.size))
    second = g.sequence("second", length=steps, shape=(S, lags.size, lags.size))
    begun = start[:, None] * lags, start[:, None, None] * np.outer(lags, lags)
    A = g.observe("A", transition)[:] if transition.ndim == 3 else g.parameter("A", transition)
    g.factor(
        Step(_carried(model.about(centre))),
        p.after(g.parameter("p0", start)),
        first.after(g.parameter("first0", begun[0])),
        second.after(g.parameter("second0", begun[1])),
        A,
        out=(p[:], first[:], second[:]),
    )
    m = run(g, schedule=ForwardOnly())
    means = m.forward["first"][:, :, :D].sum(axis=1)
    squares = m.forward["second"][:, :, :D, :D].sum(axis=1)
    return means + centre, np.diagonal(squares, axis1=1, axis2=2) - means**2


def _carried(model: Linear) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One step: p(s), E[ℓ; s] and E[ℓ ℓᵀ; s] over to the next, whose ℓ begins with the new row."""
    a, C, D = model.intercept, model.coef, model.intercept.shape[1]
    kept, diagonal = C.shape[2] - D, np.arange(D)

    def step(p, first, second, A):
        p, first, second = A.T @ p, A.T @ first, np.einsum("ji,jlm->ilm", A, second)
        pulled, mixed = np.einsum("sdl,sl->sd", C, first), np.einsum("sdl,slm->sdm", C, second)
        x = p[:, None] * a + pulled
        squares = np.einsum("sd,se->sde", a, x) + np.einsum("sd,se->sde", pulled, a)
        squares += np.einsum("sdl,sel->sde", mixed, C)
        squares[:, diagonal, diagonal] += p[:, None] * model.variances
        rest = (a[:, :, None] * first[:, None, :] + mixed)[:, :, :kept]  # E[x ℓᵀ; s]
        top = np.concatenate([squares, rest], axis=2)
        bottom = np.concatenate([np.swapaxes(rest, 1, 2), second[:, :kept, :kept]], axis=2)
        return p, np.concatenate([x, first[:, :kept]], axis=1), np.concatenate([top, bottom], axis=1)

    return step
