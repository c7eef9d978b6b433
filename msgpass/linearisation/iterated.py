"""``Iterated``: linearise at the smoothed path, smooth, repeat.

With :class:`Extended` this is Gauss-Newton on the log posterior of the whole trajectory (iterated extended
Kalman smoother, Bell 1994), whose fixed point is the MAP path; with a line search or Levenberg-Marquardt
damping (Särkkä & Svensson 2020) it cannot go uphill. With sigma points it is the iterated posterior
linearisation smoother (García-Fernández, Svensson & Särkkä 2017).
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from msgpass.linearisation.base import Linearisation
from msgpass.linearisation.extended import Extended


class Iterated(Linearisation):
    """Linearise every step at the posterior of the whole trajectory.

    Parameters
    ----------
    rule : Linearisation
        How a step is linearised where the path is. ``Extended()`` by default.
    max_iter : int
        Passes over the linearised chain; stopping there without convergence warns.
    tol : float
        Converged when no mean moves by more than ``tol`` times its scale (1 + its largest absolute value).
    damping : float
        Levenberg-Marquardt: each pass also sees the present path as an observation of precision ``damping``,
        ten times less after a step that helped, ten times more after one that did not. 0: none.
    line_search : bool
        Halve the step until the log posterior rises. It needs an objective, so it is used with ``Extended``
        and with covariances that are positive definite; elsewhere full steps are taken.
    start : dict from names to arrays, optional
        Paths to start from, one for each Gaussian variable of the component. By default the smoother that
        linearises on the way by ``rule``, or by ``Cubature`` instead of ``Extended``, which is not so easily
        led astray; it needs a proper prior.

    Notes
    -----
    With ``Extended``, ``total`` at convergence is Laplace's approximation of log p(y) with the Gauss-Newton
    Hessian: log p(x*, y) + ½ D log 2π − ½ log |Λ|. With sigma points it is log Z of the model linearised at
    its own posterior.

    Examples
    --------
    >>> Iterated(max_iter=20).rule
    Extended()
    """

    def __init__(
        self,
        rule: Linearisation | None = None,
        max_iter: int = 50,
        tol: float = 1e-9,
        damping: float = 0.0,
        line_search: bool = True,
        start: dict | None = None,
    ):
        rule = Extended() if rule is None else rule() if isinstance(rule, type) else rule
        if not isinstance(rule, Linearisation) or isinstance(rule, Iterated):
            raise UnsupportedError(
                "Iterated(rule) takes Extended(), Unscented(), Cubature() or GaussHermite(order), got "
                f"{rule!r}"
            )
        if isinstance(max_iter, bool) or not isinstance(max_iter, int | np.integer) or max_iter < 1:
            raise DataError(f"Iterated: max_iter is a whole number ≥ 1, got {max_iter!r}")
        if not (tol > 0 and damping >= 0):
            raise DataError(f"Iterated: tol > 0 and damping ≥ 0, got {tol!r} and {damping!r}")
        if damping > 0 and rule.spread:
            raise UnsupportedError(
                f"Iterated: damping measures the objective, which {rule!r} has none of; leave it out"
            )
        self.rule, self.max_iter, self.tol = rule, int(max_iter), float(tol)
        self.damping, self.line_search = float(damping), bool(line_search)
        self.start = (
            None if start is None else {getattr(k, "name", k): np.asarray(v) for k, v in start.items()}
        )

    def __eq__(self, other) -> bool:
        return self is other or (
            type(other) is Iterated
            and self.start is None
            and other.start is None
            and vars(self) == vars(other)
        )

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        fresh = vars(Iterated(self.rule))
        told = [f"{k}={v!r}" for k, v in vars(self).items() if k not in ("rule", "start") and v != fresh[k]]
        told += [] if self.start is None else ["start={" + ", ".join(f"{k!r}: …" for k in self.start) + "}"]
        return f"Iterated({', '.join([repr(self.rule), *told])})"

    @property
    def spread(self) -> bool:
        """Whether the rule uses the covariance."""
        return self.rule.spread
