"""The contract of a solver step: from f and a method, a function of (y, t, h, params).

    step = solver_step(f, "dopri5")
    y_new = step(y, t, h, params)                       y at t + h
    y_new, ks = step.stages(y, t, h, params)            with f at the stages
    error = step.error(ks, h)                           the embedded estimate, an array like y
    y_mid = step.dense(y, ks, h, theta)                 y at t + θh from the stages
    y_mid = step.within(y, t, h, theta, params)         the same from the start of the step alone
    potential = step.potential(params)                  a Step of (y, t, h, *arrays of params)

``y`` has any shape. ``t``, ``h`` and ``theta`` are numbers, or arrays that broadcast against y; h may be
negative. ``params`` is what f takes as its third argument; where it is None, f is called as ``f(t, y)``.
Explicit steps are straight-line NumPy code, so that they can be differentiated in every argument by autograd
or traced and compiled. Implicit steps solve equations; their derivative is by the implicit function theorem,
in ``potential``.
"""

from __future__ import annotations

from collections.abc import Callable

from msgpass import Step
from msgpass.errors import DataError, UnsupportedError
from rnn.ode.field import Field
from rnn.ode.implicit import reversed_step, solved_stages
from rnn.ode.methods import METHODS
from rnn.ode.parameters import Packing
from rnn.ode.stages import explicit_stages
from rnn.ode.tableau import Tableau, combination
from rnn.ode.together import at_once


def tableau_of(method: str | Tableau) -> Tableau:
    """By name, or as it is."""
    if isinstance(method, Tableau):
        return method
    if not isinstance(method, str):
        raise DataError(f"method is a name or a Tableau, got {type(method).__name__}")
    if method not in METHODS:
        raise UnsupportedError(
            f"no method is called {method!r}; there are {', '.join(METHODS)}, and scipy's as 'scipy:RK45', "
            "'scipy:DOP853', 'scipy:Radau', 'scipy:BDF', 'scipy:LSODA'"
        )
    return METHODS[method]


def solver_step(f: Callable, method: str | Tableau = "dopri5") -> SolverStep:
    """One step of ``method`` for dy/dt = f(t, y, params).

    Parameters
    ----------
    f : callable
        ``f(t, y, params)`` → dy/dt, an array like y; a list of numbers is stacked. ``f(t, y)`` where params
        is None.
    method : str or Tableau

    Returns
    -------
    SolverStep
        Called as ``step(y, t, h, params=None)`` → y at t + h.

    Examples
    --------
    >>> step = solver_step(lambda t, y, k: -k * y, "rk4")
    >>> round(float(step(1.0, 0.0, 0.1, 2.0)), 4)  # exp(−0.2)
    0.8187
    """
    return SolverStep(f, tableau_of(method))


class SolverStep:
    """See the module: called as ``step(y, t, h, params)``."""

    def __init__(self, f, tableau: Tableau):
        if not callable(f) and not isinstance(f, Step):
            raise DataError(f"f must be a function f(t, y, params), got {type(f).__name__}")
        self.f, self.tableau = f, tableau

    def __call__(self, y, t, h, params=None):
        """y at t + h."""
        if self.tableau.implicit:
            return self.stages(y, t, h, params)[0]
        return _advance(self.tableau, self.rate(params), y, t, h)

    def stages(self, y, t, h, params=None, first=None, rate=None):
        """(y at t + h, list of f at every stage); ``first`` is f(t, y) where it is known, ``rate`` what
        :meth:`rate` gave."""
        rate = self.rate(params) if rate is None else rate
        if self.tableau.implicit:
            ks = solved_stages(self.tableau, rate, y, t, h, first=first)
            return y + h * combination(self.tableau.b, ks), ks
        ks = explicit_stages(self.tableau, rate, y, t, h, first=first)
        return y + h * combination(self.tableau.b, ks), ks

    def error(self, ks, h):
        """The embedded error estimate."""
        if self.tableau.error is None:
            raise UnsupportedError(f"{self.tableau.name} has no error estimate; give it a fixed step")
        return h * combination(self.tableau.error, ks)

    def dense(self, y, ks, h, theta):
        """y at t + θh."""
        total = None
        for weight, row, k in zip(self.tableau.weights(theta), self.tableau.dense, ks, strict=True):
            if any(row):
                total = weight * k if total is None else total + weight * k
        return y + h * total

    def within(self, y, t, h, theta, params=None):
        """y at t + θh, from the start of the step."""
        return self.dense(y, self.stages(y, t, h, params)[1], h, theta)

    def potential(self, params=None, like=None) -> Step:
        """The step as a factor: ``Step`` of (y, t, h, *arrays), arrays in the order of params' names; with a
        state ``like`` those that it will see, many instances at once where f allows that."""
        packing = Packing.of(params)
        field = Field.of(self.f, packing)
        if isinstance(self.f, Step) and self.f.jax is not None and not self.tableau.implicit:
            return Step.from_jax(explicit_function(self.tableau, self.f.jax))
        if self.tableau.implicit or field.own:
            return reversed_step(self.tableau, field)
        return as_step(explicit_function(self.tableau, field), like, packing.values(params), 2)

    def potential_within(self, params=None, like=None) -> Step:
        """A place within the step as a factor: ``Step`` of (y, t, h, theta, *arrays)."""
        packing = Packing.of(params)
        field = Field.of(self.f, packing)
        if self.tableau.implicit or field.own:
            return reversed_step(self.tableau, field, within=True)

        def within(y, t, h, theta, *arrays):
            ks = explicit_stages(self.tableau, lambda s, x: field(s, x, *arrays), y, t, h)
            return self.dense(y, ks, h, theta)

        return as_step(within, like, packing.values(params), 3)

    def rate(self, params=None) -> Field:
        """f(t, y) with its parameters in it, counting its calls."""
        packing = Packing.of(params)
        return Field.of(self.f, packing).at(packing.values(params))

    def __repr__(self) -> str:
        f = self.f.f if isinstance(self.f, Step) else self.f
        name = getattr(f, "__name__", type(f).__name__)
        return f"SolverStep({name}, {self.tableau.name})"


def as_step(function: Callable, like, arrays, numbers: int) -> Step:
    """Where every explicit step of this room is made: a function of (y, numbers of time, *arrays) in
    straight-line NumPy."""
    many = None if like is None else at_once(function, like, arrays, numbers)
    return Step(many or function, vectorized=many is not None, kernel="auto")


def explicit_function(tableau: Tableau, field: Callable) -> Callable:
    """``step(y, t, h, *arrays)`` of ``field(t, y, *arrays)``."""

    def step(y, t, h, *arrays):
        return _advance(tableau, lambda s, x: field(s, x, *arrays), y, t, h)

    step.__name__ = tableau.name
    return step


def _advance(tableau: Tableau, rate: Callable, y, t, h):
    ks = explicit_stages(tableau, rate, y, t, h, only=tableau.used)
    return y + h * combination(tableau.b, ks)
