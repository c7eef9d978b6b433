"""Baum-Welch: run the graph, re-estimate from what arrives at its parameters, run it again with the new
values.

    A[i, j] ∝ Σ_t ξ_t(i, j) = ∂log Z/∂log A[i, j]        π[i] ∝ γ_0(i) = ∂log Z/∂log π[i]

(Baum et al. 1970; Dempster, Laird & Rubin 1977). With priors this is EM for the maximum a posteriori.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hmm.chain import Chain
from hmm.monitor import ConvergenceMonitor, Progress
from hmm.simplex import dirichlet_log_density, normalised
from msgpass import Messages, run


@dataclass(frozen=True, eq=False)
class Priors:
    """Concentrations of the Dirichlet priors on the initial distribution and the rows of the transition; 1 is
    flat."""

    initial: float | np.ndarray = 1.0
    transition: float | np.ndarray = 1.0

    def log_density(self, chain: Chain) -> float:
        """Log prior of all parameters of ``chain``, up to a constant."""
        return (
            dirichlet_log_density(chain.initial, self.initial)
            + dirichlet_log_density(chain.transition, self.transition)
            + chain.emission.log_prior()
        )


def baum_welch(
    chain: Chain, data, lengths: list[int], params: str, priors: Priors, monitor: ConvergenceMonitor
) -> Iterator[Chain]:
    """Chains of rising log-likelihood (plus log prior), one an iteration, until the monitor is content.

    Parameters
    ----------
    chain : Chain
        Where to start.
    data
        As the emission prepared it.
    lengths : list of int
    params : str
        Letters of what to estimate: s(tart), t(ransition) and the emission's own.
    """
    graph = chain.graph(data, lengths)
    values = None
    with Progress(monitor.n_iter, "Baum-Welch", quiet=monitor.verbose) as progress:
        while not (monitor.iter >= monitor.n_iter or monitor.converged):
            messages = run(graph, values=values)
            objective = messages.total + priors.log_density(chain)
            chain = maximise(chain, data, messages, params, priors)
            monitor.report(objective)
            progress.advance(f"log-likelihood {messages.total:.6g}")
            yield chain
            values = chain.values(data)


def maximise(chain: Chain, data, messages: Messages, params: str, priors: Priors) -> Chain:
    """M-step."""
    initial, transition = chain.initial, chain.transition
    if "s" in params:
        initial = normalised(messages.parameters["initial"], priors.initial, initial)
    if "t" in params:
        transition = normalised(messages.parameters["transition"], priors.transition, transition)
    return Chain(initial, transition, chain.emission.learn(data, messages, params))
