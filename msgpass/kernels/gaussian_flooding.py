"""Gaussian loopy belief propagation: which sweep runs, by size alone."""

from __future__ import annotations

import numpy as np

from msgpass.kernels import gaussian_flooding_reference as reference
from msgpass.kernels.gaussian_flooding_types import Failure, MessageArrays, Problem, Progress

FEW = {"flood": 512, "sequential": 32, "residual": 32}
"""Messages of a sweep up to which NumPy is not worth leaving: a sweep over so many takes it about a
millisecond, and Numba takes half a second to load."""


def run(
    problem: Problem, order: str, damping: float, tol: float, max_iter: int, start: MessageArrays
) -> tuple[MessageArrays, Progress]:
    """As :func:`msgpass.kernels.gaussian_flooding_reference.run`."""
    if not problem.messages:
        return start, Progress(np.zeros(0), 0, True)
    if problem.messages <= FEW[order]:
        return reference.run(problem, order, damping, tol, max_iter, start)
    return compiled(problem, order, damping, tol, max_iter, start)


def compiled(
    problem: Problem, order: str, damping: float, tol: float, max_iter: int, start: MessageArrays
) -> tuple[MessageArrays, Progress]:
    """As :func:`run`, whatever the size."""
    from msgpass.kernels import gaussian_flooding_residual, gaussian_flooding_sweeps, runtime
    from msgpass.kernels.gaussian_flooding_flat import flattened

    edges, forms = flattened(problem)
    local = MessageArrays(problem.h, problem.precision)
    known, now, fresh = local.copy(), start.copy(), start.copy()
    history, wide, count = np.empty(max_iter + 1), edges.widest, problem.messages
    scratch = np.empty((wide, wide)), np.empty(wide), np.empty(wide, np.int64), np.empty(wide)
    if order == "residual":
        kernel, last = gaussian_flooding_residual.residual, (max_iter * count, history)
        with runtime.compiling("loopy belief propagation over Gaussians", kernel):
            sent, told, ended, edge = kernel(
                edges,
                forms,
                local,
                known,
                now,
                fresh,
                damping,
                tol,
                *last,
                np.zeros(count),
                np.arange(count),
                np.arange(count),
                *scratch,
            )
    else:
        kernel, last = gaussian_flooding_sweeps.sweeps, (max_iter, history)
        with runtime.compiling("loopy belief propagation over Gaussians", kernel):
            told, ended, edge = kernel(
                edges, forms, local, known, now, fresh, order == "sequential", damping, tol, *last, *scratch
            )
        sent = told * count
    failure = None
    if ended in (gaussian_flooding_sweeps.NOT_POSITIVE, gaussian_flooding_sweeps.DIVERGED):
        what = "diverged" if ended == gaussian_flooding_sweeps.DIVERGED else "not positive"
        failure = Failure(int(edges.variable[edge]) if edge >= 0 else -1, what)
    settled = ended == gaussian_flooding_sweeps.SETTLED
    return now, Progress(history[:told].copy(), int(sent), settled, failure)
