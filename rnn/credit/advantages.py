"""TD errors, and their discounted sums: advantages.

δ_t = r_t + γ_t V(s_{t+1}) − V(s_t),      A_t = δ_t + γ_t λ_t A_{t+1} = G_t − V(s_t)
"""

from __future__ import annotations

import numpy as np

from rnn.credit.affine import swept
from rnn.credit.rows import Rows
from rnn.credit.values import Values


def td_errors(rewards, values, discounts=1.0, *, bootstrap=None):
    """δ_t: how much better a step went than V had promised.

    Parameters
    ----------
    rewards, values, discounts, bootstrap
        As for :func:`lambda_returns`.

    Examples
    --------
    >>> td_errors([1.0, 1.0], [0.5, 0.5], 0.5)
    array([0.75, 0.5 ])
    """
    rows, r = Rows.of(rewards)
    v = Values.of(rows, values, bootstrap)
    gamma = rows.steps_of("discounts", discounts, 0.0, 1.0)
    return rows.split(r + gamma * v.next(rows) - v.here)


def gae(rewards, values, discounts=1.0, lambda_=0.95, *, bootstrap=None):
    """Generalised advantage estimates (Schulman et al. 2016): A_t = Σ_k (γλ)^k δ_{t+k}, which is G_t −
    V(s_t).

    Parameters
    ----------
    rewards, values, discounts, lambda_, bootstrap
        As for :func:`lambda_returns`.

    Examples
    --------
    >>> gae([1.0, 1.0], [0.5, 0.5], 0.5, 0.5)
    array([0.875, 0.5  ])
    """
    rows, r = Rows.of(rewards)
    v = Values.of(rows, values, bootstrap)
    gamma = rows.steps_of("discounts", discounts, 0.0, 1.0)
    lam = rows.steps_of("lambda_", lambda_, 0.0, 1.0)
    delta = r + gamma * v.next(rows) - v.here
    edge = np.zeros(rows.batch)
    return rows.split(swept(rows, "A", gamma * lam, delta, edge, against=True).forward["A"])
