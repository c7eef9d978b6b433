"""``SquaredError``: ½ Σ (output − target)², whose gradient is output − target."""

from __future__ import annotations

import numpy as np

from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.readout import Linear
from rnn.validation import real_array

COMPILED = 1 << 17
"""Numbers from which on one compiled pass over memory is worth it."""


FEW = 1 << 12
"""Numbers up to which BLAS starts no threads."""


def half_square(output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """(r, ½ Σ r²) with r = output − target, the sum in float64."""
    in_order = output.flags.carray and target.flags.carray
    if output.size >= COMPILED and output.dtype == target.dtype and in_order:
        from msgpass.kernels import residual

        return residual.half_square(output, target)
    difference = output - target
    return difference, 0.5 * _sum_of_squares(difference)


def _sum_of_squares(array: np.ndarray) -> float:
    flat = array.reshape(-1)
    if flat.size <= FEW:
        flat = flat.astype(np.float64, copy=False)
        return float(flat.dot(flat))
    # einsum and not BLAS, whose threads would still spin when the compiled sweep's own two start.
    return float(np.einsum("i,i->", flat, flat, dtype=np.float64))


def squared_error(output: np.ndarray, target: np.ndarray, *count: np.ndarray):
    """½ Σ (output − target)² over the targets that are not NaN (divided by ``count``), and its gradients."""
    residual, total = half_square(output, target)
    if total != total:
        residual[np.isnan(target)] = 0
        total = 0.5 * _sum_of_squares(residual)
    for n in count:
        total, residual = total / float(n), residual / n
    return total, (residual, None, *(None for _ in count))


def squared_error_hvp(values, tangents):
    """The gradient's motion: output˙ − target˙ where there is a target (divided by ``count``)."""
    (_, target, *count), (output_dot, target_dot, *_) = values, tangents
    moved = np.where(np.isnan(target), 0, output_dot - target_dot)
    for n in count:
        moved = moved / n
    return moved, None, *(None for _ in count)


class SquaredError(OutputLoss):
    """½ Σ (output − target)².

    Parameters
    ----------
    target : array, the network's output shape (with a readout its width on the last axis)
        NaN is missing, cell by cell.
    reduction : {"sum", "mean"}
        The mean is over all observed cells.
    readout : Linear, optional
        Between the network's output and the loss.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, Linear, bptt
    >>> net, readout = RNN(1, 4, random_state=0), Linear(4, 1, random_state=1)
    >>> m = bptt(net, np.zeros((10, 1)), SquaredError(np.ones((10, 1)), readout=readout))
    >>> m.parameters["readout.weight"].shape
    (1, 4)
    """

    name = "target"
    function = staticmethod(squared_error)
    curvature = staticmethod(squared_error_hvp)

    def __init__(
        self, target, reduction: str = "sum", readout: Linear | None = None, *, task: str | None = None
    ):
        super().__init__(reduction, readout, task)
        self.target = target

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Targets as (T, B, width)."""
        target = layout.inward("target", real_array("target", self.target, dtype), width)
        target = layout.hidden(target, np.nan)
        return self.with_count(target, ~np.isnan(target) if self.reduction == "mean" else None, dtype)
