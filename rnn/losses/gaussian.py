"""``GaussianNLL``: ½ Σ log v + (m − y)² / v, with the variance v given, or predicted beside the mean m."""

from __future__ import annotations

import math

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss, cut
from rnn.losses.ranges import within
from rnn.readout import Linear
from rnn.validation import flag, real_array

PREDICTED = "predicted"


class GaussianNLL(OutputLoss):
    """Negative log-likelihood of real targets, ½ Σ log v + (m − y)² / v.

    Parameters
    ----------
    target : array (…, W)
        Rows as the network's; NaN is missing, cell by cell.
    variance : "predicted" or array
        "predicted": of the 2 W outputs the first W are means m, the others log v. Otherwise the variances,
        a number or anything that broadcasts to the target's shape, and the network's W outputs are means.
    reduction : {"sum", "mean"}
        The mean is over all observed cells.
    readout : Linear, optional
        From the network's output to W or 2 W numbers.
    full : bool
        Add ½ log 2π a cell; the loss is then the whole −log p.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

    Notes
    -----
    log v in place of v needs no floor: v is positive whatever the network says.

    Examples
    --------
    >>> from rnn import RNN, GaussianNLL, Linear, bptt
    >>> net, readout = RNN(1, 4, random_state=0), Linear(4, 2, random_state=1)
    >>> m = bptt(net, np.zeros((3, 1)), GaussianNLL(np.ones((3, 1)), readout=readout))
    >>> m.gradient["output"].shape
    (3, 1, 2)
    """

    name = "target"
    more = ("variance",)

    def __init__(
        self,
        target,
        variance=PREDICTED,
        reduction: str = "sum",
        readout: Linear | None = None,
        *,
        full: bool = False,
        task: str | None = None,
    ):
        super().__init__(reduction, readout, task)
        if isinstance(variance, str) and variance != PREDICTED:
            raise DataError(f"variance is 'predicted' or an array of variances, got {variance!r}")
        self.target, self.variance, self.full = target, variance, flag("full", full)

    def part(self, rows: np.ndarray, steps: int, batch_first: bool) -> OutputLoss:
        """The same loss over some of the sequences, with their variances."""
        found = super().part(rows, steps, batch_first)
        if not self.predicted and np.ndim(self.variance) > 1:
            given = np.broadcast_to(self.variance, np.shape(self.target))
            found.variance = cut(given, rows, steps, batch_first)  # type: ignore[attr-defined]
        return found

    def rows(self, rows: np.ndarray) -> OutputLoss:
        """The same loss over some of the sequences, with their variances."""
        found = super().rows(rows)
        if not self.predicted and np.ndim(self.variance) > 1:
            given = np.broadcast_to(self.variance, np.shape(self.target))
            found.variance = given[rows]  # type: ignore[attr-defined]
        return found

    @property
    def predicted(self) -> bool:
        """The network says how sure it is."""
        return isinstance(self.variance, str)

    @property
    def key(self) -> tuple:
        """What is predicted belongs to the graph."""
        return *super().key, self.predicted, self.full

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Targets as (T, B, W), the variances given as an array that fits them."""
        if self.predicted and width % 2:
            raise ShapeError(
                f"GaussianNLL reads a mean and a log variance for every target, and {width} outputs are odd "
                "in number; give the readout 2 W outputs, or the variance itself: GaussianNLL(target, 1.0)"
            )
        cells = width // 2 if self.predicted else width
        target = layout.inward(self.named("target"), real_array("target", self.target, dtype), cells)
        target = layout.hidden(target, np.nan)
        arrays = self.with_count(target, ~np.isnan(target) if self.reduction == "mean" else None, dtype)
        if self.predicted:
            return arrays
        variance = real_array("variance", self.variance, dtype)
        within("variances", np.atleast_1d(variance), np.atleast_1d(~(variance > 0)), "a variance is positive")
        try:
            whole = np.broadcast_to(variance, layout.outer(cells))
        except ValueError:
            raise ShapeError(
                f"variance has shape {variance.shape}, which does not broadcast to the target's "
                f"{layout.outer(cells)}"
            ) from None
        arrays[self.named("variance")] = layout.inward("variance", np.array(whole), cells)
        return arrays

    def attach(self, graph, h, arrays, layout, width) -> None:
        """Variances that are given have a row a step, as targets have."""
        if self.predicted:
            return super().attach(graph, h, arrays, layout, width)
        from msgpass import Loss

        output = self.read_out(graph, h, layout)
        names = [self.named(n) for n in ("target", "variance", "count") if self.named(n) in arrays]
        target, variance, *count = (graph.observe(name, arrays[name]) for name in names)
        loss = Loss(self.function, vectorized=True, task=self.task, hvp=self.curvature)
        graph.factor(loss, output[:], target[:], variance[:], *count, name=self.named("loss"))

    def _parts(self, output, target, more):
        """(m − y with 0 where y is missing, 1 / v, log v, seen, the count if there is one)."""
        seen = ~np.isnan(target)
        if self.predicted:
            mean, log_v = np.split(output, 2, axis=-1)
            weight, count = np.exp(-log_v), more
        else:
            mean, (v, *count) = output, more
            weight, log_v = 1 / v, np.log(v)
        return np.where(seen, mean - np.where(seen, target, 0), 0), weight, log_v, seen, count

    def function(self, output: np.ndarray, target: np.ndarray, *more: np.ndarray):
        """The loss (divided by ``count``) and its gradients."""
        r, weight, log_v, seen, count = self._parts(output, target, more)
        scaled = r * weight
        losses = 0.5 * (log_v + r * scaled + (math.log(2 * math.pi) if self.full else 0.0))
        total = losses.sum(where=seen, dtype=np.float64)
        slope = scaled
        if self.predicted:
            slope = np.concatenate([scaled, np.where(seen, 0.5 * (1 - r * scaled), 0)], axis=-1)
        for n in count:
            total, slope = total / float(n), slope / n
        return total, (slope, None, *(None for _ in more))

    def curvature(self, values, tangents):
        """How the gradient moves."""
        (output, target, *more), (output_dot, target_dot, *more_dot) = values, tangents
        r, weight, _, seen, count = self._parts(output, target, more)
        if self.predicted:
            mean_dot, log_dot = np.split(output_dot, 2, axis=-1)
        else:
            mean_dot, log_dot = output_dot, more_dot[0] * weight
        r_dot = np.where(seen, mean_dot - np.where(seen, target_dot, 0), 0)
        moved = (r_dot - r * log_dot) * weight
        if self.predicted:
            own = np.where(seen, (0.5 * r * log_dot - r_dot) * r * weight, 0)
            moved = np.concatenate([moved, own], axis=-1)
        for n in count:
            moved = moved / n
        return moved, None, *(None for _ in more)
