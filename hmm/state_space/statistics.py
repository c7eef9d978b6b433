"""The three relations of a state space as expected sums, from the messages of a run."""

from __future__ import annotations

import numpy as np

from hmm.state_space.regression import Relation
from hmm.state_space.series import Series
from msgpass import Messages


def transition_relation(m: Messages, n: int) -> Relation:
    """Of x_{t+1} on (x_t, u_t)."""
    sums = m.statistics["transition"]
    return Relation(float(sums.count), sums.mean, sums.scatter, len(sums.mean) - n)


def observation_relations(m: Messages, series: Series, apart: bool) -> list[Relation]:
    """Of y_t on (x_t, u_t): one for all outputs; or, where cells are missing and the noise of outputs is
    independent, one for each output over the rows that have it.

    The former fills missing cells of a row that has others in by their distribution given the rest, which is
    EM, too, but gains less in an iteration.
    """
    seen = ~np.isnan(series.y)
    p = series.y.shape[1]
    if apart and (seen.any(axis=1) & ~seen.all(axis=1)).any():
        x = m.belief["x"]
        z = np.concatenate([x.mean, series.u], axis=1)
        return [Relation.of(z[own], series.y[own, j : j + 1], x.cov[own]) for j, own in enumerate(seen.T)]
    sums = m.statistics["observation"]
    return [Relation(float(sums.count), sums.mean, sums.scatter, len(sums.mean) - p)]


def initial_relation(m: Messages) -> Relation:
    """Of x_0 on nothing."""
    sums = m.statistics["initial"]
    return Relation(float(sums.count), sums.mean, sums.scatter, 0)
