"""A level with a slope: the local linear trend, smooth or damped if wanted."""

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
from msgpass.errors import DataError


@dataclass(frozen=True)
class LocalLinearTrend(Component):
    """μ_{t+1} = μ_t + β_t + η_t, β_{t+1} = φ β_t + ζ_t, both from a flat start.

    Parameters
    ----------
    name : str
        "trend" by default.
    level_variance, slope_variance : float or None
        Of η and ζ, None to estimate them. ``slope_variance=0`` is a drift that is constant.
    smooth : bool
        An integrated random walk: ``level_variance=0``.
    damped : bool
        Whether the slope dies away, φ < 1 (Gardner & McKenzie 1985); else φ = 1.
    damping : float or None
        φ where it is damped, None to estimate it.

    Examples
    --------
    >>> trend = LocalLinearTrend(smooth=True)
    >>> [p.name for p in trend.parameters() if p.fixed is None]
    ['slope_variance']
    """

    KIND: ClassVar[str] = "trend"

    level_variance: float | None = None
    slope_variance: float | None = None
    smooth: bool = False
    damped: bool = False
    damping: float | None = None

    def check(self) -> None:
        if self.smooth and self.level_variance:
            raise DataError(
                f"a smooth trend has no level_variance, got {self.level_variance!r}; leave one of them out"
            )
        if self.damping is not None and not self.damped:
            raise DataError("damping is for damped=True; without it the slope is a random walk")
        super().check()

    @property
    def n_states(self) -> int:
        return 2

    def parameters(self) -> tuple[Parameter, ...]:
        found = [
            variance_of("level_variance", 0.0 if self.smooth else self.level_variance),
            variance_of("slope_variance", self.slope_variance),
        ]
        if self.damped:
            fixed = held("damping", self.damping, (), least=0.0, most=1.0)
            found.append(Parameter("damping", Between(0.0, 1.0), fixed=fixed))
        return tuple(found)

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        F = np.array([[1.0, 1.0], [0.0, values.get("damping", 1.0)]])
        Q = np.diag([float(values["level_variance"]), float(values["slope_variance"])])
        return as_blocks(F, Q, [1.0, 0.0])

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        found = {"level_variance": slopes.Q[0, 0], "slope_variance": slopes.Q[1, 1]}
        return found | ({"damping": slopes.F[1, 1]} if self.damped else {})

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        found = {
            "level_variance": drawn(rng, 0.1, about.noise, 1.5),
            "slope_variance": drawn(rng, 0.003, about.noise, 2.0),
        }
        damping = np.asarray(0.9 if rng is None else rng.uniform(0.3, 0.99))
        return found | ({"damping": damping} if self.damped else {})

    def readings(self) -> dict[str, np.ndarray]:
        return {f"{self.label}.slope": np.array([0.0, 1.0])}

    def breaks(self) -> dict[str, int]:
        return {self.label: 0, f"{self.label}.slope": 1}
