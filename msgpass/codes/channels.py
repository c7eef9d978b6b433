"""Channels: what arrives of a word, and what that says of each bit.

A channel is two methods: ``send(word, rng)``, and ``log_evidence(received)`` → (…, 2) log P(received | bit).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    def send(self, word, rng: np.random.Generator) -> np.ndarray:
        """A word with flips."""
        word = np.asarray(word)
        return np.asarray(word ^ (rng.random(word.shape) < self.flip))

    def log_evidence(self, received) -> np.ndarray:
        """log P(received | bit)."""
        with np.errstate(divide="ignore"):
            right, wrong = np.log1p(-self.flip), np.log(self.flip)
        same = np.asarray(received)[..., None] == np.arange(2)
        return np.where(same, float(right), float(wrong))


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

    def send(self, word, rng: np.random.Generator) -> np.ndarray:
        """A word with −1 where bits are lost."""
        word = np.asarray(word)
        return np.asarray(np.where(rng.random(word.shape) < self.erased, -1, word))

    def log_evidence(self, received) -> np.ndarray:
        """log P(received | bit), up to a constant."""
        received = np.asarray(received)[..., None]
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
        if not (self.sd > 0 and np.isfinite(self.sd)):
            raise DataError(f"GaussianNoise: sd is a number above 0, got {self.sd!r}")

    @classmethod
    def at(cls, decibels: float, rate: float) -> GaussianNoise:
        """From E_b/N_0 in decibels, for a code of this rate: sd² = 1 / (2 rate 10^(dB/10))."""
        return cls(float((2 * rate * 10 ** (decibels / 10)) ** -0.5))

    def send(self, word, rng: np.random.Generator) -> np.ndarray:
        """Real numbers."""
        word = np.asarray(word)
        return 1.0 - 2.0 * word + self.sd * rng.normal(size=word.shape)

    def log_evidence(self, received) -> np.ndarray:
        """log P(received | bit), up to a constant."""
        return -0.5 * ((np.asarray(received)[..., None] - np.array([1.0, -1.0])) / self.sd) ** 2


def _probability(name: str, value) -> None:
    if not 0 <= value <= 1:
        raise ProbabilityError(f"{name} is a probability between 0 and 1, got {value!r}")
