"""The filter that linearises on its way, and its transpose.

At each variable: what its source predicts, then linear evidence, then noisy evidence, all of it linearised
at what is known by then, then the relations onward:

    S = H P Hᵀ + R,  K = P Hᵀ S⁻¹,  e = S⁻¹(y − H m − b),  M = I − K H
    m′ = m + P Hᵀ e,  P′ = M P Mᵀ + K R Kᵀ;            m′ = F m + b,  P′ = F P Fᵀ + Q

It only places the linearisations; messages and log Z are the linear engine's. What a parameter does by
moving the places comes back by the transpose (with m̄, P̄ symmetric):

    m̄ = Mᵀm̄′,  P̄ = MᵀP̄′M + ½(Mᵀm̄′(Hᵀe)ᵀ + …ᵀ),  R̄ = KᵀP̄′K − ½(Kᵀm̄′eᵀ + …ᵀ),
    H̄ = −2KᵀP̄′P′ + e(P′m̄′)ᵀ − Kᵀm̄′m′ᵀ,  b̄ = −Kᵀm̄′ = −ȳ
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import NumericalError, UnsupportedError
from msgpass.linearisation.base import Affine
from msgpass.nodes import Sequence
from msgpass.sweeps.rows import instance_numbers
from msgpass.sweeps.top_down import Order


class OnTheWay:
    """One pass; ``affine[k]`` is what it found for the instances of noisy relation k."""

    def __init__(self, relations, order: Order, nodes, rule, keep: bool = False):
        self.relations, self.order, self.rule = relations, order, rule
        self.tape: list[tuple[Any, ...]] | None = [] if keep else None
        self.rows = [
            {
                end: instance_numbers(r.family, getattr(r, end))
                for end in ("source", "target")
                if getattr(r, end)
            }
            for r in relations
        ]
        if order.loose or any(r.flat for r in relations):
            what = order.loose[0] if order.loose else "a flat prior's variable"
            raise UnsupportedError(
                f"{rule!r} linearises at what is known so far, and nothing is known of {what}; give it a "
                "Quadratic.prior(mean, cov) with finite variances, or Iterated(start={…}) a path to "
                "start from"
            )
        sizes = {
            name: (node.clock.total if isinstance(node, Sequence) else 1, node.size)
            for name, node in nodes.items()
        }
        self.mean = {name: np.zeros(size) for name, size in sizes.items()}
        self.cov = {name: np.zeros((*size, size[1])) for name, size in sizes.items()}
        nothing = np.zeros(0, np.int64)
        self.affine: dict[int, Affine] = {
            k: r.linearise(nothing, None, None, rule)
            for k, r in enumerate(relations)
            if r.noisy and not r.steps.count
        }
        for level in order.levels:
            self._level(level)

    def _level(self, level) -> None:
        for k, chosen in level.starts:
            name, rows = self._place(k, chosen, "target")
            found = self._linearised(k, chosen, None, None)
            self.mean[name][rows], self.cov[name][rows] = found.b, found.extra
            self._note("start", k, chosen, name, rows)
        for k, chosen in level.exact:
            self._take_in(k, chosen, None)
        points = []
        for k, chosen in level.noisy:
            name, rows = self._place(k, chosen, "source")
            points.append(self._linearised(k, chosen, name, rows))
        for (k, chosen), found in zip(level.noisy, points, strict=True):
            self._take_in(k, chosen, found)
        for k, chosen in level.onward:
            name, rows = self._place(k, chosen, "source")
            F, b, Q = self._linearised(k, chosen, name, rows)
            m, P = self.mean[name][rows], self.cov[name][rows]
            onto, there = self._place(k, chosen, "target")
            self.mean[onto][there] = _apply(F, m) + b
            moved = F @ P @ _t(F) + Q
            self.cov[onto][there] = (moved + _t(moved)) / 2
            self._note("onward", k, chosen, name, rows, onto, there, m, P, F)

    def _place(self, k: int, chosen, end: str):
        relation = self.relations[k]
        end = end if getattr(relation, end) is not None else "target"  # a prior as evidence
        return getattr(relation, end).name, self.rows[k][end][chosen]

    def _linearised(self, k: int, chosen, name, rows) -> Affine:
        """(F, b, Q) of chosen instances; those of noisy steps are kept."""
        relation = self.relations[k]
        if not relation.noisy:
            return relation.affine(chosen)
        m, P = (None, None) if name is None else (self.mean[name][rows], self.cov[name][rows])
        found = relation.linearise(chosen, m, P, self.rule)
        if k not in self.affine:
            like = zip(found, (relation.steps.count,) * 3, strict=True)
            self.affine[k] = Affine(*(None if a is None else np.zeros((n, *a.shape[1:])) for a, n in like))
        for kept, part in zip(self.affine[k], found, strict=True):
            if kept is not None:
                kept[chosen] = part
        self._note("linearise", k, chosen, name, rows, m, P)
        return Affine(found.F, found.b, relation.covariance(chosen, found.extra))

    def _take_in(self, k: int, chosen, found: Affine | None) -> None:
        relation = self.relations[k]
        name, rows = self._place(k, chosen, "source")
        m, P = self.mean[name][rows], self.cov[name][rows]
        if relation.canonical:
            said = relation.information(chosen)
            cov, mean = _weighed(m, P, said)
            self._note("canonical", k, chosen, name, rows, P, said, mean, cov)
            self.mean[name][rows], self.cov[name][rows] = mean, cov
            return
        F, b, R = relation.affine(chosen) if found is None else found
        if relation.source is None:  # a prior beside another one: an observation of the variable itself
            H = np.broadcast_to(np.eye(m.shape[1]), P.shape)
            v = b - m
        else:
            H, v = F, relation.y[chosen] - _apply(F, m) - b
        seen = ~np.isnan(v)
        if not seen.all():
            v, H = np.where(seen, v, 0.0), np.where(seen[:, :, None], H, 0.0)
            apart = seen[:, :, None] & seen[:, None, :]
            R = np.where(apart, R, np.eye(R.shape[-1]))
        S = H @ P @ _t(H) + R
        try:
            np.linalg.cholesky(S)
            K = _t(np.linalg.solve(S, H @ P))
            e = np.linalg.solve(S, v[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"the innovation covariance of {relation.family.name!r} is singular or not positive near "
                f"{name}[{int(np.min(rows))}]: its noise says exactly what is exactly known; give it a "
                "positive diagonal"
            ) from None
        M = np.eye(m.shape[1]) - K @ H
        mean = m + _apply(K, v)
        cov = M @ P @ _t(M) + K @ R @ _t(K)
        self._note("take in", k, chosen, name, rows, H, K, M, e, mean, cov)
        self.mean[name][rows], self.cov[name][rows] = mean, (cov + _t(cov)) / 2

    def _note(self, *entry) -> None:
        if self.tape is not None:
            self.tape.append(entry)

    # -- transpose ---------------------------------------------------------------------------------------

    def pull(self, bars: list[dict[str, np.ndarray]], store) -> None:
        """Complete ``bars``, ∂L/∂(F, b, Q) of each relation at held places, to what moving them adds, too;
        the inputs of noisy steps get theirs in ``store``."""
        self.bars, self.store = bars, store
        self.at_mean = {name: np.zeros_like(m) for name, m in self.mean.items()}
        self.at_cov = {name: np.zeros_like(P) for name, P in self.cov.items()}
        back: dict[str, Any] = {
            "start": self._pull_start,
            "linearise": self._pull_linearised,
            "onward": self._pull_onward,
            "canonical": self._pull_canonical,
            "take in": self._pull_taken,
        }
        for kind, *entry in reversed(self.tape or []):
            back[kind](*entry)

    def _pull_start(self, k, chosen, name, rows) -> None:
        self.bars[k]["b"][chosen] += self.at_mean[name][rows]
        self.bars[k]["Q"][chosen] += self.at_cov[name][rows]

    def _pull_linearised(self, k, chosen, name, rows, m, P) -> None:
        at_m, at_P = self.relations[k].pull(chosen, m, P, self.bars[k], self.rule, self.store)
        if name is not None and at_m is not None:
            self.at_mean[name][rows] += at_m
            if at_P is not None:
                self.at_cov[name][rows] += (at_P + _t(at_P)) / 2

    def _pull_onward(self, k, chosen, name, rows, onto, there, m, P, F) -> None:
        at_m, at_P = self.at_mean[onto][there], self.at_cov[onto][there]
        bars = self.bars[k]
        bars["b"][chosen] += at_m
        bars["Q"][chosen] += at_P
        bars["F"][chosen] += at_m[:, :, None] * m[:, None, :] + 2 * at_P @ F @ P
        self.at_mean[name][rows] += _apply(_t(F), at_m)
        self.at_cov[name][rows] += _t(F) @ at_P @ F

    def _pull_canonical(self, k, chosen, name, rows, P, said, mean, cov) -> None:
        at_m, at_P = self.at_mean[name][rows], self.at_cov[name][rows]
        moved = _apply(cov, at_m)
        bars = self.bars[k]
        bars["h"][chosen] += moved
        bars["precision"][chosen] -= cov @ at_P @ cov + _symmetric(moved[:, :, None] * mean[:, None, :])
        M = np.eye(P.shape[-1]) - cov @ said.precision
        back = _apply(_t(M), at_m)
        e = said.h - _apply(said.precision, mean)
        self.at_mean[name][rows] = back
        self.at_cov[name][rows] = _t(M) @ at_P @ M + _symmetric(back[:, :, None] * e[:, None, :])

    def _pull_taken(self, k, chosen, name, rows, H, K, M, e, mean, cov) -> None:
        at_m, at_P = self.at_mean[name][rows], self.at_cov[name][rows]
        gained = _apply(_t(K), at_m)
        bars = self.bars[k]
        bars["Q"][chosen] += _t(K) @ at_P @ K - _symmetric(gained[:, :, None] * e[:, None, :])
        if self.relations[k].source is None:
            bars["b"][chosen] += gained
        else:
            bars["b"][chosen] -= gained
            bars["y"][chosen] += gained
            bars["F"][chosen] += (
                e[:, :, None] * _apply(cov, at_m)[:, None, :]
                - 2 * _t(K) @ at_P @ cov
                - gained[:, :, None] * mean[:, None, :]
            )
        back = _apply(_t(M), at_m)
        self.at_mean[name][rows] = back
        pulled = back[:, :, None] * _apply(_t(H), e)[:, None, :]
        self.at_cov[name][rows] = _t(M) @ at_P @ M + _symmetric(pulled)


def _weighed(m, P, said) -> tuple[np.ndarray, np.ndarray]:
    """(cov, mean) of N(m, P) exp(hᵀx − ½ xᵀΛx), normalised."""
    S = np.eye(m.shape[1]) + said.precision @ P
    if (np.linalg.slogdet(S)[0] <= 0).any():
        raise NumericalError(
            "a quadratic with a negative precision outweighs what is known; no normal density is left"
        )
    cov = _symmetric(_t(np.linalg.solve(_t(S), _t(P))))
    return cov, m + _apply(cov, said.h - _apply(said.precision, m))


def _t(a: np.ndarray) -> np.ndarray:
    return np.swapaxes(a, -1, -2)


def _symmetric(a: np.ndarray) -> np.ndarray:
    return (a + _t(a)) / 2


def _apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return (matrices @ vectors[..., None])[..., 0]
