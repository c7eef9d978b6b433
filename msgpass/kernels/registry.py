"""Compiled sweeps by the name that ``Step(kernel=…)`` takes.

A name stands for a `Formula` (`msgpass.sweeps.recurrence_formula`) in the ``FORMULAS`` of its module; the
sweep around it, `msgpass.sweeps.compiled_recurrence`, is the same for all. The plan verifies lags before a
kernel is asked; the sweep also verifies on random inputs that the step's own function is what the kernel
computes, so that a wrong name is an error and never a wrong number. A new compiled recurrence is a new file
and a line here.
"""

from __future__ import annotations

from importlib import import_module

RECURRENCES = {
    "tanh": "msgpass.sweeps.elman",
    "relu": "msgpass.sweeps.elman",
    "gru": "msgpass.sweeps.gru",
    "lstm": "msgpass.sweeps.lstm",
}
TRACED = ("traced", "auto")
"""Names for the sweep that is made from the step's own function, rather than written for it."""


def recurrence_sweep(plan, k: int, block, values, keep: bool = True):
    """The compiled sweep of a recurrence, or None for the reference; with ``keep`` false nobody will ask for
    messages backward.
    """
    names = {f.potential.kernel for f in block.families}
    if not names.isdisjoint(TRACED):
        return import_module("msgpass.sweeps.traced_recurrence").make(plan, k, block, values, keep)
    if len(block.families) != 1 or names == {None}:
        return None
    (kernel,) = names
    formula = import_module(RECURRENCES[kernel]).FORMULAS[kernel]
    return import_module("msgpass.sweeps.compiled_recurrence").make(formula, plan, k, block, values, keep)
