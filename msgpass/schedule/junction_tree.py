"""``JunctionTree``: exact on graphs with loops, through cliques."""

from __future__ import annotations

from msgpass.errors import DataError
from msgpass.schedule.base import Schedule


class JunctionTree(Schedule):
    """Variables are eliminated one after another; cliques of the elimination make a tree, over which messages
    pass to the root and back.

    Exact, at a cost that grows with the largest clique's table: the product of the states of its variables.

    Parameters
    ----------
    order : str
        How the order of elimination is found: "min-fill", "weighted-min-fill", "min-degree", "min-weight",
        or "best" of them.
    max_size : int
        Entries that a clique's table may have; a graph that needs more is refused before anything is
        allocated.

    Notes
    -----
    Lauritzen and Spiegelhalter 1988; Koller and Friedman 2009, chapters 9 and 10.
    """

    loops = "exact"
    ORDERS = ("min-fill", "weighted-min-fill", "min-degree", "min-weight", "best")

    def __init__(self, order: str = "min-fill", max_size: int = 1 << 26):
        if order not in self.ORDERS:
            raise DataError(f"JunctionTree: order is one of {', '.join(self.ORDERS)}, got {order!r}")
        if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1:
            raise DataError(f"JunctionTree: max_size is a number of table entries ≥ 1, got {max_size!r}")
        self.order, self.max_size = order, max_size
