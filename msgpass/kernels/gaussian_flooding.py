"""Gaussian loopy belief propagation: which sweep runs, by size alone."""

from __future__ import annotations

from msgpass.kernels import gaussian_flooding_reference as reference
from msgpass.kernels.gaussian_flooding_types import MessageArrays, Problem, Progress


def run(
    problem: Problem, order: str, damping: float, tol: float, max_iter: int, start: MessageArrays
) -> tuple[MessageArrays, Progress]:
    """As :func:`msgpass.kernels.gaussian_flooding_reference.run`."""
    return reference.run(problem, order, damping, tol, max_iter, start)
