"""``Model``: f by mode, surfaces, jumps and parameters of one run, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from msgpass import Step
from msgpass.errors import DataError
from rnn.ode.errors import BlowUpError
from rnn.ode.events.event import Event
from rnn.ode.events.surface import Jump, Surface
from rnn.ode.field import Field, check_rate
from rnn.ode.parameters import Packing
from rnn.ode.steps import SolverStep
from rnn.ode.tableau import Tableau


class Model:
    """A hybrid system with its parameters."""

    def __init__(self, f, events: Sequence[Event], params, tableau: Tableau):
        self.f = dict(f) if isinstance(f, Mapping) else {None: f}
        self.events, self.tableau = tuple(events), tableau
        self.names = tuple(event.called(k) for k, event in enumerate(self.events))
        self.packing = Packing.of(params)
        self.values = {n: a.astype(float) for n, a in self.packing.arrays(params).items()}
        self.arrays = list(self.values.values())
        self.params = self.packing.user(self.values)
        self.surfaces = [Surface(e, self.packing, n) for e, n in zip(self.events, self.names, strict=True)]
        self.jumps = [Jump(e, self.packing, n) for e, n in zip(self.events, self.names, strict=True)]
        self._steps = {mode: SolverStep(own, tableau) for mode, own in self.f.items()}
        self._rates: dict[Hashable, Field] = {}
        self._potentials: dict[tuple, Step] = {}

    @property
    def modal(self) -> bool:
        """There are modes."""
        return None not in self.f

    def step(self, mode) -> SolverStep:
        """One step of the solver in a mode."""
        return self._steps[mode]

    def rate(self, mode) -> Field:
        """f(t, y) of a mode."""
        if mode not in self._rates:
            self._rates[mode] = self._steps[mode].rate(self.params)
        return self._rates[mode]

    def rate_at(self, mode, t: float, y) -> np.ndarray:
        """dy/dt where a segment begins or ends, checked."""
        with np.errstate(all="ignore"):
            found = check_rate(self.rate(mode)(t, y), y, t)
        if not np.isfinite(found).all():
            where = f" of mode {mode!r}" if self.modal else ""
            raise BlowUpError(
                f"f(t, y){where} is not finite at t = {t:g}, where max|y| is {np.abs(y).max():.3g}", t
            )
        return found

    def potential(self, mode, like=None) -> Step:
        """A step of the solver as a factor, over (y, t, h, *arrays); with a state ``like`` those that it will
        see, many at once where f allows that."""
        key = mode, like is None
        if key not in self._potentials:
            self._potentials[key] = self._steps[mode].potential(self.params, like)
        return self._potentials[key]

    def field(self, mode) -> Field:
        """f(t, y, *arrays) of a mode."""
        return Field.of(self.f[mode], self.packing)

    @property
    def calls(self) -> int:
        """Evaluations of f outside of steps that look for a root."""
        return sum(rate.calls for rate in self._rates.values())

    def drift(self, mode, y, t: float, h: float) -> np.ndarray:
        """A step that is too short for the method to matter."""
        return y + h * np.asarray(self.rate(mode)(t, y))

    def active(self, mode) -> list[int]:
        """Events that exist in a mode."""
        return [k for k, event in enumerate(self.events) if event.mode is None or event.mode == mode]

    def next_mode(self, k: int, mode, t: float, after) -> Hashable:
        """The mode after the k-th event."""
        to = self.events[k].to
        if callable(to):
            to = to(t, after) if self.packing.kind == "none" else to(t, after, self.params)
        found = mode if to is None else to
        if not isinstance(found, Hashable) or found not in self.f:
            raise DataError(
                f"event {self.names[k]!r} at t = {t:g} leads to the mode {found!r}; there are "
                f"{', '.join(map(repr, self.f))}"
            )
        return found

    def user(self) -> Callable:
        """arrays → params."""
        packing = self.packing
        return lambda arrays: packing.user(dict(zip(packing.names, arrays, strict=True)))
