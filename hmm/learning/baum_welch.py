"""Baum-Welch: run the graph, re-estimate from what arrives at its parameters, run it again with the new
values.

    A[i, j] ∝ Σ_t ξ_t(i, j) = ∂log Z/∂log A[i, j]        π[i] ∝ γ_0(i) = ∂log Z/∂log π[i]

(Baum et al. 1970; Dempster, Laird & Rubin 1977). With priors this is EM for the maximum a posteriori.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from hmm.chain import Chain
from hmm.learning.expectation import Expected
from hmm.monitor import ConvergenceMonitor


class Steps(Protocol):
    """E-step and M-step over some data: :class:`~hmm.learning.expectation.Expectation`, or a sum of these."""

    def __call__(self, chain: Chain) -> Expected:
        """E-step."""

    def maximise(self, chain: Chain, expected: Expected, params: str) -> Chain:
        """M-step."""


def baum_welch(chain: Chain, expectation: Steps, params: str, monitor: ConvergenceMonitor) -> Iterator[Chain]:
    """Chains of rising log-likelihood (plus log prior), one an iteration, until the monitor is content.

    Parameters
    ----------
    chain : Chain
        Where to start.
    expectation : Steps
        E-steps and M-steps over the data.
    params : str
        Letters of what to estimate: s(tart), t(ransition) and the emission's own.
    monitor : ConvergenceMonitor
        Told the objective of each chain, from the first on.
    """
    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        expected = expectation(chain)
        objective = expected.log_likelihood + chain.log_prior()
        chain = expectation.maximise(chain, expected, params)
        monitor.report(objective)
        yield chain
