"""A distribution of scipy.stats as a family to fit: its parameters, which of them are free, a start, a
weighted maximum.

By default loc is held at 0 where the support has an end (else the likelihood has no maximum, or a useless
one), and scale at 1 where it has two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from hmm.emissions.ascent import climb
from hmm.emissions.scipy_closed_forms import CLOSED
from msgpass.errors import DataError

TRIED = (0.1, 0.3, 0.5, 0.9, 2.0, 5.0, 20.0)
"""Values of each shape among which the start is looked for."""

SHAPE_RANGE = (1e-4, 1e6)
"""Of the absolute values of shapes, for ``fit``: where a state sees one value only, a shape would run
away."""

LEAST_SCALE = 1e-3
"""Least scale of a state, as a share of the standard deviation of all values."""

ROUNDS = 20


@dataclass(frozen=True)
class Family:
    """``scipy.stats.<name>`` with some parameters held: pairs of name and value."""

    name: str
    fixed: tuple[tuple[str, float], ...] | None = None

    @cached_property
    def distribution(self) -> Any:
        """scipy's object."""
        from scipy import stats

        found = getattr(stats, self.name, None) if isinstance(self.name, str) else None
        if not isinstance(found, stats.rv_continuous | stats.rv_discrete):
            raise DataError(
                f"scipy.stats has no univariate distribution {self.name!r}; give a name such as 'weibull_min'"
            )
        return found

    @cached_property
    def discrete(self) -> bool:
        """Whether it has a mass function."""
        return hasattr(self.distribution, "pmf")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Shapes, loc, and scale where it is continuous, in scipy's order."""
        shapes = tuple(s.strip() for s in (self.distribution.shapes or "").split(",") if s.strip())
        return (*shapes, "loc") if self.discrete else (*shapes, "loc", "scale")

    @cached_property
    def held(self) -> dict[str, float]:
        """Parameters that are not estimated."""
        if self.fixed is not None:
            held = dict(self.fixed)
            unknown = set(held) - set(self.names)
            if unknown:
                raise DataError(
                    f"{self.name} has no parameter {sorted(unknown)[0]!r}; it has {', '.join(self.names)}"
                )
        else:
            ends = np.isfinite([self.distribution.a, self.distribution.b])
            held = {"loc": 0.0} if ends.any() or self.discrete else {}
            if ends.all() and not self.discrete:
                held["scale"] = 1.0
        if self.discrete:
            held.setdefault("loc", 0.0)
        return held

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Positions of the parameters that are estimated."""
        return tuple(i for i, name in enumerate(self.names) if name not in self.held)

    def log_density(self, x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """log p(x) for parameters (..., P) against x (n,): (..., n), −∞ where it is not defined."""
        arguments = np.moveaxis(parameters, -1, 0)[..., None]
        with np.errstate(all="ignore"):
            logs = (self.distribution.logpmf if self.discrete else self.distribution.logpdf)(x, *arguments)
        return np.where(np.isnan(logs), -np.inf, logs)

    def valid(self, parameters: np.ndarray) -> np.ndarray:
        """Whether parameters (..., P) are ones of the distribution."""
        with np.errstate(all="ignore"):
            lower, _ = self.distribution.support(*np.moveaxis(parameters, -1, 0))
        scale = parameters[..., -1] > 0 if not self.discrete else True
        return ~np.isnan(lower) & scale

    def start(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The likeliest of a few shapes, with loc and scale by their moments (or quartiles), (P,)."""
        n_shapes = len(self.names) - (1 if self.discrete else 2)
        choices = [(self.held[name],) if name in self.held else TRIED for name in self.names[:n_shapes]]
        placed = [self._placed(np.array(shapes, float), x, weights) for shapes in product(*choices)]
        candidates = [parameters for parameters in placed if parameters is not None]
        levels = [self._level(x, weights, parameters) for parameters in candidates]
        if not levels or max(levels) == -np.inf:
            raise DataError(
                f"no start for {self.name} was found: X may lie outside its support; hold parameters by "
                "fixed=, or set parameters_ and leave 'p' out of init_params"
            )
        return candidates[int(np.argmax(levels))]

    def _placed(self, shapes: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        if self.discrete:
            given = np.append(shapes, self.held["loc"])
            return given if self.valid(given) else None
        if not self.valid(np.append(shapes, [0.0, 1.0])):
            return None
        with np.errstate(all="ignore"):
            centre, variance = (float(v) for v in self.distribution.stats(*shapes, moments="mv"))
            quartiles = np.asarray(self.distribution.ppf([0.25, 0.5, 0.75], *shapes), float)
        own = np.average(x, weights=weights)
        width = float(np.sqrt(np.average((x - own) ** 2, weights=weights)))
        if np.isfinite(variance) and variance > 0:
            spread = np.sqrt(variance)
        else:
            q = np.quantile(x, [0.25, 0.5, 0.75])
            own, width, centre, spread = q[1], q[2] - q[0], quartiles[1], quartiles[2] - quartiles[0]
        if not width > 0:
            width = max(abs(own), 1.0) * LEAST_SCALE
        scale = self.held.get("scale", 0.0)
        if "scale" not in self.held:
            loc = self.held.get("loc")
            scale = width / spread if loc is None or not (own - loc) * centre > 0 else (own - loc) / centre
        return np.append(shapes, [self.held.get("loc", own - scale * centre), scale])

    def _level(self, x: np.ndarray, weights: np.ndarray, parameters: np.ndarray) -> float:
        """Σ w log p, where no weight times −∞ is nothing."""
        shown = weights > 0
        return float(weights[shown] @ self.log_density(x[shown], parameters))

    def maximise(self, x: np.ndarray, weights: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Free parameters that raise Σ w log p(x), by a formula or by climbing; weights sum to one."""
        least = LEAST_SCALE * self.spread(x)
        formula = CLOSED.get(self.name)
        if formula is not None and {self.names[i] for i in self.free} == formula[0]:
            given = dict(zip(self.names, parameters.tolist(), strict=True))
            found = {**given, **formula[1](x, weights, given)}
            if "scale" in formula[0] and self.name != "lognorm":
                found["scale"] = max(found["scale"], least)
            if self.name == "lognorm":
                found["s"] = max(found["s"], LEAST_SCALE)
            return np.array([found[name] for name in self.names])
        return self._climbed(x, weights, parameters, least)

    @staticmethod
    def spread(x: np.ndarray) -> float:
        """Standard deviation of values; where they are all one value, its size."""
        deviation = float(x.std())
        return deviation if deviation > 0 else max(abs(float(x[0])), 1.0)

    def kind(self, i: int, parameters: np.ndarray) -> int:
        """What parameter ``i`` may be beside the others: 0 any number, 1 a loc, 2 one that keeps its sign, 3
        one between 0 and 1, 4 a scale."""
        if self.names[i] in ("loc", "scale"):
            return 1 if self.names[i] == "loc" else 4
        if not self._one_sided(i, parameters):
            return 0
        return 3 if self.ends_at_one(i, parameters) else 2

    def ends_at_one(self, i: int, parameters: np.ndarray) -> np.ndarray:
        """Whether parameter ``i`` lies between 0 and 1, and may not be more, (...)."""
        inside = (parameters[..., i] > 0) & (parameters[..., i] < 1)
        if not inside.any():
            return inside
        above = parameters.copy()
        above[..., i] = 1 + 1e-6
        return inside & ~self.valid(above)

    def _climbed(
        self, x: np.ndarray, weights: np.ndarray, parameters: np.ndarray, least: float
    ) -> np.ndarray:
        free = list(self.free)
        before = self._level(x, weights, parameters)
        if not free or before == -np.inf:
            return parameters
        # Numbers that may not change sign move on a logarithmic axis, others in units of the data or of one.
        signs = np.sign(parameters[free])
        logarithmic = np.array([self._one_sided(i, parameters) for i in free])
        unit = np.array([least / LEAST_SCALE if self.names[i] == "loc" else 1.0 for i in free])
        low, high = SHAPE_RANGE
        shape = np.array([self.names[i] not in ("loc", "scale") for i in free])

        def place(point: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore"):
                moved = parameters.copy()
                moved[free] = np.where(logarithmic, signs * np.exp(point), point * unit)
            return moved

        def objective(point: np.ndarray) -> float:
            moved = place(point)
            sizes = np.abs(moved[free])
            if (shape & ((sizes > high) | logarithmic & (sizes < low))).any():
                return -np.inf
            if "scale" not in self.held and not self.discrete and moved[-1] < least:
                return -np.inf
            return self._level(x, weights, moved) if self.valid(moved) else -np.inf

        with np.errstate(divide="ignore"):
            start = np.where(logarithmic, np.log(np.abs(parameters[free])), parameters[free] / unit)
        if objective(start) == -np.inf:
            return parameters
        found = place(climb(objective, start, ROUNDS))
        return found if self._level(x, weights, found) >= before else parameters

    def _one_sided(self, i: int, parameters: np.ndarray) -> bool:
        """Whether a parameter may not have the other sign."""
        if self.names[i] == "scale":
            return True
        if self.names[i] == "loc" or parameters[i] == 0:
            return False
        other = parameters.copy()
        other[i] *= -1
        return not bool(self.valid(other))
