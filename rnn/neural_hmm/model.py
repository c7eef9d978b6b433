"""``NeuralHMM``: a network over covariates, and the hidden Markov model that it drives, as one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from msgpass import FactorGraph, ForwardOnly, MaxProduct, Messages, run
from msgpass.errors import DataError
from rnn.layout import Layout
from rnn.networks import Network
from rnn.neural_hmm.emissions import Emission
from rnn.neural_hmm.loss import Head, HiddenStates
from rnn.softmax import log_softmax
from rnn.training import History, fit
from rnn.validation import generator


class NeuralHMM:
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
        self.net = net
        self.head = Head(
            net.output_size, states, emission, driven, dtype=net.dtype, random_state=random_state
        )

    def loss(self, y, reduction: str = "sum", **options) -> HiddenStates:
        """−log p(y | x), for :func:`rnn.bptt` and :func:`rnn.fit`."""
        return HiddenStates(y, self.head, reduction, **options)

    def graph(self, x, y, **data) -> FactorGraph:
        """The mixed graph that everything runs on: network, log tables, hidden states."""
        return self.net.build(self.net.call(x, self.loss(y), **data))

    # -- weights -------------------------------------------------------------------------------------

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The network's by their keys, the head's as ``hmm.…``."""
        return {**self.net.weights, **{f"hmm.{k}": w for k, w in self.head.weights.items()}}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all weights."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self, state: Mapping) -> NeuralHMM:
        """Take in weights; a DataError names missing and unknown keys."""
        own = {k: v for k, v in state.items() if k.startswith("hmm.")}
        self.net.load_state_dict({k: v for k, v in state.items() if k not in own})
        self.head.load_state_dict({k.removeprefix("hmm."): v for k, v in own.items()})
        return self

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
        return fit(self.net, x, self.loss(y, "mean"), optimizer, **options)

    # -- readings ------------------------------------------------------------------------------------

    def _run(self, x, y, algebra=None, schedule=None, **data) -> tuple[Messages, Layout]:
        loss = self.loss(y)
        call = self.net.call(x, loss, **data)
        values = {**self.net.weights, **loss.weights, **call.arrays}
        return run(self.net.kept(call), algebra, schedule, values), call.layout

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
