"""Sequences longer than memory, and gradients while they run."""

from rnn.streams.stream import Stream, StreamPart, StreamSum, bptt_stream

__all__ = ["Stream", "StreamPart", "StreamSum", "bptt_stream"]
