"""Kim's filter and smoother over switching linear-Gaussian chains, by NumPy or compiled as the size says."""

from __future__ import annotations

import numpy as np

from msgpass.errors import NumericalError
from msgpass.kernels import switching_chain_reference as reference
from msgpass.kernels.switching_chain_types import (
    OVERFLOW,
    Filtered,
    Mixtures,
    PairMixtures,
    SwitchingChainArrays,
)

FEW_ROWS = 64
"""Rows below which NumPy has finished before Numba is imported (0.4 ms a row, filter and smoother)."""


def passes(arrays: SwitchingChainArrays):
    """The module with ``kim_filter`` and ``kim_smoother`` for arrays of this size."""
    if len(arrays.y) < FEW_ROWS:
        return reference
    from msgpass.kernels import switching_chain_compiled

    return switching_chain_compiled


def kim_filter(arrays: SwitchingChainArrays) -> tuple[Mixtures, np.ndarray]:
    """What rows up to and including t say, and the approximate log Z of each sequence, (N,).

    A row that no state allows leaves −∞ in its sequence's log Z, and its later rows without meaning.

    Raises
    ------
    NumericalError
        Where the innovation covariance of a possible pair of states is singular, or a covariance overflows.
    """
    found: Filtered = passes(arrays).kim_filter(arrays)
    if found.trouble is not None:
        kind, sequence, step = found.trouble
        if kind == OVERFLOW:
            raise NumericalError(
                f"the covariance of the state of sequence {sequence} overflows at step {step}: a transition "
                "is unstable and too few rows observe what grows; give stable transitions, shorter sequences "
                "or more data"
            )
        raise NumericalError(
            f"the innovation covariance H P Hᵀ + R of sequence {sequence} is singular at step {step} for "
            "some state: earlier rows and the other cells of this row leave no noise in what is observed, so "
            "it has no density; give R or Q a larger variance, or drop repeated cells"
        )
    return found.mixtures, found.log_z


def kim_smoother(arrays: SwitchingChainArrays, filtered: Mixtures) -> tuple[Mixtures, PairMixtures]:
    """What all rows say of each row, and of each pair of neighbours."""
    return passes(arrays).kim_smoother(arrays, filtered)
