"""Loopy belief propagation over tables and factors with structure."""

from msgpass.sweeps.flooding.convergence import Convergence
from msgpass.sweeps.flooding.run import FloodingRun, run_flooding

__all__ = ["Convergence", "FloodingRun", "run_flooding"]
