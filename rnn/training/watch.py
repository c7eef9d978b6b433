"""``Watch``: when to stop, told one loss an epoch."""

from __future__ import annotations

import numpy as np


class Watch:
    """Counts the epochs without a loss that is better by a tolerance.

    Parameters
    ----------
    tol : float or None
        A loss is better that is lower by tol · max(|loss|, 1); None never stops.
    patience : int

    Examples
    --------
    >>> watch = Watch(tol=0.1, patience=2)
    >>> for loss in (3.0, 2.0, 1.99, 2.5):
    ...     watch.told(loss)
    >>> watch.over
    True
    """

    def __init__(self, tol: float | None, patience: int):
        self.tol, self.patience = tol, patience
        self.best, self.waited = np.inf, 0

    def told(self, loss: float) -> None:
        """Take in one more loss."""
        if loss < self.best - (self.tol or 0.0) * max(abs(loss), 1.0):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1

    @property
    def over(self) -> bool:
        """Whether patience is at its end."""
        return self.tol is not None and self.waited >= self.patience
