"""Sequences longer than memory, and gradients while they run."""

from rnn.streams.rtrl import OnlineStep, rtrl
from rnn.streams.stream import Stream, StreamPart, StreamSum, bptt_stream

__all__ = ["OnlineStep", "Stream", "StreamPart", "StreamSum", "bptt_stream", "rtrl"]
