"""``EncoderDecoder``: an encoder reads a source, then a decoder writes and reads the whole source each time.

    memory = encoder(source),   s₀ = bridge(last states of the encoder)
    "cell", "both"     a_t = attention(s_{t−1}, memory),  c_t = Σ_s a_ts m_s,  s_t = cell(s_{t−1}, [x_t; c_t])
    "output", "both"   y_t = tanh(W [c_t; s_t] + b), where "output" asks with s_t itself
    output             readout(y_t), or of s_t where there is no y_t

On the plate graph a decoder step reads ``encoder.all``. What carries from one decoder step to another is the
state s (and y with ``input_feeding``) alone, which ``graph.edges()`` shows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from msgpass.errors import DataError, ShapeError
from rnn.attention.attention import Attention
from rnn.attention.bridge import Bridge
from rnn.attention.checks import check_kinds, check_sizes
from rnn.attention.generation import Generated, generate
from rnn.attention.joined import SIDE_BY_SIDE, joined_step
from rnn.embedding import Embedding
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks.base import Call, checked_loss
from rnn.networks.composite import Composite
from rnn.networks.embedded import token_call
from rnn.networks.recurrent import RecurrentNetwork
from rnn.prefixed import Prefixed
from rnn.readout import Linear
from rnn.validation import flag, generator, one_of, real_array

CONTEXTS = ("cell", "output", "both")


class Source(NamedTuple):
    """What a decoder reads, as nodes of its graph."""

    memory: Any
    mask: Any
    keys: Any
    starts: dict[str, Any]
    combined0: Any


class EncoderDecoder(Composite):
    """An encoder, and a decoder that attends to all that it wrote.

    Parameters
    ----------
    encoder, decoder : RNN, LSTM or GRU
        The encoder may have several layers and two directions, the decoder several layers. The decoder's
        ``input_size`` is the width of its own inputs, plus the encoder's ``output_size`` where the context
        goes into the cell, plus its own ``output_size`` with input feeding.
    attention : Attention, optional
        ``Attention(score, decoder.output_size, encoder.output_size)``. Without it the source reaches the
        decoder through its initial state alone (Sutskever, Vinyals & Le 2014).
    context : {"cell", "output", "both"}
        Where the context goes. "cell": beside the decoder's input, asked for with the state before (Bahdanau
        et al. 2015). "output": y_t = tanh(W [c_t; s_t] + b), asked for with the present state (Luong et al.
        2015). "both": as "cell", and into y_t too.
    input_feeding : bool
        y_{t−1} beside the decoder's input (Luong et al. 2015).
    bridge : {"copy", "linear", "tanh", "zero"}, optional
        Initial states of the decoder from the encoder's last ones: themselves, by an affine map, its tanh, or
        none. By default "copy" where sizes agree, else "tanh".
    source_embedding, target_embedding : Embedding, optional
        The source, and the decoder's inputs, are then tokens.
    readout : Linear, optional
        From y_t (or s_t) to what comes out. A loss may have one instead.
    random_state : int, Generator or None
        Draws the bridge and W; the other parts are drawn as they are made.

    Attributes
    ----------
    weights : dict
        Keys ``encoder.…``, ``decoder.…``, ``attention.…``, ``bridge.h0_l0.weight``, ``combine.weight``,
        ``source_embedding.weight``, ``target_embedding.weight``, ``readout.weight``, ….

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import GRU, Attention, SquaredError, bptt
    >>> encoder, decoder = GRU(2, 3, bidirectional=True, random_state=0), GRU(1 + 6, 4, random_state=1)
    >>> net = EncoderDecoder(encoder, decoder, Attention("additive", 4, 6, random_state=2), random_state=3)
    >>> source, inputs = np.ones((5, 2, 2)), np.ones((3, 2, 1))
    >>> output, attention = net((source, inputs), lengths=[5, 3])
    >>> output.shape, attention.shape
    ((3, 2, 4), (3, 2, 5))
    >>> m = bptt(net, (source, inputs), SquaredError(np.zeros((3, 2, 4))), lengths=[5, 3])
    >>> m.gradient["attention"].shape, m.gradient["encoder.y_l0"].shape
    ((3, 2, 5), (5, 2, 6))
    """

    def __init__(
        self,
        encoder: RecurrentNetwork,
        decoder: RecurrentNetwork,
        attention: Attention | None = None,
        *,
        context: str = "cell",
        input_feeding: bool = False,
        bridge: str | None = None,
        source_embedding: Embedding | None = None,
        target_embedding: Embedding | None = None,
        readout: Linear | None = None,
        random_state=None,
    ):
        rng = generator(random_state)
        self.encoder, self.decoder, self.attention = encoder, decoder, attention
        self.context = one_of("context", context, CONTEXTS)
        self.input_feeding = flag("input_feeding", input_feeding)
        self.source_embedding, self.target_embedding = source_embedding, target_embedding
        self.readout = readout
        check_kinds(self)
        self.dtype, self.batch_first = encoder.dtype, encoder.batch_first
        self.dropout = max(encoder.dropout, decoder.dropout)
        self.starting = Bridge(encoder, decoder, bridge, rng)
        self.bridge = self.starting.kind
        width, state = encoder.output_size, decoder.output_size
        self.combine = (
            Linear(width + state, state, dtype=self.dtype, random_state=rng) if self.combines else None
        )
        self.target_size = decoder.input_size - width * self.into_cell - state * self.input_feeding
        check_sizes(self)
        self.input_size = encoder.input_size
        self.output_size = state if readout is None else readout.out_features
        parts = {
            "source_embedding.": source_embedding,
            "encoder.": encoder,
            "target_embedding.": target_embedding,
            "decoder.": decoder,
            "attention.": attention,
            **{f"bridge.{name}.": linear for name, linear in self.starting.maps.items()},
            "combine.": self.combine,
            "readout.": readout,
        }
        super().__init__({prefix: part for prefix, part in parts.items() if part is not None})

    @property
    def into_cell(self) -> bool:
        """The context goes into the cell."""
        return self.attention is not None and self.context != "output"

    @property
    def combines(self) -> bool:
        """There is y_t = tanh(W [c_t; s_t] + b)."""
        return self.attention is not None and self.context != "cell"

    # -- data --------------------------------------------------------------------------------------

    def call(  # type: ignore[override]
        self,
        x,
        loss: OutputLoss | None = None,
        *,
        lengths=None,
        h0=None,
        random_state=None,
        gates: bool = False,
    ) -> Call:
        """One call's data in the graph's axes."""
        if not isinstance(x, tuple | list) or len(x) != 2:
            raise DataError(
                f"x must be (source, inputs), what the encoder and the decoder read, got {type(x).__name__}"
            )
        rng = None if random_state is None else generator(random_state)
        source = self.encode_call(x[0], lengths, h0, rng, gates)
        layout, arrays = self._inputs(x[1])
        if (layout.batch, layout.batched) != (source.layout.batch, source.layout.batched):
            raise ShapeError(
                f"the source has {source.layout.batch} sequences and the decoder's inputs have "
                f"{layout.batch}; they must be as many, and both with a batch axis or both without"
            )
        arrays |= {f"encoder.{k}": v for k, v in source.arrays.items()}
        arrays |= {f"decoder.{k}": v for k, v in self.decoder.drawn(layout, rng).items()}
        if loss is not None:
            if checked_loss(loss).readout is not None and self.readout is not None:
                raise DataError("the network has a readout and the loss another; leave one out")
            arrays |= loss.observed(layout, loss.width(self.output_size, self.dtype), self.dtype)
        return Call(layout, arrays, loss, (flag("gates", gates), source.layout.steps))

    def encode_call(self, source, lengths=None, h0=None, rng=None, gates: bool = False) -> Call:
        """The encoder's own call."""
        data = {"h0": h0, "lengths": lengths, "random_state": rng, "gates": gates}
        if self.source_embedding is None:
            return self.encoder.call(source, **data)
        return token_call(self.encoder, self.source_embedding, "source", source, None, **data)

    def _inputs(self, inputs) -> tuple[Layout, dict[str, np.ndarray]]:
        """The decoder's inputs."""
        if self.target_embedding is None:
            array = real_array("inputs", inputs, self.dtype)
            layout = Layout.of(array, self.target_size, self.batch_first)
            return layout, {"decoder.x": layout.inward("inputs", array, self.target_size)}
        array = self.target_embedding.tokens("inputs", inputs)
        if array.ndim not in (1, 2):
            raise ShapeError(f"inputs has shape {array.shape}, wanted tokens (T, B) or, unbatched, (T,)")
        layout = Layout.of(array[..., None], 1, self.batch_first)
        return layout, {"decoder.tokens": layout.inward("inputs", array)}

    # -- graphs ------------------------------------------------------------------------------------

    def graph(self, x, loss: OutputLoss | None = None, **data) -> FactorGraph:
        """The factor graph that everything runs on.

        Parameters
        ----------
        x : (source, inputs)
        loss : SquaredError, CrossEntropy, …, optional
        **data
            ``lengths`` of the sources, ``h0`` of the encoder, ``random_state`` of dropout, ``gates``.

        Returns
        -------
        FactorGraph
            Sequences ``encoder.h_l0``, …, ``keys``, ``attention`` (B, S), ``context`` (B, M),
            ``decoder.h_l0``, …, ``combined`` (y_t), ``output``; ``encoder.x`` and ``decoder.x``, which are
            computed from ``encoder.tokens`` and ``decoder.tokens`` where there are embeddings.
        """
        return self.build(self.call(x, loss, **data))

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call."""
        graph, (gates, length) = FactorGraph(), call.options
        arrays = {k.removeprefix("encoder."): v for k, v in call.arrays.items() if k.startswith("encoder.")}
        source = self.lay_out_source(graph, arrays, length, call.layout.batch, gates)
        given = {k.removeprefix("decoder."): v for k, v in call.arrays.items() if k.startswith("decoder.")}
        output = self.lay_out_decoder(graph, given, source, call.layout.steps, call.layout.batch, gates)
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, output, call.arrays, call.layout, width)
        return graph

    def lay_out_source(self, graph, arrays, length: int, batch: int, gates: bool = False) -> Source:
        """Encoder and bridge."""
        below = None
        if self.source_embedding is not None:
            tokens = graph.observe(
                "encoder.tokens", arrays["tokens"], states=self.source_embedding.num_embeddings
            )
            below = self.source_embedding.attach(graph, tokens, "encoder.x", "source_embedding")
        layout, part = Layout(length, batch, True, False), Prefixed(graph, "encoder.")
        weights = self.encoder.weights
        _, memory = self.encoder.stack.lay_out(weights, layout, arrays, gates, part, below)
        mask = graph["encoder.mask"] if "mask" in arrays else None
        return Source(memory, mask, None, self.starting.attach(graph, batch, "encoder.", "decoder."), None)

    def lay_out_decoder(self, graph, arrays, source: Source, steps: int, batch: int, gates: bool = False):
        """Decoder, attention and readout; returns what comes out."""
        if self.target_embedding is not None:
            states = self.target_embedding.num_embeddings
            tokens = graph.observe("decoder.tokens", arrays["tokens"], states=states)
            x = self.target_embedding.attach(graph, tokens, "decoder.x", "target_embedding")
        else:
            x = graph.observe("decoder.x", arrays["x"])
        fed: list[Any] = [x[:]]
        combined: Any = None
        context: Any = None
        if self.into_cell:
            context = graph.sequence("context", steps, shape=(batch, self.encoder.output_size))
            fed.append(context[:])
        if self.combines:
            combined = graph.sequence("combined", steps, shape=(batch, self.decoder.output_size))
        if combined is not None and self.input_feeding:
            zeros = np.zeros(combined.shape, self.dtype)
            start = graph.observe("combined0", zeros if source.combined0 is None else source.combined0)
            fed.append(combined.after(start))
        below = x
        if len(fed) > 1:
            below = graph.sequence("decoder.input", steps, shape=(batch, self.decoder.input_size))
            graph.factor(SIDE_BY_SIDE, *fed, out=below[:], name="decoder.feed")
        layout, part = Layout(steps, batch, True, False), Prefixed(graph, "decoder.")
        stack, weights = self.decoder.stack, self.decoder.weights
        # With attention in its loop a cell has no compiled sweep; its two halves then take a fifth to a third
        # less than the whole, whose VJP multiplies by the weights once more to find the pre-activations.
        halves = gates or below is not x
        _, top = stack.lay_out(weights, layout, arrays, halves, part, below, source.starts)
        if self.attention is not None:
            before = source.starts[f"h0_l{self.decoder.num_layers - 1}"]
            query = top.after(before) if self.into_cell else top[:]
            _, context = self.attention.attach(
                graph, query, source.memory, steps, source.mask, context=context, keys=source.keys
            )
        if combined is not None and self.combine is not None:
            own = [graph.parameter(f"combine.{k}", w) for k, w in self.combine.weights.items()]
            graph.factor(joined_step(True), context[:], top[:], *own, out=combined[:], name="combine")
            top = combined
        return top if self.readout is None else self.readout.attach(graph, top, steps, batch)

    @property
    def output(self) -> str:
        """Name of the sequence that comes out."""
        if self.readout is not None:
            return "output"
        return "combined" if self.combines else f"decoder.h_l{self.decoder.num_layers - 1}"

    # -- values ------------------------------------------------------------------------------------

    def __call__(self, x, lengths=None, h0=None) -> tuple[np.ndarray, np.ndarray | None]:
        """Outputs of all decoder steps on given inputs (teacher forcing), and the attention.

        Parameters
        ----------
        x : (source, inputs)
            The source (S, B, I) and the decoder's inputs (T, B, X), tokens without the last axis; with
            ``batch_first`` the batch comes first; unbatched without it.
        lengths : array (B,) of int, optional
            Rows of each source; padding has no weight and is not read.
        h0 : optional
            Initial states of the encoder.

        Returns
        -------
        output : ndarray (T, B, output_size), in the axes of the inputs
        attention : ndarray (T, B, S) in the same axes, or None without attention
        """
        call = self.call(x, lengths=lengths, h0=h0)
        m = run(self.kept(call), schedule=ForwardOnly(), values={**self.weights, **call.arrays})
        weights = None if self.attention is None else call.layout.outward(m.forward["attention"])
        return call.layout.outward(m.forward[self.output]), weights

    def generate(
        self,
        source,
        start=None,
        max_steps: int = 100,
        *,
        stop: int | None = None,
        beam: int = 1,
        penalty: float = 0.0,
        lengths=None,
        h0=None,
    ) -> Generated:
        """Let the decoder read what it has written: greedily, or the best of a beam.

        Parameters
        ----------
        source : array
            As in a call.
        start : int or array, optional
            First input: a token (a number, or one a sequence); without a target embedding a row (X,) or
            (B, X), zeros by default.
        max_steps : int
        stop : int, optional
            Token after which a sequence has ended.
        beam : int
            Sequences that are followed at a time; 1 is greedy.
        penalty : float
            The best sequence of a beam has the largest log-probability / length**penalty.
        lengths, h0
            As in a call.

        Returns
        -------
        Generated
        """
        return generate(self, source, start, max_steps, stop, beam, penalty, lengths, h0)

    def __repr__(self) -> str:
        settings = f", context={self.context!r}" if self.attention is not None else ""
        fed = ", input_feeding=True" if self.input_feeding else ""
        return f"EncoderDecoder({self.encoder!r}, {self.decoder!r}, {self.attention!r}{settings}{fed})"
