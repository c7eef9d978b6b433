"""Messages of parity checks on log-ratios, compiled.

With d = m(1) − m(0) and r = exp(−|d|), the weights of an even and an odd number of unlikely bits are

    E' = E + O r,   O' = O + E r,

from both ends; the ratio of a message is O/E of all others, its sign the product of theirs. That is the tanh
rule (Gallager 1963) without its cancellation for certain bits: r = 0 is a known bit, exactly. Under max it is
the least |d| of the others (min-sum).
"""

import math

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.structured_pairs import BLOCK, differ, exponentiate, is_far, logarithms, write


@jit
def parity_sums(messages, arity, odd, out, lost):
    """Sum-product messages of n checks.

    Parameters
    ----------
    messages, out : flat (n · arity · 2,)
        Log messages in and out.
    odd : bool (n or 1,)
        The parity that is wanted.
    lost : bool (n,)
        Set where a check has a message beyond exp, or one without a state: to be redone in logarithms.
    """
    n, some = lost.size, max(1, BLOCK // arity)
    d, r, ratios = np.zeros(some * arity + 8), np.zeros(some * arity + 8), np.zeros(some * arity + 8)
    even_after, odd_after = np.empty(arity), np.empty(arity)
    for start in range(0, n, some):
        checks = min(some, n - start)
        differ(messages, start * arity, checks * arity, d)
        exponentiate(d, checks * arity, r)
        for j in range(checks):
            first = j * arity
            lost[start + j] = is_far(d, first, arity)
            on = odd[start + j if odd.size > 1 else 0]
            e, o = 1.0, 0.0
            for i in range(arity - 1, -1, -1):
                even_after[i], odd_after[i] = e, o
                x = r[first + i]
                e, o = e + o * x, o + e * x
                on ^= d[first + i] > 0
                if e > 1e100:
                    e, o = e * 1e-100, o * 1e-100
            e, o = 1.0, 0.0
            for i in range(arity):
                f, p, x = even_after[i], odd_after[i], r[first + i]
                ratio = (e * p + o * f) / (e * f + o * p)
                ratios[first + i] = -ratio if on ^ (d[first + i] > 0) else ratio
                e, o = e + o * x, o + e * x
                if e > 1e100:
                    e, o = e * 1e-100, o * 1e-100
        logarithms(ratios, checks * arity)
        write(ratios, start * arity, checks * arity, out)


@jit
def parity_maxima(messages, arity, odd, out, lost):
    """The same under max: the least |d| of the others, with the sign of their parity."""
    n, some = lost.size, max(1, BLOCK // arity)
    d, found = np.zeros(some * arity + 8), np.zeros(some * arity + 8)
    for start in range(0, n, some):
        checks = min(some, n - start)
        differ(messages, start * arity, checks * arity, d)
        for j in range(checks):
            first = j * arity
            on, broken = odd[start + j if odd.size > 1 else 0], False
            least, second, at = np.inf, np.inf, -1
            for i in range(arity):
                x = d[first + i]
                size = abs(x)
                on ^= x > 0
                broken |= x != x
                if at < 0 or size < least:
                    second, least, at = least, size, i
                elif size < second:
                    second = size
            lost[start + j] = broken
            for i in range(arity):
                size = second if i == at else least
                found[first + i] = size if on ^ (d[first + i] > 0) else -size
        write(found, start * arity, checks * arity, out)


CERTAIN = 300.0
"""Size of a log-ratio beyond which exp is taken relative to the least; what is left out is below e⁻³⁰⁰."""


@jit
def parity_far(messages, arity, odd, out, lost):
    """Sum-product messages of the checks in ``lost`` whose bits all have a state, some beyond exp.

    Where all other bits are nearly certain, O/E of them is Σ exp(−|d|), taken relative to the least |d|.
    Checks that are done are no longer lost.
    """
    d, r = np.empty(arity + 8), np.empty(arity + 8)
    for j in range(lost.size):
        if not lost[j]:
            continue
        differ(messages, j * arity, arity, d)
        on, broken = odd[j if odd.size > 1 else 0], False
        for i in range(arity):
            broken |= d[i] != d[i]
            on ^= d[i] > 0
            r[i] = math.exp(-abs(d[i]))
        if broken:
            continue
        for i in range(arity):
            least = np.inf
            for k in range(arity):
                if k != i:
                    least = min(least, abs(d[k]))
            even, uneven = 1.0, 0.0
            for k in range(arity):
                if k == i or least == np.inf:
                    continue
                if least < CERTAIN:
                    even, uneven = even + uneven * r[k], uneven + even * r[k]
                else:
                    uneven += math.exp(least - abs(d[k]))
            size = np.inf
            if least < CERTAIN:
                size = math.log(even) - math.log(uneven)
            elif least < np.inf:
                size = least - math.log(uneven)
            value = size if on ^ (d[i] > 0) else -size
            out[2 * (j * arity + i)] = min(-value, 0.0)
            out[2 * (j * arity + i) + 1] = min(value, 0.0)
        lost[j] = False
