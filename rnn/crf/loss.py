"""``CRF``: −log p(labels | x) of a whole sequence of tags, log Z − log Z with the tags clamped to the labels.

    p(z | x) ∝ exp(start[z_0] + Σ_t output[t, z_t] + Σ_t transition[z_{t−1}, z_t] + end[z_{T−1}])

(Lafferty, McCallum & Pereira 2001; on an LSTM Huang, Xu & Yu 2015). The gradient at the network's output is
the difference of two marginals, p(z_t | x) − p(z_t | x, labels), which the chain's own backward messages
give: one sweep goes on from there through the network. Under MaxProduct the same graph is the structured
perceptron (Collins 2002).
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError, ShapeError
from rnn.crf.chain import TagChain
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.losses.cross_entropy import as_labels, below
from rnn.readout import Linear


class CRF(OutputLoss):
    """Negative log-likelihood of tags under a chain whose evidence is the network's output.

    Parameters
    ----------
    labels : array of int, the network's output shape without its last axis, or None
        Tags from 0; −1, NaN and ``ignore_index`` are unknown and summed out. None: the chain without labels,
        to be read; its total is −log Z.
    chain : TagChain
        Scores of neighbouring tags, trained with the network.
    reduction : {"sum", "mean"}
        Over sequences; the mean divides by the number of labels that are known.
    readout : Linear, optional
        From the network's output to one score a tag.
    ignore_index : int
        One more label that is unknown.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

    Notes
    -----
    The graph has the discrete sequence ``tags``: ``m.belief["tags"]`` are log marginals, (T, B, K). In a
    ragged batch it has one state more, the last: "ended".

    Examples
    --------
    >>> from rnn import CRF, LSTM, Linear, TagChain, bptt
    >>> net, readout = LSTM(1, 4, random_state=0), Linear(4, 3, random_state=1)
    >>> m = bptt(net, np.zeros((5, 1)), CRF([0, 2, -1, 1, 1], TagChain(3, random_state=2), readout=readout))
    >>> m.parameters["crf.transition"].shape, m.gradient["c_l0"].shape
    ((3, 3), (5, 1, 4))
    >>> bool(np.allclose(np.exp(m.belief["tags"]).sum(axis=-1), 1))
    True
    """

    name = "labels"

    def __init__(
        self,
        labels,
        chain: TagChain,
        reduction: str = "sum",
        readout: Linear | None = None,
        *,
        ignore_index: int = -1,
        task: str | None = None,
    ):
        super().__init__(reduction, readout, task)
        if not isinstance(chain, TagChain):
            raise DataError(f"chain must be a TagChain, got {type(chain).__name__}")
        self.chain = chain
        self.labels = None if labels is None else as_labels(labels, ignore_index)

    @property
    def names(self) -> dict[str, str]:
        """What the chain is called in the graph."""
        return {name: self.named(name) for name in ("tags", "crf")}

    @property
    def key(self) -> tuple:
        """What may follow what belongs to the graph."""
        allowed = None if self.chain.allowed is None else self.chain.allowed.tobytes()
        return *super().key, self.chain.classes, allowed, self.labels is None

    @property
    def weights(self) -> Arrays:
        """The chain's beside the readout's."""
        own = {f"{self.named('crf')}.{k}": w for k, w in self.chain.weights.items()}
        return super().weights | own

    def load_weights(self, weights: Arrays) -> None:
        """Take in what training found."""
        super().load_weights(weights)
        self.chain.load_state_dict({k: weights[f"{self.named('crf')}.{k}"] for k in self.chain.weights})

    def reset(self, rng: np.random.Generator) -> None:
        """Draw the readout and the chain anew."""
        super().reset(rng)
        self.chain.reset(rng)

    def width(self, size: int, dtype: np.dtype) -> int:
        """One score a tag, all of one dtype."""
        width = super().width(size, dtype)
        if width != self.chain.classes:
            raise ShapeError(
                f"{self.chain!r} has {self.chain.classes} tags, but {width} scores come a step; give a "
                f"readout=Linear({size}, {self.chain.classes})"
            )
        if self.chain.dtype != dtype:
            raise DataError(f"the chain has dtype {self.chain.dtype}, the network {dtype}; make both alike")
        return width

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Labels as (T, B), K on padded steps; the mask of a ragged batch."""
        arrays: Arrays = {}
        if layout.present is not None:
            arrays["mask"] = layout.present[..., None].astype(dtype)
        if self.labels is None:
            return arrays
        labels = layout.inward(self.named("labels"), self.labels)
        below("labels", layout.outward(layout.hidden(labels, -1)), width)
        known = int(np.count_nonzero(layout.hidden(labels, -1) >= 0))
        scale = 1 / max(1, known) if self.reduction == "mean" else 1.0
        return arrays | {
            self.named("labels"): layout.hidden(labels, width),
            self.named("weight"): np.array(scale, dtype),
        }

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add readout and chain over the sequence ``h``, clamped to the labels."""
        output, mask = self.read_out(graph, h, layout), None
        if layout.present is not None:
            mask = graph.nodes.get("mask") or graph.observe("mask", arrays["mask"])
        z = self.chain.attach(graph, output, layout.steps, layout.batch, self.names, mask)
        if self.labels is not None:
            name, weight = self.named("labels"), self.named("weight")
            graph.condition(z, graph.observe(name, arrays[name], states=z.states))
            graph.weigh(z, graph.observe(weight, arrays[weight]), self.task)
