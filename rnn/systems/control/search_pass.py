"""The line search: the plant under the new policy at several step lengths α at once, one forward run.

u_t = clip(ū_t + α k_t − K_t (x_t − x̄_t)): new feed-forward in part, feedback in full, within the limits.
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Step, run
from rnn.systems.control.adjoint_pass import Evaluated
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.policy import LinearPolicy

LOST = 1e100  # a state as large as this has diverged; it is carried along so that the other lanes go on
FAR = 1e300  # an observation may not be infinite


class SearchPass:
    """The graph of one path a step length, kept and run with new policies."""

    def __init__(self, problem: OptimalControl, lengths: np.ndarray):
        self.problem, self.lengths = problem, lengths[:, None]
        plant, T = problem.plant, problem.horizon
        n, m, lanes = plant.states, plant.inputs, len(lengths)
        self.graph = g = FactorGraph()
        x = g.sequence("x", length=T + 1, shape=(lanes, n))
        shapes = {"states": (n,), "inputs": (m,), "gain": (m, n), "shift": (m,), "lower": (m,), "upper": (m,)}
        rows = [g.observe(name, np.zeros((T + 1, *shape))) for name, shape in shapes.items()]
        t = g.observe("t", np.arange(T + 1.0))
        starts = g.parameter("starts", np.tile(problem.start, (lanes, 1)))
        g.factor(Step(lambda starts: starts), starts, out=x[0])
        g.factor(Step(self._next, vectorized=True), x[:-1], *(r[:-1] for r in rows), t[:-1], out=x[1:])

    def __call__(self, at: Evaluated, policy: LinearPolicy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States (lanes, T + 1, n), controls (lanes, T, m) and total costs (lanes,), infinite where a path is
        lost.
        """
        problem = self.problem
        arrays = {"inputs": at.inputs, "gain": policy.gain, "shift": policy.feedforward}
        arrays |= {"lower": np.maximum(problem.lower, -FAR), "upper": np.minimum(problem.upper, FAR)}
        values = {name: np.concatenate([array, array[-1:]]) for name, array in arrays.items()}
        with np.errstate(all="ignore"):  # lanes that diverge overflow
            m = run(self.graph, schedule=ForwardOnly(), values={**values, "states": at.states})
            X = np.swapaxes(m.forward["x"], 0, 1)
            kept = np.abs(X).max(axis=(1, 2)) < LOST
            U = np.zeros((len(X), *at.inputs.shape))
            costs = np.full(len(X), np.inf)
            if kept.any():
                shift = at.inputs + self.lengths[kept, None] * policy.feedforward
                back = np.einsum("tij,ltj->lti", policy.gain, X[kept, :-1] - at.states[:-1])
                U[kept] = problem.clip(shift - back)
                found = problem.costs(X[kept], U[kept]).sum(axis=-1)
                costs[kept] = np.where(np.isfinite(found), found, np.inf)
        return X, U, costs

    def _next(self, X, states, inputs, gain, shift, lower, upper, t):
        """One step of every lane; instances come one by one, for each needs the one before."""
        x, lost = X[0], np.abs(X[0]).max(axis=1) >= LOST
        x = np.where(lost[:, None], states, x)
        u = np.clip(inputs + self.lengths * shift - (x - states) @ gain[0].T, lower, upper)
        found = self.problem.plant(x, u, np.full(len(x), t[0]))
        lost |= ~(np.abs(found).max(axis=1) < LOST)
        return np.where(lost[:, None], LOST, found)[None]
