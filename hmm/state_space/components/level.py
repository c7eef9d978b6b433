"""A level that wanders: the local level, or random walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hmm.state_space.components.base import (
    Blocks,
    Component,
    Parameter,
    Summary,
    Values,
    as_blocks,
    drawn,
    variance_of,
)


@dataclass(frozen=True)
class LocalLevel(Component):
    """μ_{t+1} = μ_t + η_t, η ~ N(0, σ²), from a flat start.

    Parameters
    ----------
    name : str
        "level" by default.
    variance : float or None
        σ², None to estimate it; 0 is a level that is constant.

    Examples
    --------
    >>> LocalLevel().blocks({"variance": np.array(2.0)}, np.empty((5, 0))).Q
    array([[2.]])
    """

    KIND: ClassVar[str] = "level"

    variance: float | None = None

    @property
    def n_states(self) -> int:
        return 1

    def parameters(self) -> tuple[Parameter, ...]:
        return (variance_of("variance", self.variance),)

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        return as_blocks(1.0, values["variance"], 1.0)

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        return {"variance": slopes.Q[0, 0]}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        return {"variance": drawn(rng, 0.1, about.noise, 1.5)}

    def breaks(self) -> dict[str, int]:
        return {self.label: 0}
