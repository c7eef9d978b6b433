"""What a fit tells while it runs: the history of its objective, when to stop, and a progress bar if it takes
long."""

from __future__ import annotations

import logging
import sys

from msgpass.errors import DataError
from msgpass.learning.progress import Progress

__all__ = ["ConvergenceMonitor", "Progress", "check_tolerance", "log"]

log = logging.getLogger("hmm")


class ConvergenceMonitor:
    """History of the objective (the log-likelihood; with priors plus their log density) and the stopping
    rule.

    Parameters
    ----------
    tol : float
        EM stops when an iteration gains less.
    n_iter : int
        At most so many iterations.
    verbose : bool
        Whether each iteration prints a line to standard error.

    Attributes
    ----------
    history : list of float
        ``history[i]`` belongs to the parameters that iteration i started from.
    iter : int
        Iterations done.

    Examples
    --------
    >>> monitor = ConvergenceMonitor(tol=0.1, n_iter=10, verbose=False)
    >>> for value in (-5.0, -4.0, -3.99):
    ...     monitor.report(value)
    >>> monitor.converged, monitor.iter
    (True, 3)
    """

    def __init__(self, tol: float, n_iter: int, verbose: bool):
        self.tol, self.n_iter, self.verbose = tol, n_iter, verbose
        self.history: list[float] = []
        self.iter = 0

    def reset(self) -> None:
        """Forget all iterations."""
        self.history, self.iter = [], 0

    def report(self, log_prob: float) -> None:
        """Take in the objective of one more iteration."""
        gain = log_prob - self.history[-1] if self.history else float("nan")
        if self.verbose:
            print(f"{self.iter + 1:>10d} {log_prob:>16.8f} {gain:>+16.8f}", file=sys.stderr)
        if gain < -1e-8 * max(1.0, abs(log_prob)):
            log.warning(
                "Model is not converging: the objective went from %r to %r", self.history[-1], log_prob
            )
        self.history.append(log_prob)
        self.iter += 1

    @property
    def converged(self) -> bool:
        """Whether the last iteration gained less than ``tol``."""
        return len(self.history) >= 2 and self.history[-1] - self.history[-2] < self.tol

    def __repr__(self) -> str:
        last = f", last {self.history[-1]:.8g}" if self.history else ""
        settings = f"tol={self.tol}, n_iter={self.n_iter}"
        return f"ConvergenceMonitor({settings}, iter={self.iter}, converged={self.converged}{last})"


def check_tolerance(tol) -> float:
    """A number; zero or less runs all iterations."""
    if isinstance(tol, bool) or not isinstance(tol, int | float) or tol != tol:
        raise DataError(f"tol must be a number, got {tol!r}")
    return float(tol)
