"""Log messages, and the counts of chains whose linear scale vanished: compiled where that pays, NumPy where
it does not.

Hard zeros with evidence hundreds of nats apart leave a scaled sweep with nothing although the chain is
possible. Such chains are swept again from the logarithms of their tables; only a time step that is all −∞ is
impossible.
"""

import itertools

import numpy as np

from msgpass.kernels import chain_reference as reference
from msgpass.kernels.table_chain_types import ChainProblem

LARGE = 20_000
"""Entries T·K² above which the compiled log-space sweep is used; it may differ from NumPy's by rounding."""

_PAIRED = 4_000_000  # T·K² above which forward and backward run on two threads


def table_list(log_transition: np.ndarray, length: int, first_pair: int) -> np.ndarray:
    """The tables of one sequence, (length − 1, K, K); a shared one is repeated without a copy."""
    if len(log_transition) == 1:
        return np.broadcast_to(log_transition, (length - 1, *log_transition.shape[1:]))
    return log_transition[first_pair : first_pair + length - 1]


def log_messages(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
    maximise: bool,
    backward: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """True unnormalised log α and β, (T, K) each, of tables in float64; ``log_transition`` has three axes."""
    n_states, steps = len(log_init), int(offsets[-1])
    if steps * n_states * n_states < LARGE:
        alpha, beta = np.empty((steps, n_states)), np.empty((steps, n_states))
        reduce = reference.maximum if maximise else reference.log_sum_exp
        for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
            local = log_evidence[start:stop] if rows is None else log_evidence[rows[start:stop]]
            tables = table_list(log_transition, stop - start, start - n)
            alpha[start:stop], beta[start:stop] = reference.log_sweep(log_init, tables, local, reduce)
        return alpha, beta

    from msgpass.kernels import runtime
    from msgpass.kernels import table_chain_log as kernels

    index = np.empty(0, np.int64) if rows is None else rows
    transposed = np.ascontiguousarray(log_transition.transpose(0, 2, 1))
    with np.errstate(over="ignore"):  # the sweep sees an infinite sum and takes the exact way
        table = log_transition if maximise else np.exp(log_transition)
        table_transposed = transposed if maximise else np.exp(transposed)
    alpha = np.empty((steps, n_states))
    beta = np.empty((steps, n_states) if backward else (0, n_states))
    forward_args = (log_init, log_transition, table, log_evidence, index, offsets, alpha, maximise)
    backward_args = (transposed, table_transposed, log_evidence, index, offsets, beta, maximise)
    with runtime.compiling("the log-space chain sweeps", kernels.log_forward):
        if not backward:
            kernels.log_forward(*forward_args)
        elif steps * n_states * n_states < _PAIRED:
            kernels.log_forward(*forward_args)
            kernels.log_backward(*backward_args)
        else:
            runtime.run_pair(kernels.log_forward, forward_args, kernels.log_backward, backward_args)
    return alpha, beta if backward else None


def log_tables(problem: ChainProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithms of the tables in float64, from ``problem.logs`` if given; evidence keeps its maxima."""
    if problem.logs is None:
        with np.errstate(divide="ignore"):
            init, transition, evidence = (np.log(x, dtype=np.float64) for x in problem[:3])
        return init, transition.reshape(-1, *transition.shape[-2:]), evidence
    init, transition, evidence = (np.asarray(x, np.float64) for x in problem.logs)
    transition = transition.reshape(-1, *transition.shape[-2:])
    return init - _finite_max(init, 0), transition - _finite_max(transition, (1, 2)), evidence


def _finite_max(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    peak = values.max(axis=axis, keepdims=True)
    return np.where(np.isfinite(peak), peak, 0.0)


def subset(problem: ChainProblem, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time steps, pairs and offsets of the chosen sequences, as if they alone lay end to end."""
    lengths = np.diff(problem.offsets)[chosen]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    steps = np.arange(offsets[-1]) + np.repeat(problem.offsets[chosen] - offsets[:-1], lengths)
    pairs = np.delete(steps - np.repeat(chosen, lengths), offsets[1:] - 1)
    return steps, pairs, offsets


def counts_in_log_space(
    problem: ChainProblem, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Redo the chosen sequences in log space.

    Returns
    -------
    log_scale : ndarray, shape (n,)
    steps : ndarray, shape (S,)
        Time steps of the whole problem that ``gamma`` belongs to.
    gamma : ndarray, shape (S, K)
    pairs : ndarray
        Tables of the whole problem that ``xi`` belongs to; [0] when the table is shared.
    xi : ndarray, shape (len(pairs), K, K)
    impossible : list of (sequence, first impossible time step)
    """
    log_init, log_transition, log_evidence = log_tables(problem)
    steps, pairs, offsets = subset(problem, chosen)
    local = log_evidence[steps if problem.rows is None else problem.rows[steps]]
    if problem.logs is not None:
        local = local - _finite_max(local, 1)
    if len(log_transition) == 1:
        pairs = np.zeros(1, np.int64)
    tables = log_transition[pairs]
    alpha, beta = log_messages(log_init, tables, local, None, offsets, False)
    gamma, xi, log_scale = np.zeros(alpha.shape), np.zeros(tables.shape), np.full(len(chosen), -np.inf)
    if alpha.size * alpha.shape[1] < LARGE:
        for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
            if np.isneginf(alpha[stop - 1]).all():
                continue
            own = table_list(tables, stop - start, start - n)
            here = slice(start, stop)
            log_scale[n], gamma[here], pairwise = reference.log_counts(
                alpha[here], beta[here], own, local[here]
            )
            if len(tables) == 1:
                xi[0] += pairwise.sum(axis=0)
            else:
                xi[start - n : stop - n - 1] = pairwise
    else:
        from msgpass.kernels.table_chain_log import log_counts

        log_counts(alpha, beta, tables, local, np.empty(0, np.int64), offsets, log_scale, gamma, xi)
    dead = np.isneginf(alpha).all(axis=1)
    impossible = []
    for n in np.flatnonzero(np.isneginf(log_scale)):
        first = np.flatnonzero(dead[offsets[n] : offsets[n + 1]])[0]
        impossible.append((int(chosen[n]), int(first)))
    return log_scale, steps, gamma, pairs, xi, impossible
