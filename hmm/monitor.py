"""What a fit tells while it runs: the history of its objective, when to stop, and a progress bar if it takes
long."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from msgpass.errors import DataError

log = logging.getLogger("hmm")

SILENT_SECONDS = 2.0
"""A fit that is over by then shows no bar."""


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


class Progress:
    """A bar on standard error, from the moment a fit has taken two seconds and if a person is watching."""

    def __init__(self, total: int, label: str, quiet: bool = False):
        self.total, self.label = total, label
        self.watched = not quiet and sys.stderr.isatty()
        self.started, self.done = time.perf_counter(), 0
        self.bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, note: str) -> None:
        """One more iteration is done."""
        self.done += 1
        if not self.watched:
            return
        if self.bar is None and time.perf_counter() - self.started > SILENT_SECONDS:
            from tqdm import tqdm

            self.bar = tqdm(
                total=self.total, initial=self.done - 1, desc=self.label, unit="iteration", leave=False
            )
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()


def check_tolerance(tol) -> float:
    """A number; zero or less runs all iterations."""
    if isinstance(tol, bool) or not isinstance(tol, int | float) or tol != tol:
        raise DataError(f"tol must be a number, got {tol!r}")
    return float(tol)
