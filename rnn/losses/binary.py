"""``BinaryCrossEntropy``: −Σ y log σ(o) + (1 − y) log σ(−o), minus the log-likelihood of Bernoulli data."""

from __future__ import annotations

import numpy as np

from rnn.losses.elementwise import ElementwiseLoss
from rnn.losses.ranges import within
from rnn.readout import Linear
from rnn.validation import positive


class BinaryCrossEntropy(ElementwiseLoss):
    """Negative log-likelihood of independent yes-or-no targets, whose log odds the network gives.

    −p y log σ(o) − (1 − y) log σ(−o), computed without overflow at any o.

    Parameters
    ----------
    target : array, the network's output shape (with a readout its width on the last axis)
        0 or 1, or a probability between; NaN is missing, cell by cell.
    reduction : {"sum", "mean"}
        The mean is over all observed cells.
    readout : Linear, optional
        From the network's output to one log odds a target.
    pos_weight : float
        Weight p of the ones.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

    Examples
    --------
    >>> from rnn import RNN, BinaryCrossEntropy, Linear, bptt
    >>> net, readout = RNN(1, 4, random_state=0), Linear(4, 1, random_state=1)
    >>> m = bptt(net, np.zeros((3, 1)), BinaryCrossEntropy([[0], [1], [np.nan]], readout=readout))
    >>> m.gradient["output"][2]
    array([[0.]])
    """

    def __init__(
        self,
        target,
        reduction: str = "sum",
        readout: Linear | None = None,
        *,
        pos_weight: float = 1.0,
        task: str | None = None,
    ):
        super().__init__(reduction, readout, task)
        self.target, self.pos_weight = target, positive("pos_weight", pos_weight)

    @property
    def key(self) -> tuple:
        """The weight belongs to the graph."""
        return *super().key, self.pos_weight

    def check(self, target: np.ndarray) -> None:
        """Targets are probabilities."""
        bad = (target < 0) | (target > 1)
        within("targets", target, bad, "they run from 0 to 1, NaN is missing")

    def cell(self, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and slope of every cell."""
        yes, no = self.pos_weight * target, 1 - target
        rest = np.log1p(np.exp(-np.abs(output)))
        losses = yes * (np.maximum(-output, 0) + rest) + no * (np.maximum(output, 0) + rest)
        return losses, (yes + no) * sigmoid(output) - yes

    def bend(self, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How the slope moves with the output and with the target."""
        p = sigmoid(output)
        return (self.pos_weight * target + 1 - target) * p * (1 - p), (
            self.pos_weight - 1
        ) * p - self.pos_weight


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))
