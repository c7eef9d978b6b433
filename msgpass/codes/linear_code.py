"""``LinearCode``: the words x with H x = 0 over bits, and how messages become words."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.errors import DataError, ShapeError


class LinearCode:
    """The words that pass all parity checks.

    Parameters
    ----------
    checks : sequence of int arrays, or 0/1 array (m, n), or scipy sparse array
        The bits of each check; rows of H.
    n : int, optional
        Length of a word, where it cannot be read off a matrix.

    Attributes
    ----------
    checks : tuple of int arrays
        Bits of each check, in ascending order.
    n, m : int
        Bits of a word; checks.

    Examples
    --------
    The Hamming code (7, 4):

    >>> code = LinearCode([[0, 2, 4, 6], [1, 2, 5, 6], [3, 4, 5, 6]], 7)
    >>> code
    LinearCode(n=7, dimension=4, rate 0.571, 3 checks of weight 4)
    >>> word = code.encode([1, 0, 1, 1])
    >>> code.syndrome(word).tolist(), code.message(word).tolist()
    ([0, 0, 0], [1, 0, 1, 1])
    """

    def __init__(self, checks, n: int | None = None):
        if n is None or hasattr(checks, "tocsr"):
            checks, n = _rows(checks)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 or not len(checks):
            raise DataError(
                f"a code has words of at least one bit, and at least one check, got n={n!r} and "
                f"{len(checks)} checks"
            )
        self.n = int(n)
        self.checks = tuple(_check(k, c, self.n) for k, c in enumerate(checks))

    @property
    def m(self) -> int:
        """Checks, dependent ones included."""
        return len(self.checks)

    @property
    def edges(self) -> int:
        """Ones in H."""
        return sum(map(len, self.checks))

    @cached_property
    def matrix(self) -> np.ndarray:
        """H, (m, n) of bool."""
        found = np.zeros((self.m, self.n), bool)
        for row, c in zip(found, self.checks, strict=True):
            row[c] = True
        return found

    @cached_property
    def _reduced(self) -> tuple[np.ndarray, np.ndarray]:
        """(H in reduced echelon form without empty rows, the bit that each row decides)."""
        packed, pivots = np.packbits(self.matrix, axis=1), []
        row = 0
        # From the last bit: a message then keeps its bits at the front wherever H allows.
        for bit in range(self.n - 1, -1, -1):
            byte, mask = bit >> 3, np.uint8(128 >> (bit & 7))
            has = packed[:, byte] & mask != 0
            first = np.flatnonzero(has[row:])
            if not first.size:
                continue
            swap = row + int(first[0])
            packed[[row, swap]], has[[row, swap]] = packed[[swap, row]], has[[swap, row]]
            has[row] = False
            packed[has] ^= packed[row]
            pivots.append(bit)
            row += 1
            if row == self.m:
                break
        reduced = np.unpackbits(packed[:row], axis=1, count=self.n).astype(bool)
        return reduced, np.array(pivots, np.int64)

    @cached_property
    def message_bits(self) -> np.ndarray:
        """Places of the message within a word."""
        return np.setdiff1d(np.arange(self.n), self._reduced[1])

    @property
    def dimension(self) -> int:
        """Bits of a message."""
        return len(self.message_bits)

    @property
    def rate(self) -> float:
        """Bits of a message for each bit of a word."""
        return self.dimension / self.n

    def encode(self, message) -> np.ndarray:
        """The word that carries a message (…, dimension)."""
        bits = as_bits("a message", message, self.dimension)
        word = np.zeros((*bits.shape[:-1], self.n), np.int64)
        word[..., self.message_bits] = bits
        reduced, pivots = self._reduced
        word[..., pivots] = bits @ reduced[:, self.message_bits].T.astype(np.int64) % 2
        return word

    def message(self, word) -> np.ndarray:
        """The message that a word (…, n) carries."""
        return as_bits("a word", word, self.n)[..., self.message_bits]

    def syndrome(self, word) -> np.ndarray:
        """H x: one for each check that a word (…, n) does not pass, (…, m)."""
        bits = as_bits("a word", word, self.n)
        places = np.concatenate([[0], np.cumsum([len(c) for c in self.checks])[:-1]])
        return np.add.reduceat(bits[..., np.concatenate(self.checks)], places, axis=-1) % 2

    def __repr__(self) -> str:
        weights = sorted({len(c) for c in self.checks})
        shown = str(weights[0]) if len(weights) == 1 else f"{weights[0]} to {weights[-1]}"
        return (
            f"LinearCode(n={self.n}, dimension={self.dimension}, rate {self.rate:.3f}, {self.m} checks of "
            f"weight {shown})"
        )


def as_bits(what: str, value, size: int | None = None) -> np.ndarray:
    """Zeros and ones with a last axis of ``size``, if given."""
    bits = np.asarray(value)
    if bits.dtype.kind not in "iub" or not np.isin(bits, (0, 1)).all():
        raise DataError(f"{what} is made of the whole numbers 0 and 1, got {bits.dtype} {bits.ravel()[:4]}")
    if size is not None and (bits.ndim == 0 or bits.shape[-1] != size):
        raise ShapeError(f"{what} of this code has {size} bits, got shape {bits.shape}")
    return bits.astype(np.int64)


def _check(k: int, bits, n: int) -> np.ndarray:
    """Bits of one check in ascending order."""
    found = np.asarray(bits)
    ordered = np.sort(found, axis=None)
    fits = found.ndim == 1 and found.size and found.dtype.kind in "iu"
    if not fits or ordered[0] < 0 or ordered[-1] >= n or (np.diff(ordered) == 0).any():
        raise DataError(
            f"check {k} names the bits {found.tolist()!r:.40}; wanted at least one, each once, from 0 to "
            f"{n - 1}"
        )
    return ordered.astype(np.int64)


def _rows(checks) -> tuple[list[np.ndarray], int]:
    """Bits of each row of a matrix, and its width."""
    if hasattr(checks, "tocsr"):
        sparse = checks.tocsr()
        sparse.eliminate_zeros()
        _only_ones(sparse.data)
        rows = np.split(sparse.indices, sparse.indptr[1:-1])
        return rows, sparse.shape[1]
    try:
        matrix = np.asarray(checks)
    except ValueError:
        matrix = np.zeros(0)
    if matrix.ndim != 2:
        raise ShapeError(
            "a code is a 0/1 matrix (checks, bits), or the bits of each check together with n, the length of "
            "a word"
        )
    _only_ones(matrix[matrix != 0])
    return [np.flatnonzero(row) for row in matrix], matrix.shape[1]


def _only_ones(entries) -> None:
    if (entries != 1).any():
        raise DataError(
            f"a parity-check matrix holds zeros and ones, got {entries[entries != 1].flat[0]}; with the bits "
            "of each check in place of a matrix, give n, the length of a word, too"
        )
