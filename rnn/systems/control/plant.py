"""``Plant``: dynamics x_{t+1} = f(x_t, u_t, θ), as a function with what the solver wants of it at every step
at once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np

from msgpass import Step
from msgpass.errors import DataError, ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.checks import positive, whole
from rnn.systems.control.integrators import euler, rk4
from rnn.systems.control.parameters import flattened, handed, named, replaced

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
    params : array or dict of arrays, optional
        θ, which f takes as its last argument, as it is given here. :class:`Trajectory` has the gradient with
        respect to each.
    pose : callable, optional
        ``pose(x)``, or ``pose(x, params)`` → how state x (n,) is drawn: a list of lines, each of points
        (p, 2). For :func:`strip` and :func:`animate`.

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
        params=None,
        pose: Callable | None = None,
    ):
        self.vjp = f.vjp if isinstance(f, Step) else None
        function = f.f if isinstance(f, Step) else f
        if not callable(function):
            raise DataError(f"Plant takes a function or a Step, got {type(f).__name__}")
        self.states, self.inputs = whole("states", states), whole("inputs", inputs)
        self.timed, self.dt = timed, dt
        self.vectorized = f.vectorized if isinstance(f, Step) else vectorized
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.given, self.parameters = params, named(params)
        self.call = derivatives.by_rows(function, self.vectorized, timed)
        if pose is not None and not callable(pose):
            raise DataError(f"pose must be a function of a state, got {type(pose).__name__}")
        self.pose = pose

    def __repr__(self) -> str:
        return f"Plant({self.name}, {self.states} states, {self.inputs} controls)"

    @classmethod
    def from_ode(
        cls, rate: Callable, states: int, inputs: int, dt: float, method="rk4", substeps: int = 1, **settings
    ) -> Plant:
        """Discretise dx/dt = rate(x, u), or rate(x, u, params), the control held over each step.

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
            ``vectorized``, ``name``, ``params`` and ``pose``.
        """
        dt = positive("dt", dt)
        methods = {"rk4": rk4, "euler": euler}
        if method not in methods:
            raise DataError(f"method must be 'rk4' or 'euler', got {method!r}")
        f = methods[method](rate, dt, whole("substeps", substeps))
        settings.setdefault("name", getattr(rate, "__name__", "plant"))
        return cls(f, states, inputs, dt=dt, **settings)

    @classmethod
    def from_network(cls, net, readout=None, inputs: int | None = None, scale=None, **settings) -> Plant:
        """A learned model as a plant, its weights the parameters.

        Parameters
        ----------
        net : MLP or Recurrence
            An MLP of (x, u) with its ``readout``: x_{t+1} = x_t + readout(net((x_t, u_t))). A
            :class:`rnn.Recurrence` h_{t+1} = f(h_t, u_t, *weights), its state the plant's.
        readout : Linear, optional
        inputs : int, optional
            Number of controls, to be checked; what the network takes beside the states.
        scale : (low, wide, unit), optional
            (n + m,), (n + m,), (n,): the MLP sees ((x, u) − low) / wide, and its step is in units.
        **settings
            ``dt``, ``name`` and ``pose``.

        Examples
        --------
        >>> from rnn import MLP, Linear
        >>> Plant.from_network(MLP(5, [8], random_state=0), Linear(8, 4, random_state=1))
        Plant(network, 4 states, 1 controls)
        """
        from rnn.systems.control.learned import network_plant

        return network_plant(net, readout, inputs, scale, **settings)

    def drawn(self, x) -> list:
        """Lines of the pose in state x (n,), with the plant's own parameters."""
        assert self.pose is not None
        return self.pose(x, *handed(self.given, self.parameters.values()))

    def with_parameters(self, **others) -> Plant:
        """The same plant with other values of some parameters.

        Examples
        --------
        >>> from rnn.systems.control import plants
        >>> float(plants.pendulum().with_parameters(length=0.5).parameters["length"])
        0.5
        """
        changed = copy(self)
        changed.parameters = replaced(f"plant {self.name!r}", self.parameters, others)
        return changed

    def function(self, x, u, t):
        """Next states with the plant's own parameters, unchecked."""
        return self.valued(x, u, t)

    def valued(self, x, u, t, *values):
        """Next states with these values of the parameters, in their order, or its own; unchecked."""
        return self.call(x, u, t, *handed(self.given, values or self.parameters.values()))

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
            J = np.stack([self.pulled(x, u, t, e) for e in np.eye(n)], axis=1)
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
                sides.append(self.pulled(moved[:, :n], moved[:, n:], t, costate))
            H[:, k] = (sides[0] - sides[1]) / (2 * h)[:, None]
        return (H + np.swapaxes(H, 1, 2)) / 2

    def _copies(self, rows: int, pulls: int) -> int:
        """As many as there are pulls, where one pull of copies of few rows costs less than many pulls."""
        return pulls if self.vectorized and rows * pulls <= TOGETHER else 1

    def _rows(self, t) -> derivatives.Rows:
        n = self.states
        return lambda z: self.function(z[:, :n], z[:, n:], t)

    def pulled(self, x, u, t, cotangent) -> np.ndarray:
        """(∂f/∂(x, u))ᵀλ (N, n + m) by the plant's own vjp."""
        return self.pulled_apart(x, u, t, cotangent)[0]

    def pulled_apart(self, x, u, t, cotangent, *values) -> tuple[np.ndarray, list[np.ndarray]]:
        """The same, and (∂f/∂θ)ᵀλ of every one of the ``values`` of parameters, summed over rows."""
        assert self.vjp is not None
        cotangent = np.broadcast_to(cotangent, x.shape)
        last = handed(self.given, values or self.parameters.values())
        arguments = (x, u, t) if self.timed else (x, u)
        if self.vectorized:
            calls = [self.vjp((*arguments, *last), cotangent)]
        else:
            calls = [self.vjp((*(a[i] for a in arguments), *last), c) for i, c in enumerate(cotangent)]
        both = [_both(self.name, call) for call in calls]
        if self.vectorized:
            flat = both[0][0].ndim == both[0][1].ndim == 2
            pulled = np.concatenate(both[0], axis=1 if flat else 0)
        else:
            pulled = np.array([np.concatenate(pair) for pair in both])
        if pulled.shape != (len(x), self.states + self.inputs):
            raise ShapeError(
                f"the vjp of plant {self.name!r} must return cotangents of x and u, of shapes {x.shape[1:]} "
                f"and {u.shape[1:]} a step; end to end they have shape {pulled.shape[1:]}"
            )
        at = len(arguments)
        told = [
            flattened(f"plant {self.name!r}", self.given, call[at])
            for call in calls if values and len(call) > at and call[at] is not None
        ]  # fmt: skip
        shared = [np.sum(parts, axis=0) for parts in zip(*told, strict=True)]
        return pulled, shared or [np.zeros_like(np.asarray(v, float)) for v in values]


def _both(name: str, found) -> list[np.ndarray]:
    if not isinstance(found, tuple | list) or len(found) < 2 or any(g is None for g in found[:2]):
        raise ShapeError(
            f"the vjp of plant {name!r} must return (cotangent of x, cotangent of u); give zeros where "
            "nothing depends on one"
        )
    return [np.atleast_1d(np.asarray(g, float)) for g in found[:2]]
