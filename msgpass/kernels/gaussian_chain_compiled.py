"""Readings of a linear-Gaussian chain by the compiled passes.

Where no start is flat and no digits cancel, moments, totals and statistics come from compact passes that
store no more than they need; other readings, and sequences that are redone in square-root form, go the way
of :class:`~msgpass.kernels.gaussian_chain_sweep.GaussianSweep` with compiled passes beneath.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from msgpass.kernels import gaussian_chain_columns as columns
from msgpass.kernels.gaussian_chain_covariance import FINE
from msgpass.kernels.gaussian_chain_errors import finite
from msgpass.kernels.gaussian_chain_moments import moments
from msgpass.kernels.gaussian_chain_passes import Run
from msgpass.kernels.gaussian_chain_reference import symmetric
from msgpass.kernels.gaussian_chain_square_root import filter_sequence
from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from msgpass.kernels.gaussian_chain_types import FilterPass, GaussianChainArrays, Statistics
from msgpass.kernels.runtime import aligned_empty


class CompiledSweep(GaussianSweep):
    """A chain's messages, read lazily.

    Parameters
    ----------
    arrays : GaussianChainArrays
    steady : bool
        Whether the recursion of the covariances may end where they have converged.
    backward : bool
        Whether more than totals will be read; a hint.
    """

    _runs = Run

    def __init__(self, arrays: GaussianChainArrays, steady: bool = True, backward: bool = True):
        super().__init__(arrays, columns)
        self._steady, self._backward = steady, backward

    @cached_property
    def _run(self) -> Run | None:
        """The compact passes; None where they do not do."""
        if self._given.flat.shape[1]:
            return None
        run = self._runs(self._given, self._steady)
        return run if run.fine else None

    def _release(self) -> None:
        """Give the passes' memory back, for the sweep may be part of a cycle that waits for the collector.

        What is read later runs them again, with the same bits.
        """
        _ = self.totals, self.converged
        self.__dict__.pop("_run", None)

    def _filter(self, arrays):
        run = self._run if arrays is self._given else None
        if run is None:
            run = Run(arrays, self._steady)
        with np.errstate(all="ignore"):  # of rows that are redone
            done = _filter_pass(run)
        redone = np.flatnonzero(done.suspicious)
        for k in redone:
            finite(arrays, done, k)
        return done, {int(k): filter_sequence(arrays, done, k) for k in redone}

    @cached_property
    def totals(self) -> np.ndarray:
        """log Z of each sequence, (N,)."""
        run = self._run
        if run is None:
            return super().totals
        run.filter_means()
        seen = np.add.reduceat(_seen(run), run.rows) if run.masked else run.p * np.diff(self._given.offsets)
        found = run.quadratic - 0.5 * (run.logdets() + seen * math.log(2 * math.pi))
        if not self._backward:
            self.__dict__["totals"] = found
            self._release()
        return found

    @cached_property
    def predicted(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (T, n) and covariance (T, n, n) of x_t given earlier rows."""
        run = self._run
        if run is None:
            return super().predicted
        run.filter_means()
        return run.m.reshape(run.T, run.n).copy(), _predicted_cov(run, self.filtered[1])

    @cached_property
    def filtered(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (T, n) and covariance (T, n, n) of x_t given rows up to t."""
        run = self._run
        if run is None:
            return super().filtered
        run.filter_means()
        return run.f.reshape(run.T, run.n).copy(), _filtered_cov(run)

    @cached_property
    def converged(self) -> np.ndarray:
        """Rows of each sequence from which the gains are constant, (N,); its length: never."""
        run = self._run
        if run is None:
            return super().converged
        found = np.empty(len(run.rows), np.int64)
        found[run.groups.members] = np.repeat(run.report[:, 1], np.diff(run.groups.bounds))
        return found

    @cached_property
    def smoothed(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (T, n) and covariance (T, n, n) of x_t given all rows."""
        run = self._run
        if run is not None:
            n, ld, rows = run.n, run.family.states, run.groups.total
            V = aligned_empty((rows + 8 * (ld > n)) * n * ld)
            if run.smooth(V, np.empty((len(run.groups.lead), 0))):
                self._release()
                return run.s.reshape(run.T, n), run.spread(V, n, ld)[..., :n]
        return super().smoothed

    @cached_property
    def statistics(self) -> Statistics:
        """Expected sufficient statistics given all rows, summed over pairs, rows and sequences."""
        run, arrays = self._run, self._given
        if run is None or run.masked or len(arrays.F) > 1 or len(arrays.Q) > 1 or not len(arrays.F):
            return super().statistics
        n, ld = run.n, run.family.states
        sums = np.zeros((len(run.groups.lead), 4 * n * ld))
        if not run.smooth(np.empty(0), sums):
            return super().statistics
        of_group = np.diff(run.groups.bounds) @ sums
        self._release()
        whole, early, Y, first = of_group.reshape(4, n, ld)[..., :n]
        return _statistics(arrays, run, whole, early, Y, first)


def _statistics(arrays: GaussianChainArrays, run: Run, whole, early, Y, first) -> Statistics:
    """From Σ V over all rows, over rows with a successor and over first rows, and Σ N F U over pairs."""
    n, p, mean = run.n, run.p, run.s.reshape(run.T, run.n)
    pairs, rows = np.zeros((2 * n, 2 * n)), np.zeros((n + p, n + p))
    pairs[:n, :n], pairs[n:, n:] = early, whole - first
    pairs[n:, :n] = arrays.F[0] @ early - arrays.Q[0] @ Y
    pairs[:n, n:] = pairs[n:, :n].T
    rows[:n, :n] = whole
    return Statistics(*moments(mean, arrays.y, arrays.offsets, pairs, rows, first))


def _seen(run: Run) -> np.ndarray:
    """Cells of every row that are there, (T,)."""
    return (~np.isnan(run.arrays.y)).sum(1)


def _filtered_cov(run: Run) -> np.ndarray:
    n, ld = run.n, run.family.states
    return run.U[: (run.U.size // (n * ld)) * n * ld].reshape(-1, n, ld)[run.stored][..., :n]


def _predicted_cov(run: Run, filtered: np.ndarray) -> np.ndarray:
    arrays, P = run.arrays, np.empty((run.T, run.n, run.n))
    sources = arrays.sources
    P[run.rows] = arrays.cov
    if len(sources):
        P[sources + 1] = symmetric(arrays.F @ filtered[sources] @ np.swapaxes(arrays.F, -1, -2)) + arrays.Q
    return P


def _filter_pass(run: Run) -> FilterPass:
    """All rows written out; of sequences that lost digits those up to the step where they did."""
    _ = run.fine
    run.filter_means()
    n, p, ld, lp = run.size
    T, stored, filtered = run.T, run.stored, _filtered_cov(run)
    gain = run.Ct[: (run.Ct.size // (p * ld)) * p * ld].reshape(-1, p, ld)[stored][..., :n]
    precision = run.SI[: (run.SI.size // (p * lp)) * p * lp].reshape(-1, p, lp)[stored][..., :p]
    v, e = run.v.reshape(T, p).copy(), run.e.reshape(T, p)
    sizes = np.diff(run.groups.bounds)
    bad, where = np.zeros(len(run.rows), bool), np.full(len(run.rows), -1)
    bad[run.groups.members] = np.repeat(run.report[:, 2] != FINE, sizes)
    where[run.groups.members] = np.repeat(np.where(run.report[:, 2] != FINE, run.report[:, 3], -1), sizes)
    return FilterPass(
        run.m.reshape(T, n).copy(),
        _predicted_cov(run, filtered),
        run.f.reshape(T, n).copy(),
        filtered,
        v,
        precision,
        np.ascontiguousarray(np.swapaxes(gain, -1, -2)),
        -0.5 * (run.logdet[run.stored] + _seen(run) * math.log(2 * math.pi) + (v * e).sum(1)),
        bad,
        where,
    )
