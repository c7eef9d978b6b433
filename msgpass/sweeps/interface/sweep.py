"""Which sweep a run takes: NumPy's for any algebra and for small work, compiled ones beyond.

The two agree to rounding.
"""

from __future__ import annotations

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.kernels.interface_reference import InterfaceReference
from msgpass.kernels.policy import prefer_kernel
from msgpass.sweeps.interface.tables import exponentials

REFERENCE_STEPS = 3
"""Steps of a chain in NumPy that a clique in NumPy is worth."""


def make_sweep(layout, tables, algebra):
    """Messages that run forward, with what runs backward on demand."""
    made = layout.programs, layout.slices, tables, layout.batch
    cliques = int(layout.slices.number[-1])
    if type(algebra) not in (SumProduct, MaxProduct) or not prefer_kernel(
        REFERENCE_STEPS * cliques, 1, "interface_sum"
    ):
        return InterfaceReference(*made, algebra.reduce)
    from msgpass.kernels.interface_compiled import InterfaceCompiled

    return InterfaceCompiled(*made, type(algebra) is MaxProduct, lambda logs: exponentials(logs, layout))
