"""Identities 7 and 8: what a schedule may change (lags, windows) and what it may not (anything else)."""

from __future__ import annotations

import numpy as np

from msgpass.algebra import Adjoint, SumProduct
from msgpass.compare import compare
from msgpass.identities.chains import given_chain, normalised_filter, table_graph
from msgpass.identities.networks import Network, network_graph, random_network
from msgpass.identities.record import Identity
from msgpass.run import run
from msgpass.schedule import Checkpointed, FixedLag, ParallelScan, Truncated


def fixed_lag_is_truncation(
    log_init=None, log_transition=None, log_evidence=None, *, seed=0, lags=(0, 1, 2, 4)
) -> Identity:
    """7. Fixed-lag smoothing is sliding-window truncated BPTT of the normalised filter, lag by lag.

    γ_{t | t+lag} = ∂(log c_t + … + log c_{t+lag})/∂log b_t, where c_t = p(y_t | y_0, …, y_{t−1}). Chunked
    truncation, ``Truncated(k1 > 1, k2)``, is another schedule: the steps of a chunk have different lags.

    Parameters
    ----------
    log_init, log_transition, log_evidence : (K,), (K, K), (T, K) arrays, optional
        A hidden Markov chain; a random one by default.
    seed : int or numpy.random.Generator
    lags : sequence of int

    Examples
    --------
    >>> fixed_lag_is_truncation(seed=1).holds
    True
    """
    chain = given_chain(log_init, log_transition, log_evidence, seed)
    tables, recursion = table_graph(chain), normalised_filter(chain)
    smoothed = [np.exp(run(tables, SumProduct(), FixedLag(lag)).belief["z"]) for lag in lags]
    truncated = [run(recursion, Adjoint(), Truncated(1, lag + 1)).gradient["evidence"] for lag in lags]
    return Identity(
        7,
        "fixed_lag_is_truncation",
        "fixed-lag smoothing = truncated BPTT of the normalised filter",
        f"fixed-lag posteriors, lags {', '.join(map(str, lags))} (SumProduct, FixedLag)",
        "windowed gradients of Σ log c_t (Adjoint, Truncated)",
        np.stack(smoothed),
        np.stack(truncated),
        "Anderson & Moore 1979; Williams & Peng 1990",
        shown=int(np.argmin(np.abs(np.stack(smoothed) - 0.5))),  # the largest are all 1
    )


def schedules_agree(
    log_init=None,
    log_transition=None,
    log_evidence=None,
    *,
    network: Network | None = None,
    seed=0,
    slots: int = 3,
) -> Identity:
    """8. ``Checkpointed`` = ``ParallelScan`` = ``Sequential``, and the flat graph = the sliced one, for a
    table chain and for a network.

    Parameters
    ----------
    log_init, log_transition, log_evidence : (K,), (K, K), (T, K) arrays, optional
        A hidden Markov chain; a random one by default.
    network : Network, optional
        A random one by default.
    seed : int or numpy.random.Generator
    slots : int
        Forward messages that the checkpointed run may keep.

    Examples
    --------
    >>> schedules_agree(seed=1).holds
    True
    """
    chain = given_chain(log_init, log_transition, log_evidence, seed)
    network = random_network(seed) if network is None else network
    left: list[np.ndarray] = []
    right: list[np.ndarray] = []
    largest = {}
    for name, graph in (("table chain", table_graph(chain)), ("network", network_graph(network))):
        sequential = run(graph)
        others = {
            "checkpointed": run(graph, schedule=Checkpointed(slots)),
            "scan": run(graph, schedule=ParallelScan()),
            "flat": run(graph.unroll()),
        }
        for other, m in others.items():
            first = len(left)
            for part in compare(sequential, m):
                # Tables as probabilities: where one run has a log-probability of −800 another may have −∞.
                tables = name == "table chain" and part.kind in ("forward", "backward", "belief")
                for side, values in ((left, part.left), (right, part.right)):
                    side.append(np.exp(values).ravel() if tables else values.ravel())
            gaps = [np.abs(a - b).max(initial=0.0) for a, b in zip(left[first:], right[first:], strict=True)]
            largest[f"{name}, {other}"] = float(max(gaps))
    ours, theirs = np.concatenate(left), np.concatenate(right)
    return Identity(
        8,
        "schedules_agree",
        "Checkpointed = ParallelScan = Sequential; flat graph = sliced graph",
        "every message, belief and gradient, one after another (Sequential)",
        f"the same with {slots} checkpoints, by a scan, and on the unrolled graph",
        ours,
        theirs,
        "Griewank & Walther 2000; Hassan, Särkkä & García-Fernández 2021",
        details=largest,
    )
