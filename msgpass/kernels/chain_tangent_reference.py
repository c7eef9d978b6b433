"""Tangents of a chain's messages in plain NumPy: the derivative of the forward-backward recursions.

Let the log potentials of a chain move along a direction, and let D(z) be the sum of the direction's entries
on a path z. The log messages then move by conditional expectations of D,

    α̇_t(j) = ė_t(j) + Σ_i P(z_{t−1} = i | z_t = j, e_{≤t−1}) (Ȧ_t(i, j) + α̇_{t−1}(i))
    β̇_t(i) = Σ_j P(z_{t+1} = j | z_t = i, e_{>t}) (Ȧ_{t+1}(i, j) + ė_{t+1}(j) + β̇_{t+1}(j))

and marginals by covariances with D,

    γ̇_t(i) = γ_t(i) (α̇_t(i) + β̇_t(i) − E[D])
    ξ̇_t(i, j) = ξ_t(i, j) (α̇_{t−1}(i) + Ȧ_t(i, j) + ė_t(j) + β̇_t(j) − E[D])

which is Louis' identity (1982) along a direction. The weights are convex, so nothing grows; what is kept is
centred under γ_t, for α̇_t grows with t and its differences between states do not.

Rows are those of all sequences end to end. Both functions fill their last arguments for rows ``start`` …
``stop`` − 1, so that a long chain can go block by block.
"""

from __future__ import annotations

import numpy as np


def ahead(
    first: np.ndarray,
    before: np.ndarray,
    init_dot: np.ndarray,
    tables_dot: np.ndarray,
    evidence_dot: np.ndarray,
    gamma: np.ndarray,
    start: int,
    moved: np.ndarray,
    mean: np.ndarray,
) -> None:
    """α̇ forward, centred into ``moved``, its mean into ``mean``.

    Parameters
    ----------
    first : array of bool, (T,)
        Rows that start a sequence.
    before : array, (rows, K, K)
        P(z_{t−1} = i | z_t = j) at [t − start, i, j].
    init_dot : array, (K,)
    tables_dot : array, (1 | rows, K, K)
        Ȧ of the pair (t − 1, t), or one shared by all.
    evidence_dot, gamma : array, (T, K)
    start : int
    moved, mean : array, (T, K) and (T,)
    """
    for k in range(len(before)):
        t = start + k
        if first[t]:
            moved[t], base = init_dot + evidence_dot[t], 0.0
        else:
            inside = tables_dot[0 if len(tables_dot) == 1 else k] + moved[t - 1][:, None]
            moved[t], base = evidence_dot[t] + (before[k] * inside).sum(axis=0), mean[t - 1]
        middle = float(gamma[t] @ moved[t])
        moved[t] -= middle
        mean[t] = base + middle


def behind(
    first: np.ndarray,
    after: np.ndarray,
    tables_dot: np.ndarray,
    evidence_dot: np.ndarray,
    gamma: np.ndarray,
    start: int,
    moved_ahead: np.ndarray,
    moved: np.ndarray,
    mean: np.ndarray,
    xi: np.ndarray,
    xi_dot: np.ndarray,
) -> None:
    """β̇ backward, and pair counts with their tangents onto ``xi`` and ``xi_dot``.

    Parameters
    ----------
    after : array, (rows, K, K)
        P(z_t = j | z_{t−1} = i) at [t − start, i, j], given all evidence.
    moved_ahead : array, (T, K)
        α̇ of all rows.
    xi, xi_dot : array, (1 | rows, K, K)
        Summed over pairs where they have one table.
    """
    for k in range(len(after) - 1, -1, -1):
        t = start + k
        if first[t]:
            continue
        inside = tables_dot[0 if len(tables_dot) == 1 else k] + (evidence_dot[t] + moved[t])
        moved[t - 1] = (after[k] * inside).sum(axis=1)
        joint = gamma[t - 1][:, None] * after[k]
        direction = inside + moved_ahead[t - 1][:, None]
        place = 0 if len(xi) == 1 else k
        xi[place] += joint
        xi_dot[place] += joint * (direction - (joint * direction).sum())
        middle = float(gamma[t - 1] @ moved[t - 1])
        moved[t - 1] -= middle
        mean[t - 1] = mean[t] + middle
