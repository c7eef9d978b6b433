"""Climbs of the likelihood: EM, one iteration a time."""

from __future__ import annotations

from collections.abc import Iterator

from hmm.monitor import ConvergenceMonitor
from hmm.state_space.expectation import Expectation
from hmm.state_space.maximise import check_closed_form, maximise
from hmm.state_space.space import StateSpace
from hmm.state_space.structure import Structure


def expectation_maximisation(
    space: StateSpace, expectation: Expectation, structure: Structure, monitor: ConvergenceMonitor
) -> Iterator[StateSpace]:
    """State spaces of rising log-likelihood (plus log prior), one an iteration, until the monitor is content.

    (Shumway & Stoffer 1982; Ghahramani & Hinton 1996.)
    """
    check_closed_form(space, structure)
    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        expected = expectation(space)
        objective = expected.log_likelihood + structure.priors.log_density(space)
        space = maximise(space, expected, structure)
        monitor.report(objective)
        yield space
