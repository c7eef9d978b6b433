"""``JunctionTree``: exact on graphs with loops, through cliques."""

from __future__ import annotations

from msgpass.errors import DataError
from msgpass.schedule.base import Schedule


class JunctionTree(Schedule):
    """Variables are eliminated one after another; cliques of the elimination make a tree, over which messages
    pass to the root and back.

    Exact, at a cost that grows with the largest clique's table: the product of the states of its variables.
    Gaussian variables are eliminated in an order of small degree of their own; a clique of them costs the
    cube of its numbers, so that there may be many thousands.

    Parameters
    ----------
    order : str, or sequence of variables
        How the order of elimination is found: "min-fill", "weighted-min-fill", "min-degree", "min-weight",
        or "best" of them and of several runs with ties broken at random. Or the order itself: variables,
        their names, and rows of sequences such as ``z[3]``; a sequence stands for all its rows.
    max_size : int
        Entries that a clique's table may have; a graph that needs more is refused before anything is
        allocated. Of Gaussian variables, entries of the factor of their precision.
    tries, seed : int
        Random runs of "best", and their seed.

    Notes
    -----
    Lauritzen and Spiegelhalter 1988; Koller and Friedman 2009, chapters 9 and 10.

    Examples
    --------
    >>> from msgpass import FactorGraph, JunctionTree, Table, run
    >>> g = FactorGraph()
    >>> a, b, c = (g.variable(name, states=2) for name in "abc")
    >>> coupling = Table([[0.5, -0.5], [-0.5, 0.5]])
    >>> for pair in (a, b), (b, c), (c, a):
    ...     _ = g.factor(coupling, *pair)
    >>> round(run(g, schedule=JunctionTree()).total, 6)
    2.5339
    """

    loops = "exact"
    ORDERS = ("min-fill", "weighted-min-fill", "min-degree", "min-weight", "best")

    def __init__(self, order="min-fill", max_size: int = 1 << 26, tries: int = 8, seed: int = 0):
        for name, value, least in (("max_size", max_size, 1), ("tries", tries, 0), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                what = "a number of table entries" if name == "max_size" else "a whole number"
                raise DataError(f"JunctionTree: {name} is {what} ≥ {least}, got {value!r}")
        self.order = _order(order)
        self.max_size, self.tries, self.seed = max_size, tries, seed

    def __repr__(self) -> str:
        defaults = {"max_size": 1 << 26, "tries": 8, "seed": 0}
        shown = [f"{k}={v!r}" for k, v in vars(self).items() if defaults.get(k) != v]
        return f"JunctionTree({', '.join(shown)})"


def _order(order):
    if isinstance(order, str) and order in JunctionTree.ORDERS:
        return order
    try:
        return tuple(_entry(e) for e in ([] if isinstance(order, str) else order)) or _refuse(order)
    except TypeError:
        return _refuse(order)


def _entry(entry):
    """A node's name, or (name, row)."""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, tuple) and len(entry) == 2:
        return str(entry[0]), int(entry[1])
    node = getattr(entry, "node", entry)
    if getattr(entry, "kind", None) == "index":
        return node.name, entry.start % node.clock.total
    return node.name if hasattr(node, "name") else _refuse(entry)


def _refuse(order):
    raise DataError(
        f"JunctionTree: order is one of {', '.join(JunctionTree.ORDERS)}, or all variables in the order of "
        f"their elimination, got {order!r}"
    )
