"""One long Gaussian chain in compiled blocks, one for each processor: a scan whose elements are blocks.

A block that starts from z ~ N(·, G) is the element of :mod:`~msgpass.kernels.gaussian_chain_scan`:

    P_end = C + Φ G Aᵀ,   Φ = A (I + G J)⁻¹,   mean_end = b + Φ mean,   r = r₀ + Φᵀ r_end,
    N = N₀ + Φᵀ N_end Φ

with C the end of the ordinary filter from Q alone, and A and J what it hangs on its start. Carrying A costs
as much again as filtering, so it goes on only as far as the start matters: once A is below rounding, the
element has ended, and the rows behind are those of the chain itself, whatever came before. Such a window
serves all passes, for Φ = 0 there: covariances and means forget before its end what is before it, r and N
before its start what is behind it. Windows themselves are swept once their starts and ends are known.

A window that does not forget (a coordinate without noise) ends half-way through the last block: its rows and
those behind it are swept side by side from the combined start; means and adjoint then go as in
:class:`~msgpass.kernels.gaussian_chain_passes.Run`. Where a window's own end is not what was assumed
behind it, or digits cancel, the rest goes one row after another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from msgpass.kernels import gaussian_chain_covariance as covariance
from msgpass.kernels.gaussian_chain_compiled import CompiledSweep
from msgpass.kernels.gaussian_chain_passes import SHORT, Run, flat, seconds
from msgpass.kernels.gaussian_chain_reference import symmetric
from msgpass.kernels.gaussian_chain_scan_blocks_carry import carry, work_size
from msgpass.kernels.gaussian_chain_types import at
from msgpass.kernels.runtime import aligned_zeros, compiling, processors, run_all

FORGOTTEN = 1e-17
"""Of a standard deviation: what a start of one may add to any coordinate at the end of a window."""

AGREE = 1e-11
"""What the end of a window may differ by from what was assumed behind it, in standard deviations."""

CHUNK, LARGEST = 64, 1024
"""Rows between two looks at A: the first time, and at most."""

LEAST = 1024
"""Rows a block."""

WORTH = 600e-6
"""Seconds of filtering from which on blocks pay; their calls take some 200 µs."""


class Segment(NamedTuple):
    """Rows whose covariances were swept in one go."""

    first: int
    stop: int
    report: np.ndarray

    @property
    def fine(self) -> bool:
        """Whether no digits were lost."""
        return bool(self.report[2] == covariance.FINE)


class Window:
    """Rows ``start`` to ``end`` behind a cut, as an element."""

    def __init__(self, start: int, n: int, ld: int):
        self.start = self.end = start
        self.n, self.shape = n, (n, ld)
        self.A, self.J = aligned_zeros((n + 8) * ld), aligned_zeros((n + 8) * ld)
        self.matrix(self.A)[:] = np.eye(n)
        self.cov = np.zeros((n, n))
        self.forgets = False

    def matrix(self, padded: np.ndarray) -> np.ndarray:
        """The (n, n) entries of one that is padded."""
        return padded[: self.n * self.shape[1]].reshape(self.shape)[:, : self.n]

    def through(self, G: np.ndarray) -> np.ndarray:
        """Φ for a start of covariance G."""
        A, J = self.matrix(self.A), self.matrix(self.J)
        return np.linalg.solve((np.eye(self.n) + G @ J).T, A.T).T


def forgotten(A: np.ndarray, cov: np.ndarray) -> bool:
    """Whether A takes a start of about this covariance to nothing."""
    scale = np.sqrt(np.maximum(cov.diagonal(), 0.0))
    return bool((np.abs(A) * np.where(scale > 0, scale, np.inf) <= FORGOTTEN * scale[:, None]).all())


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two covariances are the same but for rounding."""
    scale = np.sqrt(np.maximum(one.diagonal(), 0.0))
    return bool((np.abs(one - other) <= AGREE * scale[:, None] * scale).all())


def blocks(rows: int, n: int, p: int) -> int:
    """How many, by size alone."""
    return min(processors(), rows // LEAST) if seconds(rows, n, p) > WORTH else 1


class BlockRun(Run):
    """As :class:`~msgpass.kernels.gaussian_chain_passes.Run`, which it is for all but one long sequence."""

    @cached_property
    def cuts(self) -> np.ndarray:
        """Where the blocks begin."""
        count = blocks(self.T, self.n, self.p) if len(self.rows) == 1 else 1
        return np.arange(count) * self.T // count

    @cached_property
    def fine(self) -> bool:
        """Runs the filter's covariances; whether no digits were lost."""
        self.windows: list[Window] = []
        self.segments: list[Segment] = []
        if len(self.cuts) < 2:
            return super().fine
        self.cov, self.start = flat(self.arrays.cov), flat(self.arrays.mean)
        self.quadratic, self._means_done = np.zeros(1), False
        kernels, one = self.family.kernels, self._carry
        with compiling("the filter of linear-Gaussian chains", kernels.forward, kernels.mean_forward, one):
            self._settle() or self._cover_blocks()
        self.segments.sort(key=lambda segment: segment.first)
        self.report[0] = self.T, self._settled(), covariance.FINE, 0
        for segment in self.segments:
            if not segment.fine:
                self.report[0, 2:] = segment.report[2], segment.first + segment.report[3]
                return False
        return True

    @cached_property
    def _carry(self) -> Callable:
        return carry(self.n, self.p)

    # -- covariances forward

    def _rows(self, first: int, stop: int, cov: np.ndarray) -> Segment:
        """Filter some rows from a predicted covariance."""
        s, report, rows = self.strides, np.zeros((1, 4), np.int64), np.array([first])
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
            flat(cov),
            0,
            self.y,
            self.masked,
            rows,
            rows,
            np.zeros(1, np.int64),
            np.array([stop - first]),
            rows,
            0,
            1,
            0,
            stop - first,
            self.tolerance,
            self.U,
            self.Ct,
            self.SI,
            self._scale,
            self.index,
            report,
            self._forward_work(),
        )
        return Segment(first, stop, report[0])

    def _filtered(self, t: int) -> np.ndarray:
        size = self.n * self.family.states
        stored = self.U[self.index[t] * size : (self.index[t] + 1) * size]
        return stored.reshape(self.n, -1)[:, : self.n]

    def _ahead(self, t: int) -> np.ndarray:
        """Predicted covariance of row t + 1."""
        F = at(self.arrays.F, t)
        return symmetric(F @ self._filtered(t) @ F.T) + at(self.arrays.Q, t)

    def _settle(self) -> bool:
        """Whether the covariances are constant within a few rows, and all are done."""
        arrays = self.arrays
        shared = all(len(part) == 1 for part in (arrays.F, arrays.Q, arrays.H, arrays.R))
        if not shared or self.masked or not self.tolerance > 0:
            return False
        few = min(self.T // 16, LARGEST)
        first = self._rows(0, few, arrays.cov[0])
        if first.fine and first.report[1] == few:
            return False
        self.index[few:] = self.index[few - 1]
        self.segments = [Segment(0, self.T, first.report)]
        if first.fine and not (self.family.in_registers and self.T < SHORT):
            self._forget_at_constant_gains(int(first.report[1]))
        return True

    def _forget_at_constant_gains(self, settled: int) -> None:
        """Windows behind the cuts: powers of F (I − C H)."""
        n, p, ld, _ = self.size
        s, F, H = self.index[-1], self.arrays.F[0], self.arrays.H[0]
        gain = self.Ct[s * p * ld : (s + 1) * p * ld].reshape(p, ld)[:, :n].T
        power, rows, cov = F @ (np.eye(n) - gain @ H), 1, self._ahead(self.T - 2)
        while not forgotten(power, cov):
            power, rows = power @ power, 2 * rows
            if 8 * rows > self.cuts[1]:
                return
        for cut in self.cuts[self.cuts >= max(settled, 1)]:
            window = Window(int(cut), n, ld)
            window.end, window.forgets = window.start + rows, True
            self.windows.append(window)

    def _cover_blocks(self) -> None:
        n, ld = self.n, self.family.states
        self.windows = [Window(int(cut), n, ld) for cut in self.cuts[1:]]
        tasks = [(self._own, (0, self.windows[0].start, self.arrays.cov[0]))]
        tasks += [(self._open, (k,)) for k in range(len(self.windows))]
        run_all(tasks)
        if not all(segment.fine for segment in self.segments):
            return self._one_after_another(0)
        later: list[tuple[Callable, tuple]] = []
        cov = self._ahead(self.windows[0].start - 1)
        for k, window in enumerate(self.windows):
            later.append((self._own, (window.start, window.end, cov)))
            stop = self._stop(k)
            if not window.forgets:
                G = symmetric(cov - at(self.arrays.Q, window.start - 1))
                try:
                    window.cov = window.cov + symmetric(window.through(G) @ G @ window.matrix(window.A).T)
                except np.linalg.LinAlgError:
                    return self._one_after_another(0)
                if window.end < stop:
                    later.append((self._own, (window.end, stop, window.cov)))
                cov = window.cov
            elif stop < self.T:
                cov = self._ahead(stop - 1)
        run_all(later)
        for window in self.windows:
            if window.end < self.T and not close(self._ahead(window.end - 1), window.cov):
                return self._one_after_another(window.end)
        return None

    def _stop(self, k: int) -> int:
        """Row at which the block of window k ends."""
        return self.windows[k + 1].start if k + 1 < len(self.windows) else self.T

    def _own(self, first: int, stop: int, cov: np.ndarray) -> None:
        self.segments.append(self._rows(first, stop, cov))

    def _open(self, k: int) -> None:
        """A window as an element; where it forgets, the rest of its block as well."""
        window, stop = self.windows[k], self._stop(k)
        limit = stop if k + 1 < len(self.windows) else (window.start + stop) // 2
        s, work, chunk = self.strides, aligned_zeros(work_size(*self.size)), CHUNK
        cov = at(self.arrays.Q, window.start - 1)
        while window.end < limit and not window.forgets:
            first, window.end = window.end, min(window.end + chunk, limit)
            segment = self._rows(first, window.end, cov)
            if not segment.fine:
                self.segments.append(segment)
                return
            given = self.F, s.F, self.H, s.H, first, window.end, self.index, self.Ct, self.SI
            self._carry(*self.size, *given, window.A, window.J, work)
            cov, chunk = self._ahead(window.end - 1), min(2 * chunk, LARGEST)
            window.forgets = forgotten(window.matrix(window.A), cov)
        window.cov = cov
        if window.forgets and window.end < stop:
            self._own(window.end, stop, cov)

    def _one_after_another(self, first: int) -> None:
        """All rows from ``first`` on, whose windows no longer hold."""
        self.windows = []
        self.segments = [s for s in self.segments if s.stop <= first]
        self._own(first, self.T, self._ahead(first - 1) if first else self.arrays.cov[0])

    def _settled(self) -> int:
        """First row from which the covariances are constant."""
        found = self.T
        for segment in reversed(self.segments):
            settled, length = int(segment.report[1]), segment.stop - segment.first
            if settled < length:
                found = segment.first + settled
            if settled > 1:
                break
        return found

    @cached_property
    def logdet(self) -> np.ndarray:
        """log|S| of every row stored; others are not to be read."""
        if not self.segments or not self.family.in_registers:
            return super().logdet
        found = np.zeros(len(self._scale))
        for first, _, report in self.segments:
            found[first : first + report[0]] = np.log(self._scale[first : first + report[0]])
        return found

    # -- means

    @property
    def _cut(self) -> bool:
        """Whether means and adjoint go in blocks, too."""
        return bool(self.windows) and all(window.forgets for window in self.windows)

    def _some_means(self, first: int, stop: int, start: np.ndarray) -> float:
        """Filter the means of some rows; their part of log Z."""
        s, rows, total = self.strides, np.array([first]), np.zeros(1)
        one = np.zeros(1, np.int64)
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
            flat(start),
            0,
            rows,
            rows,
            one,
            np.array([stop - first]),
            np.array([0, 1]),
            one,
            0,
            1,
            0,
            stop - first,
            self.index,
            self.Ct,
            self.SI,
            self.m,
            self.f,
            self.v,
            self.e,
            total,
            self._mean_work(1),
        )
        return float(total[0])

    def _mean_ahead(self, t: int) -> np.ndarray:
        """Predicted mean of row t + 1."""
        return at(self.arrays.F, t) @ self.f[t * self.n : (t + 1) * self.n] + at(self.arrays.b, t)

    def filter_means(self) -> None:
        """Predicted and filtered means, innovations and quadratic forms; once."""
        if self._means_done or not self._cut:
            return super().filter_means()
        parts = np.zeros((len(self.windows) + 1, 2))

        def block(k: int) -> None:
            first, start = 0, self.arrays.mean[0]
            if k:
                window = self.windows[k - 1]
                self._some_means(window.start, window.end, np.zeros(self.n))
                first, start = window.end, self._mean_ahead(window.end - 1)
            parts[k, 1] = self._some_means(first, self._stop(k - 1), start)

        run_all([(block, (k,)) for k in range(len(parts))])
        for k, window in enumerate(self.windows, 1):
            start = self._mean_ahead(window.start - 1)
            parts[k, 0] = self._some_means(window.start, window.end, start)
        self.quadratic[0] = parts.sum()
        self._means_done = True
        return None

    # -- backward

    def smooth(self, V: np.ndarray, sums: np.ndarray) -> bool:
        """As :meth:`msgpass.kernels.gaussian_chain_passes.Run.smooth`."""
        if not self._cut:
            return super().smooth(V, sums)
        self.filter_means()
        self.s, self.lost = np.empty(self.T * self.n), np.full(1, -1)
        count, none, nothing = len(self.windows) + 1, np.empty(0), np.empty((1, 0))
        found = [np.zeros((1, sums.shape[1])) for _ in range(2 * count - 1)]
        ends = [self._nothing_behind() for _ in range(count)]

        def block(k: int) -> None:
            """From nothing behind the window that follows, or the end of the chain."""
            first, stop = self.windows[k - 1].end if k else 0, self._stop(k - 1)
            if k + 1 < count:
                self._back(stop, self.windows[k].end, none, nothing, *ends[k])
            self._back(first, stop, V, found[k], *ends[k])

        def window(k: int) -> None:
            start, end = self.windows[k].start, self.windows[k].end
            self._back(start, end, V, found[count + k], *ends[k + 1])

        kernels = self.family.kernels
        with compiling("the smoother of linear-Gaussian chains", kernels.backward, kernels.mean_backward):
            run_all([(block, (k,)) for k in range(count)])
            run_all([(window, (k,)) for k in range(count - 1)])
        if sums.shape[1]:
            quarter = sums.shape[1] // 4
            sums[0] = sum(part[0] for part in found)
            sums[0, 3 * quarter :] = found[0][0, 3 * quarter :]
        return bool((self.lost < 0).all())

    def _nothing_behind(self) -> tuple[np.ndarray, np.ndarray]:
        """N, and work memory of the means, which holds r."""
        return aligned_zeros((self.n + 8) * self.family.states), self._mean_work(1)

    def _back(self, start: int, stop: int, V, sums, behind: np.ndarray, means: np.ndarray) -> None:
        """N, smoothed covariances and means of some rows, given (N, r) behind them, which move on."""
        s, g, lost = self.strides, self.groups, np.full(1, -1)
        steps = stop - start if self.family.in_registers else self.T
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
            0,
            1,
            start,
            stop,
            behind,
            self.tolerance,
            self.index,
            self.U,
            self.Ct,
            self.SI,
            np.empty(0),
            V,
            sums,
            lost,
            self._zeros(8 if self.family.in_registers else covariance.backward_work(*self.size)),
            np.empty(steps, np.int64),
            np.empty(steps, np.bool_),
        )
        if lost[0] >= 0:
            self.lost[0] = lost[0]
        self._mean_back(0, 1, start, stop, means)


class BlockSweep(CompiledSweep):
    """A chain's messages by blocks."""

    _runs = BlockRun
