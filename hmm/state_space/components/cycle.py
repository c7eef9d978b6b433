"""A cycle whose period is estimated: two states that turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hmm.coordinates import Between
from hmm.state_space.components.base import (
    Blocks,
    Component,
    Parameter,
    Summary,
    Values,
    as_blocks,
    drawn,
    held,
    variance_of,
)
from hmm.validation import one_of
from msgpass.errors import DataError


@dataclass(frozen=True)
class Cycle(Component):
    """ψ_{t+1} = ρ R(λ) ψ_t + κ_t, κ ~ N(0, σ² I), R(λ) a rotation by λ (Harvey 1989, section 2.3.3).

    Parameters
    ----------
    name : str
        "cycle" by default.
    periods : (float, float)
        Shortest and longest period 2π/λ; the second may be infinite if the start is stationary.
    damped : bool or None
        Whether ρ < 1 is estimated; else ρ = 1. None is as ``stochastic`` is.
    stochastic : bool
        Whether there are disturbances; else σ² = 0.
    initial : {"stationary", "flat"}
        Where a cycle that is damped and stochastic starts: in its stationary distribution, of variance
        σ²/(1 − ρ²), or flat. All others start flat, for they have none.
    frequency, damping, variance : float or None
        λ, ρ and σ², None to estimate them.

    Examples
    --------
    >>> cycle = Cycle(periods=(4, 12), damping=0.9, variance=0.19, frequency=1.0)
    >>> cycle.blocks({p.name: p.fixed for p in cycle.parameters()}, np.empty((9, 0))).cov.round(3)
    array([[1., 0.],
           [0., 1.]])
    """

    KIND: ClassVar[str] = "cycle"

    periods: tuple[float, float] = (2.0, np.inf)
    damped: bool | None = None
    stochastic: bool = True
    initial: str = "stationary"
    frequency: float | None = None
    damping: float | None = None
    variance: float | None = None

    def check(self) -> None:
        one_of("initial", self.initial, ("stationary", "flat"))
        try:
            short, long = map(float, self.periods)
        except (TypeError, ValueError):
            short, long = np.nan, np.nan
        if not 2 <= short < long:
            raise DataError(
                f"periods are the shortest, at least 2 steps, and the longest, got {self.periods!r}"
            )
        if self.damping is not None and not self._damps:
            raise DataError("damping is for damped=True; without it ρ is 1")
        if self._damps and self.damping is None and not self._stationary:
            raise DataError(
                "a damped cycle that starts flat has no most likely damping: as it goes to 0, the "
                "likelihood of one "
                "state that nothing observes goes to infinity; hold damping, or start stationary, or use "
                "damped=False"
            )
        if self.variance is not None and not self.stochastic:
            raise DataError("variance is for stochastic=True; without it there are no disturbances")
        if not self._stationary and self.frequency is None and not (short > 2 and long < np.inf):
            raise DataError(
                "a cycle that starts flat has no most likely frequency at periods of 2 or infinity, where "
                "nothing "
                "observes one of its states; give periods within, such as (3, 50), or hold frequency"
            )
        if self._stationary and self.damping is not None and self.damping >= 1:
            raise DataError("a stationary cycle has damping < 1; use initial='flat', or damped=False")
        super().check()

    @property
    def _damps(self) -> bool:
        return self.stochastic if self.damped is None else self.damped

    @property
    def _stationary(self) -> bool:
        return self.initial == "stationary" and self._damps and self.stochastic

    @property
    def _frequencies(self) -> tuple[float, float]:
        return 2 * np.pi / self.periods[1], 2 * np.pi / self.periods[0]

    @property
    def n_states(self) -> int:
        return 2

    def parameters(self) -> tuple[Parameter, ...]:
        low, high = self._frequencies
        found = [
            Parameter(
                "frequency",
                Between(low, high),
                fixed=held("frequency", self.frequency, (), least=0.0, most=np.pi),
            )
        ]
        if self._damps:
            fixed = held("damping", self.damping, (), least=0.0, most=1.0)
            found.append(Parameter("damping", Between(0.0, 1.0), fixed=fixed))
        return tuple([*found, variance_of("variance", self.variance)] if self.stochastic else found)

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        rho, power = float(values.get("damping", 1.0)), float(values.get("variance", 0.0))
        c, s = np.cos(values["frequency"]), np.sin(values["frequency"])
        cov = power / (1 - rho**2) * np.eye(2) if self._stationary else None
        return as_blocks(rho * np.array([[c, s], [-s, c]]), power * np.eye(2), [1.0, 0.0], cov=cov)

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        rho, power = float(values.get("damping", 1.0)), float(values.get("variance", 0.0))
        c, s = np.cos(values["frequency"]), np.sin(values["frequency"])
        found = {"frequency": rho * (slopes.F * np.array([[-s, c], [-c, -s]])).sum()}
        started = np.trace(slopes.cov) if self._stationary else 0.0
        if self._damps:
            turned = (slopes.F * np.array([[c, s], [-s, c]])).sum()
            found["damping"] = turned
            if self._stationary:
                found["damping"] += started * 2 * rho * power / (1 - rho**2) ** 2
        if self.stochastic:
            found["variance"] = np.trace(slopes.Q)
            if self._stationary:
                found["variance"] += started / (1 - rho**2)
        return {name: np.asarray(slope) for name, slope in found.items()}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        low, high = self._frequencies
        peaks = _peaks(about.y, low, high)
        found = {
            "frequency": np.asarray(peaks[0] if rng is None else rng.choice([*peaks, rng.uniform(low, high)]))
        }
        if self._damps:
            found["damping"] = np.asarray(0.9 if rng is None else rng.uniform(0.5, 0.99))
        if self.stochastic:
            found["variance"] = drawn(rng, 0.2, about.noise, 1.5)
        return found


def _peaks(y: np.ndarray, low: float, high: float, most: int = 3) -> list[float]:
    """Frequencies in (low, high) at which the series has most power, the strongest first: three of its
    changes, whose spectrum is even where the level wanders, and three of what a straight line leaves."""
    there = np.isfinite(y)
    t, T = np.arange(len(y), dtype=float), len(y)
    if there.sum() < 4:
        return [low + (high - low) / 2]
    lowest = max(low, min(2 * np.pi / T, low + 0.5 * (high - low)))
    frequencies = np.linspace(lowest, high, int(2 * T * (high - lowest) / np.pi) + 8)[1:-1]
    waves = np.exp(-1j * np.outer(frequencies, t))
    filled = np.interp(t, t[there], y[there])
    found: list[float] = []
    for gap in (np.diff(filled, prepend=filled[0]), y - np.polyval(np.polyfit(t[there], y[there], 1), t)):
        power = np.abs(waves @ np.where(np.isfinite(gap), gap, 0.0))
        padded = np.concatenate([[0.0], power, [0.0]])
        tops = np.flatnonzero((power >= padded[:-2]) & (power >= padded[2:]))
        found += [float(frequencies[k]) for k in tops[np.argsort(-power[tops], kind="stable")][:most]]
    return found
