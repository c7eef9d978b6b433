"""``Flooding``: loopy belief propagation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from msgpass.errors import DataError
from msgpass.schedule.base import Schedule


class Flooding(Schedule):
    """Every factor tells every variable, again and again, until messages no longer change.

    Exact on trees; an approximation on graphs with loops, whose ``total`` is Bethe's. ``m.convergence`` says
    how a run went; one that stopped early warns (``ConvergenceWarning``).

    Parameters
    ----------
    order : str
        "residual": the message that would change most goes first; "flood": all at once, from those of the
        sweep before; "sequential": one factor after another, each with the newest messages, every other
        sweep in the opposite order. Factors with structure (that have no table) are updated family by
        family, and "residual" means "sequential" where there are any.
    damping : float
        Share of the old log message in the new one, in [0, 1).
    tol : float
        Largest change of a log message, undamped and up to a constant, at which messages count as
        converged.
    max_iter : int
        Sweeps over all messages; under "residual" as many single messages as so many sweeps have.
    counting : float, "tree" or dict, optional
        Counting numbers c_a of factors over two variables and more, of tables alone: the approximation of
        log Z is

            max_b  Σ_a E[θ_a] + Σ_a c_a H(b_a) + Σ_i (1 − Σ_{a∋i} c_a) H(b_i).

        1, the default, is Bethe's; "tree" has each factor the share of spanning trees that it belongs to in
        the uniform distribution over them: for pairwise tables under SumProduct, ``total`` is then an upper
        bound of log Z (tree-reweighted), and there is one fixed point. A number > 0 is fractional belief
        propagation. A dict names factors: {"pair": 0.5, "other": array of one number an instance}.
    start : Messages, optional
        An earlier run on the same graph under Flooding, whose messages this one begins with.

    Notes
    -----
    Pearl 1988; Yedidia, Freeman and Weiss 2005; Elidan, McGraw and Koller 2006; Wiegerinck and Heskes 2003;
    Wainwright, Jaakkola and Willsky 2005.

    Examples
    --------
    Three spins that agree with each other: the loop counts its evidence twice.

    >>> from msgpass import FactorGraph, Flooding, Table, run
    >>> g = FactorGraph()
    >>> s = g.sequence("s", length=3, states=2)
    >>> _ = g.factor(Table([[0.5, -0.5], [-0.5, 0.5]]), s[[0, 1, 2]], s[[1, 2, 0]])
    >>> _ = g.factor(Table([-0.3, 0.3]), s[:])
    >>> m = run(g, schedule=Flooding())
    >>> round(m.total, 6), np.exp(m.belief["s"])[0].round(6).tolist()
    (2.761855, [0.181174, 0.818826])
    """

    loops = "approximate"
    ORDERS = ("residual", "flood", "sequential")

    def __init__(
        self,
        order: str = "residual",
        damping: float = 0.0,
        tol: float = 1e-6,
        max_iter: int = 1000,
        counting: Any = None,
        start: Any = None,
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
        if start is not None and not hasattr(start, "component"):
            raise DataError(f"Flooding: start is what run() returned earlier, got {type(start).__name__}")
        self.counting, self.start = _counting(counting), start

    def __repr__(self) -> str:
        shown = [repr(self.order)]
        shown += [f"damping={self.damping!r}"] if self.damping else []
        shown += [f"tol={self.tol!r}"] if self.tol != 1e-6 else []
        shown += [f"max_iter={self.max_iter!r}"] if self.max_iter != 1000 else []
        if self.counting is not None:
            shown.append(
                f"counting={dict(self.counting) if isinstance(self.counting, tuple) else self.counting!r}"
            )
        shown += ["start=…"] if self.start is not None else []
        return f"Flooding({', '.join(shown)})"


def _counting(given):
    """None, "tree", a number, or ((name, number or numbers), …): values that can be compared and hashed."""
    if given is None or given == "tree":
        return given
    if isinstance(given, dict):
        return tuple(
            (getattr(k, "name", k), _positive(v) if np.ndim(v) == 0 else tuple(map(_positive, v)))
            for k, v in given.items()
        )
    return _positive(given)


def _positive(number) -> float:
    try:
        value = float(number)
    except (TypeError, ValueError):
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise DataError(
            'Flooding: counting numbers are > 0: one number, "tree", or a dict from factors to a number or '
            f"an array of one an instance, got {number!r}"
        )
    return value
