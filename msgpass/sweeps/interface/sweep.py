"""Which sweep a run takes: NumPy's for any algebra and for small work, compiled ones beyond.

The two agree to rounding, so the choice is by size alone: a run gives the same bits whenever it is made.
"""

from __future__ import annotations

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.kernels.interface_reference import InterfaceReference
from msgpass.sweeps.interface.tables import exponentials

FEWEST = 64
"""Cliques from which the compiled sweep is worth its loading; one takes NumPy about 0.1 ms."""


def make_sweep(layout, tables, algebra):
    """Messages that run forward, with what runs backward on demand."""
    made = layout.programs, layout.slices, tables, layout.batch
    cliques = int(layout.slices.number[-1])
    if type(algebra) not in (SumProduct, MaxProduct) or cliques < FEWEST:
        return InterfaceReference(*made, algebra.reduce)
    from msgpass.kernels.interface_compiled import InterfaceCompiled

    return InterfaceCompiled(*made, type(algebra) is MaxProduct, lambda logs: exponentials(logs, layout))
