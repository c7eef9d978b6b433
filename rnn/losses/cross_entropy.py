"""``CrossEntropy``: −Σ log softmax(output)[label], whose gradient is softmax(output) − onehot(label)."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.losses.ranges import within
from rnn.readout import Linear
from rnn.softmax import peak
from rnn.softmax import total as total_of
from rnn.validation import real_array


def cross_entropy(logits: np.ndarray, labels: np.ndarray, *more: np.ndarray):
    """−Σ log softmax(logits)[label] over labels that are not −1, and its gradients.

    ``more`` is nothing, the ``count`` to divide by, or that and the weights of the classes.
    """
    z = logits - peak(logits)
    p = np.exp(z)
    sums = total_of(p)[..., 0]
    known = labels >= 0
    place = np.maximum(labels, 0)[..., None]
    losses = np.log(sums) - np.take_along_axis(z, place, axis=-1)[..., 0]
    p /= sums[..., None]
    np.put_along_axis(p, place, np.take_along_axis(p, place, axis=-1) - 1, axis=-1)
    scale = _scale(known, place, more)
    total = (losses * scale).sum(where=known) if len(more) == 2 else losses.sum(where=known)
    p *= scale[..., None]
    if more:
        total, p = total / more[0], p / more[0]
    return total, (p, None, *(None for _ in more))


def _scale(known: np.ndarray, place: np.ndarray, more) -> np.ndarray:
    """What each label counts."""
    return known * more[1].take(place[..., 0]) if len(more) == 2 else known


def cross_entropy_hvp(values, tangents):
    """The gradient's motion: p (ż − Σ p ż) with p = softmax(logits), where there is a label."""
    logits, labels, *more = values
    p = np.exp(logits - peak(logits))
    p /= total_of(p)
    moved = p * (tangents[0] - total_of(p * tangents[0]))
    known, place = labels >= 0, np.maximum(labels, 0)[..., None]
    moved *= _scale(known, place, more)[..., None]
    if len(more) == 2 and tangents[3].any():
        slope = p - (np.arange(p.shape[-1]) == place)
        moved += slope * (known * tangents[3].take(place[..., 0]))[..., None]
    if more:
        moved = moved / more[0]
    return moved, None, *(None for _ in more)


class CrossEntropy(OutputLoss):
    """Negative log-likelihood of labels under softmax(output).

    Parameters
    ----------
    labels : array of int, the network's output shape without its last axis
        Classes from 0; −1, NaN and ``ignore_index`` are ignored.
    reduction : {"sum", "mean"}
        The mean is over all labels that are not ignored; with ``class_weight`` it divides by the sum of their
        weights.
    readout : Linear, optional
        From the network's output to one number a class.
    ignore_index : int
        One more label that is ignored, such as torch's −100.
    class_weight : array (classes,), optional
        What a label of each class counts.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

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
    more = ("class_weight",)
    function = staticmethod(cross_entropy)
    curvature = staticmethod(cross_entropy_hvp)

    def __init__(
        self,
        labels,
        reduction: str = "sum",
        readout: Linear | None = None,
        *,
        ignore_index: int = -1,
        class_weight=None,
        task: str | None = None,
    ):
        super().__init__(reduction, readout, task)
        self.labels = as_labels(labels, ignore_index)
        self.class_weight = class_weight

    @property
    def key(self) -> tuple:
        """Weighted or not belongs to the graph."""
        return *super().key, self.class_weight is not None

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Labels as (T, B)."""
        labels = layout.hidden(layout.inward(self.named("labels"), self.labels), -1)
        below("labels", layout.outward(labels), width)
        if self.class_weight is None:
            return self.with_count(labels, labels >= 0 if self.reduction == "mean" else None, dtype)
        weight = real_array("class_weight", self.class_weight, dtype)
        if weight.shape != (width,):
            raise ShapeError(f"class_weight has shape {weight.shape}; there are {width} classes: ({width},)")
        within(
            "class weights", weight, ~((weight >= 0) & (weight < np.inf)), "they are finite and not negative"
        )
        arrays = {self.named("labels"): labels, self.named("count"): np.array(1, dtype)}
        if self.reduction == "mean":
            total = weight[labels[labels >= 0]].sum()
            arrays[self.named("count")] = np.array(total if total > 0 else 1, dtype)
        return arrays | {self.named("class_weight"): weight}

    def observe(self, graph: FactorGraph, arrays: Arrays, width: int):
        """Labels are states of an observation."""
        return graph.observe(self.named(self.name), arrays[self.named(self.name)], states=width)


def below(what: str, labels: np.ndarray, classes: int) -> None:
    """Raise where a label is no class."""
    within(what, labels, labels >= classes, f"there are {classes} classes, from 0 to {classes - 1}")


def as_labels(labels, ignore_index: int = -1, what: str = "labels") -> np.ndarray:
    """Whole numbers ≥ −1 as int64; NaN and ``ignore_index`` as −1."""
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | np.integer):
        raise DataError(f"ignore_index is a whole number, got {ignore_index!r}")
    try:
        array = np.asarray(labels)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{what} are not an array of whole numbers: {problem}") from None
    if array.dtype.kind == "f":
        whole = np.where(np.isnan(array), -1, array)
        bad = ~np.isfinite(whole) | (whole != np.floor(whole))
        within(
            what,
            np.atleast_1d(whole),
            np.atleast_1d(bad),
            "whole numbers, with −1 or NaN where there is none",
        )
        array = whole.astype(np.int64)
    if array.dtype.kind not in "iu" or array.size == 0:
        raise DataError(
            f"{what} must be a non-empty array of whole numbers, got {array.dtype} of shape {array.shape}"
        )
    array = array.astype(np.int64)
    array[array == ignore_index] = -1
    within(what, np.atleast_1d(array), np.atleast_1d(array < -1), "classes count from 0, and −1 is ignored")
    return array
