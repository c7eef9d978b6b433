"""How messages fade on their way back: forgetting of a hidden Markov model, vanishing of a network.

Both are one inequality, ‖P₁ P₂ … P_k‖ ≤ Π ‖P_s‖ (identity 13): with Dobrushin's coefficient of the posterior
transitions on one side, with the spectral norm of the Jacobians on the other.
"""

from __future__ import annotations

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError, UnavailableError, UnsupportedError
from msgpass.identities import Influence, adjoint_influence, message_influence
from msgpass.plan import TableChain
from msgpass.sweeps.table_chain import ChainLayout, ChainTables


def forgetting(messages: Messages, name: str | None = None, lags: int = 20) -> Influence:
    """How fast the messages of a hidden Markov model fade.

    Parameters
    ----------
    messages : Messages
        A run of a graph with one chain of tables: of a model of ``hmm``, or a discretised network's.
    name : str, optional
        The discrete sequence, where there are several.
    lags : int
        Largest lag.

    Returns
    -------
    msgpass.identities.Influence
        By lag: ``actual`` size of the evidence's messages, ``worst`` of any message, ``bound`` by Dobrushin
        coefficients of single steps.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table, run
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=6, states=2)
    >>> _ = g.factor(Table.from_probabilities([[0.9, 0.1], [0.2, 0.8]]), z[:-1], z[1:])
    >>> _ = g.factor(Table([[0.0, -1.0]] * 6), z[:])
    >>> curve = forgetting(run(g))
    >>> bool((curve.actual <= curve.bound + 1e-12).all())
    True
    """
    _check(messages)
    plan = messages.graph.plan()
    chains = {b.node.name: b for b in plan.blocks if isinstance(b, TableChain)}
    if name is None and len(chains) == 1:
        name = next(iter(chains))
    if name not in chains:
        raise UnavailableError(
            f"forgetting reads a chain of tables; this graph has {', '.join(chains) or 'none'}"
            + ("" if name is None else f", not {name!r}")
        )
    block = chains[name]
    layout = ChainLayout(block)
    if layout.n > 1:
        raise UnsupportedError(f"{name!r} holds {layout.n} sequences; take the messages of one")
    if block.sparse:
        raise UnsupportedError(f"{name!r} has a sparse transition; its kernels would be written out in full")
    tables = ChainTables(block, layout, messages._x.values)
    rows = np.arange(layout.offsets[-1]) if tables.rows is None else tables.rows
    evidence = np.asarray(tables.log_evidence)[rows]
    return message_influence(tables.log_transition, evidence, messages.backward[name], lags)


def vanishing(messages: Messages, *states: str, lags: int = 20) -> Influence:
    """How fast the adjoints of a recurrent network vanish, or explode.

    Parameters
    ----------
    messages : Messages
        Of :func:`rnn.bptt`, or any run of a recurrence under ``Adjoint``.
    *states : str
        All states of one recurrence, such as ``"h_l0", "c_l0"``; the only recurrence by default.
    lags : int
        Largest lag.

    Returns
    -------
    msgpass.identities.Influence
        By lag, averaged over the sequences of a batch: ``actual`` size of the local losses' cotangents,
        ``worst`` of any cotangent, ``bound`` by spectral norms of single steps.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, SquaredError, bptt
    >>> m = bptt(RNN(1, 3, random_state=0), np.ones((9, 1)), SquaredError(np.zeros((9, 3))))
    >>> curve = vanishing(m)
    >>> bool((curve.actual <= curve.bound + 1e-12).all())
    True
    """
    from msgpass.plan import Recurrence

    _check(messages)
    if not states:
        found = [b.nodes for b in messages.graph.plan().blocks if isinstance(b, Recurrence)]
        if len(found) != 1:
            raise UnavailableError(
                "vanishing reads one recurrence; name its states. The graph has "
                + ("; ".join(", ".join(names) for names in found) or "none")
            )
        states = found[0]
    jacobians = messages.step_jacobians(*states)
    local = [messages.gradient[s] - messages.backward[s] for s in states]
    steps = len(jacobians)
    batch = jacobians.ndim == 4
    sent = np.concatenate([a.reshape(steps, a.shape[1] if batch else 1, -1) for a in local], axis=2)
    jacobians = jacobians if batch else jacobians[:, None]
    curves = [adjoint_influence(jacobians[1:, b], sent[:, b], lags) for b in range(sent.shape[1])]
    shortest = min(len(c.lag) for c in curves)
    mean = [np.mean([getattr(c, part)[:shortest] for c in curves], axis=0) for part in Influence._fields[1:]]
    return Influence(curves[0].lag[:shortest], *mean)


def _check(messages) -> None:
    if not isinstance(messages, Messages):
        raise DataError(f"expected the messages of a run, msgpass.run(graph), got {type(messages).__name__}")
