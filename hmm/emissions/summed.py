"""Independent features whose weighted maximum is a function of a few sums."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hmm.emissions.independent import Independent
from hmm.emissions.statistics import Part, Statistics


class Summed(Independent):
    """Base of such emissions: a subclass writes ``summarise`` and ``maximum`` in place of ``maximise``."""

    @abstractmethod
    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        """What ``maximum`` needs of values (n,) under weights (K, n), beside their "mass"; n may be 0."""

    @abstractmethod
    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        """``maximise`` from statistics."""

    def maximise(self, x: np.ndarray, weights: np.ndarray, d: int, params: str) -> dict[str, np.ndarray]:
        return self.maximum(self.summary(x, weights, d), d, params)
