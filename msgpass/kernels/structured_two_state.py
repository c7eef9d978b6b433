"""Messages of factors whose hidden state has two values, compiled: parity, logic, choices, noisy-OR.

Sums run on weights, not on logarithms: exp and log are NumPy's, over whole arrays. Only sums of products of
non-negative numbers occur, so that nothing cancels. Pairs are rescaled where they leave [1e-64, 1e64]. A
factor with an entry below 1e-200 may have lost another to underflow, and is handed back to be redone in
logarithms.
"""

import numpy as np

from msgpass.kernels.runtime import jit

SMALL, LARGE, LOST = 1e-64, 1e64, 1e-200


@jit
def sum_messages(weights, links, out, lost):
    """Messages from weights.

    Parameters
    ----------
    weights : (n, a, 2)
        Incoming, the larger entry 1.
    links : (n or 1, a, 2, 2, 2)
        Weights T_i[h, x, h']; h = 0 before the first variable, h' = 0 after the last.
    out : (n, a, 2)
    lost : bool (n,)
        Set where an entry is below ``LOST``.
    """
    n, arity, shared = weights.shape[0], weights.shape[1], links.shape[0] == 1
    after = np.empty((arity, 2))
    for j in range(n):
        table = links[0 if shared else j]
        s0, s1 = 1.0, 0.0
        for i in range(arity - 1, -1, -1):
            after[i, 0], after[i, 1] = s0, s1
            a, b, t = weights[j, i, 0], weights[j, i, 1], table[i]
            u0 = a * (t[0, 0, 0] * s0 + t[0, 0, 1] * s1) + b * (t[0, 1, 0] * s0 + t[0, 1, 1] * s1)
            u1 = a * (t[1, 0, 0] * s0 + t[1, 0, 1] * s1) + b * (t[1, 1, 0] * s0 + t[1, 1, 1] * s1)
            s0, s1 = u0, u1
            if s0 + s1 < SMALL:
                s0, s1 = s0 * LARGE, s1 * LARGE
            elif s0 + s1 > LARGE:
                s0, s1 = s0 * SMALL, s1 * SMALL
        p0, p1 = 1.0, 0.0
        least = np.inf
        for i in range(arity):
            t, s0, s1 = table[i], after[i, 0], after[i, 1]
            f00, f01 = p0 * t[0, 0, 0] + p1 * t[1, 0, 0], p0 * t[0, 0, 1] + p1 * t[1, 0, 1]
            f10, f11 = p0 * t[0, 1, 0] + p1 * t[1, 1, 0], p0 * t[0, 1, 1] + p1 * t[1, 1, 1]
            off, on = f00 * s0 + f01 * s1, f10 * s0 + f11 * s1
            out[j, i, 0], out[j, i, 1] = off, on
            least = min(least, min(off, on))
            a, b = weights[j, i, 0], weights[j, i, 1]
            p0, p1 = a * f00 + b * f10, a * f01 + b * f11
            if p0 + p1 < SMALL:
                p0, p1 = p0 * LARGE, p1 * LARGE
            elif p0 + p1 > LARGE:
                p0, p1 = p0 * SMALL, p1 * SMALL
        lost[j] = least < LOST


@jit
def max_messages(logs, links, out):
    """The same under max, in logarithms all the way; −∞ is exact."""
    n, arity, shared = logs.shape[0], logs.shape[1], links.shape[0] == 1
    after = np.empty((arity, 2))
    for j in range(n):
        table = links[0 if shared else j]
        s0, s1 = 0.0, -np.inf
        for i in range(arity - 1, -1, -1):
            after[i, 0], after[i, 1] = s0, s1
            a, b, t = logs[j, i, 0], logs[j, i, 1], table[i]
            u0 = max(a + max(t[0, 0, 0] + s0, t[0, 0, 1] + s1), b + max(t[0, 1, 0] + s0, t[0, 1, 1] + s1))
            u1 = max(a + max(t[1, 0, 0] + s0, t[1, 0, 1] + s1), b + max(t[1, 1, 0] + s0, t[1, 1, 1] + s1))
            s0, s1 = u0, u1
        p0, p1 = 0.0, -np.inf
        for i in range(arity):
            t, s0, s1 = table[i], after[i, 0], after[i, 1]
            f00, f01 = max(p0 + t[0, 0, 0], p1 + t[1, 0, 0]), max(p0 + t[0, 0, 1], p1 + t[1, 0, 1])
            f10, f11 = max(p0 + t[0, 1, 0], p1 + t[1, 1, 0]), max(p0 + t[0, 1, 1], p1 + t[1, 1, 1])
            out[j, i, 0], out[j, i, 1] = max(f00 + s0, f01 + s1), max(f10 + s0, f11 + s1)
            a, b = logs[j, i, 0], logs[j, i, 1]
            p0, p1 = max(a + f00, b + f10), max(a + f01, b + f11)
