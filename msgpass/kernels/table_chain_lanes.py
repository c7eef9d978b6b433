"""Forward-backward over many short chains with few states: one sequence in each lane of a vector.

Sequences are sorted by length and taken in groups of eight; message k of time step t of a group is one
vector. The groups are swept in two fixed parts, so that the result does not depend on the number of threads.
"""

import numpy as np

from msgpass.kernels.runtime import aligned_empty, aligned_zeros, run_pair
from msgpass.kernels.table_chain_gather import LANES
from msgpass.kernels.table_chain_lane_sweep import expected_counts


def padded_width(n_states: int) -> int:
    """Columns of a table that the lanes' kernels work on."""
    return 2 if n_states == 2 else -(-n_states // 4) * 4


def padded(table: np.ndarray, width: int) -> np.ndarray:
    """A flat aligned copy with its columns padded by zeros."""
    copy = aligned_zeros((len(table), width))
    copy[:, : table.shape[1]] = table
    return copy.ravel()


def run(
    start: np.ndarray,
    absorbed: bool,
    end: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    lost: float,
    gamma: np.ndarray,
    threaded: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`expected_counts` over all groups in two fixed parts.

    Returns
    -------
    z : ndarray, shape (3, lanes)
        Mantissa, exponent and failure of each lane.
    xi : ndarray, shape (K, K)
        Without the factor A.
    """
    n_states = len(transition)
    width = padded_width(n_states)
    longest = int(lengths.max())
    z = np.zeros((3, len(lengths)))
    table, transposed = padded(transition, width), padded(transition.T, width)
    steps = [n_states * LANES if len(x) > 1 else 0 for x in (start, end)]
    xi = aligned_zeros((2, width * width * LANES))

    def arguments(part: int) -> tuple:
        size = longest * width * LANES
        messages = aligned_empty(width * LANES), aligned_empty(max(width, 8) * LANES)
        # The evidence's padding is never written, and subnormals there would slow the products down.
        work = aligned_empty(size), (aligned_empty if width == n_states else aligned_zeros)(size), *messages
        return (
            start.ravel(),
            steps[0],
            absorbed,
            end.ravel(),
            steps[1],
            table,
            transposed,
            n_states,
            width,
            evidence.ravel(),
            rows,
            starts,
            lengths,
            part,
            lost,
            z.ravel(),
            gamma.ravel(),
            xi[part],
            *work,
            aligned_empty(longest * n_states * LANES if len(rows) and n_states in (2, 4) else 0),
        )

    if threaded:
        run_pair(expected_counts, arguments(0), expected_counts, arguments(1))
    else:
        expected_counts(*arguments(0))
        expected_counts(*arguments(1))
    pairs = xi.reshape(2, width, width, LANES)[:, :n_states, :n_states]  # what pads it out is garbage
    return z, (pairs[0] + pairs[1]).sum(axis=2)


def grouped(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, starts, lengths) of sequences by falling length, with empty lanes to fill the last group."""
    order = np.argsort(-lengths, kind="stable")
    empty = -len(order) % LANES
    padding = np.zeros(empty, np.int64)
    return order, np.concatenate((starts[order], padding)), np.concatenate((lengths[order], padding))


def ungrouped(z: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mantissa, exponent and failure in the order in which the sequences came."""
    mantissa, exponent, failed = np.empty((3, len(order)))
    mantissa[order], exponent[order], failed[order] = z[:, : len(order)]
    mantissa[failed > 0] = 0.0
    return mantissa, exponent.astype(np.int64), failed > 0


def many(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    lost: float,
    gamma: np.ndarray,
    threaded: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Many sequences with one transition (K, K), whose rows of ``gamma`` are written in place.

    Returns
    -------
    mantissa, exponent : ndarray, shape (N,)
    xi : ndarray, shape (K, K)
        Without the factor A.
    failed : ndarray of bool, shape (N,)
    """
    order, starts, lengths = grouped(starts, lengths)
    start, end = np.repeat(init[None, :, None], LANES, axis=2), np.ones((1, len(init), LANES))
    z, xi = run(start, False, end, transition, evidence, rows, starts, lengths, lost, gamma, threaded)
    mantissa, exponent, failed = ungrouped(z, order)
    return mantissa, exponent, xi, failed
