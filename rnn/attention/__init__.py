"""Attention: scores, one file each; ``Attention``, and the encoder-decoder that reads its source by it."""

from rnn.attention.attention import SCORES, Attention
from rnn.attention.base import Score

__all__ = ["SCORES", "Attention", "Score"]
