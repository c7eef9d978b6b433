"""Attention: scores, one file each; ``Attention``, and the encoder-decoder that reads its source by it."""

from rnn.attention.attention import SCORES, Attention
from rnn.attention.base import Score
from rnn.attention.encoder_decoder import EncoderDecoder
from rnn.attention.generation import Generated

__all__ = ["SCORES", "Attention", "EncoderDecoder", "Generated", "Score"]
