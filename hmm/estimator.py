"""What every estimator of ``hmm`` has, hidden Markov or linear-Gaussian: a monitor, a fit that may be watched
and interrupted, the columns it was fitted to, and a file to be kept in."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from hmm.monitor import ConvergenceMonitor, log
from msgpass.errors import ConvergenceWarning


class Estimator(BaseEstimator, ABC):
    """Base of all estimators; ``n_iter``, ``tol`` and ``verbose`` are among their settings."""

    n_iter: int
    tol: float
    verbose: bool

    @property
    def monitor_(self) -> ConvergenceMonitor:
        """History of the last fit. Set one before a fit to stop by a rule of your own."""
        return self.__dict__.get("_monitor") or ConvergenceMonitor(self.tol, self.n_iter, self.verbose)

    @monitor_.setter
    def monitor_(self, monitor: ConvergenceMonitor) -> None:
        self._monitor, self._own_monitor = monitor, True

    def has(self, field: str) -> bool:
        """Whether an attribute such as "startprob" has been fitted or set."""
        return f"{field}_" in self.__dict__ or f"_{field}_" in self.__dict__

    def save(self, path) -> None:
        """Write the model to a safetensors file, atomically; :func:`hmm.load` reads it."""
        from hmm.keeping import save

        save(self, path)

    @abstractmethod
    def check_complete(self) -> None:
        """Raise unless settings and parameters are all there and go together."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _fresh_monitor(self) -> ConvergenceMonitor:
        if self.__dict__.get("_own_monitor"):
            self._monitor.reset()
        else:
            self._monitor = ConvergenceMonitor(self.tol, self.n_iter, self.verbose)
        return self._monitor

    def _seen(self, width: int, names: np.ndarray | None) -> None:
        """Keep what the columns of a fit were; what an earlier one left is void."""
        self.n_features_in_ = width
        if names is not None:
            self.feature_names_in_ = names
        else:
            self.__dict__.pop("feature_names_in_", None)
        self.__dict__.pop("_running_", None)

    def _concluded(self, fitting, store: Callable, kept: Any = None):
        """Run a fit to its end, or to an interrupt; ``store`` keeps what it has found so far."""
        monitor = fitting.monitor
        try:
            for best in fitting:
                store(best)
        except KeyboardInterrupt:
            fitting.settle()
            if kept is not None:
                kept.write(fitting.state)
            log.warning("The fit was interrupted; the model holds the best parameters so far")
            raise
        if monitor.iter > 1 and monitor.tol > 0 and not monitor.converged:
            warnings.warn(
                f"the fit stopped after n_iter={monitor.n_iter} iterations, the last of which gained "
                f"{monitor.history[-1] - monitor.history[-2]:.3g} ≥ tol={monitor.tol}; "
                "raise n_iter, or tol, or set tol=0",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self
