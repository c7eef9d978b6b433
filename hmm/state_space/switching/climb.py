"""Approximate EM: the E-step is Kim's smoother, so an iteration may lose likelihood; the best one is kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hmm.learning.fitting import Fitting
from hmm.monitor import ConvergenceMonitor, log
from hmm.simplex import dirichlet_log_density
from hmm.state_space.switching.expectation import Expectation
from hmm.state_space.switching.maximise import maximise
from hmm.state_space.switching.space import SwitchingSpace
from hmm.state_space.switching.structure import SwitchingStructure
from msgpass.errors import NumericalError

PATIENCE = 5
"""Iterations without a new best, by ``tol``, after which a climb ends."""


class ApproximateMonitor(ConvergenceMonitor):
    """History of an objective that may fall a little."""

    def report(self, log_prob: float) -> None:
        """Take in the objective of one more iteration."""
        if self.history and log_prob < self.history[-1] - 1e-8 * max(1.0, abs(log_prob)):
            log.info("approximate EM: the objective fell from %.8g to %.8g", self.history[-1], log_prob)
            calm, log.disabled = log.disabled, True  # which is no sign of trouble here
            try:
                super().report(log_prob)
            finally:
                log.disabled = calm
        else:
            super().report(log_prob)

    @property
    def converged(self) -> bool:
        """Whether the last iteration changed the objective by less than ``tol``, or the last five found none
        that is better by that much."""
        if not self.tol > 0 or len(self.history) < 2:
            return False
        if abs(self.history[-1] - self.history[-2]) < self.tol:
            return True
        late, early = self.history[-PATIENCE:], self.history[:-PATIENCE]
        return bool(early) and max(late) < max(early) + self.tol


class ApproximateFitting(Fitting):
    """Climbs that are compared at their best."""

    def _improves(self) -> bool:
        state = self.state
        return state.restart == state.best_restart or max(state.history) > max(state.best_history)


def approximate_em(
    space: SwitchingSpace,
    expectation: Expectation,
    structure: SwitchingStructure,
    monitor: ConvergenceMonitor,
) -> Iterator[SwitchingSpace]:
    """The best space of the climb so far, once an iteration (Kim 1994; Murphy 1998)."""
    best, top = space, -np.inf
    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        try:
            expected = expectation(space)
        except NumericalError:
            if not monitor.iter:
                raise
            log.warning("a climb of approximate EM ended where the likelihood cannot be computed")
            return
        objective = expected.log_likelihood + log_prior(space, structure)
        if objective > top:
            best, top = space, objective
        monitor.report(objective)
        yield best
        space = maximise(space, expected, structure)
    if monitor.iter:
        try:
            if expectation.log_likelihood(space) + log_prior(space, structure) > top:
                yield space
        except NumericalError:
            return


def log_prior(space: SwitchingSpace, structure: SwitchingStructure) -> float:
    """Of the probabilities."""
    return sum(dirichlet_log_density(getattr(space, name), c) for name, c in structure.concentrations.items())
