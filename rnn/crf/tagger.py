"""``CRFTagger``: a network, a readout and a chain of tags as one model, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass import FactorGraph, ForwardOnly, MaxProduct, Messages, run
from msgpass.errors import DataError
from rnn.crf.chain import TagChain
from rnn.crf.loss import CRF
from rnn.layout import Layout
from rnn.networks import Network
from rnn.readout import Linear
from rnn.training import History, fit
from rnn.validation import generator, whole


class CRFTagger:
    """Tags of a sequence by a conditional random field on top of a network.

    Parameters
    ----------
    net : LSTM, GRU, RNN or another network
        A bidirectional one sees the whole sequence at every step. It is trained in place.
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
        self.readout = Linear(net.output_size, classes, dtype=net.dtype, random_state=rng)
        self.chain = TagChain(classes, allowed=allowed, dtype=net.dtype, random_state=rng)

    def loss(self, labels=None, reduction: str = "sum", **options) -> CRF:
        """The loss of this model's tags, for :func:`rnn.bptt` and :func:`rnn.fit`."""
        return CRF(labels, self.chain, reduction, self.readout, **options)

    def graph(self, x, labels=None, **data) -> FactorGraph:
        """The mixed graph that everything runs on: network, readout, chain of tags."""
        return self.net.build(self.net.call(x, self.loss(labels), **data))

    # -- weights -------------------------------------------------------------------------------------

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The network's by their keys, ``readout.weight``, ``readout.bias``, ``crf.start``,
        ``crf.transition``, ``crf.end``."""
        return {**self.net.weights, **self.loss().weights}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all weights."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self, state: Mapping) -> CRFTagger:
        """Take in weights; a DataError names missing and unknown keys."""
        own = self.loss().weights
        missing = [k for k in own if k not in state]
        if missing:
            raise DataError(
                f"the state dict lacks {', '.join(missing)}; the tagger has {', '.join(self.weights)}"
            )
        self.net.load_state_dict({k: v for k, v in state.items() if k not in own})
        self.loss().load_weights({k: np.asarray(state[k]) for k in own})
        return self

    def fit(self, x, labels, optimizer: str = "lbfgs", **options) -> History:
        """Maximise log p(labels | x); options are those of :func:`rnn.fit`, ``lengths=`` among them."""
        return fit(self.net, x, self.loss(labels, "mean"), optimizer, **options)

    # -- readings ------------------------------------------------------------------------------------

    def _run(self, x, algebra=None, schedule=None, labels=None, **data) -> tuple[Messages, Layout]:
        """(messages of the chain without labels, or clamped to ``labels``, the call's layout)."""
        loss = self.loss()
        call = self.net.call(x, loss, **data)
        values = {**self.net.weights, **loss.weights, **call.arrays}
        if labels is not None:
            values["tags"] = labels(call.layout)
        return run(self.net.kept(call), algebra, schedule, values), call.layout

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
        m, layout = self._run(x, **data)
        p = np.exp(m.belief["tags"])[..., : self.classes]
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
