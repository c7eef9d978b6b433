"""``Flooding``: loopy belief propagation."""

from __future__ import annotations

import math

from msgpass.errors import DataError
from msgpass.schedule.base import Schedule


class Flooding(Schedule):
    """Every factor tells every variable, again and again, until messages no longer change.

    Exact on trees; an approximation on graphs with loops, whose ``total`` is Bethe's.

    Parameters
    ----------
    order : str
        "residual": the message that would change most goes first; "flood": all at once; "sequential": one
        factor after another, each with the newest messages.
    damping : float
        Share of the old message in the new one, in [0, 1).
    tol : float
        Largest change of a normalised log message at which messages count as converged.
    max_iter : int
        Sweeps over all messages.

    Notes
    -----
    Pearl 1988; Yedidia, Freeman and Weiss 2005; Elidan, McGraw and Koller 2006.
    """

    loops = "approximate"
    ORDERS = ("residual", "flood", "sequential")

    def __init__(
        self, order: str = "residual", damping: float = 0.0, tol: float = 1e-6, max_iter: int = 1000
    ):
        if order not in self.ORDERS:
            raise DataError(f"Flooding: order is one of {', '.join(self.ORDERS)}, got {order!r}")
        if not 0 <= damping < 1:
            raise DataError(f"Flooding: damping is the old message's share, in [0, 1), got {damping!r}")
        if not (tol >= 0 and math.isfinite(tol)):
            raise DataError(f"Flooding: tol is a number ≥ 0, got {tol!r}")
        if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1:
            raise DataError(f"Flooding: max_iter is a whole number ≥ 1, got {max_iter!r}")
        self.order, self.damping, self.tol, self.max_iter = order, float(damping), float(tol), max_iter
