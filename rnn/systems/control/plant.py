"""``Plant``: dynamics x_{t+1} = f(x_t, u_t), as a function with what the solver wants of it at every step at
once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass import Step
from msgpass.errors import DataError, ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.checks import positive, whole
from rnn.systems.control.integrators import euler, rk4

TOGETHER = 4096  # rows up to which a pull costs what autograd's bookkeeping costs
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
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
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
        dt = positive("dt", dt)
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
        if found.dtype.kind not in "iubf":
            raise DataError(f"plant {self.name!r} must return real numbers, got dtype {found.dtype}")
        return found

    def linearise(self, x, u, t) -> tuple[np.ndarray, np.ndarray]:
        """∂f/∂x (N, n, n) and ∂f/∂u (N, n, m)."""
        n = self.states
        if self.vjp is not None:
            J = np.stack([self._pulled(self.vjp, x, u, t, e) for e in np.eye(n)], axis=1)
        else:
            z, copies = np.concatenate([x, u], axis=1), self._copies(len(x), n)
            rows = self._rows(np.tile(t, copies))
            J = derivatives.jacobian(f"plant {self.name!r}", rows, z, copies)[1]
        return J[:, :, :n], J[:, :, n:]

    def curvature(self, x, u, t, costate) -> np.ndarray:
        """Σ_k λ_k ∂²f_k/∂(x, u)² (N, n + m, n + m), λ (N, n) the co-states of the next states."""
        z = np.concatenate([x, u], axis=1)
        if self.vjp is None:
            copies = self._copies(*z.shape)
            rows, along = self._rows(np.tile(t, copies)), np.tile(costate, (copies, 1))
            f = lambda z: (rows(z) * along).sum(axis=1)  # noqa: E731
            return derivatives.hessian(f"plant {self.name!r}", f, z, copies)
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

    def _copies(self, rows: int, pulls: int) -> int:
        """As many as there are pulls, where one pull of copies of few rows costs less than many pulls."""
        return pulls if self.vectorized and rows * pulls <= TOGETHER else 1

    def _rows(self, t) -> derivatives.Rows:
        n = self.states
        return lambda z: self.function(z[:, :n], z[:, n:], t)

    def _pulled(self, vjp: Callable, x, u, t, cotangent) -> np.ndarray:
        """(∂f/∂(x, u))ᵀλ by the step's own vjp."""
        cotangent = np.broadcast_to(cotangent, x.shape)
        arguments = (x, u, t) if self.timed else (x, u)
        if self.vectorized:
            found = _both(self.name, vjp(arguments, cotangent))
            pulled = (
                np.concatenate(found, axis=1)
                if found[0].ndim == found[1].ndim == 2
                else np.concatenate(found)
            )
        else:
            rows = [vjp(tuple(a[i] for a in arguments), c) for i, c in enumerate(cotangent)]
            pulled = np.array([np.concatenate(_both(self.name, row)) for row in rows])
        if pulled.shape != (len(x), self.states + self.inputs):
            raise ShapeError(
                f"the vjp of plant {self.name!r} must return cotangents of x and u, of shapes {x.shape[1:]} "
                f"and {u.shape[1:]} a step; end to end they have shape {pulled.shape[1:]}"
            )
        return pulled


def _both(name: str, found) -> list[np.ndarray]:
    if not isinstance(found, tuple | list) or len(found) < 2 or any(g is None for g in found[:2]):
        raise ShapeError(
            f"the vjp of plant {name!r} must return (cotangent of x, cotangent of u); give zeros where "
            "nothing depends on one"
        )
    return [np.atleast_1d(np.asarray(g, float)) for g in found[:2]]
