"""Optimising a plan: L-BFGS-B in stages, with kinks that are rounded less and less."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from rnn.systems.descent import descend, warn_unless
from rnn.systems.inventory.policies import BaseStock, MinMax
from rnn.systems.inventory.results import Optimum
from rnn.validation import real_array

STAGES = (0.3, 0.03, 0.003, 0.0)
"""Default widths in units of the mean demand."""


def optimise(problem, plan, smoothing, n_iter: int, tol: float) -> Optimum:
    """What :meth:`Inventory.optimize` says."""
    if isinstance(plan, MinMax):
        raise UnsupportedError("an (s, S) policy is evaluated, not optimised by gradients: compare its costs")
    free = not isinstance(plan, BaseStock)
    if free and any(s.fixed for s in problem.supplies):
        raise UnsupportedError(
            "a cost that is fixed for each order jumps at x = 0 and is flat elsewhere, so that gradients of "
            "free orders do not see it; optimise with fixed=0, or evaluate MinMax policies"
        )
    widths = _widths(problem, smoothing)
    make, x, lower, upper, name = _free(problem, plan) if free else _levels(problem, plan)

    def at(width):
        def value_and_slope(x):
            m = problem.messages(make(x), width)
            return float(m.total), m.gradient[name].sum(axis=-2)

        return value_and_slope

    best, found = (problem.cost(make(x)), x), []
    scale = np.abs(
        at(widths[0])(x)[1]
    ).max()  # of all stages: a later one may start where nothing is left to do
    for width in widths:
        found.append(descend(at(width), best[1] if width == 0 else x, lower, upper, n_iter, tol, scale))
        x = found[-1].x
        best = min(best, (problem.cost(make(x)), x), key=lambda pair: pair[0])
    last = next((f for f, w in zip(found[::-1], widths[::-1], strict=True) if w > 0), found[-1])
    warn_unless(last.converged, "the plan", last.reason, "raise n_iter or tol, or add smoothing widths")
    final = make(best[1])
    stages = [f.values for f in found]
    path, gradient = problem.simulate(final), problem.gradient(final)
    return Optimum(final, path.cost, path, gradient, stages, widths, last.converged, last.reason)


def _widths(problem, smoothing) -> tuple[float, ...]:
    if smoothing is None:
        scale = float(problem.demand.mean()) or 1.0
        return tuple(scale * s for s in STAGES)
    widths = tuple(real_array("smoothing", smoothing, np.dtype(float)).ravel().tolist())
    if not widths or any(not 0 <= w < np.inf for w in widths):
        raise DataError(f"smoothing is a sequence of widths ≥ 0, got {smoothing!r}")
    return widths


def _free(problem, plan):
    lower, upper = (np.array([getattr(s, n) for s in problem.supplies]) for n in ("minimum", "capacity"))
    if plan is None:
        network, mean = problem.network, problem.demand.mean(axis=(0, 1))
        need = np.zeros(len(problem.supplies))
        for a, i in enumerate(network.customer):
            below = network.below(i)
            need[a] = sum(m for m, j in zip(mean, network.served, strict=True) if j in below)
            need[a] /= len(network.into[i])
        plan = np.tile(np.clip(need, lower, upper), (problem.periods, 1))
    return lambda x: x, problem.orders(plan), lower, upper, "orders"


def _levels(problem, plan):
    (levels,) = plan.arrays(problem.network, problem.periods)
    return lambda x: BaseStock(x, plan.echelon), levels, -np.inf, np.inf, "levels"
