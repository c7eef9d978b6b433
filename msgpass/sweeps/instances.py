"""What a family of tables or quadratics says in each of its instances, and how messages come back to its
parameters.

Observed variables are indexed out of a table. A missing one is summed out: each observed axis carries one
entry more, the
log-sum-exp over its states, which index −1 picks.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.algebra.gaussian import Canonical, Information, Linear, Moments
from msgpass.errors import DataError, NumericalError
from msgpass.kernels.chain_reference import log_sum_exp
from msgpass.nodes import Parameter, Slice
from msgpass.plan import Family, latent
from msgpass.sweeps.rows import rows_of
from msgpass.values import below_infinity


class TableInstances:
    """The log tables of a family in one run."""

    def __init__(self, family: Family, values):
        self.family, self.values = family, values
        self.states, self.batch, self.observed, stepped = family.table_layout
        source = family.potential.source
        if isinstance(source, Slice):
            array = values[source.node.name]
            self.array = array[source.rows(family.clock, family.counts)] if stepped else array
            # Arrays and parameters are checked at the border; what a step computes is checked here.
            if not below_infinity(self.array):
                raise DataError(
                    f"the log values of {family.name!r}, read from {source.name}, hold NaN or +∞; "
                    "−∞ is the only infinite value a log table may hold"
                )
        else:
            self.array = family.potential.value("log_values", values)
        self.stepped = stepped
        self.has_batch = self.array.ndim - stepped > len(self.states)

    @cached_property
    def extended(self) -> np.ndarray:
        """The table with one entry more on each observed axis: its log-sum-exp, for missing states."""
        extended = self.array
        for k in self.observed:
            axis = k - len(self.states)
            extended = np.concatenate(
                [extended, np.expand_dims(log_sum_exp(extended, axis), axis)], axis=axis
            )
        return extended

    def data(self, k: int, chosen=None) -> np.ndarray:
        """Observed states of argument k over instances."""
        arg = self.family.args[k]
        array = self.values[arg.name]
        return array if arg.rows is None else array[rows_of(self.family, arg, chosen)]

    def table(self, j: int) -> np.ndarray:
        """Log table of instance j over its latent variables, batch axes in front."""
        table = self.extended[j] if self.stepped else self.extended
        if not self.observed:
            return table
        index = self._index(
            [
                np.asarray(
                    self.data(k) if self.family.args[k].rows is None else self.data(k, slice(j, j + 1))[0]
                )
                for k in self.observed
            ]
        )
        return self._pick(table, index)

    def stacked(self) -> np.ndarray:
        """Log tables of all instances, (n, *batch, latent states…)."""
        n = self.family.factor.n
        if not self.observed:
            return (
                self.extended if self.stepped else np.broadcast_to(self.extended, (n, *self.extended.shape))
            )
        index = self._index(
            [
                self.data(k)
                if self.family.args[k].rows is not None
                else np.broadcast_to(self.data(k), (n, *np.shape(self.data(k))))
                for k in self.observed
            ]
        )
        if not self.stepped:
            return self._pick(self.extended, index)
        steps = np.arange(n).reshape((n,) + (1,) * len(self.batch))
        return self._pick(self.extended, index, steps)

    def _index(self, data):
        return dict(zip(self.observed, data, strict=True))

    def _pick(self, table, index, steps=None):
        """Advanced indexing of the observed axes; instance and batch axes end up in front."""
        batch_axes = len(self.batch) if self.has_batch else 0
        some = next(iter(index.values()))
        key: list = []
        if steps is not None:
            key.append(np.broadcast_to(steps, some.shape) if some.ndim else steps)
        if batch_axes:
            key += list(np.ix_(*(np.arange(s) for s in self.batch)))
        key += [index.get(k, slice(None)) for k in range(len(self.states))]
        first = min(index)
        if some.ndim == 0 and steps is None and not batch_axes:
            return table[tuple(key)]
        # Move the observed axes next to each other and in front, so that NumPy puts the broadcast axes first.
        lead = (steps is not None) + batch_axes
        order = [
            *range(lead),
            *(lead + k for k in index),
            *(lead + k for k in range(len(self.states)) if k not in index),
        ]
        moved = np.transpose(table, order)
        return moved[(*key[:lead], *(index[k] for k in sorted(index)))] if first >= 0 else moved

    def add_counts(self, weights: np.ndarray, target: np.ndarray, chosen=None) -> None:
        """Add expected counts, (n, *batch, latent states…), onto an array shaped like the source."""
        if not self.observed:
            if self.stepped:
                target[slice(None) if chosen is None else chosen] += (
                    weights if self.has_batch else _sum_batch(weights, 1, len(self.batch))
                )
            else:
                total = weights.sum(axis=0)
                target += total if self.has_batch else _sum_batch(total, 0, len(self.batch))
            return
        if len(self.observed) == 1 and not self.stepped and not self.has_batch:
            self._scatter_one(weights, target, chosen)
            return
        for place in np.ndindex(*weights.shape[: 1 + len(self.batch)]):
            self._scatter_slow(place, weights[place], target, chosen)

    def _scatter_one(self, weights, target, chosen) -> None:
        k = self.observed[0]
        symbols = np.broadcast_to(self.data(k, chosen), weights.shape[: 1 + len(self.batch)]).ravel()
        flat = weights.reshape(len(symbols), -1)
        n_symbols = self.states[k]
        counts = np.stack(
            [np.bincount(np.where(symbols < 0, n_symbols, symbols), w, n_symbols + 1) for w in flat.T]
        )
        target += self.symbol_counts(counts)

    def fold(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the table in the shape of its source (sparse and grouped tables have one of their
        own)."""
        return counts

    def symbol_counts(self, counts: np.ndarray) -> np.ndarray:
        """Counts (latent, symbol) in the table's own axes; those of missing symbols, the last column where
        there is
        one, are spread by what the table expects.
        """
        k, n_symbols = self.observed[0], self.states[self.observed[0]]
        latent_shape = tuple(s for j, s in enumerate(self.states) if j != k)
        full = counts[:, :n_symbols].reshape(*latent_shape, n_symbols)
        if counts.shape[1] > n_symbols and counts[:, n_symbols].any():
            table = np.moveaxis(self.array, k, -1)
            full = full + counts[:, n_symbols].reshape(*latent_shape, 1) * _softmax(table)
        return full if k == len(self.states) - 1 else np.moveaxis(full, -1, k)

    def _scatter_slow(self, place, weight, target, chosen) -> None:
        j = place[0] if chosen is None else np.arange(self.family.factor.n)[chosen][place[0]]
        view, table = (target[j], self.array[j]) if self.stepped else (target, self.array)
        if self.has_batch:
            view, table = view[place[1:]], table[place[1:]]
        key, spread = [], np.asarray(weight)
        for k in range(len(self.states)):
            if k not in self.observed:
                key.append(slice(None))
                continue
            data = self.data(k) if self.family.args[k].rows is None else self.data(k, slice(j, j + 1))[0]
            symbol = int(data[place[1:]] if np.ndim(data) else data)
            key.append(slice(None) if symbol < 0 else slice(symbol, symbol + 1))
        part = table[tuple(key)]
        axes = tuple(self.observed)
        weight = np.expand_dims(spread, axes)
        view[tuple(key)] += weight * np.exp(part - np.expand_dims(_safe(log_sum_exp_many(part, axes)), axes))


def _safe(logs):
    return np.where(np.isfinite(logs), logs, 0.0)


def log_sum_exp_many(values, axes):
    """log Σ exp over several axes."""
    for axis in sorted(axes, reverse=True):
        values = log_sum_exp(values, axis)
    return values


def _softmax(table):
    return np.exp(table - np.expand_dims(_safe(log_sum_exp(table, -1)), -1))


def _sum_batch(array, first, n_axes):
    return array.sum(axis=tuple(range(first, first + n_axes))) if n_axes else array


class QuadraticInstances:
    """The Gaussian potentials of a family in one run."""

    def __init__(self, family: Family, values):
        self.family, self.values, self.form = family, values, family.potential.form
        self.sizes = [math.prod(a.slice.shape) for a in family.args]
        self.latent = [latent(a) for a in family.args]
        self.parts = {
            role: family.potential.stacked(role, family.factor, values) for role in family.potential.parts
        }

    def part(self, role: str, j: int) -> np.ndarray:
        """Array of instance j."""
        array, stepped = self.parts[role]
        return array[j] if stepped else array

    def data(self, k: int, j: int) -> np.ndarray:
        """Observed vector of argument k."""
        arg = self.family.args[k]
        array = self.values[arg.name]
        row = array if arg.rows is None else array[rows_of(self.family, arg, slice(j, j + 1))][0]
        return np.asarray(row, float).reshape(-1)

    def potential(self, j: int, out: int | None):
        """Instance j over its latent variables, ``out`` (an index into the latent ones) last; a message for
        one variable.
        """
        if self.form == "prior":
            return Moments(self.part("mean", j), self.part("cov", j), 0.0)
        if self.form in ("linear", "observation"):
            F, Q, b = self.affine(j)
            if self.form == "observation" and "y" in self.parts:
                return _evidence(F, Q, b, self.part("y", j))
            if not self.latent[1]:
                return _evidence(F, Q, b, self.data(1, j))
            if not self.latent[0]:
                return Moments(F @ self.data(0, j) + b, Q, 0.0)
            return Linear(F, Q, b, flipped=out == 0)
        return self._canonical(j, out)

    def affine(self, j: int):
        """(F, Q, b) of a relation y = F x + b + noise of covariance Q."""
        if self.form == "linear":
            return self.part("F", j), self.part("Q", j), self.part("b", j)
        H = self.part("H", j)
        return H, self.part("R", j), np.zeros(H.shape[0], H.dtype)

    def _canonical(self, j: int, out: Any):
        h, precision = self.part("h", j), self.part("precision", j)
        scale = float(self.part("log_scale", j))
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        free, known = self._known(j, owner)
        missing = np.isnan(known)
        x = np.where(missing, 0.0, known)
        given = ~free & ~missing
        h_free = h - precision[:, given] @ x[given]
        scale += float(h[given] @ x[given] - 0.5 * x[given] @ precision[np.ix_(given, given)] @ x[given])
        hidden = ~free & missing
        if hidden.any():
            from msgpass.algebra.gaussian import marginal

            keep = free | hidden
            inside = Information(h_free[keep], precision[np.ix_(keep, keep)], scale)
            reduced = marginal(inside, np.flatnonzero(free[keep]))
            h_part, p_part, scale = reduced.h, reduced.precision, reduced.log_scale
        else:
            h_part, p_part = h_free[free], precision[np.ix_(free, free)]
        sizes = tuple(s for s, is_free in zip(self.sizes, self.latent, strict=True) if is_free)
        if len(sizes) == 1:
            return Information(h_part, p_part, scale)
        blocks = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        order = [k for k in range(len(sizes)) if k != out] + [out]
        index = np.concatenate([blocks[k] for k in order])
        return Canonical(h_part[index], p_part[np.ix_(index, index)], scale, tuple(sizes[k] for k in order))

    def _known(self, j, owner):
        free = np.array(self.latent)[owner]
        known = np.zeros(len(owner))
        for k, is_free in enumerate(self.latent):
            if not is_free:
                known[owner == k] = self.data(k, j)
        return free, known

    def add_statistics(self, j: int, mean: np.ndarray, cov: np.ndarray, store, names: dict[str, str]) -> None:
        """Add ∂log Z/∂part of instance j, from the posterior moments of its latent variables in the factor's
        order.
        """
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        if self.form == "prior":
            self._add_affine(j, None, mean, cov, np.zeros((mean.size, 0)), store, names)
            return
        full_mean, full_cov = np.zeros(len(owner)), np.zeros((len(owner), len(owner)))
        free, known = (
            self._known(j, owner)
            if not all(self.latent)
            else (np.ones(len(owner), bool), np.zeros(len(owner)))
        )
        full_mean[free], full_cov[np.ix_(free, free)] = mean, cov
        full_mean[~free] = known[~free]
        if self.form == "canonical":
            if np.isnan(full_mean).any():
                raise NumericalError(
                    f"statistics of {self.family.name!r} with missing observations are available "
                    "for Quadratic.observation only"
                )
            second = np.outer(full_mean, full_mean) + full_cov
            for role, statistic in (
                ("h", full_mean),
                ("precision", -0.5 * second),
                ("log_scale", np.array(1.0)),
            ):
                self._add(role, j, statistic, store, names)
            return
        n = self.sizes[0]
        if "y" in self.parts:
            y = self.part("y", j).reshape(-1)
            full_mean = np.concatenate([full_mean, y])
            full_cov = np.pad(full_cov, ((0, y.size), (0, y.size)))
        self._add_affine(
            j,
            full_mean[:n],
            full_mean[n:],
            full_cov[n:, n:],
            full_cov[n:, :n],
            store,
            names,
            full_cov[:n, :n],
        )

    def _add_affine(self, j, x, y, yy, yx, store, names, xx=None) -> None:
        """e = y − F x − b:  ∂F = Q⁻¹E[e xᵀ],  ∂b = Q⁻¹E[e],  ∂Q = ½(Q⁻¹E[e eᵀ]Q⁻¹ − Q⁻¹)."""
        prior = self.form == "prior"
        if prior:
            F, Q, b = np.zeros((y.size, 0)), self.part("cov", j), self.part("mean", j)
            x, xx = np.zeros(0), np.zeros((0, 0))
        else:
            F, Q, b = self.affine(j)
        roles = ("", "cov", "mean") if prior else ("F", "Q", "b") if self.form == "linear" else ("H", "R", "")
        observed = not prior and not self.latent[-1] and len(self.latent) > 1
        source = self.family.args[-1].name if observed else None
        if not any(r in names for r in roles) and source is None:
            return
        seen = ~np.isnan(y)
        e = (y - F @ x - b)[seen]
        F, yx, yy = F[seen], yx[seen], yy[np.ix_(seen, seen)]
        ex = yx - F @ xx
        ee = yy - F @ yx.T - yx @ F.T + F @ xx @ F.T
        try:
            W = np.linalg.inv(Q[np.ix_(seen, seen)])
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"∂log Z/∂parameters of {self.family.name!r} do not exist: its covariance is singular"
            ) from None
        full = np.flatnonzero(seen)
        grads = {
            roles[0]: np.zeros((len(seen), x.size)),
            roles[1]: np.zeros((len(seen), len(seen))),
            roles[2]: np.zeros(len(seen)),
        }
        grads[roles[0]][full] = W @ (np.outer(e, x) + ex)
        grads[roles[1]][np.ix_(full, full)] = 0.5 * (W @ (np.outer(e, e) + ee) @ W - W)
        grads[roles[2]][full] = W @ e
        for role, g in grads.items():
            if role:
                self._add(role, j, g, store, names)
        if source is not None:
            arg = self.family.args[-1]
            pull = np.zeros(len(seen))
            pull[full] = -(W @ e)
            target = store[source]
            if arg.rows is None:
                target += pull.reshape(target.shape)
            else:
                rows = rows_of(self.family, arg, slice(j, j + 1))
                target[rows] += pull.reshape(1, *target.shape[1:])

    def _add(self, role, j, statistic, store, names) -> None:
        if role not in names:
            return
        target = store[names[role]]
        stepped = self.parts[role][1]
        view = target[j] if stepped else target
        total = np.asarray(statistic)
        if view.shape == () and total.size != 1:
            total = total.sum()
        if stepped:
            target[j] += total.reshape(view.shape)
        else:
            store[names[role]] = target + total.reshape(view.shape)


def _evidence(F, Q, b, y) -> Information:
    """exp of log N(y; F x + b, Q) as a function of x; missing cells are left out."""
    seen = ~np.isnan(y)
    F, Q, r = F[seen], Q[np.ix_(seen, seen)], (y - b)[seen]
    try:
        L = np.linalg.cholesky(Q)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "an observation with singular noise R says something exactly; give R a small positive diagonal"
        ) from None
    A, w = np.linalg.solve(L, F), np.linalg.solve(L, r)
    scale = -0.5 * r.size * math.log(2 * math.pi) - np.log(np.diag(L)).sum() - 0.5 * w @ w
    return Information(A.T @ w, A.T @ A, float(scale))


def parameter_names(family: Family) -> dict[str, str]:
    """Role → name of the parameters behind a family's potential."""
    return {role: p.name for role, p in family.potential.parts.items() if isinstance(p, Parameter)}
