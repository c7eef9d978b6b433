"""Readings of a linear-Gaussian chain, each made when it is asked for, from the passes of one sweep.

``passes`` is the seam to compiled code: any object with the functions ``filter_pass``, ``adjoint_pass``,
``forward_columns`` and ``adjoint_columns`` of :mod:`~msgpass.kernels.gaussian_chain_reference`, arrays in,
arrays out, with the signatures that they have there. What is here works on whole (T, …) arrays and knows
neither the one nor the other. A compiled sweep that need not store them derives from :class:`GaussianSweep`
and overrides the readings that it has its own passes for (``totals``, ``smoothed``, ``gradients``, …); the
others are made as here.

With δ ~ N(δ̂, B Bᵀ) given all rows, columns (r, r_A) turn into (r̂, r_A B): one column of means, d of spread.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.kernels import gaussian_chain_reference as reference
from msgpass.kernels import gaussian_chain_square_root as square_root
from msgpass.kernels.gaussian_chain_errors import closed, finite, regular
from msgpass.kernels.gaussian_chain_flat import Determined, Evidence, evidence, with_spread
from msgpass.kernels.gaussian_chain_flat_rows import Moments, given, tails_of
from msgpass.kernels.gaussian_chain_noise import Noise, observation_noise
from msgpass.kernels.gaussian_chain_reference import symmetric
from msgpass.kernels.gaussian_chain_types import (
    CANCELLED,
    AdjointPass,
    FilterPass,
    GaussianChainArrays,
    Statistics,
)


def transposed(array: np.ndarray) -> np.ndarray:
    """The last two axes swapped."""
    return np.swapaxes(array, -1, -2)


class GaussianSweep:
    """A chain's messages, read lazily.

    Parameters
    ----------
    arrays : GaussianChainArrays
    passes : module or object
        Implementation of the passes.
    """

    def __init__(self, arrays: GaussianChainArrays, passes: Any = reference):
        self._given, self._passes = arrays, passes
        self._gains: dict[int, np.ndarray] = {}  # of sequences whose means go by them

    # -- forward

    @cached_property
    def _started(self) -> tuple[GaussianChainArrays, FilterPass, dict[int, np.ndarray]]:
        arrays = self._given
        done, roots = self._filter(arrays)
        if arrays.flat.shape[1] and (done.singular >= 0).any():
            arrays = with_spread(arrays)
            done, roots = self._filter(arrays)
        regular(done)
        return arrays, done, roots

    def _filter(self, arrays: GaussianChainArrays) -> tuple[FilterPass, dict[int, np.ndarray]]:
        done = self._passes.filter_pass(arrays)
        redone = np.flatnonzero(done.suspicious | (done.singular >= 0))
        for k in redone:
            finite(arrays, done, k)
        return done, {int(k): square_root.filter_sequence(arrays, done, k) for k in redone}

    @property
    def arrays(self) -> GaussianChainArrays:
        """The arrays that the passes ran on."""
        return self._started[0]

    @property
    def _pass(self) -> FilterPass:
        return self._started[1]

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(means, columns of δ) side by side: predicted, filtered, innovations, each (T, ·, 1 + d)."""
        arrays, done = self.arrays, self._pass
        alone = done.predicted_mean[..., None], done.filtered_mean[..., None], done.innovation[..., None]
        if not arrays.flat.shape[1]:
            return alone
        others = self._passes.forward_columns(arrays, done, arrays.flat)
        a, m, v = (np.concatenate(pair, -1) for pair in zip(alone, others, strict=True))
        return a, m, v

    @cached_property
    def _flat(self) -> list[Determined]:
        """δ of every sequence given all of its rows; an error where they leave a direction open."""
        arrays = self.arrays
        if not arrays.flat.shape[1]:
            nothing = np.zeros((0, 0))
            return [Determined(np.zeros(0), nothing, nothing, 0.0)] * (len(arrays.offsets) - 1)
        found = [self._evidence(k).all() for k in range(len(arrays.offsets) - 1)]
        closed(arrays, found)
        return found

    def _evidence(self, k: int) -> Evidence:
        """What the rows of sequence k say about its δ."""
        arrays, (predicted, _, innovations) = self.arrays, self._columns
        rows = slice(arrays.offsets[k], arrays.offsets[k + 1])
        return evidence(arrays, self._pass, rows, predicted[..., 1:], innovations[..., 1:])

    @cached_property
    def totals(self) -> np.ndarray:
        """log Z of each sequence, (N,): the integral is over δ, too."""
        if self.arrays.flat.shape[1]:
            return np.array([found.log_z for found in self._flat])
        return np.add.reduceat(self._pass.terms, self.arrays.offsets[:-1])

    @cached_property
    def predicted(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (T, n) and covariance (T, n, n) of x_t given earlier rows.

        Coordinates that a flat start leaves open have mean NaN and variance inf, their covariances are NaN.
        """
        if not self.arrays.flat.shape[1]:
            return self._pass.predicted_mean, self._pass.predicted_cov
        return self._so_far[0]

    @cached_property
    def filtered(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (T, n) and covariance (T, n, n) of x_t given rows up to t; as ``predicted``."""
        if not self.arrays.flat.shape[1]:
            return self._pass.filtered_mean, self._pass.filtered_cov
        return self._so_far[1]

    @cached_property
    def _so_far(self) -> tuple[Moments, Moments]:
        """Moments (predicted, filtered); once its rows determine δ, a sequence goes on as an ordinary one."""
        arrays, done, (predicted, filtered, _) = self.arrays, self._pass, self._columns
        before = np.empty_like(done.predicted_mean), np.empty_like(done.predicted_cov)
        after = np.empty_like(done.filtered_mean), np.empty_like(done.filtered_cov)
        begins = []
        for k, (t, end) in enumerate(zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True)):
            deltas = self._evidence(k).by_row()
            delta = next(deltas)
            while t < end:
                before[0][t], before[1][t] = given(delta, predicted[t], done.predicted_cov[t])
                delta = next(deltas)
                after[0][t], after[1][t] = given(delta, filtered[t], done.filtered_cov[t])
                t += 1
                if not delta.free.size:
                    break
            begins.append(t)
        tails = tails_of(arrays, np.array(begins), after)
        if tails is not None:
            own, rows = self._again(tails.arrays), tails.rows
            for whole, part in zip((*before, *after), (*own.predicted, *own.filtered), strict=True):
                whole[rows] = part
        return before, after

    def _again(self, arrays: GaussianChainArrays) -> GaussianSweep:
        """A sweep of the same kind."""
        return type(self)(arrays, self._passes)

    @cached_property
    def converged(self) -> np.ndarray:
        """Rows of each sequence from which the gains are constant, (N,); its length: never."""
        arrays, done = self.arrays, self._pass
        found = np.diff(arrays.offsets)
        for k, (first, end) in enumerate(zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True)):
            P, C = done.predicted_cov[first:end], done.gain[first:end]
            same = np.abs(P - P[-1]).max((1, 2)) <= 1e-14 * np.abs(P[-1]).max()
            same &= np.abs(C - C[-1]).max((1, 2), initial=0.0) <= 1e-14 * np.abs(C[-1]).max(initial=0.0)
            start = len(same) - int(np.argmin(same[::-1])) if not same.all() else 0
            if start < len(same) - 1:
                found[k] = start
        return found

    # -- backward

    @cached_property
    def _turns(self) -> np.ndarray:
        """[[1, 0], [δ̂, B]] of every sequence, (N, 1 + d, 1 + d)."""
        found, d = self._flat, self.arrays.flat.shape[1]
        turns = np.zeros((len(found), 1 + d, 1 + d))
        turns[:, 0, 0] = 1
        for turn, delta in zip(turns, found, strict=True):
            turn[1:, 0], turn[1:, 1:] = delta.mean, delta.root
        return turns

    def _turned(self, columns: np.ndarray, owner: np.ndarray) -> np.ndarray:
        return columns if columns.shape[-1] == 1 else columns @ self._turns[owner]

    @cached_property
    def _adjoint(self) -> AdjointPass:
        """r with δ̂ in place, and the columns of its spread; N of a known δ."""
        found = self._passes.adjoint_pass(self.arrays, self._pass, self._columns[2])
        return AdjointPass(self._turned(found.r, self.arrays.owner), found.N)

    @cached_property
    def _behind(self) -> AdjointPass:
        """r⁺ = Fᵀ r′ and N⁺ = Fᵀ N′ F of every row; zero at the last one of a sequence."""
        arrays, (r, N), sources = self.arrays, self._adjoint, self.arrays.sources
        behind = AdjointPass(np.zeros_like(r), np.zeros_like(N))
        Ft = transposed(arrays.F)
        behind.r[sources], behind.N[sources] = Ft @ r[sources + 1], Ft @ N[sources + 1] @ arrays.F
        return behind

    @cached_property
    def _smoothed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns (T, n, 1 + d), and for a known δ the covariances (T, n, n) and lag-one (S, n, n)."""
        arrays, done, (r, N) = self.arrays, self._pass, self._behind
        filtered, U, sources = self._columns[1], done.filtered_cov, arrays.sources
        columns = self._turned(filtered, arrays.owner) + U @ r
        cov = symmetric(U - U @ N @ U)
        left = np.eye(U.shape[-1]) - done.predicted_cov[sources + 1] @ self._adjoint.N[sources + 1]
        lag = left @ arrays.F @ U[sources]
        roots = dict(self._started[2])
        diagonal, before = np.diagonal(cov, axis1=1, axis2=2), np.diagonal(U, axis1=1, axis2=2)
        lost = (diagonal < CANCELLED * before).any(1)
        for k in np.unique(arrays.owner[lost]):
            if k not in roots:
                # On a copy: what has been read must not depend on what is read later.
                apart = FilterPass(*(part.copy() for part in done))
                roots[int(k)] = square_root.filter_sequence(arrays, apart, k)
        for k, kept in roots.items():
            rows = slice(arrays.offsets[k], arrays.offsets[k + 1])
            pairs = slice(rows.start - k, rows.stop - k - 1)
            found = square_root.smooth_sequence(arrays, kept, k)
            cov[rows], lag[pairs] = found.cov, found.lag
            own = square_root.smooth_means(found.gains, self._columns[0][rows], filtered[rows])
            own = self._turned(own, np.full(len(own), k))
            if self._nearer(int(k), rows, own[..., 0], columns[rows, :, 0]):
                columns[rows] = own
                self._gains[int(k)] = found.gains
        return columns, cov, lag

    def _nearer(self, k: int, rows: slice, one: np.ndarray, other: np.ndarray) -> bool:
        """Whether means by gains fit the model better than those by the adjoint."""
        innovations = self._turned(self._columns[2][rows], np.full(len(one), k))[..., 0]
        e = np.einsum("tpq,tq->tp", self._pass.precision[rows], innovations)
        e -= np.einsum("tnp,tn->tp", self._pass.gain[rows], self._behind.r[rows, :, 0])
        r = self._adjoint.r[rows, :, 0]
        gaps = [square_root.disagreement(self.arrays, k, means, r, e) for means in (one, other)]
        return gaps[0] < gaps[1]

    @cached_property
    def smoothed(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (T, n) and covariance (T, n, n) of x_t given all rows."""
        columns, cov, _ = self._smoothed
        spread = columns[..., 1:]
        return columns[..., 0], cov + spread @ transposed(spread)

    @cached_property
    def lag_one(self) -> np.ndarray:
        """Cov(x_{t+1}, x_t) given all rows, (S, n, n)."""
        columns, _, lag = self._smoothed
        spread, sources = columns[..., 1:], self.arrays.sources
        return lag + spread[sources + 1] @ transposed(spread[sources])

    # -- sums

    @cached_property
    def _noise(self) -> Noise:
        """Of the observations, given all rows."""
        innovations = self._turned(self._columns[2], self.arrays.owner)
        return observation_noise(self._pass, innovations, self._behind, self._smoothed[0])

    @cached_property
    def gradients(self) -> dict[str, np.ndarray]:
        """∂ Σ log Z / ∂ each of mean, cov, F, Q, b, H, R and y, shaped like it.

        Matrices as if their entries were independent; zero at missing cells.
        """
        from msgpass.kernels.gaussian_chain_sums import gradients

        columns = self._smoothed[0]
        return gradients(self.arrays, self._pass, self._adjoint, self._noise, columns)

    @cached_property
    def statistics(self) -> Statistics:
        """Expected sufficient statistics given all rows, summed over pairs, rows and sequences."""
        from msgpass.kernels.gaussian_chain_sums import statistics

        return statistics(self.arrays, self.smoothed, self.lag_one, self._noise)

    # -- whole paths

    def draws(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Independent draws of all states given all rows, (count, T, n).

        A path x⁺ and data y⁺ are simulated from the model without means; x⁺ − E[x | y⁺] has the posterior's
        covariance (Durbin & Koopman 2002), so that one pass of means with the stored gains does for a draw.
        """
        from msgpass.kernels.gaussian_chain_draws import simulate

        states, data = simulate(self.arrays, rng, count)
        return np.moveaxis(self.smoothed[0][..., None] + states - self._means_given(data), -1, 0)

    def _means_given(self, data: np.ndarray) -> np.ndarray:
        """E[x | y] in the model without means for columns of data, (T, p, c) → (T, n, c)."""
        arrays, done = self.arrays, self._pass
        start = np.zeros((arrays.mean.shape[-1], data.shape[-1]))
        predicted, filtered, innovations = self._passes.forward_columns(arrays, done, start, data)
        r, sources = self._passes.adjoint_columns(arrays, done, innovations), arrays.sources
        means = filtered.copy()
        means[sources] += done.filtered_cov[sources] @ (transposed(arrays.F) @ r[sources + 1])
        for k, gains in self._gains.items():
            rows = slice(arrays.offsets[k], arrays.offsets[k + 1])
            means[rows] = square_root.smooth_means(gains, predicted[rows], filtered[rows])
        if arrays.flat.shape[1]:
            spread = self._turned(self._columns[2], arrays.owner)[..., 1:]
            scores = -transposed(spread) @ done.precision @ innovations
            scores = np.add.reduceat(scores, arrays.offsets[:-1])
            means += self._smoothed[0][..., 1:] @ scores[arrays.owner]
        return means
