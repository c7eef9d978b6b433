"""The fixed point of a loop of one step, x = f(x, θ), as a step from θ to x.

Forward, x goes around the loop until it no longer changes. Backward, so does its cotangent: with J = ∂f/∂x at
the fixed point and x̄ what arrives there,

    λ ← x̄ + Jᵀλ   →   λ = (I − Jᵀ)⁻¹ x̄,        θ̄ = (∂f/∂θ)ᵀ λ

The messages that converge are the gradient of the implicit function (Almeida 1987; Pineda 1987; Bai, Kolter &
Koltun 2019). K of them are the first K terms of Neumann's series, and lack (Jᵀ)^K λ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from msgpass.errors import DataError, NumericalError, ShapeError, UnsupportedError


class FixedPoint:
    """Value, VJP and JVP of x*(start, *θ).

    Parameters
    ----------
    f : callable
        (x, *θ) → x.
    vjp, jvp : callable or None
        Of f, as a :class:`~msgpass.Step` takes them; by autograd where there is none.
    tol : float
        Largest change, relative to the largest entry where that is above one.
    max_iter : int
        Rounds, forward and backward each.
    damping : float
        Share of the old value in the new one, in [0, 1).
    terms : int, optional
        Rounds of the cotangent; to convergence by default.
    """

    def __init__(
        self,
        f: Callable,
        vjp: Callable | None,
        jvp: Callable | None,
        tol: float,
        max_iter: int,
        damping: float,
        terms: int | None,
    ):
        if not (np.isfinite(tol) and tol > 0):
            raise DataError(f"fixed_point: tol is a number above zero, got {tol!r}")
        for role, count in (("max_iter", max_iter), ("terms", 1 if terms is None else terms)):
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
                raise DataError(f"fixed_point: {role} is a whole number ≥ 1, got {count!r}")
        if not 0 <= damping < 1:
            raise DataError(f"fixed_point: damping is the old value's share, in [0, 1), got {damping!r}")
        self.step, self.step_vjp, self.step_jvp = f, vjp, jvp
        self.tol, self.max_iter, self.damping, self.terms = tol, max_iter, damping, terms
        self.name = getattr(f, "__name__", type(f).__name__)
        self._last: tuple[tuple, np.ndarray] | None = None

    def f(self, start, *theta):
        """The fixed point, from ``start``."""
        return self._solve((start, *theta)).copy()

    def vjp(self, inputs, cotangent):
        """Cotangents of θ; the start has none, for the fixed point does not depend on it."""
        _, *theta = inputs
        pull = self._pull(self._solve(inputs), theta)
        scale = _size(cotangent)  # the messages are linear in it, and tol is meant relative to it
        arrived = np.asarray(cotangent) / scale
        if self.terms is None:
            around = self._rounds(lambda m: arrived + pull(m)[0], arrived, "cotangent")
        else:
            around = arrived
            for _ in range(self.terms - 1):
                around = arrived + pull(around)[0]
        return (None, *(None if g is None else scale * g for g in pull(around)[1:]))

    def jvp(self, inputs, tangents):
        """Tangent of the fixed point: ẋ ← J ẋ + (∂f/∂θ) θ̇."""
        _, *theta = inputs
        _, *moves = tangents
        x = self._solve(inputs)
        scale = max((_size(t) for t in moves if t is not None), default=1.0)
        own = [np.zeros(np.shape(v)) if t is None else t / scale for v, t in zip(theta, moves, strict=True)]
        push = self._push((x, *theta))
        return scale * self._rounds(lambda moved: push((moved, *own)), np.zeros(x.shape), "tangent")

    def hvp(self, inputs, cotangent, tangents):
        """Not available."""
        raise UnsupportedError(
            f"second derivatives of the fixed point of {self.name!r} are not available: for those write the "
            "loop out as a recurrence, h.after(start), of as many steps as it takes"
        )

    def _solve(self, inputs) -> np.ndarray:
        kept = self._last
        if kept is not None and all(map(np.array_equal, kept[0], inputs)):
            return kept[1]
        start, *theta = inputs
        found = self._rounds(lambda x: np.asarray(self.step(x, *theta)), _real(start), "value")
        self._last = tuple(np.array(v) for v in inputs), found
        return found

    def _rounds(self, around: Callable, message: np.ndarray, what: str) -> np.ndarray:
        """A message around the loop until it no longer changes."""
        changes: list[float] = []
        share = self.damping
        for _ in range(self.max_iter):
            new = around(message)
            if new.shape != message.shape and new.shape[1:] != message.shape:
                raise ShapeError(
                    f"the loop of {self.name!r} takes a value of shape {message.shape} to one of shape "
                    f"{new.shape}: f(x, …) of a fixed point has the shape of x"
                )
            change = float(np.abs(new - message).max(initial=0.0))
            if not np.isfinite(change):
                break
            size = max(1.0, float(np.abs(new).max(initial=0.0)))
            message = share * message + (1 - share) * new if share else new
            if change <= self.tol * size:
                return message
            changes.append(change)
        raise NumericalError(self._told(what, changes))

    def _told(self, what: str, changes: list[float]) -> str:
        rounds = len(changes)
        if rounds < self.max_iter:
            state = f"overflowed in round {rounds + 1}"
        else:
            # Over the second half, so that the way there does not count.
            half = changes[rounds // 2]
            rate = (changes[-1] / half) ** (1 / max(rounds - 1 - rounds // 2, 1)) if half else 0.0
            state = (
                f"still changed by {changes[-1]:.3g} after max_iter={rounds} rounds, {rate:.4g} times a round"
            )
        return (
            f"the fixed point of {self.name!r} was not reached: its {what} {state}, against "
            f"tol={self.tol:g}. A loop whose changes shrink needs a larger max_iter or tol; one that swings "
            "may settle with damping=0.5; one that grows has no fixed point that going around finds"
        )

    def _pull(self, x: np.ndarray, theta) -> Callable:
        """Cotangent of one round → cotangents of x and of each θ (None where there is none)."""
        inputs = (x, *theta)
        if self.step_vjp is not None:
            return lambda cotangent: list(self.step_vjp(inputs, cotangent))  # type: ignore[misc]
        from msgpass.interop.differentiators import autograd_vjp

        wanted = [k for k, v in enumerate(inputs) if np.asarray(v).dtype.kind == "f"]
        _, pull = autograd_vjp(self.step, inputs, wanted)

        def pulled(cotangent):
            found: list[Any] = [None] * len(inputs)
            for k, g in zip(wanted, pull(cotangent), strict=True):
                found[k] = np.asarray(g)
            return found

        return pulled

    def _push(self, inputs) -> Callable:
        """Tangents of x and θ → that of one round."""
        if self.step_jvp is not None:
            return lambda tangents: np.asarray(self.step_jvp(inputs, tangents))  # type: ignore[misc]
        from msgpass.interop.differentiators import autograd_jvp

        return lambda tangents: np.asarray(autograd_jvp(self.step, inputs, list(tangents))[1])


def _real(value) -> np.ndarray:
    array = np.asarray(value)
    return array if array.dtype.kind == "f" else array.astype(float)


def _size(message) -> float:
    """Largest entry; 1 where there is none."""
    return float(np.abs(message).max(initial=0.0)) or 1.0
