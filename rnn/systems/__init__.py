"""rnn.systems: dynamic systems as recurrences, run, differentiated and steered by the same engine."""

from rnn.systems import control

__all__ = ["control"]
