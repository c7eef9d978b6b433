"""Many components as one model: their blocks beside each other, their parameters under full names.

A parameter's full name is its component's and its own, as "trend.slope_variance".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from hmm.state_space.components import Blocks, Component, Parameter, Summary
from msgpass.errors import DataError

Values = dict[str, np.ndarray]
"""Arrays by full name."""


@dataclass(frozen=True)
class Assembly:
    """Components in their order.

    Parameters
    ----------
    components : tuple of Component
        With different labels, at least one with states.

    Examples
    --------
    >>> from hmm.state_space.components import Irregular, LocalLevel
    >>> model = Assembly((LocalLevel(), Irregular(variance=1.0)))
    >>> model.names, model.n_states, model.free
    (('level.variance', 'irregular.variance'), 1, ('level.variance',))
    """

    components: tuple[Component, ...]

    @classmethod
    def of(cls, components) -> Assembly:
        """Checked."""
        if isinstance(components, Component):
            components = (components,)
        try:
            found = tuple(components)
        except TypeError:
            found = (components,)
        for own in found:
            if not isinstance(own, Component):
                raise DataError(
                    f"components are such as LocalLevel() or Seasonal(period=12), got {own!r}; see "
                    "hmm.structural"
                )
        labels = [own.label for own in found]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise DataError(
                f"several components are called {', '.join(twice)}; tell them apart by name, as in "
                f"{type(found[labels.index(twice[0])]).__name__}(name='other')"
            )
        if not any(own.n_states for own in found):
            raise DataError(
                "a model needs a component besides the irregular one: LocalLevel(variance=0) is a constant "
                "mean"
            )
        return cls(found)

    # -- layout -------------------------------------------------------------------------------------------

    def _slices(self, sizes: Sequence[int]) -> list[slice]:
        ends = np.cumsum([0, *sizes])
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]

    @cached_property
    def states(self) -> list[slice]:
        """States of each component."""
        return self._slices([own.n_states for own in self.components])

    @cached_property
    def columns(self) -> list[slice]:
        """Columns of exog of each component."""
        return self._slices([own.n_inputs for own in self.components])

    @property
    def n_states(self) -> int:
        """All states n."""
        return self.states[-1].stop

    @property
    def n_inputs(self) -> int:
        """All columns of exog."""
        return self.columns[-1].stop

    @property
    def seasonal_period(self) -> int:
        """The longest period of a seasonal component, in whole steps; 1 without."""
        return max(1, *(int(own.period) for own in self.components), 1)

    def __iter__(self) -> Iterator[tuple[Component, slice, slice]]:
        return iter(zip(self.components, self.states, self.columns, strict=True))

    # -- parameters ---------------------------------------------------------------------------------------

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """By full name."""
        return {f"{own.label}.{p.name}": p for own in self.components for p in own.parameters()}

    @property
    def names(self) -> tuple[str, ...]:
        """Full names of all parameters."""
        return tuple(self.parameters)

    @property
    def free(self) -> tuple[str, ...]:
        """Full names of those that are estimated."""
        return tuple(name for name, p in self.parameters.items() if p.fixed is None)

    def own(self, component: Component, values: Values) -> Values:
        """Values of one component by its own names."""
        return {p.name: values[f"{component.label}.{p.name}"] for p in component.parameters()}

    def start(self, y, inputs, unit: float, rng: np.random.Generator | None) -> Values:
        """Where to climb from, for a series whose noise has variance 1 since it was divided by ``unit``;
        what is held is as it is held, in that unit."""
        found: Values = {}
        for own, _, columns in self:
            drawn = own.start(Summary(y, inputs[:, columns], 1.0), rng)
            for p in own.parameters():
                held = None if p.fixed is None else p.fixed / (unit**2 if p.spread else 1.0)
                found[f"{own.label}.{p.name}"] = np.array(drawn[p.name] if held is None else held, float)
        return found

    def scaled(self, values: Values, factor: float) -> Values:
        """Values for a series ``factor`` times as large."""
        power = {name: factor**2 if p.spread else 1.0 for name, p in self.parameters.items()}
        return {name: value * power[name] for name, value in values.items()}

    # -- matrices -----------------------------------------------------------------------------------------

    def blocks(self, values: Values, inputs: np.ndarray) -> Blocks:
        """Matrices of the whole at some values; ``inputs`` (T, n_inputs)."""
        n = self.n_states
        parts = [own.blocks(self.own(own, values), inputs[:, columns]) for own, _, columns in self]
        steps = max(len(part.H) for part in parts)
        F, Q, cov = np.zeros((3, n, n))
        H, mean = np.zeros((steps, n)), np.zeros(n)
        for part, at in zip(parts, self.states, strict=True):
            F[at, at], Q[at, at], cov[at, at] = part.F, part.Q, part.cov
            H[:, at], mean[at] = part.H, part.mean
        return Blocks(F, Q, H, np.asarray(sum(float(part.R) for part in parts)), mean, cov)

    def pullback(self, values: Values, slopes: Blocks) -> Values:
        """∂f/∂parameters by full name from ∂f/∂matrices."""
        found: Values = {}
        for own, at, _ in self:
            part = Blocks(
                slopes.F[at, at],
                slopes.Q[at, at],
                slopes.H[:, at],
                slopes.R,
                slopes.mean[at],
                slopes.cov[at, at],
            )
            for name, slope in own.pullback(self.own(own, values), part).items():
                found[f"{own.label}.{name}"] = np.asarray(slope, float)
        return found

    def flat(self, values: Values) -> np.ndarray:
        """Which states start flat, (n,)."""
        return np.isposinf(np.diagonal(self.blocks(values, np.zeros((1, self.n_inputs))).cov))

    # -- what is read -------------------------------------------------------------------------------------

    def contributions(self, H: np.ndarray) -> dict[str, np.ndarray]:
        """Rows (1 | T, n) of what each component adds to the series."""
        found = {}
        for own, at, _ in self:
            if own.n_states:
                found[own.label] = np.zeros(H.shape)
                found[own.label][:, at] = H[:, at]
        return found

    def readings(self) -> dict[str, np.ndarray]:
        """Rows (1, n) of what else is worth reading."""
        found = {}
        for own, at, _ in self:
            for name, row in own.readings().items():
                found[name] = np.zeros((1, self.n_states))
                found[name][0, at] = row
        return found

    def breaks(self) -> dict[str, int]:
        """States whose disturbance is a break, by name."""
        return {name: at.start + state for own, at, _ in self for name, state in own.breaks().items()}
