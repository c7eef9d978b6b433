"""What losses share: a readout, a reduction, and one vectorised :class:`msgpass.Loss` over the outputs.

Sums run over what is observed: missing data contribute nothing. The mean divides by the number of observed
data, which is a value of the graph, so that truncated and checkpointed runs divide alike.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np

from msgpass import FactorGraph, Loss
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.readout import Linear
from rnn.validation import one_of

Arrays = dict[str, np.ndarray]


class OutputLoss:
    """Abstract. A new loss is a file with a class that has ``name``, ``function``, ``curvature`` and
    ``observed``.

    ``name`` is the data's name in the graph; ``function(output, data[, count])`` gives the value and the
    gradients; ``curvature(values, tangents)`` how they move, by autograd where it
    is None; ``observed(layout, width, dtype)`` the data of one call, through ``with_count``, with what lies
    beyond a sequence's end hidden by ``layout.hidden``. ``observe`` is for data that are no real numbers.
    """

    name: str
    function: staticmethod
    curvature: Callable | None = None

    def __init__(self, reduction: str, readout: Linear | None):
        self.reduction = one_of("reduction", reduction, ("sum", "mean"))
        if readout is not None and not isinstance(readout, Linear):
            raise DataError(f"readout must be a Linear or None, got {type(readout).__name__}")
        self.readout = readout
        self.weights_key = () if readout is None else (readout.out_features, readout.bias)

    @property
    def key(self) -> tuple:
        """Two losses with equal keys have, over data of one shape, the same graph."""
        return self.name, self.reduction, self.weights_key

    @property
    def weights(self) -> Arrays:
        """The readout's weights by their names in the graph."""
        return {} if self.readout is None else {f"readout.{k}": w for k, w in self.readout.weights.items()}

    def width(self, size: int, dtype: np.dtype) -> int:
        """Number of outputs a step over a network with ``size`` outputs; the readout must fit it."""
        if self.readout is None:
            return size
        if self.readout.in_features != size:
            raise ShapeError(
                f"{self.readout!r} reads {self.readout.in_features} features; the network has {size} outputs"
            )
        if self.readout.dtype != dtype:
            raise DataError(
                f"the readout has dtype {self.readout.dtype}, the network {dtype}; make both alike"
            )
        return self.readout.out_features

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Data of one call in the graph's axes, by name."""
        raise TypeError(f"{type(self).__name__} is abstract; use SquaredError or CrossEntropy")

    def part(self, rows: np.ndarray, steps: int, batch_first: bool):
        """The same loss over some of the sequences, and over their first steps."""
        found, data = copy(self), np.asarray(getattr(self, self.name))
        setattr(found, self.name, data[rows, :steps] if batch_first else data[:steps, rows])
        return found

    def observe(self, graph: FactorGraph, arrays: Arrays, width: int):
        """Register the data and return it."""
        return graph.observe(self.name, arrays[self.name])

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add readout and loss over the sequence ``h`` to a graph."""
        output = h if self.readout is None else self.readout.attach(graph, h, layout.steps, layout.batch)
        data = self.observe(graph, arrays, width)
        count = [graph.observe("count", arrays["count"])] if self.reduction == "mean" else []
        loss = Loss(self.function, vectorized=True, hvp=self.curvature)
        graph.factor(loss, output[:], data[:], *count, name="loss")

    def with_count(self, data: np.ndarray, observed: np.ndarray | None, dtype: np.dtype) -> Arrays:
        """The data by name and, for a mean, how many of them are observed."""
        if observed is None:
            return {self.name: data}
        return {self.name: data, "count": np.array(max(1, np.count_nonzero(observed)), dtype)}
