"""What a family of quadratics says in each of its instances, and how statistics and cotangents come back to
its parameters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from msgpass.algebra.gaussian_forms import Canonical, Information, Linear, Moments, to_information
from msgpass.dual_array import DualArray, number, plain, zeros
from msgpass.errors import NumericalError
from msgpass.plan import Family, latent
from msgpass.sweeps.linear_family import arriving, missing_source
from msgpass.sweeps.relation_adjoint import relation_adjoint
from msgpass.sweeps.rows import rows_of


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

    def data(self, k: int, j: int) -> Any:
        """Observed vector of argument k."""
        arg = self.family.args[k]
        array = self.values[arg.name]
        row = array if arg.rows is None else array[rows_of(self.family, arg, slice(j, j + 1))][0]
        return row.reshape(-1) if isinstance(row, DualArray) else np.asarray(row, float).reshape(-1)

    def potential(self, j: int, out: Any):
        """Instance j over its latent variables, ``out`` (an index into the latent ones) last; a message for
        one variable.
        """
        if self.form == "prior":
            return prior_message(self.part("mean", j), self.part("cov", j))
        if self.form in ("linear", "observation"):
            F, Q, b = self.affine(j)
            y = self.target(j)
            if y is not None:
                said = evidence(np.hstack(F), Q, b, y)
                return said if sum(self.latent) == 1 else self._ordered(said, out)
            if not F:
                return Moments(b, Q, 0.0)
            order = [k for k in range(len(F) + 1) if k != out] + [out]
            blocks: list[Any] = [*F, None]
            return Linear(tuple(blocks[k] for k in order), Q, b, order.index(len(F)))
        return self._canonical(j, out)

    def target(self, j: int) -> np.ndarray | None:
        """What is observed of the last variable of a linear relation; None where it is latent."""
        if "y" in self.parts:
            return self.part("y", j)
        return None if self.latent[-1] else self.data(len(self.latent) - 1, j)

    def affine(self, j: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """([F of each latent source], Q, b) of y = Σ F x + b + noise of covariance Q; what is observed of the
        sources is in b."""
        if self.form == "observation":
            H, R = self.part("H", j), self.part("R", j)
            b = np.zeros(H.shape[0], H.dtype)
            return ([H], R, b) if self.latent[0] else ([], R, b + H @ self.given(0, j))
        F, b = self.part("F", j), self.part("b", j)
        blocks, start = [], 0
        for k, size in enumerate(self.sizes[:-1]):
            block = F[:, start : start + size]
            start += size
            if self.latent[k]:
                blocks.append(block)
            else:
                b = b + block @ self.given(k, j)
        return blocks, self.part("Q", j), b

    def given(self, k: int, j: int) -> np.ndarray:
        """Observed source k, which may not be missing."""
        value = self.data(k, j)
        if np.isnan(value).any():
            raise missing_source(self.family, self.family.args[k], j)
        return value

    def _ordered(self, said: Information, out: Any) -> Canonical:
        sizes = [s for s, free in zip(self.sizes, self.latent, strict=True) if free]
        return _in_order(said, sizes, out)

    def _canonical(self, j: int, out: Any):
        h, precision = self.part("h", j), self.part("precision", j)
        scale = number(self.part("log_scale", j))
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        free, known = self._known(j, owner)
        missing = np.isnan(known)
        x = np.where(missing, 0.0, known)
        given = ~free & ~missing
        h_free = h - precision[:, given] @ x[given]
        scale += number(h[given] @ x[given] - 0.5 * x[given] @ precision[np.ix_(given, given)] @ x[given])
        hidden = ~free & missing
        if hidden.any():
            from msgpass.algebra.gaussian_forms import marginal

            keep = free | hidden
            inside = Information(h_free[keep], precision[np.ix_(keep, keep)], scale)
            reduced = marginal(inside, np.flatnonzero(free[keep]))
            h_part, p_part, scale = reduced.h, reduced.precision, reduced.log_scale
        else:
            h_part, p_part = h_free[free], precision[np.ix_(free, free)]
        sizes = tuple(s for s, is_free in zip(self.sizes, self.latent, strict=True) if is_free)
        said = Information(h_part, p_part, scale)
        return said if len(sizes) == 1 else _in_order(said, sizes, out)

    def _known(self, j, owner):
        free = np.array(self.latent)[owner]
        data = [self.data(k, j) for k, is_free in enumerate(self.latent) if not is_free]
        known = zeros(len(owner), float, data)
        known[~free] = np.concatenate(data) if data else 0.0
        return free, known

    def add_statistics(self, j: int, mean: np.ndarray, cov: np.ndarray, store, names: dict[str, str]) -> None:
        """Add ∂log Z/∂part of instance j, from the posterior moments of its latent variables in the factor's
        order.
        """
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        if self.form == "prior":
            self._add_affine(j, None, mean, cov, np.zeros((mean.size, 0)), store, names)
            return
        full_mean, full_cov = (zeros(s, float, [mean, cov]) for s in (len(owner), (len(owner), len(owner))))
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
        n = sum(self.sizes[: len(self.latent) - (len(self.latent) > 1)])
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

    def relates_to_latent(self, j: int) -> bool:
        """Whether instance j is a proper density of a latent variable given what its sources say."""
        if self.form == "prior":
            return not np.isposinf(np.diag(plain(self.part("cov", j)))).any()
        return self.form in ("linear", "observation") and "y" not in self.parts and self.latent[-1]

    def add_adjoint(self, j: int, sources: list[Moments], said, store, names: dict[str, str]) -> bool:
        """As ``add_statistics``, from the messages around the instance, which needs no inverse of a
        covariance: what its latent sources and what its target are told by all others. False where that
        cannot be done.
        """
        if self.form == "prior":
            blocks: list[Any] = []
            Q, b = self.part("cov", j), self.part("mean", j)
            roles = ("", "mean", "cov")
        else:
            blocks, Q, b = self.affine(j)
            roles = ("F", "b", "Q") if self.form == "linear" else ("H", "", "R")
        free = np.hstack(blocks) if blocks else np.zeros((b.size, 0))
        pull = relation_adjoint(free, b, Q, sources, said)
        if pull is None:
            return False
        observed = (
            [] if self.form == "prior" else [k for k, known in enumerate(self.latent[:-1]) if not known]
        )
        whole, starts = pull.F, np.cumsum([0, *self.sizes])
        if observed:
            F, owner = self.part(roles[0], j), np.repeat(np.arange(len(self.sizes) - 1), self.sizes[:-1])
            whole = zeros(F.shape, float, [pull.F, pull.b, F])
            whole[:, np.array(self.latent)[owner]] = pull.F
            for k in observed:
                columns = slice(starts[k], starts[k + 1])
                whole[:, columns] = np.outer(pull.b, self.given(k, j))
                self._add_to_observation(k, j, F[:, columns].T @ pull.b, store)
        for role, found in zip(roles, (whole, pull.b, pull.Q), strict=True):
            if role:
                self._add(role, j, found, store, names)
        return True

    def _add_affine(self, j, x, y, yy, yx, store, names, xx=None) -> None:
        """e = y − F x − b:  ∂F = Q⁻¹E[e xᵀ],  ∂b = Q⁻¹E[e],  ∂Q = ½(Q⁻¹E[e eᵀ]Q⁻¹ − Q⁻¹); x holds all
        sources."""
        prior = self.form == "prior"
        if prior:
            F, Q, b = np.zeros((y.size, 0)), self.part("cov", j), self.part("mean", j)
            x, xx = np.zeros(0), np.zeros((0, 0))
        elif self.form == "linear":
            F, Q, b = self.part("F", j), self.part("Q", j), self.part("b", j)
        else:
            F, Q = self.part("H", j), self.part("R", j)
            b = np.zeros(F.shape[0], F.dtype)
        roles = ("", "cov", "mean") if prior else ("F", "Q", "b") if self.form == "linear" else ("H", "R", "")
        observed = [] if prior else [k for k, free in enumerate(self.latent) if not free]
        if not any(r in names for r in roles) and not observed:
            return
        seen = ~np.isnan(y)
        if prior:
            seen &= ~np.isposinf(np.diag(Q))
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
            role: zeros(shape, float, [W, e, ex])
            for role, shape in zip(
                roles, ((len(seen), x.size), (len(seen), len(seen)), (len(seen),)), strict=True
            )
        }
        grads[roles[0]][full] = W @ (np.outer(e, x) + ex)
        grads[roles[1]][np.ix_(full, full)] = 0.5 * (W @ (np.outer(e, e) + ee) @ W - W)
        grads[roles[2]][full] = W @ e
        for role, g in grads.items():
            if role:
                self._add(role, j, g, store, names)
        pull = W @ e
        starts = np.cumsum([0, *self.sizes])
        for k in observed:
            if k == len(self.latent) - 1:
                said = zeros(len(seen), float, [pull])
                said[full] = -pull
            else:
                said = F[:, starts[k] : starts[k + 1]].T @ pull
            self._add_to_observation(k, j, said, store)

    def _add_to_observation(self, k: int, j: int, said: np.ndarray, store) -> None:
        arg = self.family.args[k]
        target = store[arg.name]
        if arg.rows is None:
            target += said.reshape(target.shape)
        else:
            rows = rows_of(self.family, arg, slice(j, j + 1))
            target[rows] += said.reshape(1, *target.shape[1:])

    def _add(self, role, j, statistic, store, names) -> None:
        if role not in names:
            return
        target = store[names[role]]
        stepped = self.parts[role][1]
        view = target[j] if stepped else target
        total = statistic
        if view.shape == () and total.size != 1:
            total = total.sum()
        if stepped:
            target[j] += total.reshape(view.shape)
        else:
            store[names[role]] = target + total.reshape(view.shape)

    def add_stacked(self, role: str, found: np.ndarray, store) -> None:
        """Add what arrived, with an axis of instances, to the parameter of a role, if it is one."""
        name = self.family.parameter_names.get(role)
        if name is not None:
            store[name] = store[name] + arriving(found, store[name], self.parts[role][1])


def evidence(F, Q, b, y) -> Information:
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
    return Information(A.T @ w, A.T @ A, number(scale))


def _in_order(said: Information, sizes, out: int) -> Canonical:
    """Several variables end to end, ``out`` moved to the end."""
    blocks = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    order = [k for k in range(len(sizes)) if k != out] + [out]
    index = np.concatenate([blocks[k] for k in order])
    h, precision = said.h[index], said.precision[np.ix_(index, index)]
    return Canonical(h, precision, said.log_scale, tuple(sizes[k] for k in order))


def prior_message(mean: np.ndarray, cov: np.ndarray):
    """A prior as a message; with flat cells in information form."""
    flat = np.isposinf(np.diag(cov))
    if not flat.any():
        return Moments(mean, cov, 0.0)
    known = np.flatnonzero(~flat)
    h, precision = (zeros(shape, float, [mean, cov]) for shape in (mean.size, cov.shape))
    part = to_information(Moments(mean[known], cov[np.ix_(known, known)], 0.0))
    h[known], precision[np.ix_(known, known)] = part.h, part.precision
    return Information(h, precision, part.log_scale)
