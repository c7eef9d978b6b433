"""Emissions by name: any univariate distribution of scipy.stats, features independent given the state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Choice, Domain, Positive, Real, Share
from hmm.emissions.base import DIFFERENCE
from hmm.emissions.columns import Columns
from hmm.emissions.independent import Independent, Range
from hmm.emissions.scipy_family import LEAST_SCALE, SHAPE_RANGE, Family
from hmm.validation import parameter
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class ScipyStats(Independent):
    """A scipy.stats distribution of D features in K states.

    Parameters
    ----------
    parameters : array, (K, D, P)
        In scipy's order: shapes, loc, scale (no scale where it is discrete).
    family : Family

    Examples
    --------
    >>> emission = ScipyStats(np.array([[[0.0, 1.0]]]), Family("norm"))
    >>> emission.log_density(emission.prepare(np.array([[0.0], [np.nan]]))).round(4)
    array([[-0.9189],
           [ 0.    ]])
    """

    parameters: np.ndarray
    family: Family

    LETTERS: ClassVar[dict[str, str]] = {"p": "parameters"}
    RANGES: ClassVar[dict[str, Range]] = {}

    def check(self, n_components: int) -> ScipyStats:
        P = len(self.family.names)
        D = np.shape(self.parameters)[1] if np.ndim(self.parameters) == 3 else 1
        given = np.asarray(self.parameters)
        parameters = parameter(
            "parameters_", given[:, None] if given.ndim == 2 else given, (n_components, D, P)
        )
        wrong = ~self.family.valid(parameters)
        if wrong.any():
            values = ", ".join(
                f"{n}={v:.6g}" for n, v in zip(self.family.names, parameters[wrong][0], strict=True)
            )
            raise DataError(
                f"parameters_ holds {values}, which scipy.stats.{self.family.name} does not allow"
            )
        return replace(self, parameters=parameters)

    @property
    def n_features(self) -> int:
        return self.parameters.shape[1]

    @property
    def repeated(self) -> bool:
        return self.family.discrete

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        return self.family.log_density(x, self.parameters[:, d])

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        """By central differences, (P, K, n); 0 for parameters that are held or where the density ends."""
        own = self.parameters[:, d]
        slopes = np.zeros((own.shape[1], len(own), len(x)))
        for i in self.family.free:
            step = np.zeros(own.shape)
            size = np.maximum(np.abs(own[:, i]), 1e-3)
            # near 1 a share changes by a share of what is left
            step[:, i] = DIFFERENCE * np.where(self.family.ends_at_one(i, own), 1 - own[:, i], size)
            up, down = (self.family.log_density(x, own + sign * step) for sign in (1, -1))
            inside = np.isfinite(up) & np.isfinite(down)
            slopes[i] = np.subtract(up, down, out=np.zeros_like(up), where=inside) / (2 * step[:, i, None])
        return {"parameters": slopes}

    def maximise(self, x: np.ndarray, weights: np.ndarray, d: int, params: str) -> dict[str, np.ndarray]:
        shares = weights / weights.sum(axis=1, keepdims=True)
        # Families with zero weights on some values never look at them, so they may lie outside the support.
        own = zip(shares, self.parameters[:, d], strict=True)
        return {"parameters": np.stack([self.family.maximise(x, share, given) for share, given in own])}

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D); infinite or NaN where there is none."""
        return self._moments()[0]

    def variance(self) -> np.ndarray:
        """Var[x | k], (K, D)."""
        return self._moments()[1]

    def _moments(self) -> np.ndarray:
        arguments = np.moveaxis(self.parameters, -1, 0)
        with np.errstate(all="ignore"):
            return np.asarray(self.family.distribution.stats(*arguments, moments="mv"), np.float64)

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        arguments = np.moveaxis(self.parameters[states], -1, 0)
        return np.asarray(
            self.family.distribution.rvs(*arguments, size=arguments.shape[1:], random_state=rng)
        )

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> ScipyStats:
        family = settings["family"]
        columns = []
        for x in X.T:
            shown = x[~np.isnan(x)]
            columns.append(family.start(shown if len(shown) else np.ones(1), np.ones(max(len(shown), 1))))
        return cls(np.repeat(np.stack(columns)[None], n_components, axis=0), family)

    def n_parameters(self) -> dict[str, int]:
        K, D, _ = self.parameters.shape
        return {"p": K * D * len(self.family.free)}

    def domains(self, data: Columns) -> dict[str, Domain]:
        """Scale and shapes that may not change sign on a logarithmic axis, shapes that are shares between 0
        and 1; what is held, nowhere."""
        K, D, P = self.parameters.shape
        spreads = np.array([self.family.spread(c.values) if len(c.values) else 1.0 for c in data.columns])
        which = np.full((K, D, P), -1)
        for index in np.ndindex(K, D):
            for i in self.family.free:
                which[(*index, i)] = self.family.kind(i, self.parameters[index])
        numbers = (Real(), Real(spreads[:, None]), Positive(*SHAPE_RANGE), Share())
        scales = Positive((LEAST_SCALE * spreads)[:, None])
        return {"parameters": Choice((*numbers, scales), which, smooth=False)}
