"""Compiled sweeps by the name that ``Step(kernel=…)`` takes.

A sweep is ``make(plan, block number, block, values)`` → an object with ``forward()`` and ``backward(store,
later)``, or None while the reference is quicker. The plan verifies lags before a kernel is asked; a kernel
also verifies on one
random input
that the step's own function is what it computes, so that a wrong name is an error and never a wrong number. A
new compiled
recurrence is a new file and a line here.
"""

from __future__ import annotations

from importlib import import_module

RECURRENCES = {
    "tanh": "msgpass.sweeps.elman",
    "relu": "msgpass.sweeps.elman",
}


def recurrence_sweep(plan, k: int, block, values):
    """The compiled sweep of a recurrence, or None for the reference."""
    names = {f.potential.kernel for f in block.families}
    if len(block.families) != 1 or None in names:
        return None
    return import_module(RECURRENCES[names.pop()]).make(plan, k, block, values)
