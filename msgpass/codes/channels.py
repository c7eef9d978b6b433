"""Channels: what arrives of a word, and what that says of each bit.

A channel is two methods: ``send(word, rng)``, and ``log_evidence(received)`` → (…, 2) log P(received | bit).
A bit that did not arrive is −1 (NaN behind GaussianNoise), and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.codes.linear_code import as_bits
from msgpass.errors import DataError, ProbabilityError


@dataclass(frozen=True)
class BinarySymmetric:
    """Each bit is flipped with probability ``flip``.

    Examples
    --------
    >>> np.exp(BinarySymmetric(0.1).log_evidence([0, 1])).round(2).tolist()
    [[0.9, 0.1], [0.1, 0.9]]
    """

    flip: float

    def __post_init__(self) -> None:
        _probability("flip", self.flip)

    def send(self, word, rng) -> np.ndarray:
        """A word with flips; ``rng`` is a Generator or a seed."""
        word = as_bits("a word", word)
        return np.asarray(word ^ (np.random.default_rng(rng).random(word.shape) < self.flip))

    def log_evidence(self, received) -> np.ndarray:
        """log P(received | bit)."""
        with np.errstate(divide="ignore"):
            right, wrong = np.log1p(-self.flip), np.log(self.flip)
        received = _arrived(received)[..., None]
        found = np.where(received == np.arange(2), float(right), float(wrong))
        return np.where(received < 0, 0.0, found)


@dataclass(frozen=True)
class BinaryErasure:
    """Each bit is lost with probability ``erased``; lost ones arrive as −1, others are certain.

    Examples
    --------
    >>> BinaryErasure(0.5).log_evidence([1, -1]).tolist()
    [[-inf, 0.0], [0.0, 0.0]]
    """

    erased: float

    def __post_init__(self) -> None:
        _probability("erased", self.erased)

    def send(self, word, rng) -> np.ndarray:
        """A word with −1 where bits are lost; ``rng`` is a Generator or a seed."""
        word = as_bits("a word", word)
        return np.asarray(np.where(np.random.default_rng(rng).random(word.shape) < self.erased, -1, word))

    def log_evidence(self, received) -> np.ndarray:
        """log P(received | bit), up to a constant."""
        received = _arrived(received)[..., None]
        return np.where((received < 0) | (received == np.arange(2)), 0.0, -np.inf)


@dataclass(frozen=True)
class GaussianNoise:
    """Bits as +1 (0) and −1 (1) in white noise of standard deviation ``sd``.

    Examples
    --------
    >>> channel = GaussianNoise.at(1.5, rate=0.5)  # decibels of energy a message bit over the noise
    >>> round(channel.sd, 4)
    0.8414
    """

    sd: float

    def __post_init__(self) -> None:
        if not 0 < _number(self.sd) < np.inf:
            raise DataError(f"GaussianNoise: sd is a number above 0, got {self.sd!r}")

    @classmethod
    def at(cls, decibels: float, rate: float) -> GaussianNoise:
        """From E_b/N_0 in decibels, for a code of this rate: sd² = 1 / (2 rate 10^(dB/10))."""
        if not 0 < _number(rate) <= 1 or not np.isfinite(_number(decibels)):
            raise DataError(
                f"GaussianNoise.at: a number of decibels and a rate in (0, 1], got {decibels!r} and {rate!r}"
            )
        return cls(float((2 * rate * 10 ** (decibels / 10)) ** -0.5))

    def send(self, word, rng) -> np.ndarray:
        """Real numbers; ``rng`` is a Generator or a seed."""
        word = as_bits("a word", word)
        return 1.0 - 2.0 * word + self.sd * np.random.default_rng(rng).normal(size=word.shape)

    def log_evidence(self, received) -> np.ndarray:
        """log P(received | bit), up to a constant."""
        try:
            received = np.asarray(received, float)[..., None]
        except (TypeError, ValueError):
            raise DataError(f"GaussianNoise: what arrives is real numbers, got {received!r:.60}") from None
        found = -0.5 * ((received - np.array([1.0, -1.0])) / self.sd) ** 2
        return np.where(np.isnan(received), 0.0, found)


def _number(value: Any) -> float:
    """NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _probability(name: str, value) -> None:
    if not 0 <= _number(value) <= 1:
        raise ProbabilityError(f"{name} is a probability between 0 and 1, got {value!r}")


def _arrived(received) -> np.ndarray:
    """Bits, and −1 for those that did not arrive."""
    bits = np.asarray(received)
    if bits.dtype.kind not in "iub" or not np.isin(bits, (-1, 0, 1)).all():
        raise DataError(
            f"what arrives is 0, 1, or -1 for a lost bit, as whole numbers, got {bits.dtype} "
            f"{bits.ravel()[:4]}"
        )
    return bits
