"""``Embedded``: a network over tokens, whose inputs x_t = W[token_t] are messages as any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from msgpass.errors import DataError, ShapeError
from rnn.embedding import Embedding
from rnn.losses import OutputLoss
from rnn.networks.base import Call
from rnn.networks.composite import Composite
from rnn.networks.recurrent import RecurrentNetwork


def token_call(net: RecurrentNetwork, embedding: Embedding, what: str, tokens, loss, **data) -> Call:
    """A call of ``net`` with tokens (T, B), (B, T) or (T,) where its inputs would be."""
    try:
        padded = np.asarray(tokens)
    except ValueError as problem:
        raise DataError(f"{what} is not an array of tokens: {problem}") from None
    if padded.ndim not in (1, 2) or 0 in padded.shape:
        axes = "(B, T)" if net.batch_first else "(T, B)"
        raise ShapeError(
            f"{what} has shape {padded.shape}, wanted tokens {axes} or, unbatched, (T,), at least one"
        )
    blank = np.broadcast_to(np.zeros((), net.dtype), (*padded.shape, net.input_size))
    call = net.call(blank, loss, **data)
    padded = call.layout.inward(what, padded)
    if padded.dtype.kind in "iu":
        padded = call.layout.hidden(padded, embedding.padding_idx or 0)
    arrays = {k: v for k, v in call.arrays.items() if k != "x"}
    return replace(call, arrays={"tokens": embedding.tokens(what, padded), **arrays})


def check_embedding(embedding, net, width: int) -> None:
    """It makes the vectors that the network reads."""
    if not isinstance(embedding, Embedding):
        raise DataError(f"an embedding must be an Embedding(tokens, size), got {type(embedding).__name__}")
    if embedding.embedding_dim != width:
        raise ShapeError(
            f"{embedding!r} makes vectors of {embedding.embedding_dim} numbers; {net!r} reads {width}"
        )
    if embedding.dtype != net.dtype:
        raise DataError(
            f"the embedding has dtype {embedding.dtype}, the network {net.dtype}; make both alike"
        )


class Embedded(Composite):
    """A recurrent network that reads tokens.

    Parameters
    ----------
    embedding : Embedding
    net : RNN, LSTM or GRU
        Its ``input_size`` is the embedding's size. Its weights keep their keys; the table is
        ``embedding.weight``.
    random_state : int or Generator, optional
        Draws all weights anew.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import GRU, CrossEntropy, Embedding, Linear, bptt
    >>> net = Embedded(Embedding(10, 4, random_state=0), GRU(4, 6, random_state=1))
    >>> output, h_n = net(np.array([[1, 2], [3, 9], [0, 0]]))  # (T, B)
    >>> output.shape
    (3, 2, 6)
    >>> m = bptt(net, np.array([[1], [2]]), CrossEntropy([[2], [1]], readout=Linear(6, 10, random_state=2)))
    >>> m.gradient["x"].shape, np.flatnonzero(m.parameters["embedding.weight"].any(axis=1)).tolist()
    ((2, 1, 4), [1, 2])
    """

    def __init__(self, embedding: Embedding, net: RecurrentNetwork, *, random_state=None):
        if not isinstance(net, RecurrentNetwork):
            raise DataError(f"Embedded takes a network such as GRU(inputs, hidden), got {type(net).__name__}")
        check_embedding(embedding, net, net.input_size)
        self.embedding, self.net = embedding, net
        self.dtype, self.batch_first, self.dropout = net.dtype, net.batch_first, net.dropout
        self.input_size, self.output_size = 1, net.output_size
        super().__init__({"embedding.": embedding, "": net})
        if random_state is not None:
            self.reset(random_state)

    def call(self, x, loss: OutputLoss | None = None, **data) -> Call:
        """One call's tokens and what else the network takes."""
        return token_call(self.net, self.embedding, "x", x, loss, **data)

    def graph(self, x, loss: OutputLoss | None = None, h0=None, **data) -> FactorGraph:
        """The factor graph: observation ``tokens``, sequence ``x``, and the network's own over it."""
        return self.build(self.call(x, loss, **({} if h0 is None else {"h0": h0}), **data))

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call."""
        graph, net = FactorGraph(), self.net
        tokens = graph.observe("tokens", call.arrays["tokens"], states=self.embedding.num_embeddings)
        x = self.embedding.attach(graph, tokens, "x", "embedding")
        _, output = net.stack.lay_out(net.weights, call.layout, call.arrays, call.options[0], graph, x)
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, output, call.arrays, call.layout, width)
        return graph

    def __call__(self, tokens, h0=None, lengths=None):
        """Outputs of all steps, and the last states, as the network over the vectors gives them."""
        call = self.call(tokens, h0=h0, lengths=lengths)
        m = run(self.kept(call), schedule=ForwardOnly(), values={**self.weights, **call.arrays})
        return self.net.read(m, call.layout)

    def __repr__(self) -> str:
        return f"Embedded({self.embedding!r}, {self.net!r})"
