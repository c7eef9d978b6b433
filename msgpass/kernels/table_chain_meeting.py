"""Forward-backward over one long chain cut into segments, eight at a time, which start from messages that
have forgotten where they began and are verified to have met.

A filter forgets its start: α at a cut is taken from one that begins some steps before it, β from one that
begins some steps behind it. Swept from these, the segments give the α with which each ends and the β with
which it begins, and at every cut

    α β of the two segments there,    forgetful α · β,    α · forgetful β

have to be the same distribution, to rounding. That is enough: what a segment says of its states is a mixture
over the state at its cut, so no marginal is further off than the one there. Chains that do not meet are left
to other sweeps.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from msgpass.kernels import table_chain_lanes
from msgpass.kernels.table_chain_gather import LANES

MET = 1e-13
"""Largest distance, as a sum of differences, of distributions that are the same."""

SHORTEST_WINDOW, LONGEST_WINDOW = 32, 1024
LEAST, ENOUGH = 2, 4  # windows that fit into a segment, at least and if possible
OWN = 512  # steps of a segment if possible


class _Chain(NamedTuple):
    """What all sweeps over parts of a chain share."""

    family: ModuleType
    transition: np.ndarray
    evidence: np.ndarray
    rows: np.ndarray
    lost: float
    threaded: bool

    def sweep(self, start, absorbed, end, starts, lengths, gamma, *sums, **options) -> tuple:
        """``family.run`` with messages (n, K)."""
        if self.family is table_chain_lanes:
            start, end = in_lanes(start), in_lanes(end)
        tables = self.transition, self.evidence, self.rows
        return self.family.run(
            start,
            absorbed,
            end,
            *tables,
            starts,
            lengths,
            self.lost,
            gamma,
            self.threaded,
            *sums,
            **options,
        )

    def forward(self, places: np.ndarray, window: int) -> np.ndarray:
        """α at each place, its evidence included, from equal ones ``window`` steps before; sums are 1."""
        edges = np.empty((1, len(places), len(self.transition)))
        self._window(False, places - window, window, edges)
        return normalised(edges[0])

    def backward(self, places: np.ndarray, window: int) -> np.ndarray:
        """β at each place from equal ones ``window`` steps behind it; sums are 1."""
        edges = np.empty((2, len(places), len(self.transition)))
        self._window(True, places, window, edges)
        return normalised(edges[1])

    def _window(self, absorbed: bool, starts: np.ndarray, window: int, edges: np.ndarray) -> None:
        n_states, lengths = len(self.transition), np.full(len(starts), window + 1)
        equal, nothing = np.ones((1, n_states)), np.empty((0, n_states))
        self.sweep(equal, absorbed, equal, starts, lengths, nothing, edges=edges, paired=False)


def in_lanes(messages: np.ndarray) -> np.ndarray:
    """(8 · groups, K) or (1, K) to (groups, K, 8) or (1, K, 8)."""
    if len(messages) == 1:
        return np.repeat(messages[:, :, None], LANES, axis=2)
    return np.ascontiguousarray(messages.reshape(-1, LANES, messages.shape[1]).transpose(0, 2, 1))


def normalised(messages: np.ndarray) -> np.ndarray:
    """Rows over their sums; NaN where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return messages / messages.sum(axis=1, keepdims=True)


def met(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether distributions, rows (n, K), are the same; one with a NaN is not."""
    return bool((np.abs(one - other).sum(axis=1) <= MET).all())


def cuts_of(start: int, stop: int, window: int) -> np.ndarray | None:
    """First rows of an even number of groups of segments, and the last row; None if they would be too short.

    Neighbours share the row of their cut.
    """
    pairs = int(stop - start - 1)
    groups = max(pairs // (LANES * max(OWN, ENOUGH * window)), 2)
    groups -= groups % 2
    if pairs < LANES * groups * LEAST * window:
        return None
    return start + np.arange(LANES * groups + 1) * pairs // (LANES * groups)


def _window(chain: _Chain, start: int, stop: int) -> int | None:
    """Half as many steps again as those after which α has forgotten its start at eight places; or None."""
    places = start + (stop - start) * np.arange(1, LANES + 1) // (LANES + 1)
    window, before = SHORTEST_WINDOW, None
    while window <= LONGEST_WINDOW and cuts_of(start, stop, window) is not None:
        now = chain.forward(places, window)
        if before is not None and met(now, before):
            return 3 * window // 4
        window, before = 2 * window, now
    return None


def scale(
    family: ModuleType,
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
    threaded: bool,
) -> tuple[float, float] | None:
    """(mantissa, exponent) of Z of sequence ``start:stop``, or None; only α has to meet."""
    chain = _Chain(family, transition, evidence, rows, lost, threaded)
    window = _window(chain, start, stop)
    cuts = None if window is None else cuts_of(start, stop, window)
    if window is None or cuts is None:
        return None
    alpha, mass = _openings(chain, init, cuts, window)
    edges = np.empty((1, *alpha.shape))
    equal, nothing = np.ones((1, len(init))), np.empty((0, len(init)))
    z, _ = chain.sweep(alpha, True, equal, cuts[:-1], np.diff(cuts) + 1, nothing, edges=edges)
    if z[2].any() or not met(normalised(edges[0, :-1]), alpha[1:]):
        return None
    return _scale(mass, edges[0], z[1])


def _openings(chain: _Chain, init: np.ndarray, cuts: np.ndarray, window: int) -> tuple[np.ndarray, float]:
    """α with which each segment begins, sums of 1, and the sum of the first."""
    alpha = np.empty((len(cuts) - 1, len(init)))
    first = init * chain.evidence[chain.rows[cuts[0]] if chain.rows.size else cuts[0]]
    alpha[1:], mass = chain.forward(cuts[1:], window)[:-1], float(first.sum())
    alpha[0] = first / mass if mass > 0 else first
    return alpha, mass


def _scale(mass: float, ends: np.ndarray, exponents: np.ndarray) -> tuple[float, float]:
    """(mantissa, exponent) of what the segments take off or add to the sum of α, all together."""
    logs = np.log2(ends.sum(axis=1)).sum() + np.log2(mass)
    whole = np.floor(logs)
    return float(2.0 ** (logs - whole)), float(whole + exponents.sum())


def one(
    family: ModuleType,
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
    gamma: np.ndarray,
    threaded: bool,
    counts: np.ndarray | None = None,
    initial: np.ndarray | None = None,
) -> tuple[float, float, np.ndarray] | None:
    """Sequence ``start:stop``; γ is written in place, the rest as in ``lanes.many``.

    ``family`` is :mod:`~msgpass.kernels.table_chain_lanes` or :mod:`~msgpass.kernels.table_chain_tiles`.

    Returns
    -------
    (mantissa, exponent, xi), xi (K, K) without the factor A; or None, and then nothing has been added.
    """
    chain = _Chain(family, transition, evidence, rows, lost, threaded)
    window = _window(chain, start, stop)
    cuts = None if window is None else cuts_of(start, stop, window)
    if window is None or cuts is None:
        return None
    segments = len(cuts) - 1
    alpha, mass = _openings(chain, init, cuts, window)
    beta = np.ones(alpha.shape)
    beta[:-1] = chain.backward(cuts[:-1], window)[1:]
    edges = np.empty((2, segments, len(init)))
    sums = () if counts is None else (np.zeros(counts.shape), np.zeros(len(init)))
    z, xi = chain.sweep(alpha, True, beta, cuts[:-1], np.diff(cuts) + 1, gamma, *sums, edges=edges)
    ends, heads = edges[0, :-1], edges[1, 1:]
    truth = normalised(ends * heads)
    if z[2].any() or not (
        met(normalised(alpha[1:] * heads), truth) and met(normalised(ends * beta[:-1]), truth)
    ):
        return None
    first = normalised(alpha[:1] * edges[1, :1])[0]
    if gamma.size:
        gamma[start] = first
    if counts is not None and initial is not None:
        counts += sums[0]
        counts[rows[start]] += first
        initial += first
    return *_scale(mass, edges[0], z[1]), xi
