"""All prefixes e₀, e₀∘e₁, e₀∘e₁∘e₂, … of an associative ∘ in a logarithmic number of steps.

A level combines neighbours, (e₀∘e₁), (e₂∘e₃), …, scans these half as many elements, and needs one more
combination for the prefixes that end between them (Ladner & Fischer 1980; Blelloch 1990). That is fewer than
2 n combinations in 2 log₂ n batches, each of independent combinations: NumPy takes a batch at once.
"""

from collections.abc import Callable

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
    """The combination of every element with all behind it: prefixes of the reversed sequence.

    >>> suffixes((np.array(["a", "b", "c"], object),), lambda a, b: (a[0] + b[0],))[0].tolist()
    ['abc', 'bc', 'c']
    """
    reversed_ = tuple(e[::-1] for e in elements)
    return tuple(e[::-1] for e in prefixes(reversed_, lambda a, b: combine(b, a)))


def _take(elements: Element, part: slice) -> Element:
    return tuple(e[part] for e in elements)
