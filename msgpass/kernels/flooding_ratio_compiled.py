"""Synchronous sweeps over tables of two binary variables, messages as ratios of their two states.

With r = m(1)/m(0), R_i the product of all that is known about variable i, and a table over its entry (0, 0),
t1 = (0, 1), t2 = (1, 0), t3 = (1, 1), the new messages of a factor over (i, j) are

    r_{a→j} = (t1 r_{a→i} + t3 R_i) / (r_{a→i} + t2 R_i),
    r_{a→i} = (t2 r_{a→j} + t3 R_j) / (r_{a→j} + t1 R_j):

one division and no transcendental function. Under max-product + is the larger of the two. A factor is read
once for both of its messages, which replace the old ones in place, for R was taken from all of them before.

A message that goes from r to r′ changes by |log r′/r| = 2 artanh(|r′ − r| / (r′ + r)); :func:`cross_sum` and
:func:`cross_max` return the largest |r′ − r| / (r′ + r). All ratios are positive and finite, which the caller
has made sure of. Arrays are filled up with ones to a multiple of eight.
"""

from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import absolute, any_lane, fma, horizontal_max, load, maximum, splat, store

LANES = 8


@lean_jit
def products(i, j, to_i, to_j, known):
    """Multiply ``known``, (variables,), by the messages of factors over (i, j)."""
    for e in range(i.size):
        known[i[e]] *= to_i[e]
        known[j[e]] *= to_j[e]


@lean_jit
def gather(i, j, known, at_i, at_j):
    """What is known about the variables of each factor."""
    for e in range(i.size):
        at_i[e] = known[i[e]]
        at_j[e] = known[j[e]]


@lean_jit
def products_along(offset, to_i, to_j, known):
    """As :func:`products` for factors over (v, v + offset), v = 0, 1, …: no index is needed."""
    for v in range(0, to_i.size, LANES):
        store(known, v, load(known, v) * load(to_i, v))
    for v in range(0, to_j.size, LANES):
        store(known, v + offset, load(known, v + offset) * load(to_j, v))


@lean_jit
def cross_sum(t1, t2, t3, step, at_i, at_j, offset, to_i, to_j):
    """New messages under sum-product.

    ``step`` is 1 where each factor has a table of its own, 0 where all share one, which then stands eight
    times; ``at_j`` is read from ``offset`` on.
    """
    worst = 0.0
    for v in range(0, to_i.size, LANES):
        a, b, p, q = load(to_i, v), load(to_j, v), load(at_i, v), load(at_j, v + offset)
        x, y, z = load(t1, v * step), load(t2, v * step), load(t3, v * step)
        to_right = fma(z, p, x * a) / fma(y, p, a)
        to_left = fma(z, q, y * b) / fma(x, q, b)
        worst = _worst(worst, to_right, b, to_left, a)
        store(to_j, v, to_right)
        store(to_i, v, to_left)
    return worst


@lean_jit
def cross_max(t1, t2, t3, step, at_i, at_j, offset, to_i, to_j):
    """New messages under max-product, as :func:`cross_sum`."""
    worst = 0.0
    for v in range(0, to_i.size, LANES):
        a, b, p, q = load(to_i, v), load(to_j, v), load(at_i, v), load(at_j, v + offset)
        x, y, z = load(t1, v * step), load(t2, v * step), load(t3, v * step)
        to_right = maximum(z * p, x * a) / maximum(y * p, a)
        to_left = maximum(z * q, y * b) / maximum(x * q, b)
        worst = _worst(worst, to_right, b, to_left, a)
        store(to_j, v, to_right)
        store(to_i, v, to_left)
    return worst


@lean_jit(inline="always")
def _worst(worst, right, right_before, left, left_before):
    """The division is made only where it raises the largest change, which a sweep does a few times."""
    most = splat(worst)
    moved_right, moved_left = absolute(right - right_before), absolute(left - left_before)
    sum_right, sum_left = right + right_before, left + left_before
    if any_lane(moved_right > most * sum_right) or any_lane(moved_left > most * sum_left):
        worst = max(worst, horizontal_max(maximum(moved_right / sum_right, moved_left / sum_left)))
    return worst
