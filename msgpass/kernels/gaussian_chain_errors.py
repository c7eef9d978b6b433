"""What a linear-Gaussian chain has no answer for: errors name the sequence and its step or coordinate."""

import numpy as np

from msgpass.errors import NumericalError
from msgpass.kernels.gaussian_chain_flat import Determined
from msgpass.kernels.gaussian_chain_types import FilterPass, GaussianChainArrays


def regular(done: FilterPass) -> None:
    """Every innovation covariance is regular."""
    for k in np.flatnonzero(done.singular >= 0):
        raise NumericalError(
            f"the innovation covariance H P Hᵀ + R of sequence {k} is singular at step {done.singular[k]}: "
            "earlier rows and the other cells of this row leave no noise in what is observed, so it has no "
            "density; give R or Q a larger variance, or drop repeated cells"
        )


def finite(arrays: GaussianChainArrays, done: FilterPass, k: int) -> None:
    """The predicted covariances of sequence k are finite as far as its pass has come."""
    first, last = arrays.offsets[k], done.singular[k]
    end = arrays.offsets[k + 1] if last < 0 else first + last + 1
    lost = ~np.isfinite(done.predicted_cov[first:end]).all((1, 2))
    if lost.any():
        raise NumericalError(
            f"the covariance of the state of sequence {k} overflows at step {np.argmax(lost)}: the "
            "transition is unstable and too few rows observe what grows; give a stable transition, a shorter "
            "sequence or more data"
        )


def closed(arrays: GaussianChainArrays, found: list[Determined]) -> None:
    """No direction of a flat start is open given all rows."""
    for k, delta in enumerate(found):
        if delta.free.size:
            size = np.abs(arrays.flat @ delta.free).max(1)
            coordinates = np.flatnonzero(size > 1e-8 * size.max())
            raise NumericalError(
                f"the data of sequence {k} never determine its flat start in state coordinate(s) "
                f"{', '.join(map(str, coordinates))}, so it has neither a posterior nor log Z; give these a "
                "prior with finite variance, or observe something that depends on them"
            )
