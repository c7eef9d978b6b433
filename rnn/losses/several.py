"""``Several``: losses of several tasks over one network, whose cotangents one sweep carries side by side."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss


class Several(OutputLoss):
    """A sum of losses, each with a ``task`` of its own.

    ``m.total`` and ``m.parameters`` are of the sum, ``m.tasks["name"]`` has each task's own total, parameters
    and gradients.

    Parameters
    ----------
    *losses : OutputLoss
        At most one without a task.

    Examples
    --------
    >>> from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt
    >>> net = RNN(1, 4, random_state=0)
    >>> level = SquaredError(np.ones((3, 1)), readout=Linear(4, 1, random_state=1), task="level")
    >>> kind = CrossEntropy([0, 2, 1], readout=Linear(4, 3, random_state=2), task="kind")
    >>> m = bptt(net, np.zeros((3, 1)), Several(level, kind))
    >>> bool(np.isclose(m.tasks["level"].total + m.tasks["kind"].total, m.total))
    True
    >>> sorted(m.tasks["level"].parameters)[:4]
    ['bias_hh_l0', 'bias_ih_l0', 'readout_kind.bias', 'readout_kind.weight']
    """

    def __init__(self, *losses: OutputLoss):
        wrong = next((type(o).__name__ for o in losses if not isinstance(o, OutputLoss)), None)
        if wrong or not losses:
            raise DataError(f"Several takes losses such as SquaredError(target), got {wrong or 'none'}")
        tasks = [loss.task for loss in losses]
        twice = next((t for t in tasks if tasks.count(t) > 1), None)
        if len(set(tasks)) < len(tasks):
            which = "two losses have no task" if twice is None else f"two losses have the task {twice!r}"
            raise DataError(f"{which}; give each a name of its own: task='…'")
        self.losses, self.readout, self.task = losses, None, None
        self.reduction = "sum" if all(loss.reduction == "sum" for loss in losses) else "mean"

    @property
    def key(self) -> tuple:
        """Those of all losses."""
        return tuple(loss.key for loss in self.losses)

    @property
    def weights(self) -> Arrays:
        """Those of all losses."""
        return {name: w for loss in self.losses for name, w in loss.weights.items()}

    def load_weights(self, weights: Arrays) -> None:
        """Each loss takes its own."""
        for loss in self.losses:
            loss.load_weights(weights)

    def reset(self, rng: np.random.Generator) -> None:
        """Draw all anew, in order."""
        for loss in self.losses:
            loss.reset(rng)

    def width(self, size: int, dtype: np.dtype):
        """A width a loss."""
        return tuple(loss.width(size, dtype) for loss in self.losses)

    def observed(self, layout: Layout, width, dtype: np.dtype) -> Arrays:
        """The data of all losses."""
        arrays: Arrays = {}
        for loss, own in zip(self.losses, width, strict=True):
            arrays |= loss.observed(layout, own, dtype)
        return arrays

    def part(self, rows: np.ndarray, steps: int, batch_first: bool) -> OutputLoss:
        """The same losses over some of the sequences."""
        return Several(*(loss.part(rows, steps, batch_first) for loss in self.losses))

    def rows(self, rows: np.ndarray) -> OutputLoss:
        """The same losses over some of the sequences."""
        return Several(*(loss.rows(rows) for loss in self.losses))

    def number(self, arrays: Arrays) -> float:
        """That of the first loss."""
        return self.losses[0].number(arrays)

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width) -> None:
        """Add all losses over the sequence ``h``."""
        for loss, own in zip(self.losses, width, strict=True):
            loss.attach(graph, h, arrays, layout, own)
