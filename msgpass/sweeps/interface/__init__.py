"""Exact messages on networks of several variables a slice, from slice to slice."""

from msgpass.sweeps.interface.layout import InterfaceLayout, interface_layout
from msgpass.sweeps.interface.run import InterfaceRun, run_interface

__all__ = ["InterfaceLayout", "InterfaceRun", "interface_layout", "run_interface"]
