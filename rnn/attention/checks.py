"""What the parts of an encoder-decoder must be, and how their sizes must fit."""

from __future__ import annotations

from msgpass.errors import DataError, ShapeError
from rnn.attention.attention import Attention
from rnn.networks.embedded import check_embedding
from rnn.networks.recurrent import RecurrentNetwork
from rnn.readout import Linear


def check_kinds(net) -> None:
    """Each part is what it should be, of one precision."""
    kinds = {"encoder": RecurrentNetwork, "decoder": RecurrentNetwork}
    optional = {"attention": Attention, "readout": Linear}
    for name, kind in (kinds | optional).items():
        part = getattr(net, name)
        if not isinstance(part, kind) and not (part is None and name in optional):
            wanted = {Attention: "an Attention", Linear: "a Linear"}.get(kind, "an RNN, LSTM or GRU")
            raise DataError(f"{name} must be {wanted}, got {type(part).__name__}")
    if net.decoder.bidirectional:
        raise DataError(
            "a decoder writes one step after another and has one direction; take bidirectional=False "
            "(the encoder may have two)"
        )
    if net.encoder.batch_first != net.decoder.batch_first:
        raise DataError("encoder and decoder must have the same batch_first")
    for name in ("decoder", *optional):
        part = getattr(net, name)
        if part is not None and part.dtype != net.encoder.dtype:
            raise DataError(f"{name} has dtype {part.dtype}, the encoder {net.encoder.dtype}")
    if net.input_feeding and not net.combines:
        raise DataError(
            "input_feeding=True feeds y_t = tanh(W [c_t; s_t] + b); it needs attention with "
            "context='output' or 'both'"
        )


def check_sizes(net) -> None:
    """Each part reads as many numbers as it gets."""
    encoder, decoder, attention = net.encoder, net.decoder, net.attention
    if attention is not None:
        given = attention.query_size, attention.memory_size
        if given != (decoder.output_size, encoder.output_size):
            raise ShapeError(
                f"{attention!r} compares {given[0]} numbers with {given[1]}; the decoder's state has "
                f"{decoder.output_size} and a row of the encoder {encoder.output_size}"
            )
    if net.source_embedding is not None:
        check_embedding(net.source_embedding, encoder, encoder.input_size)
    fed = decoder.input_size - net.target_size
    if net.target_embedding is not None:
        check_embedding(net.target_embedding, decoder, net.target_embedding.embedding_dim)
        if net.target_size != net.target_embedding.embedding_dim:
            raise ShapeError(
                f"the decoder has input_size {decoder.input_size}; it reads "
                f"{net.target_embedding.embedding_dim} numbers of the target embedding and {fed} of "
                f"context and fed output: make it {net.target_embedding.embedding_dim + fed}"
            )
    elif net.target_size < 1:
        raise ShapeError(
            f"the decoder has input_size {decoder.input_size}, of which {fed} are context and fed "
            f"output; it needs more than {fed}, for inputs of its own"
        )
    if net.readout is not None and net.readout.in_features != decoder.output_size:
        raise ShapeError(
            f"{net.readout!r} reads {net.readout.in_features} features; the decoder puts out "
            f"{decoder.output_size}"
        )
