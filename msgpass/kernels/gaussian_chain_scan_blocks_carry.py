"""How the rows of a block hang on its start: A and J of its associative element, from gains that are stored.

    A ← F (I − C H) A,   J ← J + (H A)ᵀ S⁻¹ (H A),

with the gains of the filter that starts from what is known for certain; C of the element is where that
filter's covariance ends (Särkkä & García-Fernández 2021; de Jong 1991 carries A as columns of the mean).
"""

from collections.abc import Callable
from functools import cache

from msgpass.kernels import gaussian_chain_small as small
from msgpass.kernels.gaussian_chain_product import add, place, subtract
from msgpass.kernels.runtime import jit
from msgpass.kernels.small_matrix import cross, load_matrix, minus, plus, product, store_matrix


def work_size(n: int, p: int, ld: int, lp: int) -> int:
    """Numbers that the kernels need as work memory, to be zeroed."""
    return 2 * ld * ld + 3 * lp * ld + ld + lp + 64


def carry(n: int, p: int) -> Callable:
    """The kernel for n states and p outputs, by size alone."""
    return _small(n, p) if n <= small.MOST_STATES and p <= small.MOST_OUTPUTS else _large


@cache
def _small(n: int, p: int) -> Callable:
    pn, pp = p * n, p * p

    @jit
    def carried(n_, p_, ld, lp, F, fs, H, hs, first, stop, index, Ct, SI, A, J, work):
        Am, Jm = load_matrix(n, n, A, 0), load_matrix(n, n, J, 0)
        for t in range(first, stop):
            s = index[t]
            seen = product(load_matrix(p, n, H, t * hs), Am)
            Jm = plus(Jm, cross(seen, product(load_matrix(p, p, SI, s * pp), seen)))
            rest = minus(Am, cross(load_matrix(p, n, Ct, s * pn), seen))
            Am = product(load_matrix(n, n, F, t * fs), rest)
        store_matrix(Am, A, 0)
        store_matrix(Jm, J, 0)

    return carried


@jit
def _large(n, p, ld, lp, F, fs, H, hs, first, stop, index, Ct, SI, A, J, work):
    o = ld + lp + 8
    Fw = work[o : o + ld * ld]
    o += ld * ld
    rest = work[o : o + ld * ld]
    o += ld * ld
    Hw = work[o : o + lp * ld]
    o += lp * ld
    seen = work[o : o + lp * ld]
    o += lp * ld
    B = work[o : o + lp * ld]
    for t in range(first, stop):
        s = index[t]
        if fs > 0 or t == first:
            place(F, t * fs, n, n, Fw, 0, ld)
        if hs > 0 or t == first:
            place(H, t * hs, p, n, Hw, 0, ld)
        add(p, ld, n, Hw, 0, ld, 1, A, 0, ld, work, 0, 0, seen, 0, ld, False)
        add(p, ld, p, SI, s * p * lp, lp, 1, seen, 0, ld, work, 0, 0, B, 0, ld, False)
        add(n, ld, p, seen, 0, 1, ld, B, 0, ld, J, 0, ld, J, 0, ld, False)
        subtract(n, ld, p, Ct, s * p * ld, 1, ld, seen, 0, ld, A, 0, ld, rest, 0, ld, False)
        add(n, ld, n, Fw, 0, ld, 1, rest, 0, ld, work, 0, 0, A, 0, ld, False)
