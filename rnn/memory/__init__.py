"""External memory: a controller with read and write heads over slots (Graves, Wayne & Danihelka 2014)."""

from rnn.memory.network import Memory

__all__ = ["Memory"]
