"""The kinds of potential: tables (full, sparse, grouped), quadratics, deterministic steps and losses."""

from msgpass.potentials.grouped_table import GroupedTable
from msgpass.potentials.loss import Loss
from msgpass.potentials.quadratic import Quadratic
from msgpass.potentials.sparse_table import SparseTable
from msgpass.potentials.step import Step
from msgpass.potentials.structured import Structured
from msgpass.potentials.table import Table

TABLES = (Table, SparseTable, GroupedTable, Structured)
"""Potentials over discrete variables."""

__all__ = ["TABLES", "GroupedTable", "Loss", "Quadratic", "SparseTable", "Step", "Structured", "Table"]
