"""Large work over chains that share one transition: which vectorised family sweeps which sequence, by size
alone.

=====================  ======================================  =============================================
what is there          few states                              many states
=====================  ======================================  =============================================
sequences alike        ``lanes``: one a lane, K ≤ 16           ``tiles``: eight are a matrix's rows, K > 16
one much longer        ``segments``: they are lanes, K ≤ 8     ``long``: from both ends at once, K > 8
and very long          ``meeting``, K > 5: segments that forget their start; if they do not meet, as above
its best path          ``viterbi_segments``, K ≤ 4             ``viterbi_long``, K > 4
=====================  ======================================  =============================================

The best paths of sequences alike are ``viterbi``'s for any K.
"""

from types import ModuleType

import numpy as np

from msgpass.kernels import (
    table_chain_lanes,
    table_chain_long,
    table_chain_meeting,
    table_chain_segments,
    table_chain_tiles,
    table_chain_viterbi,
    table_chain_viterbi_long,
    table_chain_viterbi_segments,
)
from msgpass.kernels.runtime import aligned_empty, compiling, work_memory
from msgpass.kernels.table_chain_groups import split
from msgpass.kernels.table_chain_row_counts import row_counts
from msgpass.kernels.table_chain_types import Visits

MOST_IN_LANES, MOST_IN_SEGMENTS, MOST_IN_VITERBI_SEGMENTS = 16, 8, 4
THREADED = (
    2_000_000  # T·K·(K + 8), some 150 µs of one sweep, above which a second thread is worth its hand-over
)
MOST_IN_EXACT_SEGMENTS = 5  # states up to which transfer matrices cost no more than windows
MEETING, MEETING_OUTSIDE_CACHE = 32_768, 8192
"""Steps from which on segments that forget are tried, and where a table does not fit into the first cache, so
that one sweep waits for it at every step."""
FIRST_CACHE = 64  # states
SWEEPS_OF_SEGMENTS = 3  # what a chain in segments costs against sequences in lanes


def _family_of_many(n_states: int) -> ModuleType:
    return table_chain_lanes if n_states <= MOST_IN_LANES else table_chain_tiles


def _may_meet(n_states: int, length: int) -> bool:
    """Whether segments that forget are worth a trial."""
    if n_states <= MOST_IN_EXACT_SEGMENTS:
        return False
    return length >= (MEETING if n_states <= FIRST_CACHE else MEETING_OUTSIDE_CACHE)


def _from_both_ends(init, transition, evidence, rows, start, stop, lost, gamma, counts, initial) -> tuple:
    """``table_chain_long.one``, adding γ up where that is wanted; γ itself then need not be there."""
    if counts is None:
        return table_chain_long.one(init, transition, evidence, rows, start, stop, lost, gamma)
    rows, n_states = np.ascontiguousarray(rows[start:stop]), len(init)
    with work_memory((0 if gamma.size else stop - start) * n_states) as (memory,):
        own = gamma[start:stop] if gamma.size else memory.reshape(-1, n_states)
        found = table_chain_long.one(init, transition, evidence, rows, 0, stop - start, lost, own)
        counts += row_counts(rows, own, len(evidence))
        initial += own[0]
    return found


def scaled_sweep(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    offsets: np.ndarray,
    lost: float,
    want_gamma: bool = True,
    may_forget: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray, np.ndarray, Visits | None]:
    """As the reference's scaled sweep; ``transition`` (K, K), ``rows`` empty for evidence in order;
    ``may_forget`` allows ``meeting``.

    With them what γ adds up to, where that comes with the sweep: few rows of evidence, no sequence failed.
    Only then may γ be left out; it is returned nevertheless if a sequence failed, or if it was needed.
    """
    n_states, n_sequences, steps = len(init), len(offsets) - 1, int(offsets[-1])
    work = steps * n_states * (n_states + 8)
    threaded, threaded_segments = work > THREADED, SWEEPS_OF_SEGMENTS * work > THREADED
    starts, (alone, rest, lengths) = offsets[:-1], split(offsets)
    xi, failed = np.zeros((n_states, n_states)), np.zeros(n_sequences, bool)
    mantissa, exponent = np.zeros(n_sequences), np.zeros(n_sequences, np.int64)
    counts = initial = None
    if 8 * len(evidence) <= len(rows):
        counts, initial = np.zeros(evidence.shape), np.zeros(n_states)
    gamma = aligned_empty((steps if want_gamma or counts is None else 0, n_states))
    for n in alone:
        here = (init, transition, evidence, rows, int(offsets[n]), int(offsets[n + 1]), lost, gamma)
        forgetful = None
        if may_forget and _may_meet(n_states, lengths[n]):
            family = _family_of_many(n_states)
            with compiling("the sweep over many chains", family.expected_counts):
                forgetful = table_chain_meeting.one(family, *here, threaded, counts, initial)
        if forgetful is not None:
            mantissa[n], exponent[n], pairs = forgetful
        elif n_states <= MOST_IN_SEGMENTS:
            with compiling("the sweep over segments of a chain", table_chain_segments.transfers):
                mantissa[n], exponent[n], pairs, failed[n] = table_chain_segments.one(
                    *here, threaded_segments, counts, initial
                )
        else:
            with compiling("the sweep over a long chain", table_chain_long.forward_rest):
                mantissa[n], exponent[n], pairs, failed[n] = _from_both_ends(*here, counts, initial)
        if failed[n]:
            mantissa[n] = 0.0
        else:
            xi += pairs
    if len(rest):
        family = _family_of_many(n_states)
        with compiling("the sweep over many chains", family.expected_counts):
            if not alone:
                here = init, transition, evidence, rows, starts, lengths, lost, gamma, threaded
                mantissa, exponent, xi, failed = family.many(*here, counts, initial)
            else:
                here = init, transition, evidence, rows, starts[rest], lengths[rest], lost, gamma, threaded
                mantissa[rest], exponent[rest], pairs, failed[rest] = family.many(*here, counts, initial)
                xi += pairs
    if counts is None or initial is None:
        return mantissa, exponent, gamma, xi[None], failed, None
    if not failed.any():
        visits = Visits(counts, initial)
        return mantissa, exponent, gamma if want_gamma else None, xi[None], failed, visits
    if want_gamma:
        return mantissa, exponent, gamma, xi[None], failed, None
    return scaled_sweep(init, transition, evidence, rows, offsets, lost, True, may_forget)


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
        forgetful = None
        if n_states > FIRST_CACHE and _may_meet(n_states, lengths[n]):
            family = _family_of_many(n_states)
            with compiling("the sweep over many chains", family.expected_counts):
                forgetful = table_chain_meeting.scale(family, *here, True)
        if forgetful is not None:
            z = *forgetful, False
        elif n_states <= MOST_IN_SEGMENTS:
            with compiling("the sweep over segments of a chain", table_chain_segments.transfers):
                z = table_chain_segments.scale(*here, SWEEPS_OF_SEGMENTS * work > THREADED)
        else:
            with compiling("the sweep over a long chain", table_chain_long.forward_half):
                z = table_chain_long.scale(*here)
        mantissa[n], exponent[n], failed[n] = z
    if len(rest):
        family = _family_of_many(n_states)
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
