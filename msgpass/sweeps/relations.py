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
from msgpass.plan import Arg, Family, latent, noisy
from msgpass.sweeps.linear_family import LinearFamily
from msgpass.sweeps.noisy_steps import NoisySteps
from msgpass.sweeps.quadratic_instances import QuadraticInstances
from msgpass.sweeps.rows import instance_numbers, read


class LinearRelation:
    """A family of quadratics."""

    noisy = False

    def __init__(self, family: Family, values):
        self.family = family
        self.canonical = family.potential.form == "canonical"
        self.y = None
        if self.canonical:
            self.quadratic = QuadraticInstances(family, values)
            self.target = None
            free = [a for a in family.args if latent(a)]
        else:
            self.linear = made = LinearFamily(family, values)
            self.F, self.Q, self.b, self.y = made.F, made.Q, made.b, made.y
            self.target = None if made.y is not None else family.args[-1]
            free = [a for a in family.args if latent(a) and a is not self.target]
        if len(free) > 1:
            raise UnsupportedError(
                f"factor {family.name!r} relates {', '.join(a.slice.name for a in free)} without saying "
                "which follows from which; beside noisy steps write Quadratic.linear_gaussian over one "
                "latent source and its target"
            )
        self.source = free[0] if free else None
        if self.canonical:
            self._gather()

    def _gather(self) -> None:
        made = self.quadratic
        stepped = any(s for _, s in made.parts.values()) or not all(made.latent)
        found = [made.potential(j, None) for j in range(self.family.factor.n if stepped else 1)]
        self.h, self.precision = np.stack([m.h for m in found]), np.stack([m.precision for m in found])

    @property
    def flat(self) -> bool:
        """A prior that says nothing in some direction."""
        return self.family.potential.form == "prior" and bool(np.isposinf(self.Q).any())

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
        if not self.canonical:
            self.linear.deliver(store, bars["Q"], bars["b"], bars["F"], bars.get("y"))
            return
        for role in ("h", "precision"):
            self.quadratic.add_stacked(role, bars[role], store)


class NoisyRelation:
    """A family of noisy steps."""

    noisy, canonical, flat = True, False, False

    def __init__(self, family: Family, source: int | None, values):
        self.family, self.steps = family, NoisySteps(family, source, values)
        self.source = None if source is None else family.args[source]
        out = family.outs[0]
        self.target = out if latent(out) else None
        self.y = None
        if self.target is None:
            value = np.asarray(read(family, out, values), float).reshape(-1, self.steps.m)
            self.y = np.broadcast_to(value, (family.factor.n, self.steps.m))

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
        np.add.at(
            store[arg.name], instance_numbers(family, arg), message.reshape(len(message), *arg.slice.shape)
        )


def relations_of(block, values) -> list[LinearRelation | NoisyRelation]:
    """One relation a family of a :class:`~msgpass.plan.NonlinearTree`."""
    return [
        NoisyRelation(f, source, values) if noisy(f) else LinearRelation(f, values)
        for f, source in zip(block.families, block.sources, strict=True)
    ]
