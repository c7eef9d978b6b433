"""Compiled sweeps by what they are for: (block kind, step kernel) → a factory that checks that it fits.

The plan verifies lags before a kernel is asked; a kernel also verifies, on one random step, that the step's
own function is
what it computes, so that a wrong name is an error and never a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable

_RECURRENCES: dict[str, Callable] = {}


def register_recurrence(name: str):
    """Register a factory ``(plan, block number, block, values) → sweep or None`` for
    ``Step(kernel=name)``."""

    def keep(factory: Callable) -> Callable:
        _RECURRENCES[name] = factory
        return factory

    return keep


def step_kernels() -> frozenset[str]:
    """Names that ``Step(kernel=…)`` takes."""
    return frozenset({"tanh", "relu"})


def recurrence_sweep(plan, k: int, block, values):
    """The compiled sweep of a recurrence, or None for the reference."""
    names = {f.potential.kernel for f in block.families}
    if len(block.families) != 1 or None in names:
        return None
    if not _RECURRENCES:
        import msgpass.sweeps.elman  # noqa: F401  registers itself
    factory = _RECURRENCES.get(next(iter(names)))
    return factory(plan, k, block, values) if factory else None
