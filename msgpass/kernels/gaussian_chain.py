"""Inference over linear-Gaussian chains: which sweep runs, by size alone.

Small work goes to NumPy, larger work to the compiled passes; they differ by rounding, always in the same
way for the same shapes.
"""

from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays

COMPILED = 64
"""Rows from which on the compiled passes run. NumPy takes some 5 ms there; loading the passes .4 s a process
and 2 s the first time on a machine, which a fit of a hundred evaluations wins back."""

BLOCKS = 1024
"""Rows from which on a scan goes by compiled blocks, or, over several sequences, by compiled passes."""

__all__ = ["GaussianChainArrays", "GaussianSweep", "sweep"]


def sweep(arrays: GaussianChainArrays, backward: bool = True, scan: bool = False) -> GaussianSweep:
    """The chain's messages; nothing is computed before it is read.

    Parameters
    ----------
    arrays : GaussianChainArrays
    backward : bool
        Whether anything that looks at later rows will be read; a hint.
    scan : bool
        Whether the passes are associative scans.

    Examples
    --------
    A local level, x₀ ~ N(0, 10), q = 1, r = 2:

    >>> import numpy as np
    >>> one = np.ones((1, 1, 1))
    >>> arrays = GaussianChainArrays(
    ...     mean=np.zeros((1, 1)),
    ...     cov=10 * one,
    ...     flat=np.zeros((1, 0)),
    ...     F=one,
    ...     Q=one,
    ...     b=np.zeros((1, 1)),
    ...     H=one,
    ...     R=2 * one,
    ...     y=np.array([[1.0], [3.0], [2.0], [5.0]]),
    ...     offsets=np.array([0, 4]),
    ... )
    >>> found = sweep(arrays)
    >>> found.totals.round(6), found.smoothed[0][:, 0].round(4)
    (array([-8.731711]), array([1.8483, 2.4573, 2.7949, 3.5299]))
    """
    rows, outputs = arrays.y.shape
    if scan and (rows < BLOCKS or not outputs):
        from msgpass.kernels import gaussian_chain_scan

        return GaussianSweep(arrays, gaussian_chain_scan)
    if scan:
        from msgpass.kernels.gaussian_chain_scan_blocks import BlockSweep

        return BlockSweep(arrays)
    if rows < COMPILED or not outputs:
        return GaussianSweep(arrays)
    from msgpass.kernels.gaussian_chain_compiled import CompiledSweep

    return CompiledSweep(arrays, backward=backward)
