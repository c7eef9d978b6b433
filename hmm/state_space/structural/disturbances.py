"""Auxiliary residuals: where there was an outlier, or a component broke (Harvey & Koopman 1992).

They are messages at parameters. With noise covariances and transition offsets that have a row for each step,

    ∂log Z/∂y_t = −u_t,          ∂log Z/∂R_t = ½ (u_t² − D_t),
    ∂log Z/∂b_t = r_t,           ∂log Z/∂Q_t = ½ (r_t r_tᵀ − N_t),

the smoothed disturbances are R u and Q r, with variances R² D and Q N Q (Durbin & Koopman 2012, section
4.5). Divided by their standard deviations the noise's own size drops out: u/√D and r_i/√N_ii. So they exist
for what is constant in the model, too, where they are score tests of a shift at t.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hmm.state_space.structural.assembly import Values
from hmm.state_space.structural.graph import make_graph
from hmm.state_space.structural.likelihood import Likelihood
from msgpass import run
from msgpass.optional import pandas

NOTHING = 1e-10
"""Share of the largest N below which a step says nothing of a break."""


@dataclass(frozen=True, eq=False, repr=False)
class AuxiliaryResiduals(Mapping[str, np.ndarray]):
    """t-values (T,) by kind: "irregular" for outliers, and one for each break, such as "level".

    A break at t lies between t − 1 and t: x_t is the first state after it. NaN where nothing can be said.

    Attributes
    ----------
    statistics : dict of str to array
    """

    statistics: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.statistics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.statistics)

    def __len__(self) -> int:
        return len(self.statistics)

    def __repr__(self) -> str:
        lines = []
        for name, own in self.items():
            if np.isfinite(own).any():
                t = int(np.nanargmax(np.abs(own)))
                lines.append(f"  {name}: largest at {t}, {own[t]:+.2f}")
        return "\n".join(["AuxiliaryResiduals", *lines])

    def beyond(self, threshold: float = 3.0) -> list[tuple[str, int, float]]:
        """(kind, step, t-value) of all that are larger, the largest first."""
        found = [
            (name, int(t), float(own[t]))
            for name, own in self.items()
            for t in np.flatnonzero(np.abs(np.nan_to_num(own)) > threshold)
        ]
        return sorted(found, key=lambda one: -abs(one[2]))

    def to_frame(self, index=None):
        """A column for each kind."""
        return pandas().DataFrame(self.statistics, index=index)


def auxiliary_residuals(likelihood: Likelihood, at: Values) -> AuxiliaryResiduals:
    """From one run of a graph with noise of its own at every step."""
    own, y = likelihood.assembly.blocks(at, likelihood.inputs), likelihood.y
    T, n = len(y), len(own.F)
    apart = own._replace(Q=np.tile(own.Q, (T - 1, 1, 1)), R=np.full(T, float(own.R)))
    m = run(make_graph(y, apart, offsets=True))
    seen = ~np.isnan(y)
    u = -m.gradient["y"][:, 0]
    D = u**2 - 2 * m.parameters["R"].reshape(T)
    outlier = "irregular"
    for component in likelihood.assembly.components:
        if not component.n_states:
            outlier = component.label
    found = {outlier: _ratio(u, np.where(seen, D, 0.0))}
    r = m.parameters["b"].reshape(T - 1, n)
    N = r**2 - 2 * np.diagonal(m.parameters["Q"], axis1=1, axis2=2)
    for name, i in likelihood.assembly.breaks().items():
        found[name] = np.concatenate([[np.nan], _ratio(r[:, i], N[:, i])])
    return AuxiliaryResiduals(found)


def _ratio(value: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """value/√variance, NaN where the variance is none."""
    there = variance > NOTHING * np.abs(variance).max(initial=0.0)
    found = np.full(len(value), np.nan)
    found[there] = value[there] / np.sqrt(variance[there])
    return found
