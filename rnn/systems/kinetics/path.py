"""``ConcentrationPath``: what :meth:`Reactor.simulate` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rnn.ode import Solution
from rnn.systems.kinetics.network import ReactionNetwork


@dataclass(frozen=True, repr=False)
class ConcentrationPath:
    """Concentrations over time.

    Attributes
    ----------
    network : ReactionNetwork
    t : ndarray (M,)
        Save times.
    c : ndarray (M, S) or (M, B, S)
    solution : rnn.ode.Solution
        ``solution.grid.times`` and ``solution.states`` are all steps, ``solution.messages`` the run.
    """

    network: ReactionNetwork
    t: np.ndarray
    c: np.ndarray
    solution: Solution = field(repr=False)

    def __getitem__(self, species: str) -> np.ndarray:
        """One species at the save times."""
        return self.c[..., self.network.index(species)]

    @property
    def final(self) -> dict[str, np.ndarray]:
        """Concentrations at the end, by species."""
        return {s: self.c[-1, ..., i] for i, s in enumerate(self.network.species)}

    @property
    def drift(self) -> float:
        """The largest change of a conserved total over all steps, relative to the largest concentration."""
        states = self.solution.states
        totals = self.network.conserved(states)
        if not totals.size:
            return 0.0
        return float(np.abs(totals - totals[0]).max() / np.abs(states).max(initial=1e-300))

    def to_frame(self):
        """A pandas frame: ``t`` as the index, a column a species (and ``reactor`` for a batch)."""
        from msgpass.optional import pandas

        names, batch = list(self.network.species), self.c.ndim == 3
        if not batch:
            return pandas().DataFrame(self.c, index=pandas().Index(self.t, name="t"), columns=names)
        B = self.c.shape[1]
        index = pandas().MultiIndex.from_product([self.t, range(B)], names=["t", "reactor"])
        return pandas().DataFrame(self.c.reshape(-1, len(names)), index=index, columns=names)

    def plot(self, ax=None, species: Sequence[str] | None = None):
        """Concentrations at all steps; returns the axes."""
        from msgpass.drawing import GREY, style
        from msgpass.optional import figure, matplotlib

        with style():
            if ax is None:
                ax = figure(figsize=(6, 3), layout="constrained").add_subplot()
            shown = tuple(species or self.network.species)
            colours = matplotlib().colormaps["viridis"](np.linspace(0.05, 0.85, len(shown)))
            times, states = self.solution.grid.times, self.solution.states
            for name, colour in zip(shown, colours, strict=True):
                lines = ax.plot(times, states[..., self.network.index(name)], color=colour)
                lines[0].set_label(name)
            ax.axhline(0, color=GREY, linewidth=0.4)
            ax.set(xlabel="time", ylabel="concentration", xlim=(times[0], times[-1]))
            ax.legend(ncols=min(len(shown), 6))
        return ax

    def __repr__(self) -> str:
        ends = ", ".join(f"{s} {np.mean(x):.4g}" for s, x in self.final.items())
        return f"<ConcentrationPath: {self.solution.grid.steps} steps to t = {self.t[-1]:g}; {ends}>"
