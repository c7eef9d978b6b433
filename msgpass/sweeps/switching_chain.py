"""A switching chain: gather its arrays, run Kim's filter and smoother, read.

Parameters get what their factors' expected logarithms say under the smoother's posterior: expected counts
behind tables, E[∂ log N(·)] behind quadratics."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import ImpossibleEvidenceError, NumericalError, UnavailableError, UnsupportedError
from msgpass.kernels.switching_chain import kim_filter, kim_smoother
from msgpass.kernels.switching_chain_reference import collapse
from msgpass.kernels.switching_chain_types import Mixtures, PairMixtures, SwitchingChainArrays
from msgpass.plan import Family, SwitchingChain
from msgpass.sweeps.gaussian_messages import GaussianBelief
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.rows import instance_numbers


class Posterior(NamedTuple):
    """Moments of a relation's source and target by instance and state: means (T, K, ·), and the covariances
    that are not zero."""

    x: np.ndarray
    y: np.ndarray
    xx: Any
    yx: Any
    yy: Any


class SwitchingRun:
    """One run over a :class:`SwitchingChain`."""

    def __init__(self, block: SwitchingChain, tables, values):
        self.block, self.tables = block, tables
        self.K, self.n = tables.node.states, block.node.size
        self.offsets = np.asarray(block.node.clock.offsets, np.int64)
        linear = lambda family: LinearFamily(family, values, states=self.K)  # noqa: E731
        self.first, self.link = linear(block.first), linear(block.link)
        self.local = [linear(f) for f in block.unaries if f is not block.first]
        self.rows = [self.row_numbers(made.family) for made in self.local]
        self.arrays = self.gather()
        self.filtered, self.per_sequence = kim_filter(self.arrays)
        self.total = float(self.per_sequence.sum())

    def gather(self) -> SwitchingChainArrays:
        """All arrays of the sweep."""
        t, T, K, n = self.tables, int(self.offsets[-1]), self.K, self.n
        evidence = np.asarray(t.log_evidence if t.rows is None else t.log_evidence[t.rows], float)
        transition = np.asarray(t.log_transition, float)
        mean, cov = self.first.b, self.first.Q
        if not np.isfinite(cov).all():
            raise UnsupportedError(
                f"{self.block.first.name!r} has flat cells; a mixture of improper densities has no weights: "
                "give the first state of a switching chain a prior with finite variances"
            )
        sizes = [r.y.shape[1] for r in self.local]
        p, ends = max(sum(sizes), 1), np.cumsum([0, *sizes])
        lead = T if any(len(part) > 1 for r in self.local for part in (r.F, r.Q, r.b)) else 1
        H, d = np.zeros((lead, K, p, n)), np.zeros((lead, K, p))
        R, y = np.tile(np.eye(p), (lead, K, 1, 1)), np.full((T, p), np.nan)
        for r, rows, a, e in zip(self.local, self.rows, ends[:-1], ends[1:], strict=True):
            where = rows if lead > 1 else slice(None)
            H[where, :, a:e], d[where, :, a:e], R[where, :, a:e, a:e] = r.F, r.b, r.Q
            y[rows, a:e] = r.y
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
                f"the evidence of sequence {int(bad[0])} of {self.block.nodes[0]!r} has probability zero, so "
                "that no posterior exists; look for −∞ in its tables"
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

    def read_forward(self, name: str):
        """The filter: log probabilities of the states, or moments whatever the state."""
        return self.filtered.log_weights if name == self.block.nodes[0] else self.moments(self.filtered)

    def read_backward(self, name: str):
        """There is none."""
        raise UnavailableError(
            f"AssumedDensity smooths by correcting its filter, so nothing is passed backward to {name!r} "
            f"alone; m.forward[{name!r}] is the filter and m.belief[{name!r}] the smoother"
        )

    def read_belief(self, name: str):
        """The smoother, as the filter."""
        return self.mixtures.log_weights if name == self.block.nodes[0] else self.moments(self.mixtures)

    def read_factor(self, family: Family):
        """Joint belief of a factor's variables: log tables, or moments whatever the state."""
        log_weights = self.mixtures.log_weights
        if family in self.block.states.families:
            pair = next((flip for f, flip in self.block.states.pairs if f is family), None)
            if pair is None:
                arg = next(a for a in family.args if a.name == self.block.nodes[0])
                return log_weights[instance_numbers(family, arg)]
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
        return instance_numbers(family, next(a for a in family.args if a.name == self.block.node.name))

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
                made.add_counts(sign * weights[instance_numbers(made.family, arg)], target)
            else:
                made.add_counts(
                    sign * (np.swapaxes(pairs.weights, 1, 2) if flipped else pairs.weights), target
                )
        mixtures, rows = self.mixtures, self.row_numbers(self.block.first)
        nothing = np.zeros((len(rows), self.K, 0))
        start = Posterior(nothing, mixtures.means[rows], xx=None, yx=None, yy=mixtures.covs[rows])
        self.add_relation(self.first, weights[rows], start, store, sign)
        n, arriving = self.n, pairs.weights.sum(1)  # by the state a pair arrives in
        x, y, P = pairs.means[..., :n], pairs.means[..., n:], pairs.covs
        pair = Posterior(x, y, P[..., :n, :n], P[..., n:, :n], P[..., n:, n:])
        self.add_relation(self.link, arriving, pair, store, sign)
        for r, rows in zip(self.local, self.rows, strict=True):
            x, P = mixtures.means[rows], mixtures.covs[rows]
            y = np.broadcast_to(r.y[:, None], (len(rows), self.K, r.y.shape[1]))
            self.add_relation(r, weights[rows], Posterior(x, y, xx=P, yx=None, yy=None), store, sign)

    def add_relation(self, r: LinearFamily, weights, at: Posterior, store, sign: float) -> None:
        """Expected gradients of log N(y; F x + b, Q), instance by instance and state by state: with e = y − F
        x − b, ∂F = Q⁻¹E[e xᵀ], ∂b = Q⁻¹E[e], ∂Q = ½(Q⁻¹E[e eᵀ]Q⁻¹ − Q⁻¹).
        """
        observed = r.given or (r.y is not None and not r.parts.get("y"))
        if not (r.names or observed):
            return
        seen = ~np.isnan(at.y)
        if seen.all():
            W = _inverses(r.Q, r.family)
            W = np.broadcast_to(W, (len(weights), *W.shape[1:]))
        else:
            W = self.seen_inverses(r, seen)
        F = np.broadcast_to(r.F, (len(weights), *r.F.shape[1:]))
        Ft = np.swapaxes(F, -1, -2)
        e = np.where(seen, at.y - (F @ at.x[..., None])[..., 0] - r.b, 0.0)
        ee = e[..., :, None] * e[..., None, :]
        ex = e[..., :, None] * at.x[..., None, :]
        if at.xx is not None:
            ex, ee = ex - F @ at.xx, ee + F @ at.xx @ Ft
        if at.yx is not None:
            ex, ee = ex + at.yx, ee - F @ np.swapaxes(at.yx, -1, -2) - at.yx @ Ft
        if at.yy is not None:
            ee = ee + at.yy
        w = weights[..., None, None]
        pull = weights[..., None] * (W @ e[..., None])[..., 0]
        y = None if r.y is None else -pull.sum(axis=1)
        r.deliver(store, 0.5 * w * (W @ ee @ W - W), pull, w * (W @ ex), y, sign)

    def seen_inverses(self, r: LinearFamily, seen) -> np.ndarray:
        """Inverses of Q over the cells that are there, zero elsewhere."""
        found = np.zeros((*seen.shape, seen.shape[-1]))
        for pattern in np.unique(seen[:, 0], axis=0):
            rows, cells = np.flatnonzero((seen[:, 0] == pattern).all(1)), np.flatnonzero(pattern)
            Q = r.Q if len(r.Q) == 1 else r.Q[rows]
            part = _inverses(Q[..., cells[:, None], cells], r.family)
            found[np.ix_(rows, np.arange(self.K), cells, cells)] = part
        return found


def _inverses(matrices: np.ndarray, family: Family) -> np.ndarray:
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        raise NumericalError(
            f"E[∂ log φ] of the parameters of {family.name!r} does not exist: its covariance is singular"
        ) from None
