"""Forward-backward over many short chains with few states: one sequence in each lane of a vector.

Sequences are sorted by length and taken in groups of eight; message k of time step t of a group is one
vector. The groups are swept in two fixed parts, so that the result does not depend on the number of threads.
"""

import numpy as np

from msgpass.kernels.runtime import aligned_empty, aligned_zeros, run_pair
from msgpass.kernels.table_chain_gather import LANES
from msgpass.kernels.table_chain_groups import groups
from msgpass.kernels.table_chain_lane_places import TABLES
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
    counts: np.ndarray | None = None,
    initial: np.ndarray | None = None,
    edges: np.ndarray | None = None,
    paired: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`expected_counts` over all groups in two fixed parts.

    Where ``counts`` (R, K) and ``initial`` (K,) are given, γ by row of evidence and γ of the first steps are
    added to them, and ``gamma`` may be empty. ``edges`` as in :func:`expected_counts`.

    Returns
    -------
    z : ndarray, shape (3, lanes)
        Mantissa, exponent and failure of each lane.
    xi : ndarray, shape (K, K)
        Without the factor A; zeros unless ``paired``, which two states have to be.
    """
    n_states = len(transition)
    width = padded_width(n_states)
    step = width * LANES
    z = np.zeros((3, len(lengths)))
    pairs, by_row = 2 * width * step, 0 if counts is None else 2 * TABLES * evidence.size
    ends = pairs, pairs + by_row, pairs + by_row + 2 * step
    memory = aligned_zeros(ends[2] + 2 * n_states * width)  # each allocation costs some microseconds
    xi, by_row = memory[: ends[0]].reshape(2, -1), memory[ends[0] : ends[1]].reshape(2, -1)
    heads, tables = memory[ends[1] : ends[2]].reshape(2, -1), memory[ends[2] :].reshape(2, n_states, width)
    tables[0, :, :n_states], tables[1, :, :n_states] = transition, transition.T
    before = (
        start.ravel(),
        n_states * LANES if len(start) > 1 else 0,
        absorbed,
        end.ravel(),
        n_states * LANES if len(end) > 1 else 0,
        tables[0].ravel(),
        tables[1].ravel(),
        n_states,
        width,
        evidence.ravel(),
        rows,
        starts,
        lengths,
    )
    edges = np.empty((0, 0, 0)) if edges is None else edges
    xi = xi if paired else xi[:, :0]
    after = (lost, z.ravel(), gamma.ravel(), by_row, heads, edges, xi)
    size = 2 * int(lengths.max()) * step + step + max(width, LANES) * LANES
    work = aligned_empty if width == n_states else aligned_zeros  # padding is read, though without effect
    if threaded:
        first, second = ((*before, part, *after, work(size)) for part in (0, 1))
        run_pair(expected_counts, first, expected_counts, second)
    else:
        expected_counts(*before, 2, *after, work(size))
    if counts is not None:
        counts += by_row.reshape(2 * TABLES, *evidence.shape).sum(axis=0)
    if initial is not None:
        initial += heads.reshape(2, width, LANES)[:, :n_states].sum(axis=(0, 2))
    if not paired:
        return z, np.zeros((n_states, n_states))
    pairs = xi.reshape(2, width, width, LANES)[:, :n_states, :n_states]  # what pads it out is garbage
    return z, (pairs[0] + pairs[1]).sum(axis=2)


def ungrouped(z: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mantissa, exponent and failure in the order in which the sequences came."""
    mantissa, exponent, failures = z.take(place, axis=1)
    failed = failures > 0
    mantissa[failed] = 0.0
    return mantissa, exponent.astype(np.int64), failed


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
    counts: np.ndarray | None = None,
    initial: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Many sequences with one transition (K, K), whose rows of ``gamma`` are written in place.

    Where ``counts`` (R, K) and ``initial`` (K,) are given, γ by row of evidence and γ of the first steps are
    added to them, garbage if a sequence fails; ``gamma`` may then be empty. Without both only the scales are
    computed.

    Returns
    -------
    mantissa, exponent : ndarray, shape (N,)
    xi : ndarray, shape (K, K)
        Without the factor A.
    failed : ndarray of bool, shape (N,)
    """
    _, place, starts, lengths = groups(starts, lengths)
    start, end = np.empty((1, len(init), LANES)), np.ones((1, len(init), LANES))
    start[0] = init[:, None]
    here = (start, False, end, transition, evidence, rows, starts, lengths, lost, gamma, threaded)
    z, xi = run(*here, counts, initial)
    mantissa, exponent, failed = ungrouped(z, place)
    return mantissa, exponent, xi, failed
