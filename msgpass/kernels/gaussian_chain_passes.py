"""The compiled passes over a Gaussian chain: work memory, two threads, and which family of kernels runs.

Up to eight states and outputs every matrix is a value in registers, compiled for its sizes; beyond,
matrices lie in work memory, padded to whole vectors, and products go through register tiles.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property, partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from msgpass.kernels import gaussian_chain_covariance as covariance
from msgpass.kernels import gaussian_chain_mean as mean
from msgpass.kernels import gaussian_chain_small as small
from msgpass.kernels.gaussian_chain_groups import Groups, groups
from msgpass.kernels.gaussian_chain_product import padded
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays
from msgpass.kernels.runtime import aligned_zeros, compiling, run_pair, work_memory

STILL = 1e-15
"""Relative change of all covariances over a step below which the gains are constant."""

THREADED = 150e-6
"""Seconds of work from which on a second thread pays."""

SHORT = 50_000
"""Steps of one series up to which, with constant gains in registers, a second thread costs more than it
saves."""

CHUNK = 512
"""Steps that a thread does before the other one follows, where a step takes longer than a microsecond or
so."""


class Family(NamedTuple):
    """Kernels for some sizes, and the row lengths that they work on."""

    states: int
    outputs: int
    kernels: SimpleNamespace
    in_registers: bool


def family(n: int, p: int) -> Family:
    """By size alone."""
    if n <= small.MOST_STATES and p <= small.MOST_OUTPUTS:
        return Family(n, p, small.passes(n, p), True)
    kernels = SimpleNamespace(
        forward=covariance.forward,
        mean_forward=mean.forward,
        backward=covariance.backward,
        mean_backward=mean.backward,
    )
    return Family(padded(n), padded(p), kernels, False)


def flat(array: np.ndarray) -> np.ndarray:
    """Contiguous float64 numbers; some where there are none, for kernels read before they count."""
    array = np.ascontiguousarray(array, np.float64).reshape(-1)
    return array if array.size else np.zeros(4096)


def stride(array: np.ndarray) -> int:
    """From one entry to the next; 0 where one is shared."""
    return 0 if len(array) <= 1 else int(np.prod(array.shape[1:]))


def seconds(rows: int, n: int, p: int) -> float:
    """What filtering takes, roughly."""
    return rows * 1e-9 * (30 + 0.05 * n * n * (n + p))


class Run:
    """One chain's passes, each made when it is asked for and kept; what escapes is copied.

    Parameters
    ----------
    arrays : GaussianChainArrays
        ``flat`` plays no part.
    steady : bool
        Whether the recursion of the covariances may end where they have converged.
    """

    def __init__(self, arrays: GaussianChainArrays, steady: bool = True):
        self.arrays = arrays
        self.masked = bool(np.isnan(arrays.y).any())
        self.groups: Groups = groups(arrays, self.masked)
        (self.T, self.p), self.n = arrays.y.shape, arrays.mean.shape[-1]
        self.family = family(self.n, self.p)
        self.tolerance = STILL if steady else -1.0
        offsets = np.asarray(arrays.offsets, np.int64)
        N = len(offsets) - 1
        self.rows = offsets[:-1].copy()
        self.pairs = np.minimum(self.rows - np.arange(N), max(self.T - N - 1, 0))
        self.size = (self.n, self.p, self.family.states, self.family.outputs)
        self.F, self.Q, self.H, self.R, self.b = map(flat, (arrays.F, arrays.Q, arrays.H, arrays.R, arrays.b))
        self.strides = SimpleNamespace(
            **{name: stride(getattr(arrays, name)) for name in ("mean", "cov", "F", "Q", "b", "H", "R")}
        )
        self.y = flat(arrays.y)
        rows, n, p, ld, lp = self.groups.total, *self.size
        stack = ExitStack()
        weakref.finalize(self, stack.close)
        T, ring = self.T, 0 if self.family.in_registers else CHUNK * n * ld
        sizes = ((rows + 8) * n * ld, (rows + 8) * p * ld, rows * p * lp, rows)
        sizes += (T * n, T * n, T * n, T * p, T * p, T * p, ring, ring)
        # A second lease of kept memory would find none left.
        self.U, self.Ct, self.SI, self._scale, *others = stack.enter_context(work_memory(*sizes))
        self.m, self.f, self.r, self.v, self.e, self.u, *self._rings = others
        self.index = np.zeros(self.T, np.int64)
        self.report = np.zeros((len(self.groups.lead), 4), np.int64)

    @cached_property
    def threaded(self) -> bool:
        """Whether the work is worth two threads."""
        return seconds(self.T, self.n, self.p) > THREADED

    # -- how work is shared

    def _halves(self) -> list[tuple[int, int]]:
        """Groups in two parts of about equal length."""
        count = len(self.groups.lead)
        if not self.threaded or count == 1:
            return [(0, count)]
        middle = int(np.searchsorted(self.groups.base, self.groups.total / 2))
        middle = min(max(middle, 1), count - 1)
        return [(0, middle), (middle, count)]

    def _member_halves(self) -> list[tuple[int, int]]:
        """Members in two parts of about equal length."""
        count = len(self.groups.members)
        if not self.threaded or count == 1:
            return [(0, count)]
        ends = np.cumsum(np.diff(self.arrays.offsets)[self.groups.members])
        middle = min(max(int(np.searchsorted(ends, ends[-1] / 2)), 1), count - 1)
        return [(0, middle), (middle, count)]

    @staticmethod
    def _both(calls: list[Callable[[], None]]) -> None:
        if len(calls) == 2:
            run_pair(calls[0], (), calls[1], ())
        else:
            for call in calls:
                call()

    def _zeros(self, need: int) -> np.ndarray:
        return aligned_zeros(need)

    # -- forward

    def _cover(self, g0: int, g1: int, start: int, stop: int, work: np.ndarray) -> None:
        s, g = self.strides, self.groups
        self.family.kernels.forward(
            *self.size,
            self.F,
            s.F,
            self.Q,
            s.Q,
            self.H,
            s.H,
            self.R,
            s.R,
            self.cov,
            s.cov,
            self.y,
            self.masked,
            self.rows,
            self.pairs,
            g.lead,
            g.steps,
            g.base,
            g0,
            g1,
            start,
            stop,
            self.tolerance,
            self.U,
            self.Ct,
            self.SI,
            self._scale,
            self.index,
            self.report,
            work,
        )

    def _mean(self, first: int, stop: int, start: int, end: int, work: np.ndarray) -> None:
        s, g = self.strides, self.groups
        self.family.kernels.mean_forward(
            *self.size,
            self.F,
            s.F,
            self.b,
            s.b,
            self.H,
            s.H,
            self.y,
            self.masked,
            self.start,
            s.mean,
            self.rows,
            self.pairs,
            g.lead,
            g.steps,
            g.bounds,
            g.members,
            first,
            stop,
            start,
            end,
            self.index,
            self.Ct,
            self.SI,
            self.m,
            self.f,
            self.v,
            self.e,
            self.quadratic,
            work,
        )

    def _forward_work(self) -> np.ndarray:
        if self.family.in_registers:
            return self._zeros(256)
        return self._zeros(covariance.forward_work(*self.size))

    def _mean_work(self, members: int) -> np.ndarray:
        if self.family.in_registers:
            return self._zeros(small.ROWS * self.n + 64)
        return self._zeros(mean.work_size(*self.size, members))

    @cached_property
    def fine(self) -> bool:
        """Runs the filter's covariances; whether no sequence lost digits."""
        self.cov, self.start = flat(self.arrays.cov), flat(self.arrays.mean)
        self.quadratic = np.zeros(len(self.rows))
        self._means_done = False
        steps, kernels = int(self.groups.steps.max()), self.family.kernels
        with compiling("the filter of linear-Gaussian chains", kernels.forward, kernels.mean_forward):
            if self.threaded and len(self.rows) == 1 and not self.family.in_registers:
                self._pipelined(steps)
            else:
                self._both(
                    [partial(self._cover, *half, 0, steps, self._forward_work()) for half in self._halves()]
                )
        return bool((self.report[:, 2] == covariance.FINE).all())

    def filter_means(self) -> None:
        """Predicted and filtered means, innovations and quadratic forms; once."""
        if not self._means_done:
            steps, parts = int(self.groups.steps.max()), self._member_halves()
            self._both(
                [partial(self._mean, *part, 0, steps, self._mean_work(part[1] - part[0])) for part in parts]
            )
            self._means_done = True

    @cached_property
    def settled_early(self) -> bool:
        """Whether most covariances are constant, so that means are most of the work."""
        return bool((2 * self.report[:, 1] < self.groups.steps).all())

    def _pipelined(self, steps: int) -> None:
        """The means follow the covariances of one long sequence, a chunk behind."""
        cover, means = self._forward_work(), self._mean_work(1)
        self._cover(0, 1, 0, CHUNK, cover)
        for start in range(CHUNK, steps, CHUNK):
            if self.report[0, 2] != covariance.FINE:
                return
            if start == CHUNK and self.report[0, 1] < CHUNK and not self.masked:
                self._cover(0, 1, CHUNK, steps, cover)
                return
            now, before = (0, 1, start, start + CHUNK, cover), (0, 1, start - CHUNK, start, means)
            run_pair(self._cover, now, self._mean, before)
        last = (steps - 1) // CHUNK * CHUNK
        if self.report[0, 2] == covariance.FINE:
            self._mean(0, 1, last, steps, means)
            self._means_done = True

    # -- backward

    def _adjoin(self, N_at: np.ndarray, V: np.ndarray, sums: np.ndarray, g0: int, g1: int) -> None:
        s, g = self.strides, self.groups
        steps = int(g.steps[g0:g1].max())
        work = self._zeros(8 if self.family.in_registers else covariance.backward_work(*self.size))
        self.family.kernels.backward(
            *self.size,
            self.F,
            s.F,
            self.H,
            s.H,
            self.y,
            self.masked,
            self.rows,
            self.pairs,
            g.lead,
            g.steps,
            g.base,
            g0,
            g1,
            0,
            steps,
            self._zeros(self.n * self.family.states),
            self.tolerance,
            self.index,
            self.U,
            self.Ct,
            self.SI,
            N_at,
            V,
            sums,
            self.lost,
            work,
            np.empty(steps, np.int64),
            np.empty(steps, np.bool_),
        )

    def _mean_back(self, first: int, stop: int, start: int, end: int, work: np.ndarray) -> None:
        s, g = self.strides, self.groups
        self.family.kernels.mean_backward(
            *self.size,
            self.F,
            s.F,
            self.H,
            s.H,
            self.rows,
            self.pairs,
            g.lead,
            g.steps,
            g.bounds,
            g.members,
            first,
            stop,
            start,
            end,
            self.index,
            self.Ct,
            self.U,
            self.f,
            self.e,
            self.s,
            self.r,
            self.u,
            work,
        )

    def smooth(self, V: np.ndarray, sums: np.ndarray) -> bool:
        """Smoothed means, and covariances to ``V`` or their sums to ``sums``; whether no sequence lost
        digits."""
        self.s, self.lost = np.empty(self.T * self.n), np.full(len(self.groups.lead), -1)
        none, steps = np.empty(0), int(self.groups.steps.max())
        kernels = self.family.kernels
        with compiling("the smoother of linear-Gaussian chains", kernels.backward, kernels.mean_backward):
            little = self.family.in_registers and self.settled_early and self.T < SHORT
            if not self.threaded or (little and len(self.rows) == 1):
                self.filter_means()
                self._adjoin(none, V, sums, 0, len(self.groups.lead))
                self._mean_back(0, len(self.rows), 0, steps, self._mean_work(len(self.rows)))
            elif len(self.groups.lead) > 1:
                self.filter_means()
                self._both([partial(self._adjoin, none, V, sums, *half) for half in self._halves()])
                self._back_in_parts(steps)
            elif len(self.rows) > 1:
                self.filter_means()
                self._adjoin(none, V, sums, 0, 1)
                self._back_in_parts(steps)
            elif self.family.in_registers or self.settled_early:
                run_pair(self._adjoin, (none, V, sums, 0, 1), self._all_means, (steps,))
            else:
                self.filter_means()
                self._smooth_pipelined(V, sums[0], steps)
        return bool((self.lost < 0).all())

    def _all_means(self, steps: int) -> None:
        """Of one sequence, forward where that is still to be done, and backward."""
        self.filter_means()
        self._mean_back(0, 1, 0, steps, self._mean_work(1))

    def _back_in_parts(self, steps: int) -> None:
        parts = self._member_halves()
        self._both(
            [partial(self._mean_back, *part, 0, steps, self._mean_work(part[1] - part[0])) for part in parts]
        )

    def _smooth_pipelined(self, V: np.ndarray, sums: np.ndarray, steps: int) -> None:
        """One thread follows N back in time, the other one the smoothed moments, a chunk behind."""
        s, none = self.strides, np.empty(0)
        place_of, same = np.empty(steps, np.int64), np.empty(steps, np.bool_)
        one, two = (
            self._zeros(size(*self.size))
            for size in (covariance.adjoint_work.py_func, covariance.smoothed_work.py_func)
        )
        means, rings = self._mean_work(1), self._rings

        def adjoint(start, stop, ring):
            covariance.adjoint(
                *self.size,
                self.F,
                s.F,
                self.H,
                s.H,
                self.y,
                self.masked,
                0,
                0,
                steps,
                start,
                stop,
                self.tolerance,
                self.index,
                self.Ct,
                self.SI,
                ring,
                place_of,
                same,
                0,
                none,
                one,
            )

        def moments(start, stop, ring):
            at = covariance.smoothed(
                *self.size,
                self.F,
                s.F,
                0,
                0,
                steps,
                start,
                stop,
                self.index,
                self.U,
                ring,
                place_of,
                same,
                V,
                0,
                sums,
                two,
            )
            self.lost[0] = max(self.lost[0], at)
            self._mean_back(0, 1, start, stop, means)

        stops = range(steps, 0, -CHUNK)
        bounds = [(max(stop - CHUNK, 0), stop) for stop in stops]
        adjoint(*bounds[0], rings[0])
        for c in range(1, len(bounds)):
            run_pair(adjoint, (*bounds[c], rings[c % 2]), moments, (*bounds[c - 1], rings[(c - 1) % 2]))
        moments(*bounds[-1], rings[(len(bounds) - 1) % 2])

    # -- readings

    def spread(self, compact: np.ndarray, *shape: int) -> np.ndarray:
        """What lies by row of the groups, one entry for every row of the chain."""
        g = self.groups
        whole = compact[: g.total * int(np.prod(shape))].reshape(g.total, *shape)
        if g.alone:
            return whole
        if len(g.lead) == 1:
            return np.broadcast_to(whole, (len(g.members), *whole.shape)).reshape(-1, *shape)
        return whole[self.row_of_group]

    @cached_property
    def row_of_group(self) -> np.ndarray:
        """Row of the groups for every row of the chain, (T,)."""
        g = self.groups
        shift = np.empty(len(g.members), np.int64)
        shift[g.members] = np.repeat(g.base, np.diff(g.bounds))
        return np.arange(self.T) + np.repeat(shift - self.rows, np.diff(self.arrays.offsets))

    def _stored_by_group(self) -> np.ndarray:
        """Where the covariances of every row of the groups are stored."""
        g = self.groups
        return (
            self.index
            if g.alone
            else self.index[np.arange(g.total) + np.repeat(self.rows[g.lead] - g.base, g.steps)]
        )

    @cached_property
    def stored(self) -> np.ndarray:
        """Where the covariances of every row are stored, (T,)."""
        return self.index if self.groups.alone else self._stored_by_group()[self.row_of_group]

    def logdets(self) -> np.ndarray:
        """Σ log|S| of every sequence, (N,)."""
        g, found = self.groups, np.empty(len(self.rows))
        sums = np.add.reduceat(self.logdet[self._stored_by_group()], g.base)
        found[g.members] = np.repeat(sums, np.diff(g.bounds))
        return found

    @cached_property
    def logdet(self) -> np.ndarray:
        """log|S| of every row stored; others are not to be read."""
        if not self.family.in_registers:
            return self._scale
        with np.errstate(all="ignore"):  # what is not stored is whatever lay in memory
            if len(self.groups.lead) > 1:
                return np.log(self._scale)
            return np.log(self._scale[: self.report[0, 0]])
