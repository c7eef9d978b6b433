"""How the fixed point of Gauss-Newton moves, transposed.

At rest the path is s = G(s, θ): linearise at s, smooth. With L the log Z of the linearised model and s̄ =
∂L/∂s,

    λ = s̄ + (∂G/∂s)ᵀλ,        dL/dθ = ∂L/∂θ + (∂G/∂θ)ᵀλ

The transpose of smoothing: tilting the posterior by exp(λᵀx) moves its means by δ = Cov λ and leaves
covariances alone, so that with e = y − F x − b, δe = δy − F δ, W = Q⁻¹, and E[e xᵀ] and E[e eᵀ] as in
∂L/∂(F, b, Q),

    F̄ = W(δe xᵀ + e δᵀ),  b̄ = W δe,  Q̄ = ½ W(δe eᵀ + e δeᵀ)W
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import NumericalError, UnsupportedError
from msgpass.kernels import gaussian_chain
from msgpass.linearisation.extended import Extended
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.iterated import damped_run
from msgpass.sweeps.objective import residuals
from msgpass.sweeps.rows import instance_numbers

TOLERANCE = 1e-11  # of the linear system for λ


def pull_iterated(made, bars, store) -> None:
    """Complete ``bars``, ∂L/∂(F, b, Q) at a held path, to the whole derivative; ``made`` is a
    :class:`~msgpass.sweeps.linearised.Linearised`."""
    rule = made.rule.rule
    if type(rule) is not Extended:
        raise UnsupportedError(
            f"∂total/∂parameters of {made.rule!r} are not available: its fixed point moves covariances, too. "
            f"Gaussian({rule!r}), which linearises on the way, has them, and so has Gaussian(Iterated())"
        )
    _Implicit(made, rule).add(bars, store)


class _Implicit:
    def __init__(self, made, rule):
        self.made, self.rule = made, rule
        self.means, _ = made.moments(made.linear)
        self.names = list(self.means)
        self.terms = [None if r.canonical else self._weighted(r) for r in made.relations]

    def add(self, bars, store) -> None:
        from scipy.sparse.linalg import LinearOperator, gmres

        at_path = self._at_path(bars, store)
        b = self._flat(at_path)
        scale = float(np.abs(b).max(initial=0.0))
        if scale == 0.0:
            return
        operator = LinearOperator((b.size, b.size), matvec=self._remainder, dtype=float)
        found, failed = gmres(operator, b / scale, rtol=TOLERANCE, atol=0.0, restart=100, maxiter=10)
        if failed:
            raise NumericalError(
                "the derivative of the MAP path was not found: the log posterior is nearly flat, or not at a "
                "maximum, where the iteration stopped"
            )
        moved = self._smoothed(self._paths(found * scale))
        self._at_path(moved, store)
        for total, part in zip(bars, moved, strict=True):
            for role, array in part.items():
                total[role] += array

    def _remainder(self, flat: np.ndarray) -> np.ndarray:
        """(1 − (∂G/∂s)ᵀ)λ."""
        return flat - self._flat(self._at_path(self._smoothed(self._paths(flat)), None))

    def _flat(self, paths) -> np.ndarray:
        return np.concatenate([paths[n].ravel() for n in self.names])

    def _paths(self, flat: np.ndarray):
        ends = np.cumsum([self.means[n].size for n in self.names])[:-1]
        parts = np.split(np.asarray(flat, float).ravel(), ends)
        return {n: part.reshape(self.means[n].shape) for n, part in zip(self.names, parts, strict=True)}

    def _at_path(self, bars, store):
        """∂/∂path of what F and b are there; parameters' share goes to the store."""
        found = {n: np.zeros_like(m) for n, m in self.means.items()}
        for k, relation in self.made.noisy():
            m, _ = self.made.points(relation, self.means, None)
            chosen = np.arange(relation.steps.count)
            at_m, _ = relation.pull(chosen, m, None, bars[k], self.rule, store)
            if at_m is not None:
                np.add.at(
                    found[relation.source.name], instance_numbers(relation.family, relation.source), at_m
                )
        return found

    def _weighted(self, relation):
        """(x, F, W, W e) of every instance at the path."""
        count = relation.family.factor.n
        e, Q = residuals(relation, self.means)
        F = self.made.affine[self.made.relations.index(relation)].F if relation.noisy else relation.F
        seen = np.isfinite(e) & np.isfinite(np.diagonal(Q, axis1=1, axis2=2))
        e = np.where(seen, e, 0.0)
        Q = np.where(seen[:, :, None] & seen[:, None, :], Q, np.eye(e.shape[1]))
        try:
            W = np.linalg.inv(Q)
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"the derivative of the MAP path needs a positive definite covariance of "
                f"{relation.family.name!r}; give it a small diagonal, or linearise on the way, Gaussian()"
            ) from None
        W = W * (seen[:, :, None] & seen[:, None, :])
        F = np.broadcast_to(F, (count, *F.shape[1:]))
        return self._at(relation, "source", self.means), F, W, (W @ e[..., None])[..., 0]

    def _at(self, relation, end: str, paths):
        arg = getattr(relation, end)
        if arg is None:
            return None
        return paths[arg.name][instance_numbers(relation.family, arg)]

    def _smoothed(self, tilt) -> list[dict[str, np.ndarray]]:
        """The transpose of smoothing: ∂(tilt·means)/∂ the arrays of each relation."""
        delta = self._response(tilt)
        found = []
        for relation, terms in zip(self.made.relations, self.terms, strict=True):
            bars = relation.zero_bars()
            dx, dy = self._at(relation, "source", delta), self._at(relation, "target", delta)
            if terms is None:
                x = self._at(relation, "source", self.means)
                bars["h"] += dx
                both = dx[:, :, None] * x[:, None, :]
                bars["precision"] -= (both + np.swapaxes(both, 1, 2)) / 2
                found.append(bars)
                continue
            x, F, W, weighted = terms
            change: Any = 0.0 if dy is None else dy
            if dx is not None:
                change = change - (F @ dx[..., None])[..., 0]
            moved = (W @ change[..., None])[..., 0]
            if dx is not None:
                bars["F"] += moved[:, :, None] * x[:, None, :] + weighted[:, :, None] * dx[:, None, :]
            bars["b"] += moved
            both = moved[:, :, None] * weighted[:, None, :]
            bars["Q"] += (both + np.swapaxes(both, 1, 2)) / 2
            if dy is None:
                bars["y"] -= moved
            found.append(bars)
        return found

    def _response(self, tilt):
        """δ = Cov λ, by the engine."""
        made, run = self.made, self.made.linear
        if isinstance(run, GaussianChainRun) and not run.arrays.arrays.flat.shape[1]:
            (name,) = self.names
            return {name: _chain_response(run.arrays.arrays, tilt[name])}
        tilted, _ = made.moments(damped_run(made, made.affine, tilt, 0.0))
        return {n: tilted[n] - self.means[n] for n in self.names}


def _chain_response(chain, tilt: np.ndarray) -> np.ndarray:
    """Means of the chain without data whose offsets make the information vector ``tilt``: with co-states
    μ_t = λ_t + Fᵀμ_{t+1}, offsets b_t = Q μ_{t+1} and a start of mean cov·μ_0."""
    mu = np.array(tilt)
    sources, owner = chain.sources, chain.owner
    lengths = np.diff(chain.offsets)
    step = sources - chain.offsets[owner[sources]]
    shared = len(chain.F) == 1
    for t in range(int(lengths.max(initial=1)) - 2, -1, -1):
        (pairs,) = np.nonzero(step == t) if len(lengths) > 1 else (np.array([t]),)
        F = chain.F[0] if shared else chain.F[pairs]
        rows = sources[pairs]
        mu[rows] += mu[rows + 1] @ F if shared else np.einsum("kij,ki->kj", F, mu[rows + 1])
    first = mu[chain.offsets[:-1]]
    start = np.einsum("kij,kj->ki", np.broadcast_to(chain.cov, (len(first), *chain.cov.shape[1:])), first)
    later = mu[sources + 1]
    b = later @ chain.Q[0].T if len(chain.Q) == 1 else np.einsum("kij,kj->ki", chain.Q, later)
    quiet = chain._replace(mean=start, b=b, y=np.where(np.isnan(chain.y), np.nan, 0.0))
    return gaussian_chain.sweep(quiet).smoothed[0]
