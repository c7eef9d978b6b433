"""White noise of the observations."""

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
class Irregular(Component):
    """ε_t ~ N(0, σ²), which is no state.

    Parameters
    ----------
    name : str
        "irregular" by default.
    variance : float or None
        σ², None to estimate it.

    Examples
    --------
    >>> Irregular().blocks({"variance": np.array(3.0)}, np.empty((5, 0))).R
    array(3.)
    """

    KIND: ClassVar[str] = "irregular"

    variance: float | None = None

    @property
    def n_states(self) -> int:
        return 0

    def parameters(self) -> tuple[Parameter, ...]:
        return (variance_of("variance", self.variance),)

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        none = np.empty((0, 0))
        return as_blocks(none, none, np.empty((1, 0)), R=values["variance"])

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        return {"variance": slopes.R}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        return {"variance": drawn(rng, 0.5, about.noise)}
