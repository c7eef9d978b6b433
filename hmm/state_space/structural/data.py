"""A series and its regressors, checked."""

from __future__ import annotations

import numpy as np

from hmm.state_space.components import Regression
from hmm.state_space.structural.assembly import Assembly
from hmm.validation import rows_of_numbers
from msgpass.errors import DataError, ShapeError


def series(y) -> np.ndarray:
    """One series (T,) of numbers, NaN where missing, with something in it."""
    array = np.asarray(rows_of_numbers(y, flat=True), float)
    if array.shape[1] != 1:
        raise ShapeError(
            f"y has {array.shape[1]} columns; a structural time series is one series: fit one model a column"
        )
    if np.isnan(array).all():
        raise DataError("y has no observed value; all of it is NaN")
    return array[:, 0]


def regressors(assembly: Assembly, exog, steps: int, what: str = "exog", when: str = "") -> np.ndarray:
    """Columns (steps, k) in the order of the components; of a frame those that components name."""
    k = assembly.n_inputs
    if exog is None:
        if k:
            raise DataError(
                f"the regression component takes {k} column(s); give {what}=, an array ({steps}, {k}){when}"
            )
        return np.empty((steps, 0))
    if not k:
        raise DataError(f"{what}{when} was given, but no component is a Regression(columns=…)")
    columns = getattr(exog, "columns", None)
    if columns is not None:
        named = [c for c in assembly.components if isinstance(c, Regression)]
        if all(not isinstance(c.columns, int | np.integer) for c in named):
            wanted = [name for c in named for name in c.column_names]
            absent = [name for name in wanted if name not in set(columns)]
            if absent:
                raise DataError(
                    f"{what}{when} has no column {', '.join(absent)}; it has {', '.join(map(str, columns))}"
                )
            exog = exog[wanted]
    array = np.asarray(rows_of_numbers(exog, flat=True), float)
    if array.shape != (steps, k):
        raise ShapeError(
            f"{what}{when} has shape {array.shape}, wanted ({steps}, {k}): a row a step, a column a regressor"
        )
    if np.isnan(array).any():
        t, c = np.argwhere(np.isnan(array))[0]
        raise DataError(f"{what}{when} is missing at row {t}, column {c}; regressors are known: fill it in")
    return array
