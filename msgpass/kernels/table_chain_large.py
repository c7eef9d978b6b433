"""Large work over chains that share one transition: which vectorised family sweeps which sequence, by size
alone.

=====================  ======================================  =============================================
what is there          few states                              many states
=====================  ======================================  =============================================
sequences alike        ``lanes``: one a lane, K ≤ 16           ``tiles``: eight are a matrix's rows, K > 16
one much longer        ``segments``: they are lanes, K ≤ 8     ``long``: from both ends at once, K > 8
its best path          ``viterbi_segments``, K ≤ 4             ``viterbi_long``, K > 4
=====================  ======================================  =============================================

The best paths of sequences alike are ``viterbi``'s for any K.
"""

import numpy as np

from msgpass.kernels import (
    table_chain_lanes,
    table_chain_long,
    table_chain_segments,
    table_chain_tiles,
    table_chain_viterbi,
    table_chain_viterbi_long,
    table_chain_viterbi_segments,
)
from msgpass.kernels.runtime import aligned_empty, compiling
from msgpass.kernels.table_chain_groups import split

MOST_IN_LANES, MOST_IN_SEGMENTS, MOST_IN_VITERBI_SEGMENTS = 16, 8, 4
THREADED = (
    2_000_000  # T·K·(K + 8), some 150 µs of one sweep, above which a second thread is worth its hand-over
)
SWEEPS_OF_SEGMENTS = 3  # what a chain in segments costs against sequences in lanes


def scaled_sweep(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    offsets: np.ndarray,
    lost: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """As the reference's scaled sweep; ``transition`` (K, K), ``rows`` empty for evidence in order.

    With them γ by row of evidence, (R, K), where that comes with the sweep: 2 or 4 states, few rows of
    evidence, no sequence failed.
    """
    n_states, n_sequences, steps = len(init), len(offsets) - 1, int(offsets[-1])
    work = steps * n_states * (n_states + 8)
    threaded, threaded_segments = work > THREADED, SWEEPS_OF_SEGMENTS * work > THREADED
    starts, (alone, rest, lengths) = offsets[:-1], split(offsets)
    gamma, xi = aligned_empty((steps, n_states)), np.zeros((n_states, n_states))
    mantissa, exponent = np.zeros(n_sequences), np.zeros(n_sequences, np.int64)
    failed = np.zeros(n_sequences, bool)
    counts = np.zeros(evidence.shape) if n_states in (2, 4) and 8 * len(evidence) <= len(rows) else None
    for n in alone:
        here = (init, transition, evidence, rows, int(offsets[n]), int(offsets[n + 1]), lost, gamma)
        if n_states <= MOST_IN_SEGMENTS:
            with compiling("the sweep over segments of a chain", table_chain_segments.transfers):
                mantissa[n], exponent[n], pairs, failed[n] = table_chain_segments.one(
                    *here, threaded_segments, counts
                )
        else:
            with compiling("the sweep over a long chain", table_chain_long.forward_rest):
                mantissa[n], exponent[n], pairs, failed[n] = table_chain_long.one(*here)
        if failed[n]:
            mantissa[n] = 0.0
        else:
            xi += pairs
    if len(rest):
        family = table_chain_lanes if n_states <= MOST_IN_LANES else table_chain_tiles
        counted = (counts,) if family is table_chain_lanes else ()
        with compiling("the sweep over many chains", family.expected_counts):
            if not alone:
                mantissa, exponent, xi, failed = family.many(
                    init, transition, evidence, rows, starts, lengths, lost, gamma, threaded, *counted
                )
            else:
                mantissa[rest], exponent[rest], pairs, failed[rest] = family.many(
                    init,
                    transition,
                    evidence,
                    rows,
                    starts[rest],
                    lengths[rest],
                    lost,
                    gamma,
                    threaded,
                    *counted,
                )
                xi += pairs
    return mantissa, exponent, gamma, xi[None], failed, None if failed.any() else counts


def forward_scale(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    offsets: np.ndarray,
    lost: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Z alone, (mantissa, exponent, failed) of every sequence: the forward half of the same families."""
    n_states, steps = len(init), int(offsets[-1])
    work = steps * n_states * (n_states + 8) // 2
    starts, (alone, rest, lengths) = offsets[:-1], split(offsets)
    mantissa, exponent = np.zeros(len(lengths)), np.zeros(len(lengths), np.int64)
    failed = np.zeros(len(lengths), bool)
    for n in alone:
        here = (init, transition, evidence, rows, int(offsets[n]), int(offsets[n + 1]), lost)
        if n_states <= MOST_IN_SEGMENTS:
            with compiling("the sweep over segments of a chain", table_chain_segments.transfers):
                z = table_chain_segments.scale(*here, SWEEPS_OF_SEGMENTS * work > THREADED)
        else:
            with compiling("the sweep over a long chain", table_chain_long.forward_half):
                z = table_chain_long.scale(*here)
        mantissa[n], exponent[n], failed[n] = z
    if len(rest):
        family = table_chain_lanes if n_states <= MOST_IN_LANES else table_chain_tiles
        no_gamma = np.empty((0, n_states))
        with compiling("the sweep over many chains", family.expected_counts):
            mantissa[rest], exponent[rest], _, failed[rest] = family.many(
                init, transition, evidence, rows, starts[rest], lengths[rest], lost, no_gamma, work > THREADED
            )
    return mantissa, exponent, failed


def best_path(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray,
    offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Best scores (N,) and paths (T,); ``log_transition`` (K, K), ``rows`` empty for evidence in order."""
    n_states, steps = len(log_init), int(offsets[-1])
    work = steps * n_states * (n_states + 8)
    threaded, threaded_segments = work > THREADED, SWEEPS_OF_SEGMENTS * work > THREADED
    starts, (alone, rest, lengths) = offsets[:-1], split(offsets)
    path, scores = np.empty(steps, np.int64), np.empty(len(lengths))
    for n in alone:
        here = (log_init, log_transition, log_evidence, rows, int(offsets[n]), int(offsets[n + 1]), path)
        agreed = False
        if n_states <= MOST_IN_VITERBI_SEGMENTS:
            with compiling("the best path over segments of a chain", table_chain_viterbi_segments.transfers):
                scores[n], agreed = table_chain_viterbi_segments.one(*here, threaded_segments)
        if not agreed:
            with compiling("the best path of a long chain", table_chain_viterbi_long.forward):
                scores[n] = table_chain_viterbi_long.one(*here, threaded)
    if len(rest):
        with compiling("the best paths of many chains", table_chain_viterbi.best_paths):
            scores[rest] = table_chain_viterbi.many(
                log_init, log_transition, log_evidence, rows, starts[rest], lengths[rest], path, threaded
            )
    return scores, path
