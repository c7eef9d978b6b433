"""Which sweep a run takes: NumPy's for any algebra and small work, compiled ones beyond."""

from __future__ import annotations

from msgpass.kernels.interface_reference import InterfaceReference


def make_sweep(layout, tables, algebra):
    """Messages that run forward, with what runs backward on demand."""
    return InterfaceReference(layout.programs, layout.slices, tables, layout.batch, algebra.reduce)
