"""Messages of factors whose hidden state has two values, compiled: logic, choices, noisy-OR.

Sums run on weights, not on logarithms. Only sums of products of non-negative numbers occur, so that nothing
cancels. Pairs are rescaled where they leave [1e-64, 1e64]. A factor that sends less than 1e-200 may have
lost something to underflow, and is handed back to be redone in logarithms.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.structured_pairs import (
    BLOCK,
    differ,
    exponentiate,
    is_far,
    logarithms,
    signed_ratio,
    write,
)

SMALL, LARGE, LOST = 1e-64, 1e64, 1e-200


@jit(_nrt=False)
def rescaled(a, b):
    """A pair in range again, up to a constant."""
    if a + b < SMALL:
        return a * LARGE, b * LARGE
    if a + b > LARGE:
        return a * SMALL, b * SMALL
    return a, b


@jit
def sum_messages(messages, arity, links, out, lost):
    """Messages through the links.

    Parameters
    ----------
    messages, out : flat (n · arity · 2,)
        Log messages in and out.
    links : (n or 1, a, 2, 2, 2)
        Weights T_i[h, x, h']; h = 0 before the first variable, h' = 0 after the last.
    lost : bool (n,)
        Set where a factor is to be redone in logarithms.
    """
    n, some, shared = lost.size, max(1, BLOCK // arity), links.shape[0] == 1
    d, r, ratios = np.zeros(some * arity + 8), np.zeros(some * arity + 8), np.zeros(some * arity + 8)
    after0, after1 = np.empty(arity), np.empty(arity)
    for start in range(0, n, some):
        factors = min(some, n - start)
        differ(messages, start * arity, factors * arity, d)
        exponentiate(d, factors * arity, r)
        for j in range(factors):
            first, table = j * arity, links[0 if shared else start + j]
            s0, s1 = 1.0, 0.0
            for i in range(arity - 1, -1, -1):
                after0[i], after1[i] = s0, s1
                t = table[i]
                a, b = (r[first + i], 1.0) if d[first + i] > 0 else (1.0, r[first + i])
                u0 = a * (t[0, 0, 0] * s0 + t[0, 0, 1] * s1) + b * (t[0, 1, 0] * s0 + t[0, 1, 1] * s1)
                u1 = a * (t[1, 0, 0] * s0 + t[1, 0, 1] * s1) + b * (t[1, 1, 0] * s0 + t[1, 1, 1] * s1)
                s0, s1 = rescaled(u0, u1)
            p0, p1, least = 1.0, 0.0, np.inf
            for i in range(arity):
                t, s0, s1 = table[i], after0[i], after1[i]
                f00, f01 = p0 * t[0, 0, 0] + p1 * t[1, 0, 0], p0 * t[0, 0, 1] + p1 * t[1, 0, 1]
                f10, f11 = p0 * t[0, 1, 0] + p1 * t[1, 1, 0], p0 * t[0, 1, 1] + p1 * t[1, 1, 1]
                off, on = f00 * s0 + f01 * s1, f10 * s0 + f11 * s1
                ratios[first + i] = signed_ratio(off, on)
                least = min(least, min(off, on))
                a, b = (r[first + i], 1.0) if d[first + i] > 0 else (1.0, r[first + i])
                p0, p1 = rescaled(a * f00 + b * f10, a * f01 + b * f11)
            lost[start + j] = least < LOST or is_far(d, first, arity)
        logarithms(ratios, factors * arity)
        write(ratios, start * arity, factors * arity, out)


@jit
def max_messages(messages, arity, links, out):
    """The same under max, in logarithms all the way; −∞ is exact."""
    n, shared = messages.size // (2 * arity), links.shape[0] == 1
    after0, after1 = np.empty(arity), np.empty(arity)
    for j in range(n):
        first, table = 2 * j * arity, links[0 if shared else j]
        s0, s1 = 0.0, -np.inf
        for i in range(arity - 1, -1, -1):
            after0[i], after1[i] = s0, s1
            a, b, t = messages[first + 2 * i], messages[first + 2 * i + 1], table[i]
            u0 = max(a + max(t[0, 0, 0] + s0, t[0, 0, 1] + s1), b + max(t[0, 1, 0] + s0, t[0, 1, 1] + s1))
            u1 = max(a + max(t[1, 0, 0] + s0, t[1, 0, 1] + s1), b + max(t[1, 1, 0] + s0, t[1, 1, 1] + s1))
            s0, s1 = u0, u1
        p0, p1 = 0.0, -np.inf
        for i in range(arity):
            t, s0, s1 = table[i], after0[i], after1[i]
            f00, f01 = max(p0 + t[0, 0, 0], p1 + t[1, 0, 0]), max(p0 + t[0, 0, 1], p1 + t[1, 0, 1])
            f10, f11 = max(p0 + t[0, 1, 0], p1 + t[1, 1, 0]), max(p0 + t[0, 1, 1], p1 + t[1, 1, 1])
            off, on = max(f00 + s0, f01 + s1), max(f10 + s0, f11 + s1)
            top = max(off, on)
            if top == -np.inf:
                top = 0.0
            out[first + 2 * i], out[first + 2 * i + 1] = off - top, on - top
            a, b = messages[first + 2 * i], messages[first + 2 * i + 1]
            p0, p1 = max(a + f00, b + f10), max(a + f01, b + f11)
