"""``Plant``: dynamics x_{t+1} = f(x_t, u_t), as a function with what the solver wants of it at every step at
once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass import Step
from msgpass.errors import DataError, ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.checks import whole
from rnn.systems.control.integrators import euler, rk4

CURVATURE_STEP = 6e-6  # ∛ε: central differences of a vjp that autograd cannot see through


class Plant:
    """Dynamics in discrete time.

    Parameters
    ----------
    f : callable or Step
        ``f(x, u)`` → next state, in NumPy. A :class:`msgpass.Step` (``Step.from_jax``, ``Step.from_torch``,
        or one with its own ``vjp``) brings its derivative with it.
    states, inputs : int
        Sizes of x and u.
    timed : bool
        f takes the step's number as a third argument.
    vectorized : bool
        f takes a leading axis of steps on every argument.
    name : str, optional
    dt : float, optional
        Seconds a step, for the axes of figures.

    Examples
    --------
    >>> plant = Plant(lambda x, u: np.stack([x[0] + 0.1 * x[1], x[1] + 0.1 * (u[0] - np.sin(x[0]))]), 2, 1)
    >>> A, B = plant.linearise(np.zeros((1, 2)), np.zeros((1, 1)), np.zeros(1))
    >>> A[0]
    array([[ 1. ,  0.1],
           [-0.1,  1. ]])
    """

    def __init__(
        self,
        f: Callable | Step,
        states: int,
        inputs: int,
        timed: bool = False,
        vectorized: bool = False,
        name: str | None = None,
        dt: float | None = None,
    ):
        self.vjp = f.vjp if isinstance(f, Step) else None
        function = f.f if isinstance(f, Step) else f
        if not callable(function):
            raise DataError(f"Plant takes a function or a Step, got {type(f).__name__}")
        self.states, self.inputs = whole("states", states), whole("inputs", inputs)
        self.timed, self.dt = timed, dt
        self.vectorized = f.vectorized if isinstance(f, Step) else vectorized
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.function = derivatives.by_rows(function, self.vectorized, timed)

    def __repr__(self) -> str:
        return f"Plant({self.name}, {self.states} states, {self.inputs} controls)"

    @classmethod
    def from_ode(
        cls, rate: Callable, states: int, inputs: int, dt: float, method="rk4", substeps: int = 1, **settings
    ) -> Plant:
        """Discretise dx/dt = rate(x, u), the control held over each step.

        Parameters
        ----------
        rate : callable
        states, inputs : int
        dt : float
            Length of a step.
        method : {"rk4", "euler"}
        substeps : int
            Integration steps in each.
        **settings
            ``vectorized`` and ``name``.
        """
        methods = {"rk4": rk4, "euler": euler}
        if method not in methods:
            raise DataError(f"method must be 'rk4' or 'euler', got {method!r}")
        f = methods[method](rate, dt, whole("substeps", substeps))
        settings.setdefault("name", getattr(rate, "__name__", "plant"))
        return cls(f, states, inputs, dt=dt, **settings)

    def __call__(self, x: np.ndarray, u: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Next states (N, n) from states (N, n), controls (N, m) and step numbers (N,)."""
        found = np.asarray(derivatives.guarded(f"plant {self.name!r}", self.function, x, u, t))
        if found.shape != x.shape:
            raise ShapeError(
                f"plant {self.name!r} returned shape {found.shape} for states of shape {x.shape}; "
                "it maps (x, u) to the next state"
                + ("" if self.vectorized else ", one step at a time as vectorized is False")
            )
        return found

    def linearise(self, x, u, t) -> tuple[np.ndarray, np.ndarray]:
        """∂f/∂x (N, n, n) and ∂f/∂u (N, n, m)."""
        n = self.states
        if self.vjp is not None:
            J = np.stack([self._pulled(self.vjp, x, u, t, e) for e in np.eye(n)], axis=1)
        else:
            J = derivatives.jacobian(f"plant {self.name!r}", self._rows(t), np.concatenate([x, u], axis=1))[1]
        return J[:, :, :n], J[:, :, n:]

    def curvature(self, x, u, t, costate) -> np.ndarray:
        """Σ_k λ_k ∂²f_k/∂(x, u)² (N, n + m, n + m), λ (N, n) the co-states of the next states."""
        z = np.concatenate([x, u], axis=1)
        if self.vjp is None:
            rows = self._rows(t)
            return derivatives.hessian(f"plant {self.name!r}", lambda z: (rows(z) * costate).sum(axis=1), z)
        n, H = self.states, np.zeros((*z.shape, z.shape[1]))
        for k in range(z.shape[1]):
            h = CURVATURE_STEP * np.maximum(1.0, np.abs(z[:, k]))
            sides = []
            for sign in (1.0, -1.0):
                moved = z.copy()
                moved[:, k] += sign * h
                sides.append(self._pulled(self.vjp, moved[:, :n], moved[:, n:], t, costate))
            H[:, k] = (sides[0] - sides[1]) / (2 * h)[:, None]
        return (H + np.swapaxes(H, 1, 2)) / 2

    def _rows(self, t) -> derivatives.Rows:
        n = self.states
        return lambda z: self.function(z[:, :n], z[:, n:], t)

    def _pulled(self, vjp: Callable, x, u, t, cotangent) -> np.ndarray:
        """(∂f/∂(x, u))ᵀλ by the step's own vjp."""
        cotangent = np.broadcast_to(cotangent, x.shape)
        arguments = (x, u, t) if self.timed else (x, u)
        if self.vectorized:
            found = vjp(arguments, cotangent)
            return np.concatenate([np.asarray(g) for g in found[:2]], axis=1)
        rows = [vjp(tuple(a[i] for a in arguments), c) for i, c in enumerate(cotangent)]
        return np.array([np.concatenate([np.asarray(g) for g in row[:2]]) for row in rows])
