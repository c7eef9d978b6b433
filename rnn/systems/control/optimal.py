"""``OptimalControl``: a :class:`Trajectory` with a start, a horizon and limits of the controls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.control.checks import matrix, real, whole
from rnn.systems.control.costs import Cost, QuadraticCost
from rnn.systems.control.plant import Plant
from rnn.systems.control.problem import LinearQuadratic
from rnn.systems.control.trajectory import Trajectory


class OptimalControl:
    """Minimise Σ_{t<T} cost(x_t, u_t, t) + terminal(x_T) over lower ≤ u_t ≤ upper, x_{t+1} = f(x_t, u_t, t).

    Parameters
    ----------
    plant : Plant
    cost : Cost or callable
        Of every step; costs may be added. A function ``cost(x, u)`` stands for :class:`SmoothCost` of it.
    terminal : Cost or callable, optional
        Of the last state; nothing by default. A function ``terminal(x)`` likewise.
    start : (n,) array
        x_0. Or several, (S, n), under the same controls, their mean cost minimised: for :func:`shooting`.
    horizon : int
        Number of steps T.
    lower, upper : number, (m,) or (T, m) array, optional
        Limits of the controls; ±∞ where there is none.

    Examples
    --------
    >>> from rnn.systems.control import QuadraticCost, plants
    >>> cost = QuadraticCost(np.eye(2), 0.1 * np.eye(1), target=[np.pi, 0])
    >>> problem = OptimalControl(plants.pendulum(), cost, start=[0, 0], horizon=10, lower=-2, upper=2)
    >>> round(problem.cost_of(np.zeros((10, 1))), 3)
    49.348
    """

    def __init__(
        self,
        plant: Plant,
        cost: Cost | Callable,
        terminal: Cost | Callable | None = None,
        *,
        start,
        horizon: int,
        lower=None,
        upper=None,
    ):
        if not isinstance(plant, Plant):
            raise DataError(
                f"plant must be a Plant, got {type(plant).__name__}; wrap it: Plant(f, states, inputs)"
            )
        self.trajectory = Trajectory(plant, cost, terminal)
        self.plant, self.cost, self.terminal = plant, self.trajectory.cost, self.trajectory.terminal
        self.horizon = whole("horizon", horizon)
        self.start = self.trajectory.started(start)
        self.lower, self.upper = self._limit("lower", lower, -np.inf), self._limit("upper", upper, np.inf)
        wrong = self.lower > self.upper
        if wrong.any():
            raise DataError(f"lower lies above upper at step {int(np.argwhere(wrong)[0, 0])}")

    @classmethod
    def linear(
        cls, problem: LinearQuadratic, start, horizon: int | None = None, lower=None, upper=None
    ) -> OptimalControl:
        """A linear-quadratic problem whose controls have limits; ``ilqr`` solves it exactly.

        Parameters
        ----------
        problem : LinearQuadratic
        start : (n,) array
        horizon : int, optional
            As for :func:`lqr`.
        lower, upper
            As for the class.

        Examples
        --------
        >>> from rnn.systems.control import LinearQuadratic, ilqr
        >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 0.1)
        >>> found = ilqr(OptimalControl.linear(problem, [1, 0], 40, lower=-0.5, upper=0.5))
        >>> found.converged, found.inputs[:3, 0]
        (True, array([-0.5, -0.5, -0.5]))
        """
        if not isinstance(problem, LinearQuadratic):
            raise DataError(f"OptimalControl.linear takes a LinearQuadratic, got {type(problem).__name__}")
        s = problem.stages(horizon)

        def f(x, u, t):
            A, B, b = (M[np.asarray(t).astype(int)] if len(M) > 1 else M for M in (s.A, s.B, s.b))
            return (A @ x[..., None])[..., 0] + (B @ u[..., None])[..., 0] + b

        plant = Plant(f, problem.states, problem.inputs, timed=True, vectorized=True, name="linear plant")
        parts = {name: getattr(problem, name) for name in ("Q", "R", "N", "q", "r")}
        end = QuadraticCost(s.Q_final, q=s.q_final)
        return cls(
            plant, QuadraticCost(**parts), end, start=start, horizon=s.horizon, lower=lower, upper=upper
        )

    def _limit(self, name: str, value, absent: float) -> np.ndarray:
        shape = (self.horizon, self.plant.inputs)
        try:
            array = np.asarray(absent if value is None else value)
        except ValueError as problem:
            raise ShapeError(f"{name} is no array: {problem}") from None
        if array.dtype.kind not in "iubf" or np.isnan(array).any():
            raise DataError(f"{name} must hold numbers (±∞ for no limit), got {value!r}")
        if (array == -absent).any():
            raise DataError(f"{name} is {-absent} somewhere, which leaves no control; give a finite limit")
        try:
            return np.array(np.broadcast_to(array, shape), dtype=float)
        except ValueError:
            raise ShapeError(
                f"{name} has shape {array.shape}, wanted a number, {shape[1:]} or {shape}"
            ) from None

    def __repr__(self) -> str:
        limited = ", limited" if np.isfinite(self.lower).any() or np.isfinite(self.upper).any() else ""
        return f"OptimalControl({self.plant!r}, {self.horizon} steps{limited})"

    def clip(self, inputs: np.ndarray) -> np.ndarray:
        """Controls within their limits."""
        return np.clip(inputs, self.lower, self.upper)

    def controls(self, inputs) -> np.ndarray:
        """(T, m) controls within their limits; zero (or the nearest that is allowed) by default."""
        shape = (self.horizon, self.plant.inputs)
        if inputs is None:
            return self.clip(np.zeros(shape))
        inputs = real("inputs", inputs)
        if inputs.ndim == 1 and self.plant.inputs == 1:
            inputs = inputs[:, None]
        return self.clip(_of_shape("inputs", inputs, shape))

    def costs(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """(…, T + 1): what every step of paths (…, T + 1, n), (…, T, m) costs, the terminal cost last."""
        return self.trajectory.costs(states, inputs)

    def cost_of(self, inputs) -> float:
        """What these controls cost, within their limits."""
        return self.trajectory.cost_of(self.start, self.controls(inputs))


def _of_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return matrix(name, array, shape[1:]) if array.shape == shape else _wrong(name, array, shape)


def _wrong(name: str, array: np.ndarray, shape) -> np.ndarray:
    raise ShapeError(f"{name} has shape {array.shape}, wanted {shape}")
