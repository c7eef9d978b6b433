"""A family of noisy steps in one run: f, its Jacobians and their transposes at many points, for chosen
instances.

A point is a value of the one Gaussian input; the other inputs are what the run holds for the instance. Here f
takes flat vectors of n numbers to flat vectors of m, whatever the variables' shapes are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from msgpass.errors import NumericalError
from msgpass.nodes import Parameter
from msgpass.plan import Family
from msgpass.potentials.quadratic import check_covariance
from msgpass.sweeps.local import call_many, call_one, check_many, check_one, jacobians, vjp_many, vjp_one
from msgpass.sweeps.rows import add_rows, per_instance, read

AT_ONCE = 4096
"""Rows up to which all outputs are differentiated in one call: tracing costs more than arithmetic there."""


class NoisySteps:
    """The steps of a family; ``source`` is the position of the Gaussian input (None: there is none)."""

    def __init__(self, family: Family, source: int | None, values):
        self.family, self.values = family, values
        self.source: Any = source
        self.count = family.factor.n
        self.own = [per_instance(family, a) for a in family.args]
        # One instance that nothing is stacked over: f is called without a leading axis.
        self.lone = not any(self.own)
        self.inputs = [None if k == source else read(family, a, values) for k, a in enumerate(family.args)]
        self.shape = () if source is None else family.args[source].slice.shape
        self.n = math.prod(self.shape) if source is not None else 0
        self.m = math.prod(family.outs[0].slice.shape)

    @property
    def noise(self) -> np.ndarray:
        """Covariances, (1 or instances, m, m)."""
        array = np.asarray(self.family.potential.value("noise", self.values), float)
        return array.reshape(-1, self.m, self.m)

    def check_noise(self, given) -> None:
        """A noise that this run gives is a covariance; others were checked with the graph."""
        part = self.family.potential.parts["noise"]
        if isinstance(part, Parameter) and part.name in given:
            check_covariance(f"{self.family.name}: noise", self.values[part.name])

    def at(self, chosen=None, store=None) -> LocalFunction:
        """f of the chosen instances; what ``pull`` finds for their other inputs is added to ``store``."""
        return LocalFunction(self, np.arange(self.count) if chosen is None else chosen, store)

    def add_noise(self, store, at_noise: np.ndarray, chosen=None) -> None:
        """Add ∂L/∂covariances of the chosen instances onto the noise, if it is a parameter."""
        part = self.family.potential.parts["noise"]
        if not isinstance(part, Parameter):
            return
        target = store[part.name]
        if target.size == self.m * self.m:
            target += at_noise.sum(axis=0).reshape(target.shape)
        else:
            rows = target.reshape(self.count, self.m, self.m)
            rows[slice(None) if chosen is None else chosen] += at_noise


class LocalFunction:
    """f at chosen instances; see :mod:`msgpass.linearisation.base`."""

    def __init__(self, steps: NoisySteps, chosen: np.ndarray, store):
        self.steps, self.chosen, self.store = steps, chosen, store
        self.vectorized = steps.family.potential.vectorized and not steps.lone

    def _arguments(self, points: np.ndarray, which: np.ndarray) -> list:
        s = self.steps
        return [
            points.reshape(len(which), *s.shape)
            if k == s.source
            else value[which]
            if own and value is not None
            else value
            for k, (value, own) in enumerate(zip(s.inputs, s.own, strict=True))
        ]

    @property
    def _stacked(self) -> list[bool]:
        return [own or k == self.steps.source for k, own in enumerate(self.steps.own)]

    def _rows(self, arguments, j: int) -> list:
        return [v[j] if s else v for v, s in zip(arguments, self._stacked, strict=True)]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(N, S, n) → (N, S, m)."""
        N, S = points.shape[:2]
        which = np.repeat(self.chosen, S)
        arguments = self._arguments(points, which)
        family = self.steps.family
        if self.vectorized:
            (found,) = call_many(family, arguments, self._stacked, N * S)
        else:
            rows = [call_one(family, self._rows(arguments, j))[0] for j in range(N * S)]
            found = np.stack(rows) if rows else np.zeros((0, self.steps.m))
        found = np.asarray(found, float).reshape(N, S, self.steps.m)
        if not np.isfinite(found).all():
            bad = int(np.argmax(~np.isfinite(found).all(axis=(1, 2))))
            raise NumericalError(
                f"{family.name!r} became NaN or infinite in instance {self.chosen[bad]} near "
                f"{_text(points[bad, 0])}; keep the step finite where its input may be"
            )
        return found

    def values(self) -> np.ndarray:
        """(N, m): f without a Gaussian input."""
        return self(np.zeros((len(self.chosen), 1, 0)))[:, 0]

    def jacobian(self, points: np.ndarray) -> np.ndarray:
        """(N, n) → (N, m, n)."""
        s, N = self.steps, len(points)
        arguments = self._arguments(points, self.chosen)
        if self.vectorized and 0 < N * s.m <= AT_ONCE:
            found = self._jacobian_at_once(arguments, N)
        elif self.vectorized and N:
            found = jacobians(s.family, arguments, [s.source], N)[0][0]
        else:
            found = np.zeros((N, s.m, s.n))
            for j in range(N):
                found[j] = self._jacobian_one(self._rows(arguments, j))
        if not np.isfinite(found).all():
            bad = int(np.argmax(~np.isfinite(found).all(axis=(1, 2))))
            raise NumericalError(
                f"the derivative of {s.family.name!r} is NaN or infinite in instance {self.chosen[bad]} at "
                f"{_text(points[bad])}; start elsewhere, or use sigma points, such as Cubature()"
            )
        return found

    def _jacobian_at_once(self, arguments, N: int) -> np.ndarray:
        """One VJP of m copies of the instances, each with a unit of its own."""
        s, step = self.steps, self.steps.family.potential
        copies = [
            np.repeat(v, s.m, axis=0) if k else v for v, k in zip(arguments, self._stacked, strict=True)
        ]
        units = np.tile(np.eye(s.m), (N, 1)).reshape(N * s.m, *s.family.outs[0].slice.shape)
        if step.vjp is None:
            from msgpass.interop.differentiators import autograd_vjp

            value, pull = autograd_vjp(step.f, copies, [s.source])
            check_many(s.family, s.family.outs[0], np.shape(value), N * s.m)
            row = pull(units)[0]
        else:
            row = vjp_one(s.family, copies, [units])[s.source]
        return np.zeros((N, s.m, s.n)) if row is None else np.reshape(row, (N, s.m, s.n))

    def _jacobian_one(self, inputs) -> np.ndarray:
        s, step = self.steps, self.steps.family.potential
        shape = s.family.outs[0].slice.shape
        units = np.eye(s.m).reshape(s.m, *shape)
        if step.vjp is None:
            from msgpass.interop.differentiators import autograd_vjp

            value, pull = autograd_vjp(step.f, inputs, [s.source])
            check_one(s.family, s.family.outs[0], np.shape(value))
            rows: list[Any] = [pull(unit)[0] for unit in units]
        else:
            rows = [vjp_one(s.family, inputs, [unit])[s.source] for unit in units]
        return np.stack([np.zeros(s.n) if r is None else np.reshape(r, s.n) for r in rows])

    # -- transposes --------------------------------------------------------------------------------------

    def pull(self, points: np.ndarray, cotangents: np.ndarray) -> np.ndarray:
        """Gradient of Σ cotangents·f at points (N, S, n); the other inputs' goes to the store."""
        N, S = points.shape[:2]
        arguments = self._arguments(points, np.repeat(self.chosen, S))
        out = cotangents.reshape(N * S, *self.steps.family.outs[0].slice.shape)
        found = self._vjp(arguments, out, N * S)
        self._deliver(found, N, S)
        return self._at_points(found, N, S)

    def _vjp(self, arguments, cotangents, count: int) -> list:
        family = self.steps.family
        if self.vectorized or not family.potential.vectorized:
            return vjp_many(family, arguments, self._stacked, [cotangents], count)
        result: list = [None] * len(arguments)
        for j in range(count):  # a vectorised step that stands alone is called without a leading axis
            for k, g in enumerate(vjp_one(family, self._rows(arguments, j), [cotangents[j]])):
                if g is None:
                    continue
                if self._stacked[k]:
                    result[k] = np.zeros(np.shape(arguments[k])) if result[k] is None else result[k]
                    result[k][j] = g
                else:
                    result[k] = g if result[k] is None else result[k] + g
        return result

    def _at_points(self, found, N: int, S: int) -> np.ndarray:
        source = self.steps.source
        if source is None or found[source] is None:
            return np.zeros((N, S, self.steps.n))
        return np.asarray(found[source], float).reshape(N, S, self.steps.n)

    def _deliver(self, found, N: int, S: int, sign: float = 1.0) -> None:
        if self.store is None:
            return
        s = self.steps
        for k, (arg, g) in enumerate(zip(s.family.args, found, strict=True)):
            if g is None or k == s.source:
                continue
            message = sign * np.asarray(g)
            if s.own[k]:
                message = message.reshape(N, S, *message.shape[1:]).sum(axis=1)
                add_rows(s.family, arg, self.store, message, self.chosen)
            else:
                add_rows(s.family, arg, self.store, message)

    def pull_jacobian(self, points: np.ndarray, A: np.ndarray) -> np.ndarray:
        """Gradient of Σ A·f′ at points (N, n); the other inputs' goes to the store."""
        from msgpass.sweeps.jacobian_contraction import contraction

        N = len(points)
        arguments = self._arguments(points, self.chosen)
        found = contraction(self, arguments, A)
        self._deliver(found, N, 1)
        return self._at_points(found, N, 1)[:, 0]


def _text(point: np.ndarray) -> str:
    return f"x = {np.array2string(point, precision=4, threshold=6)}"
