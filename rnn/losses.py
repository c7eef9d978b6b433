"""Losses of a network's outputs: one vectorised :class:`msgpass.Loss` factor over the output sequence.

    SquaredError   ½ Σ (output − target)²             ∂/∂output = output − target
    CrossEntropy   −Σ log softmax(output)[label]      ∂/∂output = softmax(output) − onehot(label)

Sums run over what is observed: a target that is NaN and a label that is −1 contribute nothing. The mean
divides by the number of observed targets or labels, which is a value of the graph, so that truncated and
checkpointed runs divide alike.
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, Loss
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.readout import Linear
from rnn.validation import one_of, real_array

Arrays = dict[str, np.ndarray]


def squared_error(output: np.ndarray, target: np.ndarray, *count: np.ndarray):
    """½ Σ (output − target)² over the targets that are not NaN (divided by ``count``), and its gradients."""
    residual = output - target
    flat = residual.reshape(-1)
    total = 0.5 * (flat @ flat)
    if np.isnan(total):
        residual[np.isnan(target)] = 0
        total = 0.5 * (flat @ flat)
    for n in count:
        total, residual = total / n, residual / n
    return total, (residual, None, *(None for _ in count))


def cross_entropy(logits: np.ndarray, labels: np.ndarray, *count: np.ndarray):
    """−Σ log softmax(logits)[label] over labels that are not −1 (divided by ``count``), and its gradients."""
    z = logits - logits.max(axis=-1, keepdims=True)
    p = np.exp(z)
    sums = p.sum(axis=-1)
    known = labels >= 0
    place = np.maximum(labels, 0)[..., None]
    losses = np.log(sums) - np.take_along_axis(z, place, axis=-1)[..., 0]
    total = losses.sum(where=known)
    p /= sums[..., None]
    np.put_along_axis(p, place, np.take_along_axis(p, place, axis=-1) - 1, axis=-1)
    p *= known[..., None]
    for n in count:
        total, p = total / n, p / n
    return total, (p, None, *(None for _ in count))


class OutputLoss:
    """What both losses share. A new one is a class with ``name``, ``function``, ``observed`` and ``observe``.

    ``observed(layout, width, dtype)`` gives the arrays of one call, the data first (and ``count`` for a
    mean); ``observe(graph, arrays, width)`` registers the data; ``function`` is the value and gradients of
    ``(output, data[, count])``.
    """

    name: str
    function: staticmethod

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

    def observe(self, graph: FactorGraph, arrays: Arrays, width: int):
        """Register the data and return it."""
        return graph.observe(self.name, arrays[self.name])

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add readout and loss over the sequence ``h`` to a graph."""
        output = h if self.readout is None else self.readout.attach(graph, h, layout.steps, layout.batch)
        data = self.observe(graph, arrays, width)
        count = [graph.observe("count", arrays["count"])] if self.reduction == "mean" else []
        graph.factor(Loss(self.function, vectorized=True), output[:], data[:], *count, name="loss")

    def _with_count(self, data: np.ndarray, observed: np.ndarray | None, dtype: np.dtype) -> Arrays:
        if observed is None:
            return {self.name: data}
        return {self.name: data, "count": np.array(max(1, np.count_nonzero(observed)), dtype)}


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

    def __init__(self, target, reduction: str = "sum", readout: Linear | None = None):
        super().__init__(reduction, readout)
        self.target = target

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Targets as (T, B, width)."""
        target = layout.inward("target", real_array("target", self.target, dtype), width)
        return self._with_count(target, ~np.isnan(target) if self.reduction == "mean" else None, dtype)


class CrossEntropy(OutputLoss):
    """Negative log-likelihood of labels under softmax(output).

    Parameters
    ----------
    labels : array of int, the network's output shape without its last axis
        Classes from 0; −1 (or NaN) is ignored.
    reduction : {"sum", "mean"}
        The mean is over all labels that are not ignored.
    readout : Linear, optional
        From the network's output to one number a class.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, Linear, bptt
    >>> net = RNN(1, 4, random_state=0)
    >>> m = bptt(net, np.zeros((3, 1)), CrossEntropy([-1, -1, 2], readout=Linear(4, 5)))
    >>> m.gradient["h_l0"].shape
    (3, 1, 4)
    """

    name = "labels"
    function = staticmethod(cross_entropy)

    def __init__(self, labels, reduction: str = "sum", readout: Linear | None = None):
        super().__init__(reduction, readout)
        self.labels = _as_labels(labels)

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Labels as (T, B)."""
        labels = layout.inward("labels", self.labels)
        if labels.max() >= width:
            raise DataError(
                f"labels run up to {labels.max()}, but there are {width} classes, from 0 to {width - 1}"
            )
        return self._with_count(labels, labels >= 0 if self.reduction == "mean" else None, dtype)

    def observe(self, graph: FactorGraph, arrays: Arrays, width: int):
        """Labels are states of an observation."""
        return graph.observe(self.name, arrays[self.name], states=width)


def _as_labels(labels) -> np.ndarray:
    """Whole numbers ≥ −1 as int64, NaN as −1."""
    try:
        array = np.asarray(labels)
    except (TypeError, ValueError) as problem:
        raise DataError(f"labels are not an array of whole numbers: {problem}") from None
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        whole = np.where(missing, -1, array)
        if not np.isfinite(whole).all() or (whole != np.floor(whole)).any():
            raise DataError("labels must be whole numbers, with −1 or NaN where there is none")
        array = whole.astype(np.int64)
    if array.dtype.kind not in "iu" or array.size == 0:
        raise DataError(
            f"labels must be a non-empty array of whole numbers, got {array.dtype} of shape {array.shape}"
        )
    if array.min() < -1:
        raise DataError(f"labels hold {array.min()}; classes count from 0, and −1 is ignored")
    return array.astype(np.int64)
