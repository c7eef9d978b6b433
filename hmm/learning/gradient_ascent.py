"""Maximum likelihood by its gradient: L-BFGS over coordinates that may be any numbers.

It climbs what EM climbs, from the same messages, and ends in the same maxima. Near one EM gains a fixed
share of what is left in every iteration, little where states overlap; L-BFGS gains more and more.
"""

from __future__ import annotations

from collections.abc import Iterator

from hmm.chain import Chain
from hmm.learning.expectation import Expectation
from hmm.learning.objective import Objective
from hmm.learning.parameters import Parameters
from hmm.monitor import ConvergenceMonitor
from msgpass.learning.lbfgs import Climber


def gradient_ascent(
    chain: Chain, expectation: Expectation, params: str, monitor: ConvergenceMonitor
) -> Iterator[Chain]:
    """Chains of rising log-likelihood (plus log prior), one an iteration, until the monitor is content.

    An iteration takes one run of the graph, more where its step was too long or too short. It ends by itself
    where no step gains, and begins without the curvature of iterations before: a climb that is resumed gets
    to the maximum, too, but by another way.

    Parameters
    ----------
    chain : Chain
        Where to start.
    expectation : Expectation
        Runs of the graph over the data; its restrictions say what may not move.
    params : str
        Letters of what to estimate: s(tart), t(ransition) and the emission's own.
    monitor : ConvergenceMonitor
        Told the objective of each chain, from the first on.
    """
    if monitor.iter >= monitor.n_iter or monitor.converged:
        return
    parameters = Parameters.of(chain, params, expectation.evidence.data, expectation.restrictions)
    objective = Objective(expectation, parameters)
    start = parameters.vector(chain)
    low, high = parameters.bounds()
    curvature = objective.curvature(chain)
    climber, rising = Climber(objective.trial, start, *objective(start), low, high, curvature), True
    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        if not rising and monitor.tol <= 0:
            return
        before = climber.value
        rising = rising and climber.climb()
        if rising and climber.value - before < monitor.tol:  # one short step is no sign of the end, two are
            rising = climber.climb()
        monitor.report(before)
        yield parameters.at(climber.point)
