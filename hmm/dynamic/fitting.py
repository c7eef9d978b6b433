"""EM over one graph that is kept: run, re-estimate from what arrived, run again with the new values."""

from __future__ import annotations

from collections.abc import Iterator

from hmm.dynamic.network import Evidence, Network
from hmm.monitor import ConvergenceMonitor
from msgpass.errors import ImpossibleEvidenceError


def climb(
    network: Network, evidence: Evidence, params: str, free: frozenset[str], monitor: ConvergenceMonitor
) -> Iterator[Network]:
    """Networks of rising log-likelihood plus log prior, until the monitor is content."""
    graph = network.graph(evidence)
    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        m = network.run(evidence, graph=graph)
        objective = m.total + network.log_prior()
        if objective == float("-inf"):
            raise ImpossibleEvidenceError(
                "the start gives the data probability zero; look for zeros in its tables, or start anew"
            )
        network = network.maximise(m, evidence, params, free)
        monitor.report(objective)
        yield network
