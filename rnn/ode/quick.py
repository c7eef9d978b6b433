"""What is compiled of one f, kept with it: a whole trial step of an explicit method, and f's VJP.

f is traced (`msgpass.tracing`) where it is plain NumPy code on few numbers in double precision; otherwise,
and until enough work has come by for a compiler to pay, integrations run f as it is. What f closes over is
watched, and what is compiled is compared with f at the start of every integration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from msgpass.errors import TracingError
from msgpass.tracing import CompiledFunction, Program, flat, trace
from msgpass.tracing.captured import Captured
from rnn.ode.kept import Kept, Same
from rnn.ode.parameters import Packing
from rnn.ode.stages import explicit_stages
from rnn.ode.tableau import Tableau, combination

logger = logging.getLogger("msgpass")

PATIENCE = 0.5
"""Seconds of work (estimated) of one f before something is compiled, which takes about one."""

EVALUATION, PULL = 10e-6, 150e-6
"""Seconds of f's value and of its VJP by autograd, for the estimate."""

MOST_NUMBERS = 1000
"""Numbers of a state and its parameters up to which a trace is tried."""

MOST_OPERATIONS = 6000
"""Operations of what is compiled, beyond which that takes long."""

CLOSE = 1e-9


class Quick:
    """Compiled pieces of one f at one set of shapes."""

    def __init__(self, field: Callable, shapes: tuple[tuple[int, ...], ...]):
        self.field, self.shapes, self.spent = field, shapes, 0.0
        self.made: dict[object, CompiledFunction | None] = {}
        self.program: Program | None = None
        """f as it was when something was first compiled."""
        self.captured: Captured | None = None

    def _compiled(self, key, function: Callable, shapes, of_vjp: bool) -> CompiledFunction | None:
        if key not in self.made:
            try:
                if self.program is None:
                    self.program, self.captured = trace(self.field, *self.shapes), Captured(self.field)
                found = CompiledFunction(trace(function, *shapes))
                operations = (found.program.vjp() if of_vjp else found.program).size
                if operations > MOST_OPERATIONS:
                    raise TracingError(f"{operations} operations take long to compile")
                self.made[key] = found
            except TracingError as problem:
                logger.debug("%r runs as it is: %s", getattr(self.field, "__name__", "f"), problem)
                self.made[key] = None
        return self.made[key]

    def vjp(self, inputs, cotangent) -> tuple[np.ndarray, ...] | None:
        """One cotangent an input (t, y, *arrays), or None while autograd is to do it."""
        if self.spent <= PATIENCE:
            self.spent += PULL
            return None
        found = self._compiled("vjp", self.field, self.shapes, True)
        return None if found is None else found.vjp(inputs, cotangent)

    def trial(self, tableau: Tableau, evaluations: int) -> CompiledFunction | None:
        """``(y, t, h, rtol, atol, first, *arrays)`` → (y at t + h, first and last stage, norm of the error),
        or None while NumPy is to do it; tells that so many evaluations are coming."""
        if self.spent <= PATIENCE:
            self.spent += evaluations * EVALUATION
            return None
        t, y, *arrays = self.shapes
        return self._compiled(
            tableau, trial_function(tableau, self.field), (y, t, t, t, y, y, *arrays), False
        )

    def renew(self) -> None:
        """Forget what was compiled if something that f reads has changed; compile again when it pays."""
        if self.captured is not None and self.program is not None and self.captured.changed():
            try:
                again = trace(self.field, *self.shapes)
            except TracingError:
                again = None
            if again is not None and again.same(self.program):
                self.captured.forgive()
            else:
                self.made, self.program, self.spent = {}, None, 0.0

    def agrees(self, t, y, arrays, value) -> bool:
        """Programs still say what f says; if not, they are dropped for good."""
        if self.program is None:
            return True
        if np.allclose(self.program(t, y, *arrays), value, CLOSE, CLOSE, equal_nan=True):
            return True
        self.made, self.spent, self.program = {}, -np.inf, None
        return False


_QUICK: Kept = Kept()


def quick_of(f, packing: Packing, field: Callable, y, arrays) -> Quick | None:
    """Of f at these shapes; None where nothing is to be compiled."""
    given = [np.asarray(y), *map(np.asarray, arrays)]
    if any(a.dtype != np.float64 for a in given) or sum(a.size for a in given) > MOST_NUMBERS:
        return None
    shapes = ((), *(a.shape for a in given))
    return _QUICK.of((Same(f), packing.kind, packing.names, shapes), lambda: Quick(field, shapes))


def trial_function(tableau: Tableau, field: Callable) -> Callable:
    """A step with its error, as one function."""

    def trial(y, t, h, rtol, atol, first, *arrays):
        ks = explicit_stages(
            tableau,
            lambda s, x: field(s, x, *arrays),
            y,
            t,
            h,
            first=first if tableau.last_is_next else None,
        )
        new = y + h * combination(tableau.b, ks)
        size = np.maximum(np.abs(y), np.abs(new))
        ratio = h * combination(tableau.error, ks) / (atol + rtol * size)
        return new, ks[0], ks[-1], np.sqrt(np.mean(ratio * ratio))

    trial.__name__ = tableau.name
    return trial


class Trial:
    """A compiled trial step with its arrays, made once an integration."""

    def __init__(self, compiled: CompiledFunction, like, arrays, tolerance):
        self.write, self.shape = compiled.write_value, like.shape
        self.t, self.h, self.norm = np.empty(1), np.empty(1), np.empty(1)
        atol = np.broadcast_to(np.asarray(tolerance.atol, float), like.shape)
        self.fixed = np.array([float(tolerance.rtol)]), flat(atol)
        self.arrays = [flat(a) for a in arrays]

    def __call__(self, y, t: float, h: float, first) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """(y at t + h, first stage, last stage, norm of the error)."""
        self.t[0], self.h[0] = t, h
        new, start, last = np.empty(self.shape), np.empty(self.shape), np.empty(self.shape)
        first = y if first is None else first
        found = [v.reshape(-1) for v in (new, start, last)]
        self.write(flat(y), self.t, self.h, *self.fixed, flat(first), *self.arrays, *found, self.norm)
        return new, start, last, float(self.norm[0])
