"""Between log messages of binary variables and ratios of weights, compiled: a block of messages at a time.

A message is its log-ratio d = m(1) − m(0) and r = exp(−|d|), the lesser weight over the greater. A kernel
says the ratio of what it sends, negative where the variable is likelier on.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import (
    absolute,
    copysign,
    load,
    negative,
    store,
    vexp,
    vlog,
)

BLOCK = 1024
"""Messages at a time, which the first-level cache holds."""

FARTHEST = 700.0
"""Log-ratio beyond which exp underflows, and logarithms are needed."""


@jit(_nrt=False)
def differ(messages, first, count, d):
    """``d[k] = m(1) − m(0)`` of ``count`` messages; NaN where a message has no state."""
    for k in range(count):
        d[k] = messages[2 * (first + k) + 1] - messages[2 * (first + k)]


@jit(_nrt=False)
def exponentiate(d, count, r):
    """``r = exp(−|d|)``; arrays have room for seven numbers more."""
    for k in range(0, count, 8):
        store(r, k, vexp(negative(absolute(load(d, k)))))


@jit(_nrt=False)
def logarithms(ratios, count):
    """Signed ratios → log-ratios m(1) − m(0), in place."""
    for k in range(0, count, 8):
        x = load(ratios, k)
        store(ratios, k, copysign(vlog(absolute(x)), negative(x)))


@jit(_nrt=False)
def write(d, first, count, messages):
    """Log-ratios → messages with the better state at 0."""
    for k in range(count):
        messages[2 * (first + k)] = min(-d[k], 0.0)
        messages[2 * (first + k) + 1] = min(d[k], 0.0)


@jit(_nrt=False)
def is_far(d, first, count):
    """A log-ratio is NaN, or finite and beyond exp."""
    for k in range(first, first + count):
        size = abs(d[k])
        if not size <= FARTHEST and size != np.inf:
            return True
    return False


@jit(_nrt=False)
def signed_ratio(off, on):
    """Lesser over greater, negative where ``on`` is the greater; NaN of two zeros."""
    return -(off / on) if on > off else on / off
