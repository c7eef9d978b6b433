"""What losses share: a readout, a reduction, a task, one vectorised :class:`msgpass.Loss` over the outputs.

Sums run over what is observed: missing data contribute nothing. The mean divides by the number of observed
data, which is a value of the graph, so that truncated and checkpointed runs divide alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy

import numpy as np

from msgpass import FactorGraph, Loss
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.readout import Linear
from rnn.validation import one_of

Arrays = dict[str, np.ndarray]


class OutputLoss(ABC):
    """Abstract. A new loss is a file with a class that has ``name``, ``function``, ``curvature`` and
    ``observed``.

    ``name`` is the data's name in the graph; ``function(output, data[, count][, more])`` gives the value and
    the gradients; ``curvature(values, tangents)`` how they move, by autograd where it
    is None; ``observed(layout, width, dtype)`` the data of one call, through ``with_count``, with what lies
    beyond a sequence's end hidden by ``layout.hidden``. ``observe`` is for data that are no real numbers,
    ``more`` names data that all steps share.

    With a ``task`` every name that the loss brings into a graph ends in ``_{task}``: ``output_{task}``,
    ``target_{task}``, ``readout_{task}.weight``.
    """

    name: str
    function: Callable
    curvature: Callable | None = None
    more: tuple[str, ...] = ()

    def __init__(self, reduction: str, readout: Linear | None, task: str | None = None):
        self.reduction = one_of("reduction", reduction, ("sum", "mean"))
        if readout is not None and not isinstance(readout, Linear):
            raise DataError(f"readout must be a Linear or None, got {type(readout).__name__}")
        if task is not None and (not isinstance(task, str) or not task):
            raise DataError(f"task is a name or None, got {task!r}")
        self.readout, self.task = readout, task
        self.weights_key = () if readout is None else (readout.out_features, readout.bias)

    def named(self, what: str) -> str:
        """A name in the graph, with the task at its end."""
        return what if self.task is None else f"{what}_{self.task}"

    @property
    def key(self) -> tuple:
        """Two losses with equal keys have, over data of one shape, the same graph."""
        return type(self), self.reduction, self.task, self.weights_key

    @property
    def weights(self) -> Arrays:
        """The weights that are trained with the loss, by their names in the graph."""
        if self.readout is None:
            return {}
        return {f"{self.named('readout')}.{k}": w for k, w in self.readout.weights.items()}

    def load_weights(self, weights: Arrays) -> None:
        """Take in what training found, by names in the graph; other names are left alone."""
        if self.readout is not None:
            start = f"{self.named('readout')}."
            self.readout.load_state_dict({k: weights[start + k] for k in self.readout.weights})

    def reset(self, rng: np.random.Generator) -> None:
        """Draw the loss's weights anew."""
        if self.readout is not None:
            self.readout.reset(rng)

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

    @abstractmethod
    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Data of one call in the graph's axes, by name."""

    def part(self, rows: np.ndarray, steps: int, batch_first: bool) -> OutputLoss:
        """The same loss over some of the sequences, and over their first steps."""
        found = copy(self)
        setattr(found, self.name, cut(getattr(self, self.name), rows, steps, batch_first))
        return found

    def rows(self, rows: np.ndarray) -> OutputLoss:
        """The same loss over some of the sequences, where there is one answer each: :class:`Pooled`."""
        found = copy(self)
        setattr(found, self.name, np.asarray(getattr(self, self.name))[rows])
        return found

    def observe(self, graph: FactorGraph, arrays: Arrays, width: int):
        """Register the data and return it."""
        return graph.observe(self.named(self.name), arrays[self.named(self.name)])

    def read_out(self, graph: FactorGraph, h, layout: Layout):
        """Add the readout over the sequence ``h``, where there is one; the sequence that the loss reads."""
        if self.readout is None:
            return h
        names = self.named("readout"), self.named("output")
        return self.readout.attach(graph, h, layout.steps, layout.batch, *names)

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add readout and loss over the sequence ``h`` to a graph."""
        output = self.read_out(graph, h, layout)
        data = self.observe(graph, arrays, width)
        shared = [self.named(name) for name in ("count", *self.more) if self.named(name) in arrays]
        loss = Loss(self.function, vectorized=True, task=self.task, hvp=self.curvature)
        more = (graph.observe(name, arrays[name]) for name in shared)
        graph.factor(loss, output[:], data[:], *more, name=self.named("loss"))

    def number(self, arrays: Arrays) -> float:
        """What the mean over these data divides by; 1 for a sum. Batches are weighed by it."""
        if self.reduction == "sum":
            return 1.0
        if self.named("count") in arrays:
            return float(arrays[self.named("count")])
        return 1 / float(arrays[self.named("weight")]) if self.named("weight") in arrays else 1.0

    def with_count(self, data: np.ndarray, observed, dtype: np.dtype) -> Arrays:
        """The data by name and, for a mean, how many of them are observed: the mask, or their number."""
        arrays = {self.named(self.name): data}
        if self.reduction == "mean":
            number = np.count_nonzero(observed) if np.ndim(observed) else observed
            arrays[self.named("count")] = np.array(number if number > 0 else 1, dtype)
        return arrays


def cut(data, rows: np.ndarray, steps: int, batch_first: bool) -> np.ndarray:
    """Data in the user's axes, of some sequences and their first steps."""
    array = np.asarray(data)
    return array[rows, :steps] if batch_first else array[:steps, rows]
