"""Regressors, with coefficients that are constant or wander."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

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
from hmm.validation import whole
from msgpass.errors import DataError


@dataclass(frozen=True)
class Regression(Component):
    """u_t · β_t, β_{t+1} = β_t + ν_t, ν ~ N(0, diag σ²), from a flat start; u_t are columns of ``exog``.

    Coefficients are states. With constant ones (σ² = 0) and a flat start they are the generalised least
    squares estimates, and the likelihood has them integrated out.

    Parameters
    ----------
    name : str
        "regression" by default.
    columns : int or sequence of str
        How many columns of ``exog`` it takes, or their names; the components take them from left to right.
    random_walk : bool
        Whether coefficients wander, each with a variance of its own.
    variance : float, sequence of float or None
        σ² (k,) of coefficients that wander, None to estimate it.

    Examples
    --------
    >>> Regression(columns=("price", "holiday")).readings()["regression.price"]
    array([1., 0.])
    """

    KIND: ClassVar[str] = "regression"

    columns: Any = 1
    random_walk: bool = False
    variance: float | tuple[float, ...] | None = None

    def check(self) -> None:
        if isinstance(self.columns, str):
            raise DataError(f"columns are a number or a sequence of names, got {self.columns!r}")
        if isinstance(self.columns, int | np.integer):
            whole("columns", self.columns, 1)
        elif not self.columns or len(set(self.columns)) < len(self.columns):
            raise DataError(f"columns must have different names, at least one, got {self.columns!r}")
        if self.variance is not None and not self.random_walk:
            raise DataError("variance is for random_walk=True; without it coefficients are constant")
        super().check()

    @property
    def column_names(self) -> tuple[str, ...]:
        """One a column."""
        if isinstance(self.columns, int | np.integer):
            return tuple(f"x{i}" for i in range(self.columns))
        return tuple(map(str, self.columns))

    @property
    def n_states(self) -> int:
        return len(self.column_names)

    @property
    def n_inputs(self) -> int:
        return self.n_states

    def parameters(self) -> tuple[Parameter, ...]:
        return (variance_of("variance", self.variance, (self.n_states,)),) if self.random_walk else ()

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        k = self.n_states
        return as_blocks(np.eye(k), np.diag(values.get("variance", np.zeros(k))), inputs)

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        return {"variance": np.diagonal(slopes.Q).copy()} if self.random_walk else {}

    def start(self, about: Summary, rng: np.random.Generator | None) -> Values:
        if not self.random_walk:
            return {}
        power = np.maximum(np.mean(about.inputs**2, axis=0), np.finfo(float).tiny ** 0.5)
        return {"variance": np.array([drawn(rng, 0.01, about.noise / p, 1.5) for p in power])}

    def readings(self) -> dict[str, np.ndarray]:
        rows = np.eye(self.n_states)
        return {f"{self.label}.{name}": row for name, row in zip(self.column_names, rows, strict=True)}

    def breaks(self) -> dict[str, int]:
        return {f"{self.label}.{name}": k for k, name in enumerate(self.column_names)}
