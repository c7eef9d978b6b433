"""``Experiment``: what was measured in one reactor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.kinetics.network import ReactionNetwork, checked
from rnn.systems.kinetics.profile import Profile
from rnn.validation import real_array


@dataclass(frozen=True, eq=False)
class Experiment:
    """Concentrations at times of its own.

    Parameters
    ----------
    t : array (M,), increasing
        When was measured; the reaction starts at ``t0``.
    measured : dict of (M,) arrays by species
        NaN where nothing was measured. Species that are left out were not measured at all.
    start : dict by species
        Concentrations at ``t0``; NaN for one that is unknown and to be fitted, 0 for species left out.
    sigma : float, or dict of float or (M,) arrays by species, optional
        Standard deviations of the measurements. Without it all weigh the same, and the fit's errors are
        scaled by its residuals.
    T : float or Profile, optional
        The temperature, where rates are Arrhenius.
    feed : dict, optional
        As for :class:`Reactor`.
    t0 : float
    """

    t: Any
    measured: Mapping[str, Any]
    start: Mapping[str, float]
    sigma: Any = None
    T: float | Profile | None = None
    feed: Mapping[str, Any] | None = None
    t0: float = 0.0

    @cached_property
    def times(self) -> np.ndarray:
        """Checked."""
        times = real_array("t", self.t, np.dtype(float))
        if times.ndim != 1 or not len(times):
            raise ShapeError(f"t must be a vector of times, got shape {times.shape}")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any() or times[0] < self.t0:
            raise DataError(f"t must hold finite, increasing times from t0 = {self.t0:g} on")
        return times

    @property
    def grid(self) -> np.ndarray:
        """``times`` with ``t0`` in front."""
        return self.times if self.times[0] == self.t0 else np.concatenate([[self.t0], self.times])

    def values(self, network: ReactionNetwork) -> np.ndarray:
        """(M, S), NaN where nothing was measured."""
        found = np.full((len(self.times), len(network.species)), np.nan)
        if not isinstance(self.measured, Mapping) or not self.measured:
            raise DataError("measured is a dict of arrays by species")
        for s, x in self.measured.items():
            column = real_array(f"measured[{s!r}]", x, np.dtype(float))
            if column.shape != self.times.shape:
                raise ShapeError(
                    f"measured[{s!r}] has shape {column.shape}, wanted one number a time, {self.times.shape}"
                )
            if np.isinf(column).any():
                raise DataError(f"measured[{s!r}] holds an infinite value; NaN stands for a missing one")
            found[:, network.index(s)] = column
        if np.isnan(found).all():
            raise DataError("an experiment in which nothing was measured; leave it out")
        return found

    def deviations(self, network: ReactionNetwork) -> np.ndarray:
        """σ, (M, S)."""
        shape = len(self.times), len(network.species)
        if self.sigma is None:
            return np.ones(shape)
        given = self.sigma if isinstance(self.sigma, Mapping) else dict.fromkeys(self.measured, self.sigma)
        if missing := [s for s in self.measured if s not in given]:
            raise DataError(f"sigma lacks {', '.join(missing)}")
        found = np.ones(shape)
        for s, x in given.items():
            column = real_array(f"sigma[{s!r}]", x, np.dtype(float))
            if column.shape not in ((), self.times.shape):
                raise ShapeError(
                    f"sigma[{s!r}] has shape {column.shape}, wanted a number or {self.times.shape}"
                )
            if not (np.isfinite(column).all() and (column > 0).all()):
                raise DataError(f"sigma[{s!r}] must be finite and > 0")
            found[:, network.index(s)] = column
        return found

    def beginning(self, network: ReactionNetwork) -> tuple[np.ndarray, list[int]]:
        """Concentrations at t0 with a first guess for unknown ones, and the places of these."""
        found = np.zeros(len(network.species))
        for s, x in self.start.items():
            found[network.index(s)] = x
        unknown = [int(i) for i in np.flatnonzero(np.isnan(found))]
        values = self.values(network)
        for i in unknown:
            seen = values[:, i][np.isfinite(values[:, i])]
            found[i] = max(float(seen[0]), 0.0) if len(seen) else float(np.nanmax(values, initial=0.0))
        return checked("start", found, network.species), unknown
