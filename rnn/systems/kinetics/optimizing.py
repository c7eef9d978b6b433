"""Raising a target within bounds, by L-BFGS-B on gradients that come back as messages.

Every variable is mapped to [0, 1]: rates by their logarithm, all others in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from msgpass.errors import DataError
from rnn.systems.descent import descend, warn_unless
from rnn.systems.kinetics.arrhenius import Arrhenius
from rnn.systems.kinetics.network import pair_of
from rnn.systems.kinetics.profile import Profile
from rnn.systems.kinetics.sensitivity import Sensitivity

if TYPE_CHECKING:
    from rnn.systems.kinetics.reactor import Reactor


@dataclass(frozen=True, repr=False)
class YieldOptimum:
    """The best reactor found.

    Attributes
    ----------
    reactor : Reactor
    values : dict
        The variables there: numbers, or an array for a profile's knots.
    value : float
        J there; ``history`` (iterations + 1,) after every iteration.
    gradient : Sensitivity
    converged, reason : bool, str
    """

    reactor: Reactor
    values: dict[str, float | np.ndarray]
    value: float
    history: np.ndarray = field(repr=False)
    gradient: Sensitivity = field(repr=False)
    converged: bool
    reason: str

    def plot(self, ax=None):
        """J after every iteration; returns the axes."""
        from msgpass.drawing import FIRST, style
        from msgpass.optional import figure

        with style():
            if ax is None:
                ax = figure(figsize=(5, 2.6), layout="constrained").add_subplot()
            ax.plot(self.history, color=FIRST, marker=".")
            ax.set(xlabel="iteration", ylabel=self.gradient.target)
        return ax

    def __repr__(self) -> str:
        found = ", ".join(
            f"{n} = {np.array2string(np.asarray(x), precision=4, threshold=6)}"
            for n, x in self.values.items()
        )
        return f"<YieldOptimum: {self.gradient.target} = {self.value:.6g} at {found}; {self.reason}>"


def optimize(
    reactor: Reactor,
    target,
    bounds: Mapping[str, tuple[float, float]],
    *,
    maximize: bool = True,
    n_iter: int = 200,
    tol: float = 1e-7,
) -> YieldOptimum:
    """The rates, temperature, end or start at which a target is largest.

    Parameters
    ----------
    reactor : Reactor
        Where the search starts, moved into the bounds.
    target
        As for :meth:`Reactor.gradient`.
    bounds : dict
        (low, high) by variable: a rate's name (under Arrhenius its A), ``"T"`` (every knot of the profile),
        ``"time"`` (the end of the run), or a species (its concentration at the start). What has no bounds is
        held.
    maximize : bool
    n_iter : int
    tol : float
        Of the projected gradient, relative to that at the start.

    Returns
    -------
    YieldOptimum

    Examples
    --------
    >>> from rnn.systems.kinetics import ReactionNetwork, Reactor
    >>> chain = ReactionNetwork(["k1: A -> B", "k2: B -> C"])
    >>> best = Reactor(chain, [1.0, 0.5], {"A": 1.0}, 3.0).optimize("B", {"time": (0.1, 10)})
    >>> round(best.values["time"], 3), round(best.value, 4)  # 2 ln 2, ½
    (1.386, 0.5)
    """
    parts = [_Variable(reactor, name, pair) for name, pair in bounds.items()]
    if not parts:
        raise DataError("bounds names no variable; give (low, high) for rates, 'T', 'time' or species")
    sign = -1.0 if maximize else 1.0
    cuts = np.cumsum([part.size for part in parts])[:-1]
    last: list[tuple[np.ndarray, Sensitivity]] = []

    def at(x):
        if not last or not np.array_equal(last[0][0], x):
            last[:] = [(x.copy(), _changed(reactor, parts, np.split(x, cuts)).gradient(target))]
        return last[0][1]

    def value_and_slope(x):
        found = at(x)
        slopes = [p.slope(found, u) for p, u in zip(parts, np.split(x, cuts), strict=True)]
        return sign * found.value, sign * np.concatenate(slopes)

    first = np.concatenate([part.first for part in parts])
    found = descend(value_and_slope, first, 0.0, 1.0, n_iter, tol)
    warn_unless(found.converged, "the optimum of the reactor", found.reason, "raise n_iter or tol")
    best = at(found.x)
    values = {p.name: p.shown(u) for p, u in zip(parts, np.split(found.x, cuts), strict=True)}
    return YieldOptimum(
        best.reactor, values, best.value, sign * found.values, best, found.converged, found.reason
    )


class _Variable:
    """One of ``bounds``, in [0, 1]."""

    def __init__(self, reactor: Reactor, name: str, pair):
        self.name, self.kind = name, _kind(reactor, name)
        low, high = pair_of(name, pair)
        if not (np.isfinite([low, high]).all() and low < high):
            raise DataError(f"bounds of {name} must be finite, low < high, got {pair}")
        if low < 0 or (low == 0 and self.kind in ("rate", "T")):
            raise DataError(f"the lower bound of {name} must be > 0, got {low:g}")
        if self.kind == "time" and low <= reactor.times[0]:
            raise DataError(f"time must end after the start, {reactor.times[0]:g}; its bound is {low:g}")
        if self.kind == "start" and reactor.y0.ndim != 1:
            raise DataError(f"{name}: the start of a batch cannot be optimised; take one reactor")
        self.low, self.high, self.logs = low, high, self.kind == "rate"
        x = np.clip(np.atleast_1d(self._now(reactor)), low, high)
        a, b = self._ends()
        self.first = ((np.log(x) if self.logs else x) - a) / (b - a)
        self.size = len(self.first)

    def _ends(self) -> tuple[float, float]:
        return (np.log(self.low), np.log(self.high)) if self.logs else (self.low, self.high)

    def _now(self, reactor: Reactor):
        if self.kind == "rate":
            return reactor.factors[reactor.network.rate_index(self.name)]
        if self.kind == "start":
            return reactor.y0[reactor.network.index(self.name)]
        return reactor.params["T"] if self.kind == "T" else reactor.times[-1]

    def value(self, u: np.ndarray) -> np.ndarray:
        """From [0, 1]."""
        a, b = self._ends()
        x = a + (b - a) * u
        return np.exp(x) if self.logs else x

    def shown(self, u: np.ndarray):
        """A number, or the knots' array."""
        x = self.value(u)
        return x if len(x) > 1 else float(x[0])

    def slope(self, found: Sensitivity, u: np.ndarray) -> np.ndarray:
        """∂J/∂u."""
        a, b = self._ends()
        if self.kind == "rate":
            return np.array([found.rates[self.name]]) * self.value(u) * (b - a)
        if self.kind == "start":
            return found.start[[found.reactor.network.index(self.name)]] * (b - a)
        slope = found.temperature if self.kind == "T" else np.array([found.end])
        return np.asarray(slope) * (b - a)


def _kind(reactor: Reactor, name: str) -> str:
    kinds = {
        "rate": name in reactor.network.rate_names,
        "start": name in reactor.network.species,
        "T": name == "T" and isinstance(reactor.rates, Arrhenius),
        "time": name == "time",
    }
    found = [kind for kind, is_one in kinds.items() if is_one]
    if len(found) == 1:
        return found[0]
    known = [*reactor.network.rate_names, *reactor.network.species, "T (under Arrhenius)", "time"]
    what = f"is {' and '.join(found)} at once; rename one" if found else f"is none of {', '.join(known)}"
    raise DataError(f"bounds: {name!r} {what}")


def _changed(reactor: Reactor, parts, us) -> Reactor:
    """The reactor at a place."""
    names = reactor.network.rate_names
    rates = dict(zip(names, reactor.factors.tolist(), strict=True))
    T = reactor.params.get("T", np.zeros(0))
    y0, t = reactor.y0.copy(), reactor.t
    for part, u in zip(parts, us, strict=True):
        x = part.value(u)
        if part.kind == "rate":
            rates[part.name] = float(x[0])
        elif part.kind == "start":
            y0[reactor.network.index(part.name)] = x[0]
        elif part.kind == "T":
            T = x
        else:
            # Save times within the run go with its end.
            first, last = reactor.times[[0, -1]]
            t = first + (reactor.times - first) * (float(x[0]) - first) / (last - first)
    if isinstance(reactor.rates, Arrhenius):
        made = Arrhenius(rates, reactor.rates.E, Profile(reactor.rates.profile.times, T))
        return reactor.with_(rates=made, start=y0, t=t)
    return reactor.with_(rates=rates, start=y0, t=t)
