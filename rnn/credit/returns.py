"""Returns: what a step is worth, read from what came after it. A recurrence against time.

    G_t = r_t + γ_t [(1 − λ_t) V(s_{t+1}) + λ_t G_{t+1}],      G_T = V(s_T)

Step t leads from s_t to s_{t+1}; r_t, γ_t and λ_t belong to it (R_{t+1}, γ_{t+1}, λ_{t+1} in Sutton & Barto).
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from rnn.credit.affine import step, swept
from rnn.credit.rows import Rows
from rnn.credit.values import Values
from rnn.validation import whole


def lambda_returns(rewards, values, discounts=1.0, lambda_=1.0, *, bootstrap=None):
    """λ-returns G_t (Sutton 1988; Watkins 1989): all n-step returns, weighted by (1 − λ) λⁿ⁻¹.

    Parameters
    ----------
    rewards : (T,) or (T, B, …) array, or a list of such arrays
        A list is episodes of several lengths.
    values : (T + 1,) or (T,) array, batch axes as rewards, or a list
        V(s_0) … V(s_T); or without the last, which is then ``bootstrap``.
    discounts, lambda_ : float, (T,) or (T, B, …) array, or a list
        γ_t and λ_t in [0, 1] of the step from s_t to s_{t+1}. γ_t = 0 where an episode ends within an array.
    bootstrap : float or array, optional
        V(s_T), one an episode; by default 0: the episode ended there.

    Returns
    -------
    array or list of arrays
        As rewards.

    Raises
    ------
    ShapeError, DataError
        With the episode and the time at which it happened.

    Examples
    --------
    >>> v = [3.0, 1.0, 5.0, -5.0, 3.0]  # of s_1 … s_5; V(s_0) is not read
    >>> lambda_returns([1.0, 0, -1, 0, 1], [0.0, *v], [0.5, 0.9, 1.0, 0.5, 0.8], 0.75).round(7)
    array([1.6460547, 0.7228125, 0.7375   , 0.65     , 3.4      ])
    """
    rows, r = Rows.of(rewards)
    v = Values.of(rows, values, bootstrap)
    gamma = rows.steps_of("discounts", discounts, 0.0, 1.0)
    lam = rows.steps_of("lambda_", lambda_, 0.0, 1.0)
    gain = r + gamma * (1 - lam) * v.next(rows)
    m = swept(rows, "G", gamma * lam, gain, _edge(rows, v.end), against=True)
    return rows.split(m.forward["G"])


def monte_carlo_returns(rewards, discounts=1.0, *, bootstrap=None):
    """G_t = Σ_k γ_t ⋯ γ_{t+k−1} r_{t+k}: λ-returns of λ = 1, for which no value is needed.

    Parameters
    ----------
    rewards, discounts, bootstrap
        As for :func:`lambda_returns`.

    Examples
    --------
    >>> monte_carlo_returns([0.0, 0.0, 1.0], 0.5)
    array([0.25, 0.5 , 1.  ])
    """
    rows, r = Rows.of(rewards)
    gamma = rows.steps_of("discounts", discounts, 0.0, 1.0)
    v = Values.of(rows, rows.split(np.zeros_like(r)), bootstrap)
    return rows.split(swept(rows, "G", gamma, r, _edge(rows, v.end), against=True).forward["G"])


def n_step_returns(rewards, values, n: int, discounts=1.0, *, bootstrap=None):
    """G_t^(n) = r_t + γ_t r_{t+1} + … + γ_t ⋯ γ_{t+n−1} V(s_{t+n}); fewer rewards where the episode ends
    before.

    The state of the recurrence holds V(s_t), G_t^(1), …, G_t^(n), each made of the one before at t + 1:

        S_t[0] = V(s_t),      S_t[k] = r_t + γ_t S_{t+1}[k − 1]

    Parameters
    ----------
    rewards, values, discounts, bootstrap
        As for :func:`lambda_returns`.
    n : int
        At least 1; 1 is the target of TD(0).

    Examples
    --------
    >>> n_step_returns([1.0, 1.0, 1.0], [5.0, 6.0, 7.0, 8.0], 2)
    array([ 9., 10.,  9.])
    """
    rows, r = Rows.of(rewards)
    n = min(whole("n", n), max(rows.lengths))
    v = Values.of(rows, values, bootstrap)
    gamma = rows.steps_of("discounts", discounts, 0.0, 1.0)
    g = FactorGraph()
    S = g.sequence("S", length=rows.length, shape=(n + 1, *rows.batch))
    end = g.parameter("end", _edge(rows, np.stack([v.end] * (n + 1), axis=1)))
    data = (g.observe(name, array[:, None]) for name, array in (("r", r), ("gamma", gamma), ("V", v.here)))
    g.factor(step(_shifted, vectorized=False), S.before(end), *(o[:] for o in data), out=S[:], name="step")
    return rows.split(run(g, schedule=ForwardOnly()).forward["S"][:, n])


def _shifted(S, r, gamma, v):
    return np.concatenate([v, r + gamma * S[:-1]])


def _edge(rows: Rows, end: np.ndarray) -> np.ndarray:
    return end if rows.ragged else end[0]
