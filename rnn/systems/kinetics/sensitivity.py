"""``Sensitivity``: which rate matters, and when.

An elasticity is ∂ln J/∂ln k: by how many per cent J rises when k rises by one. Over time, rate r has a share

    s_r(t) = λ(t)·N_r v_r(t),     k_r ∂J/∂k_r = ∫ s_r dt

of it, for a change of k_r during dt moves c by N_r v_r dt, and λ(t) says what that is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from msgpass import Messages
from rnn.ode import OdeGradient

if TYPE_CHECKING:
    from rnn.systems.kinetics.reactor import Reactor


class Row(NamedTuple):
    """One line of the table."""

    name: str
    kind: str
    value: float
    gradient: float
    elasticity: float


@dataclass(frozen=True, repr=False)
class Sensitivity:
    """What :meth:`Reactor.gradient` returns; J is the mean over a batch.

    Attributes
    ----------
    target : str
    value : float
        J.
    values : float or ndarray (B,)
        Of each reactor.
    """

    reactor: Reactor
    target: str
    value: float
    values: np.ndarray
    ode: OdeGradient = field(repr=False)
    direct: np.ndarray = field(repr=False)

    @property
    def messages(self) -> Messages:
        """The run: ``messages.gradient["y"]`` is λ after each step, ``.parameters`` ∂J/∂parameters."""
        assert self.ode.messages is not None  # the discrete gradient is a run
        return self.ode.messages

    @property
    def scale(self) -> float:
        """What elasticities are relative to: J, NaN where that is 0 and has none."""
        return self.value or np.nan

    @cached_property
    def rates(self) -> dict[str, float]:
        """∂J/∂k by rate; under Arrhenius ∂J/∂A."""
        found = self.ode.params[self.reactor.law.factor]
        return dict(zip(self.reactor.network.rate_names, found.tolist(), strict=True))

    @cached_property
    def elasticities(self) -> dict[str, float]:
        """∂ln J/∂ln k by rate (also under Arrhenius, of a rate at all times)."""
        k = self.reactor.factors
        return {n: g * x / self.scale for (n, g), x in zip(self.rates.items(), k.tolist(), strict=True)}

    @property
    def energies(self) -> dict[str, float] | None:
        """∂J/∂E by rate, a J/mol."""
        found = self.ode.params.get("E")
        return None if found is None else dict(zip(self.rates, found.tolist(), strict=True))

    @property
    def temperature(self) -> np.ndarray | None:
        """∂J/∂T at the profile's knots."""
        return self.ode.params.get("T")

    @property
    def feed(self) -> dict[str, np.ndarray] | None:
        """∂J/∂feed at the knots, by species."""
        found = self.ode.params.get("feed")
        return None if found is None else dict(zip(self.reactor.feed or (), found, strict=True))

    @property
    def start(self) -> np.ndarray:
        """∂J/∂start, like start."""
        return self.ode.y0

    @property
    def end(self) -> float:
        """∂J/∂(end of the run)."""
        return float(self.ode.t[-1])

    @property
    def times(self) -> np.ndarray:
        """Ends of steps, (N + 1,)."""
        return self.ode.times

    @cached_property
    def costates(self) -> np.ndarray:
        """λ = ∂J/∂c at ``times``, like the states: what a change of c on the way is worth. ``start`` is λ of
        the first plus what J says of the start by itself, such as a yield's reference."""
        found = self.ode.costates.copy()
        found[0] -= self.direct
        return found

    @cached_property
    def through_time(self) -> np.ndarray:
        """s_r(t) / J at ``times``, (N + 1, R): what a rate's elasticity is made of, a unit of time."""
        law, p = self.reactor.law, self.reactor.params
        states = self.ode.solution.states
        k = np.array([law.rates(t, p) for t in self.times])
        k = k.reshape(len(k), *(1,) * (states.ndim - 2), -1)
        share = (self.costates @ law.law.stoichiometry) * k * law.law.monomials(states)
        return share.reshape(len(k), -1, k.shape[-1]).sum(axis=1) / self.scale

    def table(self) -> list[Row]:
        """Rates, then concentrations at the start (of one reactor), energies and temperatures; each kind
        ranked by |elasticity|."""
        reactor, p, J = self.reactor, self.reactor.params, self.scale
        k = reactor.factors.tolist()
        kinds = [
            [
                Row(n, "rate", x, g, self.elasticities[n])
                for (n, g), x in zip(self.rates.items(), k, strict=True)
            ]
        ]
        if reactor.y0.ndim == 1:
            start = zip(reactor.network.species, reactor.y0.tolist(), self.start.tolist(), strict=True)
            kinds.append([Row(f"{s}₀", "start", c, g, g * c / J) for s, c, g in start])
        if self.energies is not None and self.temperature is not None:
            E = zip(self.energies.items(), p["E"].tolist(), strict=True)
            kinds.append([Row(f"E({n})", "energy", x, g, g * x / J) for (n, g), x in E])
            T = zip(p["T"].tolist(), self.temperature.tolist(), strict=True)
            many = len(p["T"]) > 1
            rows = [
                Row(f"T[{m}]" if many else "T", "temperature", x, g, g * x / J) for m, (x, g) in enumerate(T)
            ]
            kinds.append(rows)
        for s, g in (self.feed or {}).items():
            x = p["feed"][list(reactor.feed or ()).index(s)]
            kinds.append([Row(f"feed {s}[{m}]", "feed", float(a), float(b), float(a * b / J))
                          for m, (a, b) in enumerate(zip(x, g, strict=True))])  # fmt: skip
        return [row for rows in kinds for row in sorted(rows, key=lambda row: -abs(row.elasticity))]

    def to_frame(self):
        """:meth:`table` as a pandas frame: name, kind, value, gradient, elasticity."""
        from msgpass.optional import pandas

        return pandas().DataFrame(self.table(), columns=Row._fields)

    def plot(self, ax=None):
        """Elasticities of the rates as bars, the largest on top; returns the axes."""
        from msgpass.drawing import FIRST, GREY, SECOND, style
        from msgpass.optional import figure

        rows = [row for row in self.table() if row.kind == "rate"][::-1]
        with style():
            if ax is None:
                height = 0.8 + 0.28 * len(rows)
                ax = figure(figsize=(5, height), layout="constrained").add_subplot()
            colours = [FIRST if row.elasticity >= 0 else SECOND for row in rows]
            ax.barh([row.name for row in rows], [row.elasticity for row in rows], color=colours, height=0.6)
            ax.axvline(0, color=GREY, linewidth=0.6)
            ax.set(xlabel="elasticity, % of J a % of the rate", title=self.target)
        return ax

    def plot_through_time(self, ax=None):
        """When each rate matters: ``through_time`` over time; returns the axes."""
        from msgpass.drawing import GREY, style
        from msgpass.optional import figure, matplotlib

        with style():
            if ax is None:
                ax = figure(figsize=(6, 3), layout="constrained").add_subplot()
            names = self.reactor.network.rate_names
            colours = matplotlib().colormaps["viridis"](np.linspace(0.05, 0.85, len(names)))
            for r, (name, colour) in enumerate(zip(names, colours, strict=True)):
                ax.plot(self.times, self.through_time[:, r], color=colour, label=name)
            ax.axhline(0, color=GREY, linewidth=0.6)
            ax.set(xlabel="time", ylabel="elasticity a unit of time", xlim=(self.times[0], self.times[-1]))
            ax.legend(ncols=min(len(names), 6))
        return ax

    def __repr__(self) -> str:
        lines = [f"<Sensitivity: {self.target} = {self.value:.6g}"]
        lines.append(f"  {'name':<6}{'value':>9}{'gradient':>13}{'elasticity':>13}")
        for row in self.table():
            if row.kind != "rate":
                continue
            lines.append(f"  {row.name:<6}{row.value:>9.4g}{row.gradient:>13.6g}{row.elasticity:>13.6g}")
        return "\n".join(lines) + ">"
