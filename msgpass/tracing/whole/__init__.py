"""Plain NumPy functions as programs of few operations on whole arrays, for steps of too many numbers to have
a node each: traced once, differentiated in reverse, laid out for batches (`msgpass.kernels.lane_program`).
"""

from msgpass.tracing.whole.evaluate import evaluate
from msgpass.tracing.whole.program import Program
from msgpass.tracing.whole.reverse import vjp
from msgpass.tracing.whole.trace import trace

__all__ = ["Program", "evaluate", "trace", "vjp"]
