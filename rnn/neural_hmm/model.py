"""``NeuralHMM``: a network over covariates, and the hidden Markov model that it drives, as one model."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from msgpass import FactorGraph, ForwardOnly, MaxProduct, Messages, run
from msgpass.errors import DataError
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks import Call, Composite, Network
from rnn.neural_hmm.emissions import Emission
from rnn.neural_hmm.loss import Head, HiddenStates
from rnn.softmax import log_softmax
from rnn.training import History, fit
from rnn.validation import generator


class NeuralHMM(Composite):
    """A hidden Markov model whose start, transitions and emissions depend on covariates through a network.

    Parameters
    ----------
    net : MLP, RNN, LSTM, GRU or another network
        Over the covariates x; trained in place. At step t its output h_t gives the transition *into* t. A
        bidirectional one lets the states depend on covariates to come.
    states : int
        Hidden states K.
    emission : Categorical, Gaussian or Poisson
    driven : tuple of {"start", "transition", "emission"}
        Parts that the network gives; the others are parameters.
    random_state : int, Generator or None
        Draws the weights between network and tables.

    Attributes
    ----------
    head : Head
        These weights: ``hmm.transition.weight`` (K², H), ``hmm.transition.bias``, …, in a graph and in the
        state dict.

    Examples
    --------
    Two states that change place when the covariate says so:

    >>> from rnn import MLP
    >>> from rnn.neural_hmm import Gaussian
    >>> rng = np.random.default_rng(0)
    >>> x = (rng.random((200, 1, 1)) < 0.1).astype(float)
    >>> y = 4 * (np.cumsum(x, axis=0) % 2) + rng.normal(size=x.shape)
    >>> model = NeuralHMM(MLP(1), 2, Gaussian(), driven=("transition",), random_state=0)
    >>> _ = model.fit(x, y, n_iter=80, tol=None)
    >>> model.transitions(x)[x[..., 0] == 1][0].round(1)
    array([[0., 1.],
           [1., 0.]])
    """

    def __init__(
        self,
        net: Network,
        states: int,
        emission: Emission,
        driven=("transition", "emission"),
        *,
        random_state=None,
    ):
        if not isinstance(net, Network):
            raise DataError(f"NeuralHMM takes a network such as LSTM(…) or MLP(…), got {type(net).__name__}")
        self.net, self.states, self.emission, self.driven = net, states, emission, driven
        self.head = Head(
            net.output_size, states, emission, driven, dtype=net.dtype, random_state=random_state
        )
        self.driven, self.dtype = self.head.driven, net.dtype
        self.input_size, self.output_size = net.input_size, net.output_size
        super().__init__({"": net, "hmm.": self.head})

    def loss(self, y, reduction: str = "sum", **options) -> HiddenStates:
        """−log p(y | x), for :func:`rnn.bptt` and :func:`rnn.fit`."""
        return HiddenStates(y, self.head, reduction, **options)

    def call(self, x, loss: OutputLoss | None = None, **data) -> Call:
        """One call's data."""
        if not isinstance(loss, HiddenStates) or loss.head is not self.head or loss.task is not None:
            raise DataError(
                "a NeuralHMM's loss is model.loss(y), without a task; for other losses, alone or beside it "
                "in Several(…), give model.net as the network"
            )
        return self.net.call(x, loss, **data)

    def build(self, call: Call) -> FactorGraph:
        """The mixed graph of a call."""
        return self.net.build(call)

    def graph(self, x, y, **data) -> FactorGraph:
        """The mixed graph that everything runs on: network, log tables, hidden states."""
        return self.build(self.call(x, self.loss(y), **data))

    def fit(
        self, x, y, optimizer: str = "lbfgs", *, start: bool = True, random_state=None, **options
    ) -> History:
        """Maximise log p(y | x) by its gradient, which is that of EM's lower bound.

        Parameters
        ----------
        x, y
        start : bool
            Set the states' emissions apart from the data first.
        random_state : int, Generator or None
            Of that start.
        optimizer, **options
            Those of :func:`rnn.fit`, ``lengths=`` among them.
        """
        if start:
            self.head.start_from(y, generator(random_state))
        return fit(self, x, self.loss(y, "mean"), optimizer, **options)

    # -- readings ------------------------------------------------------------------------------------

    def _run(self, x, y, algebra=None, schedule=None, **data) -> tuple[Messages, Layout]:
        call = self.call(x, self.loss(y), **data)
        return run(self.kept(call), algebra, schedule, {**self.weights, **call.arrays}), call.layout

    def log_likelihood(self, x, y, **data) -> np.ndarray:
        """log p(y | x) of every sequence, (B,)."""
        return self._run(x, y, schedule=ForwardOnly(), **data)[0].totals("states")

    def smoothed(self, x, y, **data) -> np.ndarray:
        """p(z_t | y, x) given all observations, (T, B, K) in the axes of x; 0 beyond a sequence's end."""
        m, layout = self._run(x, y, **data)
        return layout.outward(layout.hidden(np.exp(m.belief["states"]), 0))

    def filtered(self, x, y, **data) -> np.ndarray:
        """p(z_t | y_0 … y_t, x), as :meth:`smoothed`; causal where the network is."""
        m, layout = self._run(x, y, schedule=ForwardOnly(), **data)
        p = np.exp(log_softmax(m.forward["states"]))
        return layout.outward(layout.hidden(p, 0))

    def decode(self, x, y, **data) -> np.ndarray:
        """The best states of every sequence (Viterbi 1967), in the axes of x; −1 beyond a sequence's end."""
        m, layout = self._run(x, y, MaxProduct(), ForwardOnly(), **data)
        return layout.outward(layout.hidden(m.assignment["states"], -1))

    def transitions(self, x, **data) -> np.ndarray:
        """p(z_t | z_{t−1}, x), (T, B, K, K) in the axes of x, row = from; the first step's is not used."""
        K, net = self.head.states, cast(Callable, self.net)
        output = net(x, **data)
        h = output[0] if isinstance(output, tuple) else output
        scores = self.head.weights["transition.bias"]
        if "transition" in self.head.driven:
            scores = h @ self.head.weights["transition.weight"].T + scores
        else:
            scores = np.broadcast_to(scores, (*h.shape[:-1], K * K))
        return np.exp(log_softmax(scores.reshape(*h.shape[:-1], K, K)))

    def __repr__(self) -> str:
        return f"NeuralHMM({self.net!r}, {self.head.states}, {type(self.head.emission).__name__})"
