"""``CrossEntropy``: −Σ log softmax(output)[label], whose gradient is softmax(output) − onehot(label)."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.readout import Linear


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


def cross_entropy_hvp(values, tangents):
    """The gradient's motion: p (ż − Σ p ż) with p = softmax(logits), where there is a label."""
    logits, labels, *count = values
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    moved = p * (tangents[0] - (p * tangents[0]).sum(axis=-1, keepdims=True))
    moved *= (labels >= 0)[..., None]
    for n in count:
        moved = moved / n
    return moved, None, *(None for _ in count)


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
    curvature = staticmethod(cross_entropy_hvp)

    def __init__(self, labels, reduction: str = "sum", readout: Linear | None = None):
        super().__init__(reduction, readout)
        self.labels = _as_labels(labels)

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Labels as (T, B)."""
        labels = layout.hidden(layout.inward("labels", self.labels), -1)
        if labels.max() >= width:
            raise DataError(
                f"labels run up to {labels.max()}, but there are {width} classes, from 0 to {width - 1}"
            )
        return self.with_count(labels, labels >= 0 if self.reduction == "mean" else None, dtype)

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
