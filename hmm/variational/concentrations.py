"""Checks of Dirichlet concentrations that a user may have set."""

from __future__ import annotations

import numpy as np

from hmm.validation import parameter
from msgpass.errors import DataError


def checked(name: str, prior, posterior, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(prior, posterior) of ``shape``, both 0 where the posterior is, above zero elsewhere.

    Raises
    ------
    ShapeError, DataError
        If an array has another shape, is negative or not finite, or leaves a row without an outcome.
    """
    after = parameter(f"{name}_posterior_", posterior, shape)
    before = parameter(f"{name}_prior_", prior, shape)
    inside = after > 0
    if (after < 0).any() or not inside.any(axis=-1).all():
        raise DataError(
            f"{name}_posterior_ holds concentrations, above zero, or 0 for what cannot be, and some in every "
            f"row; its least is {after.min():.6g}"
        )
    if (before[inside] <= 0).any():
        raise DataError(
            f"{name}_prior_ holds {before[inside].min():.6g} where {name}_posterior_ is above zero"
        )
    return np.where(inside, before, 0.0), after
