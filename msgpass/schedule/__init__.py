"""Schedules: which messages are computed, in which order, and what is kept."""

from msgpass.schedule.checkpointed import Checkpointed
from msgpass.schedule.flooding import Flooding
from msgpass.schedule.forward_only import ForwardOnly
from msgpass.schedule.junction_tree import JunctionTree
from msgpass.schedule.parallel_scan import ParallelScan
from msgpass.schedule.sequential import Sequential
from msgpass.schedule.truncated import FixedLag, Truncated

__all__ = [
    "Checkpointed",
    "FixedLag",
    "Flooding",
    "ForwardOnly",
    "JunctionTree",
    "ParallelScan",
    "Sequential",
    "Truncated",
]
