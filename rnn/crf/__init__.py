"""Conditional random fields on top of a network: a chain of tables whose evidence the network gives."""

from rnn.crf.chain import TagChain
from rnn.crf.loss import CRF
from rnn.crf.tagger import CRFTagger

__all__ = ["CRF", "CRFTagger", "TagChain"]
