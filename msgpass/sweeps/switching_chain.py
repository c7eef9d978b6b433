"""A switching chain: gather its arrays, run Kim's filter and smoother, read.

Parameters get what their factors' expected logarithms say under the smoother's posterior: expected counts
behind tables, E[∂ log N(·)] behind quadratics."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import DataError, ImpossibleEvidenceError, NumericalError, UnsupportedError
from msgpass.kernels.switching_chain import kim_filter, kim_smoother
from msgpass.kernels.switching_chain_reference import collapse
from msgpass.kernels.switching_chain_types import Mixtures, PairMixtures, SwitchingChainArrays
from msgpass.plan import Family, SwitchingChain, latent
from msgpass.potentials.quadratic import states_of
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.instances import parameter_names
from msgpass.sweeps.rows import rows_of


class Relation(NamedTuple):
    """One family's matrices by state, with a leading axis of 1 or of its instances.

    ``observed`` holds (argument, its columns of F, data) of sources that are given.
    """

    family: Family
    F: np.ndarray
    Q: np.ndarray
    b: np.ndarray
    y: Any  # (instances, p), or None where the target is latent
    rows: np.ndarray  # of the target, or of the only variable
    observed: tuple


class SwitchingRun:
    """One run over a :class:`SwitchingChain`."""

    def __init__(self, block: SwitchingChain, tables, values, backward: bool):
        if not isinstance(block, SwitchingChain):
            raise TypeError(type(block).__name__)
        self.block, self.tables, self.values, self.may_smooth = block, tables, values, backward
        self.K, self.n = tables.node.states, block.node.size
        self.offsets = np.asarray(block.node.clock.offsets, np.int64)
        self.link = self.relation(block.link)
        self.local = [self.relation(f) for f in block.unaries if f is not block.first]
        self.arrays = self.gather()
        self.filtered, self.per_sequence = kim_filter(self.arrays)
        self.total = float(self.per_sequence.sum())

    # -- gathering ---------------------------------------------------------------------------------------

    def relation(self, family: Family) -> Relation:
        """Matrices and data of a linear relation."""
        potential, factor = family.potential, family.factor
        real = family.args[len(family.args) - len(states_of(factor)[1]) :]
        linear, count = potential.form == "linear", factor.n
        full, Q = (self.by_state(family, role) for role in (("F", "Q") if linear else ("H", "R")))
        b = self.by_state(family, "b") if linear else np.zeros((1, self.K, full.shape[2]))
        given = "y" in potential.parts
        F: Any = None
        start, observed = 0, []
        for arg in real if given else real[:-1]:
            columns = slice(start, start + math.prod(arg.slice.shape))
            start = columns.stop
            if latent(arg):
                F = full[..., columns]
                continue
            data = self.data(family, arg, count)
            if np.isnan(data).any():
                raise DataError(
                    f"{family.name!r} reads {arg.slice.name}, which is missing (NaN) in row "
                    f"{int(np.argmax(np.isnan(data).any(1)))}: a missing source cannot be integrated "
                    "out; fill it in"
                )
            b = b + np.einsum("...kpc,...c->...kp", full[..., columns], data)
            observed.append((arg, columns, data))
        y = None
        if given:
            y = np.asarray(potential.value("y", self.values), float)
            y = np.broadcast_to(y.reshape(-1, full.shape[2]), (count, full.shape[2]))
        elif not latent(real[-1]):
            y = self.data(family, real[-1], count)
        target = next(a for a in reversed(real) if a.name == self.block.node.name)
        return Relation(family, F, Q, b, y, _numbers(family, target), tuple(observed))

    def by_state(self, family: Family, role: str) -> np.ndarray:
        """A part by step (or 1) and state."""
        array, stepped = family.potential.stacked(role, family.factor, self.values)
        if states_of(family.factor)[0] is None:
            array = array[:, None] if stepped else array[None]
            lead = len(array) if stepped else 1
            return np.broadcast_to(
                array.reshape(lead, 1, *array.shape[2 if stepped else 1 :]),
                (lead, self.K, *array.shape[2 if stepped else 1 :]),
            )
        return array if stepped else array[None]

    def data(self, family: Family, arg, count: int) -> np.ndarray:
        """Observed rows, (instances, size)."""
        array = self.values[arg.name]
        rows = array[None] if arg.rows is None else array[_numbers(family, arg)]
        rows = np.asarray(rows, float).reshape(len(rows), math.prod(arg.slice.shape))
        return np.broadcast_to(rows, (count, rows.shape[1]))

    def gather(self) -> SwitchingChainArrays:
        """All arrays of the sweep."""
        t, T, K, n = self.tables, int(self.offsets[-1]), self.K, self.n
        evidence = np.asarray(t.log_evidence if t.rows is None else t.log_evidence[t.rows], float)
        transition = np.asarray(t.log_transition, float)
        mean, cov = (self.by_state(self.block.first, role) for role in ("mean", "cov"))
        if not np.isfinite(cov).all():
            raise UnsupportedError(
                f"{self.block.first.name!r} has flat cells; a mixture of improper densities has no "
                "weights: give the "
                "first state of a switching chain a prior with finite variances"
            )
        sizes = [r.y.shape[1] for r in self.local]
        p, ends = max(sum(sizes), 1), np.cumsum([0, *sizes])
        lead = T if any(len(part) > 1 for r in self.local for part in (r.F, r.Q, r.b)) else 1
        H, d = np.zeros((lead, K, p, n)), np.zeros((lead, K, p))
        R, y = np.tile(np.eye(p), (lead, K, 1, 1)), np.full((T, p), np.nan)
        for r, a, e in zip(self.local, ends[:-1], ends[1:], strict=True):
            where = r.rows if lead > 1 else slice(None)
            H[where, :, a:e], d[where, :, a:e], R[where, :, a:e, a:e] = r.F, r.b, r.Q
            y[r.rows, a:e] = r.y
        return SwitchingChainArrays(
            np.asarray(t.log_init, float),
            transition[None] if transition.ndim == 2 else transition,
            np.broadcast_to(evidence, (T, K)),
            mean,
            cov,
            self.link.F,
            self.link.Q,
            self.link.b,
            H,
            R,
            d,
            y,
            self.offsets,
        )

    # -- readings ----------------------------------------------------------------------------------------

    def impossible(self) -> None:
        """Raise where the evidence has probability zero."""
        bad = np.flatnonzero(~np.isfinite(self.per_sequence))
        if bad.size:
            raise ImpossibleEvidenceError(
                f"the evidence of sequence {int(bad[0])} of {self.block.nodes[0]!r} has probability "
                "zero, so that no "
                "posterior exists; look for −∞ in its tables"
            )

    @cached_property
    def _smoothed(self) -> tuple[Mixtures, PairMixtures]:
        self.impossible()
        return kim_smoother(self.arrays, self.filtered)

    @property
    def mixtures(self) -> Mixtures:
        """What all rows say of each row, one Gaussian a state."""
        return self._smoothed[0]

    @property
    def pairs(self) -> PairMixtures:
        """What all rows say of each pair of neighbours."""
        return self._smoothed[1]

    def moments(self, mixtures: Mixtures) -> GaussianBelief:
        """Mean and covariance of x whatever the state."""
        mean, cov = collapse(np.exp(mixtures.log_weights), mixtures.means, mixtures.covs, 1)
        shape = self.block.node.shape
        return GaussianBelief(mean.reshape(len(mean), *shape), cov if shape else cov[:, 0, 0])

    def factor_belief(self, family: Family):
        """Joint belief of a factor's variables: log tables, or moments whatever the state."""
        log_weights = self.mixtures.log_weights
        if family in self.block.states.families:
            pair = next((flip for f, flip in self.block.states.pairs if f is family), None)
            if pair is None:
                arg = next(a for a in family.args if a.name == self.block.nodes[0])
                return log_weights[_numbers(family, arg)]
            with np.errstate(divide="ignore"):
                joint = np.log(self.pairs.weights)
            return np.swapaxes(joint, -1, -2) if pair else joint
        if family is self.block.link:
            pairs = self.pairs
            return GaussianBelief(*collapse(pairs.weights.sum(1), pairs.means, pairs.covs, 1))
        rows = self.row_numbers(family)
        mixtures = Mixtures(*(part[rows] for part in self.mixtures))
        return GaussianBelief(*collapse(np.exp(mixtures.log_weights), mixtures.means, mixtures.covs, 1))

    def row_numbers(self, family: Family) -> np.ndarray:
        """Rows of a factor on single steps."""
        return _numbers(family, next(a for a in family.args if a.name == self.block.node.name))

    # -- parameters --------------------------------------------------------------------------------------

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """Expected counts behind tables, expected gradients of log densities behind quadratics."""
        from msgpass.sweeps.tree import table_target

        weights = np.exp(self.mixtures.log_weights)
        pairs = self.pairs
        for made in self.tables.every:
            target = table_target(made, store)
            if target is None:
                continue
            flipped = next((flip for f, flip in self.block.states.pairs if f is made.family), None)
            if flipped is None:
                arg = next(a for a in made.family.args if a.name == self.block.nodes[0])
                made.add_counts(sign * weights[_numbers(made.family, arg)], target)
            else:
                made.add_counts(
                    sign * (np.swapaxes(pairs.weights, 1, 2) if flipped else pairs.weights), target
                )
        self.add_prior(store, weights)
        n = self.n
        arriving = pairs.weights.sum(1)  # by the state a pair arrives in
        means, covs = pairs.means, pairs.covs
        self.add_relation(
            self.link,
            arriving,
            means[..., :n],
            means[..., n:],
            covs[..., :n, :n],
            covs[..., n:, :n],
            covs[..., n:, n:],
            store,
        )
        for r in self.local:
            x, P = self.mixtures.means[r.rows], self.mixtures.covs[r.rows]
            y = np.broadcast_to(r.y[:, None], (len(r.rows), self.K, r.y.shape[1]))
            none = np.zeros((*y.shape, 0))
            self.add_relation(r, weights[r.rows], x, y, P, none, none, store)

    def add_prior(self, store, weights) -> None:
        """∂mean = P⁻¹E[x − m], ∂cov = ½(P⁻¹E[(x − m)(x − m)ᵀ]P⁻¹ − P⁻¹) by state."""
        family = self.block.first
        names = parameter_names(family)
        if not names:
            return
        rows = self.row_numbers(family)
        away = self.mixtures.means[rows] - self.arrays.mean
        second = self.mixtures.covs[rows] + away[..., :, None] * away[..., None, :]
        W = _inverses(self.arrays.cov, family)
        w = weights[rows]
        self.put(family, "mean", w[..., None] * np.einsum("...ab,...b->...a", W, away), store)
        self.put(family, "cov", 0.5 * w[..., None, None] * (W @ second @ W - W), store)

    def add_relation(self, r: Relation, weights, x, y, xx, yx, yy, store) -> None:
        """Expected gradients of log N(y; F x + b, Q), instance by instance and state by state."""
        linear = r.family.potential.form == "linear"
        names = parameter_names(r.family)
        seen = ~np.isnan(y)
        if seen.all():
            W = _inverses(r.Q, r.family) if names else np.zeros_like(r.Q)
            W = np.broadcast_to(W, (len(weights), *W.shape[1:]))
        else:
            W = self.seen_inverses(r, seen)
        e = np.where(seen, y - np.einsum("...pa,...a->...p", r.F, x) - r.b, 0.0)
        F = np.broadcast_to(r.F, (len(weights), *r.F.shape[1:]))
        if yx.shape[-1]:
            ex, ee = yx - F @ xx, yy - F @ np.swapaxes(yx, -1, -2) - yx @ np.swapaxes(F, -1, -2)
        else:
            ex, ee = -F @ xx, np.zeros((*e.shape, e.shape[-1]))
        ee = ee + F @ xx @ np.swapaxes(F, -1, -2) + e[..., :, None] * e[..., None, :]
        w = weights[..., None, None]
        pull = weights[..., None] * np.einsum("...pq,...q->...p", W, e)
        by_source = w * (W @ (ex + e[..., :, None] * x[..., None, :]))
        grown = self.by_state(r.family, "F" if linear else "H")
        full = np.zeros((len(weights), self.K, *grown.shape[2:]))
        free = np.ones(grown.shape[-1], bool)
        for arg, columns, data in r.observed:
            free[columns] = False
            full[..., columns] = pull[..., None] * data[:, None, None, :]
            self.to_data(r.family, arg, np.einsum("...kpc,...kp->...c", grown[..., columns], pull), store)
        full[..., free] = by_source
        self.put(r.family, "F" if linear else "H", full, store)
        self.put(r.family, "Q" if linear else "R", 0.5 * w * (W @ ee @ W - W), store)
        if linear:
            self.put(r.family, "b", pull, store)
        last = r.family.args[-1]
        if not latent(last):
            self.to_data(r.family, last, -pull.sum(1), store)

    def seen_inverses(self, r: Relation, seen) -> np.ndarray:
        """Inverses of Q over the cells that are there, zero elsewhere."""
        found = np.zeros((*seen.shape, seen.shape[-1]))
        for pattern in np.unique(seen[:, 0], axis=0):
            rows, cells = np.flatnonzero((seen[:, 0] == pattern).all(1)), np.flatnonzero(pattern)
            Q = r.Q if len(r.Q) == 1 else r.Q[rows]
            part = _inverses(Q[..., cells[:, None], cells], r.family)
            found[np.ix_(rows, np.arange(self.K), cells, cells)] = part
        return found

    def put(self, family: Family, role: str, found: np.ndarray, store) -> None:
        """Add (instances, K, …) to the parameter behind a role."""
        name = parameter_names(family).get(role)
        if name is None:
            return
        _, stepped = family.potential.stacked(role, family.factor, self.values)
        total = found if stepped else found.sum(0)
        target = store[name]
        by_state = total.size == target.size
        if not by_state:
            total = total.sum(1 if stepped else 0)
        if target.shape == () and total.size != 1:
            total = total.sum()
        store[name] = target + total.reshape(target.shape)

    def to_data(self, family: Family, arg, found: np.ndarray, store) -> None:
        """Add ∂/∂(rows of an observation)."""
        target = store[arg.name]
        if arg.rows is None:
            target += found.sum(0).reshape(target.shape)
        else:
            np.add.at(target, _numbers(family, arg), found.reshape(len(found), *target.shape[1:]))


def _numbers(family: Family, arg) -> np.ndarray:
    rows = rows_of(family, arg)
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.atleast_1d(rows)


def _inverses(matrices: np.ndarray, family: Family) -> np.ndarray:
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        raise NumericalError(
            f"E[∂ log φ] of the parameters of {family.name!r} does not exist: its covariance is singular"
        ) from None
