"""Inference over chains with a sparse transition: which sweep runs, by size alone.

All functions take the logarithms of the tables, in float64; a sequence whose linear scale vanishes is redone
from them.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels import sparse_chain_reference as reference
from msgpass.kernels.sparse_chain_folds import folded
from msgpass.kernels.sparse_chain_types import SparseCounts, SparsePattern, SparseProblem
from msgpass.kernels.table_chain_exponentiate import scaled_exponentials
from msgpass.kernels.table_chain_types import LOST

__all__ = [
    "Scaled",
    "SparseCounts",
    "SparsePattern",
    "SparseProblem",
    "best_path",
    "expected_counts",
    "forward_scale",
    "log_backward",
    "log_forward",
    "scaled",
    "worth_lean",
]

LARGE, LEAN = 4096, 1 << 25
"""Entries times steps; states times steps, 256 MB. Sums without marginals take 15 to 40 % longer."""

_LOST = LOST[np.dtype(np.float64)]


class Scaled(NamedTuple):
    """Linear tables, each scaled by its maximum, and the logarithm that this takes out of each sequence."""

    problem: SparseProblem
    removed: np.ndarray


def scaled(logs: SparseProblem) -> Scaled:
    """Exponentials of the tables of a problem."""
    init, init_top = scaled_exponentials(logs.init[None])
    final, final_top = scaled_exponentials(logs.final[None])
    shared = logs.values.ndim == 1
    values, tops = scaled_exponentials(logs.values.reshape(-1, logs.pattern.nnz))
    evidence, peaks = scaled_exponentials(logs.evidence)
    offsets, pairs = logs.offsets, logs.offsets - np.arange(len(logs.offsets))
    per_step = peaks if logs.rows is None else peaks[logs.rows]
    removed = init_top + final_top + _sums(per_step, offsets)
    removed += tops * np.diff(pairs) if shared else _sums(tops, pairs)
    return Scaled(
        logs._replace(
            init=init[0], final=final[0], values=values[0] if shared else values, evidence=evidence
        ),
        removed,
    )


def _sums(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    totals = np.concatenate(([0.0], np.cumsum(values)))
    return totals[bounds[1:]] - totals[bounds[:-1]]


def large(logs: SparseProblem) -> bool:
    """Work for the compiled sweeps; they differ from the reference by rounding, so that size alone
    decides.
    """
    steps = int(logs.offsets[-1])
    return steps >= 64 or steps * logs.pattern.nnz >= LARGE


def worth_lean(logs: SparseProblem) -> bool:
    """Whether marginals are too many to be kept unless somebody reads them, and their sums are fewer."""
    size = int(logs.offsets[-1]) * logs.pattern.n_states
    return size >= LEAN and 4 * logs.evidence.size <= size


def expected_counts(logs: SparseProblem, linear: Scaled, lean: bool = False) -> SparseCounts:
    """Posterior marginals, expected uses of each entry and log Z of every sequence.

    Parameters
    ----------
    logs : SparseProblem
    linear : Scaled
        What :func:`scaled` makes of it.
    lean : bool
        Sums of marginals in place of marginals, in memory of the order of S √T.

    Examples
    --------
    Two states, of which the second is never left; the last observation asks for it:

    >>> pattern = SparsePattern(2, np.array([0, 0, 1]), np.array([0, 1, 1]))
    >>> logs = SparseProblem(
    ...     pattern,
    ...     np.log([1.0, 1e-300]),
    ...     np.zeros(2),
    ...     np.log([0.5, 0.5, 1.0]),
    ...     np.log([[1.0, 1.0], [1e-300, 1.0]]),
    ...     np.array([0, 0, 1]),
    ...     None,
    ...     np.array([0, 3]),
    ... )
    >>> counts = expected_counts(logs, scaled(logs))
    >>> counts.xi.round(3), np.exp(counts.log_scale)
    (array([0.333, 1.   , 0.667]), array([0.75]))
    """
    if lean:
        return _lean_counts(logs, linear)
    if large(logs):
        from msgpass.kernels.sparse_chain_compiled import scaled_sweep
    else:
        from msgpass.kernels.sparse_chain_reference import scaled_sweep
    log_scale, gamma, xi, failed = scaled_sweep(linear.problem, _LOST)
    log_scale = log_scale + linear.removed
    impossible: list[tuple[int, int]] = []
    if failed.any():
        chosen = np.flatnonzero(failed)
        own, steps, pairs = reference.subset(logs, chosen)
        log_scale[chosen], gamma[steps], counted, dead = reference.log_counts(own)
        if xi.ndim == 1:
            xi += counted
        else:
            xi[pairs] = counted
        impossible = [(int(chosen[n]), t) for n, t in dead]
    return SparseCounts(log_scale, gamma, xi, impossible)


def _lean_counts(logs: SparseProblem, linear: Scaled) -> SparseCounts:
    from msgpass.kernels.sparse_chain_sums import lean_sweep

    log_scale, xi, evidence, sums, failed = lean_sweep(linear.problem, _LOST)
    log_scale = log_scale + linear.removed
    impossible: list[tuple[int, int]] = []
    if failed.any():
        chosen = np.flatnonzero(failed)
        own, steps, pairs = reference.subset(logs, chosen)
        log_scale[chosen], gamma, counted, dead = reference.log_counts(own)
        if xi.ndim == 1:
            xi += counted
        else:
            xi[pairs] = counted
        rows = steps if logs.rows is None else own.rows
        evidence += folded(gamma, rows, logs.groups, logs.evidence.shape)
        sums += [gamma[own.offsets[:-1]].sum(0), gamma[own.offsets[1:] - 1].sum(0), gamma.sum(0)]
        impossible = [(int(chosen[n]), t) for n, t in dead]
    return SparseCounts(log_scale, None, xi, impossible, evidence, sums)


def forward_scale(logs: SparseProblem, linear: Scaled) -> np.ndarray:
    """log Z of every sequence, (N,), by the forward half of :func:`expected_counts`; −inf when impossible."""
    if not large(logs):
        return expected_counts(logs, linear).log_scale
    from msgpass.kernels.sparse_chain_compiled import forward_scale as compiled

    log_scale, failed = compiled(linear.problem, _LOST)
    log_scale = log_scale + linear.removed
    if failed.any():
        chosen = np.flatnonzero(failed)
        log_scale[chosen] = reference.log_counts(reference.subset(logs, chosen)[0])[0]
    return log_scale


def log_forward(logs: SparseProblem, maximise: bool) -> np.ndarray:
    """Unnormalised log α (or best scores) of every sequence, (T, S)."""
    return reference.log_forward(logs, maximise)


def log_backward(logs: SparseProblem, maximise: bool) -> np.ndarray:
    """Log β of every sequence, (T, S)."""
    return reference.log_backward(logs, maximise)


def best_path(logs: SparseProblem) -> tuple[np.ndarray, np.ndarray]:
    """Best score of every sequence, (N,), and the best path, (T,); ties go to the lowest state."""
    if large(logs):
        from msgpass.kernels.sparse_chain_compiled import best_path as compiled

        return compiled(logs)
    return reference.trace_back(logs, log_forward(logs, True))
