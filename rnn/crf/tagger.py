"""``CRFTagger``: a network, a readout and a chain of tags as one model, and what is read from it."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, MaxProduct, Messages, run
from msgpass.errors import DataError
from rnn.crf.chain import TagChain
from rnn.crf.loss import CRF
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks import Call, Composite, Network
from rnn.readout import Linear
from rnn.training import History, fit
from rnn.validation import generator, whole


class CRFTagger(Composite):
    """Tags of a sequence by a conditional random field on top of a network.

    Parameters
    ----------
    net : LSTM, GRU, RNN or another network
        A bidirectional one sees the whole sequence at every step. It is trained in place, and its weights
        keep their keys beside ``readout.weight``, ``crf.transition``, ….
    classes : int
        Tags K.
    allowed : array of bool (K, K), optional
        Which tag may follow which; see :class:`TagChain`.
    random_state : int, Generator or None
        Draws readout and chain.

    Attributes
    ----------
    readout : Linear
    chain : TagChain

    Examples
    --------
    Tags that repeat the input of the step before:

    >>> from rnn import LSTM
    >>> rng = np.random.default_rng(0)
    >>> bits = rng.integers(0, 2, size=(20, 8))
    >>> x, labels = bits[..., None], np.vstack([np.zeros((1, 8), int), bits[:-1]])
    >>> tagger = CRFTagger(LSTM(1, 4, random_state=0), 2, random_state=1)
    >>> _ = tagger.fit(x, labels, n_iter=100, tol=None)
    >>> bool((tagger.decode(x) == labels).mean() > 0.99)
    True
    """

    def __init__(self, net: Network, classes: int, *, allowed=None, random_state=None):
        if not isinstance(net, Network):
            raise DataError(f"CRFTagger takes a network such as LSTM(…), got {type(net).__name__}")
        rng = generator(random_state)
        self.net, self.classes = net, whole("classes", classes)
        self.dtype, self.input_size, self.output_size = net.dtype, net.input_size, self.classes
        self.readout = Linear(net.output_size, classes, dtype=net.dtype, random_state=rng)
        self.chain = TagChain(classes, allowed=allowed, dtype=net.dtype, random_state=rng)
        mask = self.chain.allowed
        self.allowed = None if mask is None else tuple(map(tuple, mask.tolist()))
        super().__init__({"": net, "readout.": self.readout, "crf.": self.chain})

    def loss(self, labels=None, reduction: str = "sum", **options) -> CRF:
        """The loss of this model's tags, for :func:`rnn.bptt` and :func:`rnn.fit`."""
        return CRF(labels, self.chain, reduction, self.readout, **options)

    def call(self, x, loss: OutputLoss | None = None, **data) -> Call:
        """One call's data; without a loss the chain has no labels."""
        if loss is None:
            loss = self.loss()
        if not isinstance(loss, CRF) or loss.chain is not self.chain or loss.task is not None:
            raise DataError(
                "a CRFTagger's loss is tagger.loss(labels), without a task; for other losses, alone or "
                "beside it in Several(…), give tagger.net as the network"
            )
        return self.net.call(x, loss, **data)

    def build(self, call: Call) -> FactorGraph:
        """The mixed graph of a call."""
        return self.net.build(call)

    def graph(self, x, labels=None, **data) -> FactorGraph:
        """The mixed graph that everything runs on: network, readout, chain of tags."""
        return self.build(self.call(x, self.loss(labels), **data))

    def fit(self, x, labels, optimizer: str = "lbfgs", **options) -> History:
        """Maximise log p(labels | x); options are those of :func:`rnn.fit`, ``lengths=`` among them."""
        return fit(self, x, self.loss(labels, "mean"), optimizer, **options)

    # -- readings ------------------------------------------------------------------------------------

    def _run(self, x, algebra=None, schedule=None, labels=None, **data) -> tuple[Messages, Layout]:
        """(messages of the chain without labels, or clamped to ``labels``, the call's layout)."""
        call = self.call(x, **data)
        values = {**self.weights, **call.arrays}
        if labels is not None:
            values["tags"] = labels(call.layout)
        return run(self.kept(call), algebra, schedule, values), call.layout

    def decode(self, x, **data) -> np.ndarray:
        """The best tags of every sequence (Viterbi 1967), in the axes of x; −1 beyond a sequence's end."""
        m, layout = self._run(x, MaxProduct(), ForwardOnly(), **data)
        return layout.outward(layout.hidden(m.assignment["tags"], -1))

    def decode_best(self, x, n: int, **data) -> tuple[np.ndarray, np.ndarray]:
        """The n best taggings of every sequence, best first: log p (B, n) and tags with an axis n in front.

        Where a sequence has fewer taggings log p is −∞ and the tags are −1.
        """
        m, layout = self._run(x, MaxProduct(), ForwardOnly(), **data)
        free, _ = self._run(x, schedule=ForwardOnly(), **data)
        best = m.k_best("tags", n)
        tags = np.stack([layout.outward(layout.hidden(t, -1)) for t in best.states])
        return best.scores - free.totals("tags")[:, None], tags

    def marginals(self, x, **data) -> np.ndarray:
        """p(tag_t | x) with a last axis of tags, in the axes of x; 0 beyond a sequence's end."""
        m, layout = self._run(x, schedule=ForwardOnly(), **data)
        # The chain alone: in the mixed graph the network's backward pass would be run for nothing.
        graph, mask = FactorGraph(), None
        if layout.present is not None:
            mask = graph.observe("mask", layout.present[..., None].astype(self.dtype))
        scores = graph.observe("scores", m.forward["output"])
        names = {"tags": "tags", "crf": "crf"}
        self.chain.attach(graph, scores, layout.steps, layout.batch, names, mask)
        p = np.exp(run(graph).belief["tags"])[..., : self.classes]
        return layout.outward(layout.hidden(p, 0))

    def log_probability(self, x, labels, **data) -> np.ndarray:
        """log p(labels | x) of every sequence, (B,); labels that are −1 are summed out."""
        loss = self.loss(labels)

        def clamped(layout):
            return loss.observed(layout, self.classes, self.net.dtype)["labels"]

        whole, _ = self._run(x, schedule=ForwardOnly(), **data)
        part, _ = self._run(x, schedule=ForwardOnly(), labels=clamped, **data)
        return part.totals("tags") - whole.totals("tags")

    def __repr__(self) -> str:
        return f"CRFTagger({self.net!r}, {self.classes})"
