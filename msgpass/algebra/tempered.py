"""``Tempered``: SumProduct at a temperature, between the sum (1) and the maximum (0)."""

from __future__ import annotations

import math

import numpy as np

from msgpass.algebra.sum_product import SumProduct
from msgpass.algebra.tables import TableAlgebra
from msgpass.errors import DataError

_SUM = SumProduct()


class Tempered(TableAlgebra):
    """Crossing a table is T log Σ exp(· / T); beliefs are those of p^(1/T).

    Parameters
    ----------
    temperature : float
        T > 0. 1 is :class:`SumProduct`; as T falls ``total`` = T log Σ exp(score / T) falls to the best score
        of :class:`MaxProduct`. What arrives at a parameter is ∂total/∂parameter, expected counts under
        p^(1/T).

    Notes
    -----
    Chains go through the tree sweep, so that no kernel stands in for it; under ``Flooding`` tables are
    divided by T and swept as SumProduct's.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table, Tempered, run
    >>> g = FactorGraph()
    >>> z = g.variable("z", states=3)
    >>> _ = g.factor(Table([1.0, 2.0, 0.0]), z)
    >>> [round(run(g, Tempered(t)).total, 3) for t in (1.0, 0.5, 0.1)]
    [2.408, 2.071, 2.0]
    """

    def __init__(self, temperature: float):
        if (
            not isinstance(temperature, int | float | np.number)
            or isinstance(temperature, bool)
            or not (math.isfinite(temperature) and temperature > 0)
        ):
            raise DataError(
                f"Tempered: the temperature is a number > 0, got {temperature!r}; at 0 it is MaxProduct()"
            )
        self.temperature = float(temperature)

    def __repr__(self) -> str:
        return f"Tempered({self.temperature!r})"

    def reduce(self, logs, axes):
        """T log Σ exp(· / T) over ``axes``."""
        return self.temperature * _SUM.reduce(logs / self.temperature, axes)

    def normalise(self, logs, axes: int = 1):
        """Log probabilities of p^(1/T)."""
        return _SUM.normalise(logs / self.temperature, axes)

    def joint(self, table, ins, at_out):
        """Log probabilities of the instance under p^(1/T)."""
        return self.normalise(self.combine(table, ins, at_out), len(ins) + 1)
