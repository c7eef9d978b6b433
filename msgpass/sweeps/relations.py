"""Families of Gaussian variables as relations y = F x + b + N(0, Q), by instance: quadratics as they are,
noisy steps where a rule has linearised them.

Every relation has at most one latent source x; its target y is latent or observed. A canonical quadratic
over one variable stays a function exp(hᵀx − ½ xᵀΛx).
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.gaussian_forms import Information
from msgpass.errors import UnsupportedError
from msgpass.linearisation.base import Affine
from msgpass.nodes import Observation
from msgpass.plan import Arg, Family, latent, noisy
from msgpass.sweeps.instances import QuadraticInstances, parameter_names
from msgpass.sweeps.noisy_steps import NoisySteps
from msgpass.sweeps.rows import read, rows_of


def row_numbers(family: Family, arg: Arg) -> np.ndarray:
    """Row of the argument in each instance; 0 for a single variable."""
    if arg.rows is None:
        return np.zeros(family.factor.n, np.int64)
    rows = rows_of(family, arg)
    rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.atleast_1d(rows)
    return np.asarray(rows, np.int64)


def observed_rows(family: Family, arg: Arg, values) -> np.ndarray:
    """An observation's rows as vectors, (instances, size)."""
    value = np.asarray(read(family, arg, values), float)
    size = int(np.prod(arg.slice.shape))
    return np.broadcast_to(value.reshape(-1, size), (family.factor.n, size))


class LinearRelation:
    """A family of quadratics."""

    noisy = False

    def __init__(self, family: Family, values):
        self.family = family
        self.made = made = QuadraticInstances(family, values)
        free = [k for k, is_free in enumerate(made.latent) if is_free]
        self.canonical = made.form == "canonical"
        directed = not self.canonical and made.form != "prior" and "y" not in made.parts
        target = free.pop() if made.form == "prior" or (directed and made.latent[-1]) else None
        if len(free) > 1 or (self.canonical and len(free) != 1):
            raise UnsupportedError(
                f"factor {family.name!r} relates {', '.join(family.args[k].slice.name for k in free)} "
                "without "
                "saying which follows from which; beside noisy steps write Quadratic.linear_gaussian "
                "over one "
                "latent source and its target"
            )
        self.source = family.args[free[0]] if free else None
        self.target = family.args[target] if target is not None else None
        self.columns = self._columns(free[0]) if free else slice(0, 0)
        self._gather()

    def _columns(self, k: int) -> slice:
        start = sum(self.made.sizes[:k])
        return slice(start, start + self.made.sizes[k])

    def _gather(self) -> None:
        made, count = self.made, self.family.factor.n
        stepped = any(s for _, s in made.parts.values()) or not all(made.latent)
        places = range(count) if stepped else range(1)
        self.y = None
        if self.canonical:
            found = [made.potential(j, None) for j in places]
            self.h, self.precision = np.stack([m.h for m in found]), np.stack([m.precision for m in found])
            return
        if made.form == "prior":
            self.Q, self.b = (np.stack([made.part(r, j) for j in places]) for r in ("cov", "mean"))
            self.F = np.zeros((1, self.b.shape[1], 0))
        else:
            parts = [made.affine(j) for j in places]
            self.F = np.stack([np.hstack(F) if F else np.zeros((len(b), 0)) for F, _, b in parts])
            self.Q, self.b = np.stack([Q for _, Q, _ in parts]), np.stack([b for _, _, b in parts])
        if self.target is None:
            self.y = np.stack([np.asarray(made.target(j), float).reshape(-1) for j in range(count)])

    @property
    def flat(self) -> bool:
        """A prior that says nothing in some direction."""
        return self.made.form == "prior" and bool(np.isposinf(self.Q).any())

    def affine(self, chosen, mean=None, cov=None, rule=None) -> Affine:
        """(F, b, Q) of the chosen instances."""
        return Affine(*(a[chosen] if len(a) > 1 else np.repeat(a, len(chosen), 0) for a in self._parts))

    @property
    def _parts(self):
        return self.F, self.b, self.Q

    def information(self, chosen) -> Information:
        """(h, Λ) of chosen canonical instances."""
        h, precision = (
            a[chosen] if len(a) > 1 else np.repeat(a, len(chosen), 0) for a in (self.h, self.precision)
        )
        return Information(h, precision, 0.0)

    def zero_bars(self) -> dict[str, np.ndarray]:
        """∂L/∂ its arrays, by instance."""
        n = self.family.factor.n
        like = (
            {"h": self.h, "precision": self.precision}
            if self.canonical
            else dict(zip("FbQ", self._parts, strict=True))
        )
        bars = {role: np.zeros((n, *a.shape[1:])) for role, a in like.items()}
        if self.y is not None:
            bars["y"] = np.zeros(self.y.shape)
        return bars

    def deliver(self, bars: dict[str, np.ndarray], store) -> None:
        """Add what arrived at the arrays to the parameters and observations behind them."""
        made, names = self.made, parameter_names(self.family)
        if self.canonical:
            self._add({"h": bars["h"], "precision": bars["precision"]}, names, store)
            return
        if made.form == "prior":
            self._add({"mean": bars["b"], "cov": bars["Q"]}, names, store)
            return
        linear = made.form == "linear"
        matrix = "F" if linear else "H"
        full = np.zeros((self.family.factor.n, *made.parts[matrix][0].shape[-2:]))
        full[:, :, self.columns] = bars["F"]
        sources = len(made.latent) - ("y" not in made.parts)
        for k in range(sources):
            if made.latent[k]:
                continue
            columns, data = self._columns(k), np.stack([made.data(k, j) for j in range(len(full))])
            full[:, :, columns] = bars["b"][:, :, None] * data[:, None, :]
            array, stepped = made.parts[matrix]
            blocks = array[..., columns] if stepped else np.broadcast_to(array, full.shape)[..., columns]
            self._to_data(k, np.einsum("tij,ti->tj", blocks, bars["b"]), store)
        found = {matrix: full, "Q" if linear else "R": bars["Q"]}
        found |= {"b": bars["b"]} if linear else {}
        if "y" in bars and "y" in made.parts:
            found["y"] = bars["y"]
        elif "y" in bars:
            self._to_data(len(made.latent) - 1, bars["y"], store)
        self._add(found, names, store)

    def _to_data(self, k: int, message, store) -> None:
        arg = self.family.args[k]
        if isinstance(arg.slice.node, Observation):
            _add_data(self.family, arg, message, store)

    def _add(self, found, names, store) -> None:
        for role, array in found.items():
            if role not in names:
                continue
            target, stepped = store[names[role]], self.made.parts[role][1]
            total = array if stepped else array.sum(axis=0)
            if target.shape == () and np.size(total) != 1:
                total = np.sum(total)
            store[names[role]] = target + np.reshape(total, target.shape)


class NoisyRelation:
    """A family of noisy steps."""

    noisy, canonical, flat = True, False, False

    def __init__(self, family: Family, source: int | None, values):
        self.family, self.steps = family, NoisySteps(family, source, values)
        self.source = None if source is None else family.args[source]
        out = family.outs[0]
        self.target = out if latent(out) else None
        self.y = observed_rows(family, out, values) if self.target is None else None

    def linearise(self, chosen, mean, cov, rule) -> Affine:
        """The chosen instances linearised where x is N(mean, cov); ``extra`` does not hold the noise."""
        f = self.steps.at(chosen)
        if not len(chosen):
            return Affine(np.zeros((0, self.steps.m, self.steps.n)), np.zeros((0, self.steps.m)))
        if self.source is None:
            return Affine(np.zeros((len(chosen), self.steps.m, 0)), f.values())
        return rule.linearise(f, mean, cov)

    def affine(self, chosen, mean, cov, rule) -> Affine:
        """(F, b, Q) of the chosen instances, the rule's extra covariance in Q."""
        F, b, extra = self.linearise(chosen, mean, cov, rule)
        return Affine(F, b, self.covariance(chosen, extra))

    def covariance(self, chosen, extra) -> np.ndarray:
        """Noise and extra covariance of the chosen instances."""
        noise = self.steps.noise
        noise = noise[chosen] if len(noise) > 1 else np.repeat(noise, len(chosen), 0)
        return noise if extra is None else noise + extra

    def zero_bars(self) -> dict[str, np.ndarray]:
        """∂L/∂ its arrays, by instance."""
        n, m = self.steps.count, self.steps.m
        bars = {"F": np.zeros((n, m, self.steps.n)), "b": np.zeros((n, m)), "Q": np.zeros((n, m, m))}
        if self.y is not None:
            bars["y"] = np.zeros((n, m))
        return bars

    def pull(self, chosen, mean, cov, bars, rule, store):
        """From ∂L/∂(F, b, Q) of the chosen instances to (∂L/∂mean, ∂L/∂cov); other inputs' goes to the
        store."""
        f = self.steps.at(chosen, store)
        F, b, Q = (bars[role][chosen] for role in ("F", "b", "Q"))
        if not len(chosen):
            return None, None
        if self.source is None:
            f.pull(np.zeros((len(chosen), 1, 0)), b[:, None])
            return None, None
        return rule.pull(f, mean, cov, Affine(F, b, Q))

    def deliver(self, bars: dict[str, np.ndarray], store) -> None:
        """Add what arrived at the covariances and the observed targets."""
        self.steps.add_noise(store, bars["Q"])
        if "y" in bars:
            _add_data(self.family, self.family.outs[0], bars["y"], store)


def _add_data(family: Family, arg: Arg, message: np.ndarray, store) -> None:
    if arg.rows is None:
        target = store[arg.name]
        target += message.sum(axis=0).reshape(target.shape)
    else:
        np.add.at(store[arg.name], row_numbers(family, arg), message.reshape(len(message), *arg.slice.shape))


def relations_of(block, values) -> list[LinearRelation | NoisyRelation]:
    """One relation a family of a :class:`~msgpass.plan.NonlinearTree`."""
    return [
        NoisyRelation(f, source, values) if noisy(f) else LinearRelation(f, values)
        for f, source in zip(block.families, block.sources, strict=True)
    ]
