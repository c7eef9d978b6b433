"""``Pooled``: a loss of one answer a sequence, over its steps' outputs made into one row.

    last   (h_{T−1}, h_0 of the reverse direction)        mean   1/T Σ_t h_t        max   max_t h_t

The first two are Σ_t s_t h_t with shares s_t that are data: 1 at the end, or 1/T; the maximum is over steps
with a share. A ragged sequence has its own T.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from msgpass import FactorGraph, Step
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.validation import one_of

POOLINGS = ("last", "mean", "max")


def weighted(h: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Σ_t s_t h_t, one row: (1, B, W) from (T, B, W) and shares (T, B, D), one a direction."""
    T, B, W = h.shape
    directions = share.shape[-1]
    parts = h.reshape(T, B, directions, W // directions)
    return np.einsum("tbdh,tbd->bdh", parts, share).reshape(1, B, W)


def _weighted_vjp(inputs, cotangent):
    h, share = inputs
    parts = cotangent.reshape(1, h.shape[1], share.shape[-1], -1) * share[..., None]
    return parts.reshape(h.shape), None


def greatest(h: np.ndarray, share: np.ndarray) -> np.ndarray:
    """max_t h_t over steps with a share, one row."""
    return np.where(share[..., :1] > 0, h, -np.inf).max(axis=0)[None]


def _first_greatest(h: np.ndarray, share: np.ndarray) -> np.ndarray:
    """1 at the first step that has the maximum."""
    place = np.where(share[..., :1] > 0, h, -np.inf).argmax(axis=0)
    return np.arange(len(h))[:, None, None] == place


def _greatest_vjp(inputs, cotangent):
    return _first_greatest(*inputs) * cotangent.reshape(1, *inputs[0].shape[1:]), None


def _greatest_jvp(inputs, tangents):
    return np.where(_first_greatest(*inputs), tangents[0], 0).sum(axis=0)[None]


def _straight(*_):
    return None, None


WEIGHTED = Step(
    weighted,
    vjp=_weighted_vjp,
    jvp=lambda inputs, tangents: weighted(tangents[0], inputs[1]),
    vectorized=True,
    hvp=_straight,
)
GREATEST = Step(greatest, vjp=_greatest_vjp, jvp=_greatest_jvp, vectorized=True, hvp=_straight)
STEPS = {"last": WEIGHTED, "mean": WEIGHTED, "max": GREATEST}


class OneRow(Layout):
    """The layout of what there is once a sequence: (B, ·), unbatched (·)."""

    def outer(self, *features: int) -> tuple[int, ...]:
        """The user's shape."""
        return (self.batch, *features) if self.batched else features

    def inward(self, what: str, array: np.ndarray, *features: int) -> np.ndarray:
        """As (1, B, *features)."""
        if array.shape != self.outer(*features):
            raise ShapeError(
                f"{what} has shape {array.shape}; with this x it should be {self.outer(*features)}, one row "
                "a sequence"
            )
        return array[None] if self.batched else array[None, None]

    def outward(self, array: np.ndarray) -> np.ndarray:
        """A (1, B, …) array in the user's axes."""
        return array[0] if self.batched else array[0, 0]


def shares(layout: Layout, pooling: str, directions: int, dtype: np.dtype) -> np.ndarray:
    """(T, B, directions): what each step counts."""
    steps = np.full(layout.batch, layout.steps) if layout.lengths is None else layout.lengths
    if pooling != "last":
        present = np.arange(layout.steps)[:, None] < steps
        return np.repeat((present / steps)[..., None], directions, axis=-1).astype(dtype)
    share = np.zeros((layout.steps, layout.batch, directions), dtype)
    share[steps - 1, np.arange(layout.batch), 0] = 1
    share[0, :, 1:] = 1
    return share


class Pooled(OutputLoss):
    """A loss of one answer a sequence.

    Parameters
    ----------
    loss : OutputLoss
        Its data have one row a sequence: labels (B,), targets (B, W). It brings the readout.
    pooling : {"last", "mean", "max"}
        How the steps' outputs become one row.
    directions : {1, 2}
        Of the network: with two, "last" takes the reverse direction's own last state, at the first step.

    Examples
    --------
    >>> from rnn import LSTM, CrossEntropy, Linear, bptt
    >>> net, readout = LSTM(1, 4, random_state=0), Linear(4, 2, random_state=1)
    >>> m = bptt(net, np.ones((6, 3, 1)), Pooled(CrossEntropy([0, 1, 1], readout=readout)), lengths=[6, 2, 4])
    >>> m.gradient["pooled"].shape, m.gradient["h_l0"].shape
    ((1, 3, 4), (6, 3, 4))
    """

    def __init__(self, loss: OutputLoss, pooling: str = "last", directions: int = 1):
        if not isinstance(loss, OutputLoss) or isinstance(loss, Pooled):
            raise DataError(f"Pooled takes a loss such as CrossEntropy(labels), got {type(loss).__name__}")
        if directions not in (1, 2):
            raise DataError(f"directions are 1 or 2, got {directions!r}")
        super().__init__(loss.reduction, loss.readout, loss.task)
        self.loss, self.pooling = loss, one_of("pooling", pooling, POOLINGS)
        self.directions = directions

    @property
    def key(self) -> tuple:
        """The inner loss's and the pooling."""
        return self.loss.key, self.pooling, self.directions

    @property
    def weights(self) -> Arrays:
        """Those of the loss."""
        return self.loss.weights

    def load_weights(self, weights: Arrays) -> None:
        """The loss takes its own."""
        self.loss.load_weights(weights)

    def reset(self, rng: np.random.Generator) -> None:
        """Draw the loss's weights anew."""
        self.loss.reset(rng)

    def width(self, size: int, dtype: np.dtype) -> int:
        """That of the loss."""
        return self.loss.width(size, dtype)

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """The loss's data and what each step counts."""
        share = shares(layout, self.pooling, self.directions, dtype)
        return self.loss.observed(one_row(layout), width, dtype) | {self.named("share"): share}

    def part(self, rows: np.ndarray, steps: int, batch_first: bool) -> OutputLoss:
        """The same loss over some of the sequences."""
        found = copy(self)
        found.loss = self.loss.rows(rows)
        return found

    def number(self, arrays: Arrays) -> float:
        """That of the loss."""
        return self.loss.number(arrays)

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add the pooling, and the loss over its row."""
        name, share = self.named("pooled"), self.named("share")
        pooled = graph.sequence(name, 1, shape=(layout.batch, h.shape[-1]))
        graph.factor(
            STEPS[self.pooling],
            h.all,
            graph.observe(share, arrays[share]),
            out=pooled[:],
            name=f"{name} over steps",
        )
        self.loss.attach(graph, pooled, arrays, one_row(layout), width)


def pool(output: np.ndarray, layout: Layout, pooling: str, directions: int = 1) -> np.ndarray:
    """Outputs (T, B, W) as rows (B, W)."""
    return STEPS[pooling].f(output, shares(layout, pooling, directions, output.dtype))[0]


def one_row(layout: Layout) -> OneRow:
    """Of the answers to sequences of a layout."""
    return OneRow(1, layout.batch, layout.batched, layout.batch_first)
