"""A discretised network for pgmpy: a ``DynamicBayesianNetwork`` with tables that two slices share.

pgmpy's tables are the same in all slices. Where data and targets make steps differ, a root variable ``input``
with a value for each kind of step is the parent of state and loss, and is observed.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.interop.pgmpy import pgmpy_module

MOST_ENTRIES = 1 << 24


def to_pgmpy(hmm):
    """See :meth:`rnn.dbn.Discretized.to_pgmpy`."""
    DynamicBayesianNetwork = pgmpy_module("models").DynamicBayesianNetwork
    TabularCPD = pgmpy_module("factors.discrete").TabularCPD
    steps, size = hmm.log_evidence.shape
    start, link, seen, kind = _steps(hmm)
    kinds = len(seen)
    if kinds * size**2 > MOST_ENTRIES:
        raise UnsupportedError(
            f"pgmpy's transition would have {kinds} × {size}² entries; discretise with fewer cells"
        )
    model = DynamicBayesianNetwork()
    model.add_edges_from([(("state", 0), ("state", 1)), (("state", 0), ("loss", 0))])
    if kinds > 1:
        model.add_edges_from([(("input", 0), ("state", 0)), (("input", 0), ("loss", 0))])
    tables = []
    for t in (0, 1):
        parents, cards = [("state", t)], [size]
        seen_columns = seen.T  # (size, kinds)
        if kinds > 1:
            parents, cards = [*parents, ("input", t)], [*cards, kinds]
            tables.append(TabularCPD(("input", t), kinds, np.full((kinds, 1), 1 / kinds)))
        happened = np.exp(seen_columns).reshape(1, -1)
        tables.append(TabularCPD(("loss", t), 2, np.concatenate([1 - happened, happened]), parents, cards))
    moved = np.exp(link)  # (kinds, from, to)
    if kinds > 1:
        first = np.repeat(np.exp(start)[:, None], kinds, axis=1)
        tables.append(TabularCPD(("state", 0), size, first, [("input", 0)], [kinds]))
        columns = np.transpose(moved, (2, 0, 1)).reshape(size, -1)
        parents, cards = [("input", 1), ("state", 0)], [kinds, size]
    else:
        tables.append(TabularCPD(("state", 0), size, np.exp(start)[:, None]))
        columns, parents, cards = moved[0].T, [("state", 0)], [size]
    tables.append(TabularCPD(("state", 1), size, columns, parents, cards))
    model.add_cpds(*tables)
    model.initialize_initial_state()
    evidence = {("loss", t): 1 for t in range(steps)}
    if kinds > 1:
        evidence |= {("input", t): int(k) for t, k in enumerate(kind)}
    return model, evidence


def _steps(hmm):
    """(start, transition by kind, log evidence by kind with largest 0, kind of every step)."""
    steps, size = hmm.log_evidence.shape
    evidence = hmm.log_evidence - hmm.log_evidence.max(axis=1, keepdims=True)
    link = hmm.log_transition
    # No transition leads into the first step: any will do there, so it may be of another step's kind.
    moves = np.broadcast_to(link, (steps, size, size)) if link.ndim == 2 else link
    if link.ndim == 3:
        if len(link) == 0:
            link = np.full((1, size, size), -np.log(size))
        moves = np.concatenate([link[:1], link])
    kinds: list[int] = []
    kind = np.zeros(steps, int)
    for t in range(steps):
        for k, s in enumerate(kinds):
            if np.array_equal(evidence[s], evidence[t]) and np.array_equal(moves[s], moves[t]):
                kind[t] = k
                break
        else:
            kind[t] = len(kinds)
            kinds.append(t)
    return hmm.log_start, moves[kinds], evidence[kinds], kind
