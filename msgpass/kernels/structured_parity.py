"""Messages of parity checks on log-ratios, compiled.

With d = m(1) − m(0) and r = exp(−|d|), the weights of an even and an odd number of unlikely bits are

    E' = E + O r,   O' = O + E r,

from both ends; the ratio of a message is O/E of all others, its sign the product of theirs. That is the tanh
rule (Gallager 1963) without its cancellation for certain bits: r = 0 is a known bit, exactly. Under max it is
the least |d| of the others (min-sum).
"""

import numpy as np

from msgpass.kernels.runtime import jit


@jit
def parity_sums(log_ratios, ratios, odd, out):
    """Ratios of the messages, ``O/E`` with the sign of the likelier parity.

    Parameters
    ----------
    log_ratios, ratios : (n, a)
        d, and exp(−|d|).
    odd : bool (n or 1,)
    out : (n, a)
        O/E, negative where the variable is likelier on: the log-ratio is log(−out), or −log(out).
    """
    n, arity, shared = ratios.shape[0], ratios.shape[1], odd.shape[0] == 1
    even_after, odd_after = np.empty(arity), np.empty(arity)
    for j in range(n):
        e, o = 1.0, 0.0
        on = odd[0 if shared else j]
        for i in range(arity - 1, -1, -1):
            even_after[i], odd_after[i] = e, o
            r = ratios[j, i]
            e, o = e + o * r, o + e * r
            on ^= log_ratios[j, i] > 0
            if e > 1e100:
                e, o = e * 1e-100, o * 1e-100
        e, o = 1.0, 0.0
        for i in range(arity):
            r = ratios[j, i]
            ratio = (e * odd_after[i] + o * even_after[i]) / (e * even_after[i] + o * odd_after[i])
            out[j, i] = -ratio if on ^ (log_ratios[j, i] > 0) else ratio
            e, o = e + o * r, o + e * r
            if e > 1e100:
                e, o = e * 1e-100, o * 1e-100


@jit
def parity_maxima(log_ratios, odd, out):
    """Log-ratios of the messages under max: the least |d| of the others, with the sign of their parity."""
    n, arity, shared = log_ratios.shape[0], log_ratios.shape[1], odd.shape[0] == 1
    for j in range(n):
        on = odd[0 if shared else j]
        least, second, at = np.inf, np.inf, -1
        for i in range(arity):
            d = log_ratios[j, i]
            on ^= d > 0
            size = abs(d)
            if size < least or at < 0:
                second, least, at = least, size, i
            elif size < second:
                second = size
        for i in range(arity):
            size = second if i == at else least
            out[j, i] = size if on ^ (log_ratios[j, i] > 0) else -size
