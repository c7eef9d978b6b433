"""The four kinds of potential: tables of states, quadratics, deterministic steps and losses."""

from msgpass.potentials.loss import Loss
from msgpass.potentials.quadratic import Quadratic
from msgpass.potentials.step import Step
from msgpass.potentials.table import Table

__all__ = ["Loss", "Quadratic", "Step", "Table"]
