"""Implicit stages, and the reverse of a Runge-Kutta step from the VJP of f alone.

Stage i solves Y = b_i + hγ f(t_i, Y), b_i = y + h Σ_{j<i} a_ij k_j, by simplified Newton with one Jacobian
a step. Then k_i = (Y − b_i)/(hγ). Backward, by the implicit function theorem at the stages found, with
cotangents k̄_i:

    (I − hγ J_i)ᵀ w = k̄_i,     (t̄_i, Ȳ_i, p̄_i) = (∂f/∂(t, y, p))ᵀ w
    ȳ += Ȳ_i,   k̄_j += h a_ij Ȳ_i,   h̄ += Σ_{j≤i} a_ij k_j·Ȳ_i + c_i t̄_i,   t̄ += t̄_i

which with γ = 0 is the reverse of an explicit stage. Hairer & Wanner, *Solving Ordinary Differential
Equations II*, IV.8.
"""

from __future__ import annotations

import numpy as np

from msgpass import Step
from rnn.ode.errors import ImplicitStageError
from rnn.ode.field import Field, Jacobian
from rnn.ode.tableau import Tableau, combination

ITERATIONS = 12
STOP = {8: (1e-12, 1e-8), 4: (5e-7, 1e-5)}
"""By bytes of a number: what may remain of a stage's error, relative (so that derivatives are those of a
solution), and what will do where rounding stops the iteration."""


def solved_stages(tableau: Tableau, field: Field, y, t, h, arrays=(), first=None, jacobian=None) -> list:
    """f at every stage."""
    ks: list = []
    y = np.asarray(y)
    solvers: dict[float, object] = {}
    for i, (row, c) in enumerate(zip(tableau.a, tableau.c, strict=True)):
        at = t + c * h
        moved = combination(row[:i], ks)
        base = y if moved is None else y + h * moved
        gamma = row[i] if len(row) > i else 0.0
        if gamma == 0.0:
            ks.append(first if i == 0 and first is not None else np.asarray(field(at, base, *arrays)))
            continue
        if jacobian is None:
            jacobian = field.jacobian(t, y, arrays)
        if gamma not in solvers:
            solvers[gamma] = _factored(jacobian, h * gamma, at)
        guess = base + h * gamma * ks[-1] if ks else base
        try:
            found = _newton(field, at, base, h * gamma, arrays, guess, solvers[gamma])
        except ImplicitStageError:
            found = _newton(field, at, base, h * gamma, arrays, guess, None)
        ks.append((found - base) / (h * gamma))
    return ks


def _factored(jacobian: Jacobian, scale: float, t):
    try:
        return jacobian.solver(scale)
    except np.linalg.LinAlgError:
        raise ImplicitStageError(
            f"I − hγ ∂f/∂y is singular at t = {float(t):g}; take another step", t
        ) from None


def _newton(field: Field, t, base, scale, arrays, start, solve) -> np.ndarray:
    """Y = base + scale·f(t, Y); with ``solve`` None by full Newton."""
    found, before, full = start, np.inf, solve is None
    tolerance, loose = STOP[base.dtype.itemsize]
    for _ in range(ITERATIONS):
        with np.errstate(all="ignore"):
            rest = base + scale * np.asarray(field(t, found, *arrays)) - found
        if not np.isfinite(rest).all():
            break
        if full:
            solve = _factored(field.jacobian(t, found, arrays), scale, t)
        move = solve(rest)
        found = found + move
        size = np.abs(found)
        length = float((np.abs(move) / (size + 1e-3 * size.max(initial=0.0) + 1e-300)).max(initial=0.0))
        rate = length / before if before > 0 else 0.0
        if length == 0.0 or (np.isfinite(before) and rate < 1 and rate / (1 - rate) * length <= tolerance):
            return found
        if length <= loose and rate > 0.5:
            return found
        if rate > 2.0:
            break
        before = length
    raise ImplicitStageError(
        f"Newton's method did not solve the implicit stage at t = {float(t):g} with step {float(scale):.3g}; "
        "take a smaller step",
        t,
    )


def reversed_step(tableau: Tableau, field: Field, within: bool = False) -> Step:
    """A step of (y, t, h, *arrays) with its VJP from that of f; with ``within`` of (y, t, h, θ, *arrays), the
    state at t + θh."""

    def stages(y, t, h, arrays):
        if tableau.implicit:
            return solved_stages(tableau, field, y, t, h, arrays)
        ks: list = []
        for row, c in zip(tableau.a, tableau.c, strict=True):
            moved = combination(row, ks)
            ks.append(np.asarray(field(t + c * h, y if moved is None else y + h * moved, *arrays)))
        return ks

    def pull(inputs, ks, weights, cotangent):
        """Cotangents of (y, t, h, *arrays), of y + h Σ weights_i k_i."""
        y, t, h, *arrays = inputs
        y_bar, h_bar = np.array(cotangent), _weighted(weights, ks) * cotangent
        array_bars = [np.zeros_like(a) for a in arrays]
        k_bars = [h * b * cotangent for b in weights]
        t_bar = tail = np.zeros(())
        for i in reversed(range(tableau.stages)):
            row, c, w = tableau.a[i], tableau.c[i], k_bars[i]
            if not w.any():
                continue
            at = t + c * h
            moved = combination(row, ks)
            place = y if moved is None else y + h * moved
            if len(row) > i and row[i]:
                w = field.jacobian(at, place, arrays).solver(h * row[i], transpose=True)(w)
            at_bar, place_bar, *found = field.vjp(at, place, arrays, w)
            y_bar = y_bar + place_bar
            t_bar, tail = t_bar + at_bar, tail + c * at_bar
            for j, a in enumerate(row):
                if a:
                    h_bar = h_bar + a * ks[j] * place_bar
                    if j < i:
                        k_bars[j] = k_bars[j] + h * a * place_bar
            for k, bar in enumerate(found):
                array_bars[k] = array_bars[k] + bar
        return (y_bar, _summed(t_bar, t), _summed(h_bar, h) + _summed(tail, h), *array_bars)

    def step(y, t, h, *arrays):
        return y + h * combination(tableau.b, stages(y, t, h, arrays))

    def vjp(inputs, cotangent):
        y, t, h, *arrays = inputs
        return pull(inputs, stages(y, t, h, arrays), tableau.b, cotangent)

    def place(y, t, h, theta, *arrays):
        return y + h * _weighted(tableau.weights(theta), stages(y, t, h, arrays))

    def place_vjp(inputs, cotangent):
        y, t, h, theta, *arrays = inputs
        ks = stages(y, t, h, arrays)
        y_bar, t_bar, h_bar, *rest = pull((y, t, h, *arrays), ks, tableau.weights(theta), cotangent)
        speed = h * _weighted(tableau.speeds(theta), ks)
        return (y_bar, t_bar, h_bar, _summed(speed * cotangent, theta), *rest)

    if within:
        return Step(place, place_vjp)
    step.__name__ = tableau.name
    return Step(step, vjp)


def _weighted(weights, ks) -> np.ndarray:
    """Σ b_i k_i."""
    return sum((b * k for b, k in zip(weights, ks, strict=True)), np.zeros_like(ks[0]))


def _summed(bar, like) -> np.ndarray:
    """A cotangent summed over the axes that ``like`` was broadcast along."""
    bar, shape = np.asarray(bar), np.shape(like)
    if not bar.ndim:
        return np.broadcast_to(bar, shape)
    extra = bar.ndim - len(shape)
    bar = bar.sum(axis=tuple(range(extra))) if extra > 0 else bar
    ones = tuple(k for k, n in enumerate(shape) if n == 1 and bar.shape[k] != 1)
    return bar.sum(axis=ones, keepdims=True) if ones else np.broadcast_to(bar, shape)
