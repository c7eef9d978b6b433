"""All prefixes e₀, e₀∘e₁, e₀∘e₁∘e₂, … of an associative ∘ in a logarithmic number of steps.

A level combines neighbours, (e₀∘e₁), (e₂∘e₃), …, scans these half as many elements, and needs one more
combination for the prefixes that end between them (Ladner & Fischer 1980; Blelloch 1990). That is fewer than
2 n combinations in 2 log₂ n batches, each of independent combinations: NumPy takes a batch at once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Element = tuple[np.ndarray, ...]
"""Elements side by side: arrays whose first axis counts them."""

Combine = Callable[[Element, Element], Element]
"""``combine(earlier, later)`` of equally many elements, pair by pair; associative, not commutative."""


def prefixes(elements: Element, combine: Combine) -> Element:
    """The combination of every element with all before it.

    Parameters
    ----------
    elements : tuple of arrays, each (n, …)
    combine : callable

    Returns
    -------
    tuple of arrays, each (n, …)

    Examples
    --------
    >>> prefixes((np.array([1, 2, 3, 4, 5]),), lambda a, b: (a[0] + b[0],))[0].tolist()
    [1, 3, 6, 10, 15]
    """
    n = len(elements[0])
    if n < 2:
        return elements
    even = n - n % 2
    pairs = combine(_take(elements, slice(0, even, 2)), _take(elements, slice(1, even, 2)))
    inner = prefixes(pairs, combine)
    between = combine(_take(inner, slice(0, (n - 1) // 2)), _take(elements, slice(2, n, 2)))
    found = []
    for first, odd, rest in zip(elements, inner, between, strict=True):
        out = np.empty((n, *odd.shape[1:]), odd.dtype)
        out[0], out[1::2], out[2::2] = first[0], odd, rest
        found.append(out)
    return tuple(found)


def suffixes(elements: Element, combine: Combine) -> Element:
    """The combination of every element with all behind it: prefixes of the reversed sequence, in blocks.

    >>> suffixes((np.array(["a", "b", "c"], object),), lambda a, b: (a[0] + b[0],))[0].tolist()
    ['abc', 'bc', 'c']
    """
    reversed_ = tuple(e[::-1] for e in elements)
    return tuple(e[::-1] for e in blocked_prefixes(reversed_, lambda a, b: combine(b, a)))


def affine(earlier: Element, later: Element) -> Element:
    """x → G x + c, one after the other: (G₂ G₁, G₂ c₁ + c₂), with matrices (n, K, K) and columns (n, K, c).

    >>> halve = np.full((3, 1, 1), 0.5), np.ones((3, 1, 1))
    >>> prefixes(halve, affine)[1].ravel().tolist()
    [1.0, 1.5, 1.75]
    """
    (G, c), (H, d) = earlier, later
    return H @ G, H @ c + d


LARGE_ELEMENT, BLOCK = 256, 1 << 16
"""Numbers in an element from which on sequences are cut into blocks, and in a block, which then stays in the
second cache: a scan over 16 states takes 24 µs a row as one tree and 13 in blocks on two threads. NumPy's
loops over smaller matrices are too short to run beside each other."""


def blocked_prefixes(elements: Element, combine: Combine) -> Element:
    """:func:`prefixes` of long sequences of large elements: a tree in each block, one over what the blocks
    have become, and every block's prefixes behind what is before it; blocks run at the same time.
    """
    n, size = len(elements[0]), sum(part[:1].size for part in elements)
    count = n * size // BLOCK
    if size < LARGE_ELEMENT or count < 2:
        return prefixes(elements, combine)
    from msgpass.kernels.runtime import run_all

    cuts = np.arange(count + 1) * n // count
    found: list[Element] = [()] * count
    errors: Any = np.geterr()  # a thread starts with NumPy's own

    def own(k: int) -> None:
        with np.errstate(**errors):
            found[k] = prefixes(_take(elements, slice(cuts[k], cuts[k + 1])), combine)

    def behind(k: int) -> None:
        before = (np.broadcast_to(part[k - 1], (cuts[k + 1] - cuts[k], *part.shape[1:])) for part in reduced)
        with np.errstate(**errors):
            found[k] = combine(tuple(before), found[k])

    run_all([(own, (k,)) for k in range(count)])
    whole = zip(*(_take(part, slice(-1, None)) for part in found), strict=True)
    reduced = prefixes(tuple(np.concatenate(ends) for ends in whole), combine)
    run_all([(behind, (k,)) for k in range(1, count)])
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _take(elements: Element, part: slice) -> Element:
    return tuple(e[part] for e in elements)
