"""What a state says of an observation, with the numbers that a network gives: one class a family.

An emission has ``size`` numbers a state, ``prepare(y)`` → (data without gaps, 1 where they are seen), and
log densities (…, K) of data (…, D) under numbers (…, K, size) with their derivatives: ``terms`` gives the
value and the slope, ``bend`` how the slope moves. Cells that are missing say nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from rnn import softmax
from rnn.losses.cross_entropy import as_labels
from rnn.losses.ranges import within
from rnn.validation import real_array, whole


class Emission(ABC):
    """Abstract. ``columns`` is the width D of the data."""

    size: int
    columns: int

    @abstractmethod
    def prepare(self, y, dtype) -> tuple[np.ndarray, np.ndarray]:
        """(data with gaps filled, mask of what is seen), both with a last axis D."""

    @abstractmethod
    def terms(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density (…, K) and its slope (…, K, size)."""

    @abstractmethod
    def bend(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """How the slope moves when the numbers move."""

    @abstractmethod
    def start(self, y: np.ndarray, states: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers (K, size) that set the states apart, from data with NaN for gaps."""

    @property
    def key(self) -> tuple:
        """Two emissions with equal keys are the same."""
        return type(self).__name__, self.size, self.columns

    def __eq__(self, other) -> bool:
        return isinstance(other, Emission) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Categorical(Emission):
    """One of ``symbols``, by a softmax.

    Parameters
    ----------
    symbols : int
        Data are (T, B) in 0 … symbols − 1; −1 or NaN is missing.
    """

    def __init__(self, symbols: int):
        self.symbols = self.size = whole("symbols", symbols)
        self.columns = 1

    def prepare(self, y, dtype) -> tuple[np.ndarray, np.ndarray]:
        """Symbols with a last axis of 1."""
        y = as_labels(y, what="symbols")
        within("symbols", y, y >= self.size, f"there are {self.size}, from 0 to {self.size - 1}")
        return np.maximum(y, 0)[..., None].astype(dtype), (y >= 0)[..., None].astype(dtype)

    def _one(self, y: np.ndarray) -> np.ndarray:
        return (y[..., :1] == np.arange(self.size))[..., None, :]

    def terms(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log softmax at the symbol."""
        log_p, one = softmax.log_softmax(n), self._one(y)
        value = softmax.total(np.where(one, log_p, 0))[..., 0] * seen
        return value, (one - np.exp(log_p)) * seen[..., None]

    def bend(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """−ṗ."""
        return -np.exp(softmax.log_softmax(n)) * softmax.push(n, moved) * seen[..., None]

    def start(self, y: np.ndarray, states: int, rng: np.random.Generator) -> np.ndarray:
        """Log frequencies, shaken."""
        counts = np.bincount(y[np.isfinite(y)].astype(int), minlength=self.size) + 1.0
        return np.log(counts / counts.sum()) + rng.normal(0, 0.5, (states, self.size))


class Gaussian(Emission):
    """Real numbers, independent given the state: means, then log variances.

    Parameters
    ----------
    columns : int
        Data are (T, B, columns); NaN is missing, cell by cell.
    """

    def __init__(self, columns: int = 1):
        self.columns = whole("columns", columns)
        self.size = 2 * columns

    def prepare(self, y, dtype) -> tuple[np.ndarray, np.ndarray]:
        """Numbers with 0 for gaps."""
        return _filled(real_array("y", y, dtype))

    def _parts(self, n, y, seen):
        D = self.columns
        weight = np.exp(-n[..., D:]) * seen[..., None, :]
        return n[..., :D] - y[..., None, :], weight

    def terms(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """−½ Σ log 2πv + (y − m)² / v."""
        r, weight = self._parts(n, y, seen)
        there = np.broadcast_to(seen[..., None, :], r.shape)
        half = 0.5 * r * r * weight
        log_v = n[..., self.columns :] + math.log(2 * math.pi)
        value = -softmax.total(half + 0.5 * there * log_v)[..., 0]
        return value, np.concatenate([-r * weight, half - 0.5 * there], axis=-1)

    def bend(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Slopes −r w and ½ r² w, moved."""
        r, weight = self._parts(n, y, seen)
        m_dot, s_dot = moved[..., : self.columns], moved[..., self.columns :]
        at_mean = -(m_dot - r * s_dot) * weight
        return np.concatenate([at_mean, r * weight * (m_dot - 0.5 * r * s_dot)], axis=-1)

    def start(self, y: np.ndarray, states: int, rng: np.random.Generator) -> np.ndarray:
        """Quantiles of the data as means, their variance over K as variances."""
        flat = y.reshape(-1, self.columns)
        means = np.nanquantile(flat, (np.arange(states) + 0.5) / states, axis=0)
        spread = np.nanvar(flat, axis=0) / states + 1e-6
        return np.concatenate([means, np.broadcast_to(np.log(spread), means.shape)], axis=1)


class Poisson(Emission):
    """Counts, independent given the state: log rates.

    Parameters
    ----------
    columns : int
        Data are (T, B, columns); NaN is missing, cell by cell.
    """

    def __init__(self, columns: int = 1):
        self.columns = self.size = whole("columns", columns)

    def prepare(self, y, dtype) -> tuple[np.ndarray, np.ndarray]:
        """Counts with 0 for gaps."""
        y = real_array("y", y, dtype)
        within("counts", y, y < 0, "counts are 0 or more, NaN is missing")
        return _filled(y)

    def terms(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Σ y r − eʳ − log y!."""
        from scipy.special import gammaln

        y, seen, rate = y[..., None, :], seen[..., None, :], np.exp(n)
        value = softmax.total((y * n - rate - gammaln(y + 1)) * seen)[..., 0]
        return value, (y - rate) * seen

    def bend(self, n: np.ndarray, y: np.ndarray, seen: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """−eʳ ṙ."""
        return -np.exp(n) * moved * seen[..., None, :]

    def start(self, y: np.ndarray, states: int, rng: np.random.Generator) -> np.ndarray:
        """Logarithms of quantiles."""
        flat = y.reshape(-1, self.columns)
        return np.log(np.nanquantile(flat, (np.arange(states) + 0.5) / states, axis=0) + 0.5)


def _filled(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = ~np.isnan(y)
    return np.where(seen, y, 0).astype(y.dtype), seen.astype(y.dtype)
