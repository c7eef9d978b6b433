"""Exact messages on discrete graphs with loops, through cliques."""

from msgpass.sweeps.junction_tree.layout import JunctionLayout, layout_of
from msgpass.sweeps.junction_tree.run import JunctionRun, run_junction_tree

__all__ = ["JunctionLayout", "JunctionRun", "layout_of", "run_junction_tree"]
