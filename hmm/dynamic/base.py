"""The estimator that all models with several hidden variables share: what a fit is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hmm.dynamic.fitting import climb
from hmm.dynamic.network import Evidence, Network
from hmm.dynamic.reader import DynamicReader
from hmm.learning.fitting import Fitting
from hmm.monitor import ConvergenceMonitor, check_tolerance
from hmm.sequences import column_names
from hmm.validation import generator, letters, whole


@dataclass(eq=False, repr=False)
class DynamicModel(DynamicReader):
    """Base of the models; one also writes ``start`` and ``_store``."""

    n_init: int = field(default=1, kw_only=True)
    random_state: Any = field(default=None, kw_only=True)
    n_iter: int = field(default=200, kw_only=True)
    tol: float = field(default=1e-4, kw_only=True)
    verbose: bool = field(default=False, kw_only=True)

    @abstractmethod
    def start(self, X: np.ndarray, lengths: list[int], rng: np.random.Generator) -> Network:
        """Where EM starts."""

    @abstractmethod
    def _store(self, network: Network) -> None:
        """Keep a network's numbers as attributes."""

    def free(self, network: Network) -> frozenset[str]:
        """Parameters that ``params`` has a fit estimate."""
        return frozenset(n for n in network.probabilities if n[0] in self.params)

    def _check_common(self) -> None:
        whole("n_init", self.n_init, 1)
        whole("n_iter", self.n_iter, 0)
        check_tolerance(self.tol)
        letters("params", self.params, self.LETTERS)
        letters("init_params", self.init_params, self.LETTERS)

    def fit(self, X, y=None, lengths=None):
        """Estimate the parameters by EM, exact through the factor graph.

        Parameters
        ----------
        X : array-like or frame, (T, D), or a list of these
            Sequences end to end, or a list with one array a sequence; NaN is missing.
        y : ignored, or lengths
        lengths : array-like of int, optional
            Lengths of the sequences, summing to T; one sequence by default.

        Returns
        -------
        self

        Raises
        ------
        DataError, ShapeError, ProbabilityError
            Where an argument, the data or an attribute that the fit starts from cannot be used.
        ImpossibleEvidenceError
            If the start gives the data probability zero.
        TreewidthError
            If one step's tables would be larger than exact inference can hold.

        Warns
        -----
        ConvergenceWarning
            If ``n_iter`` iterations were not enough to gain less than ``tol > 0`` in one.
        """
        self.check_settings()
        names = column_names(X)
        rows, lengths = self._rows(X, y, lengths)
        monitor: ConvergenceMonitor = self._fresh_monitor()
        held: dict[str, Evidence] = {}

        def start(rng: np.random.Generator) -> Network:
            return self.start(rows, lengths, rng)

        def climbing(network: Network):
            if "of" not in held:
                held["of"] = self.evidence(network, rows, lengths, lean=True)
            return climb(network, held["of"], self.params, self.free(network), monitor)

        fitting = Fitting(start, climbing, monitor, generator(self.random_state), self.n_init)  # type: ignore[arg-type]
        self._seen(rows.shape[1], names)
        return self._concluded(fitting, self._store)

    def sample(self, n_samples: int = 1, random_state=None) -> tuple[np.ndarray, np.ndarray]:
        """(observations (n_samples, D), states (n_samples, nodes)) of one sequence."""
        network, rng = self.network(), generator(random_state)
        states = network.sample(whole("n_samples", n_samples, 1), rng)
        return network.emitted(states, rng), np.stack([states[n] for n in self.nodes()], axis=1)
