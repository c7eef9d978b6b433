"""``Trajectory``: dynamics and what a path costs; controls in, cost, gradient and co-states out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control.checks import real
from rnn.systems.control.costs import Cost, SmoothCost
from rnn.systems.control.finite import Rollout
from rnn.systems.control.plant import Plant
from rnn.systems.control.trajectory_gradient import TrajectoryGradient
from rnn.systems.control.trajectory_graph import TrajectoryGraph


class Trajectory:
    """J(u) = Σ_{t<T} cost(x_t, u_t, t) + terminal(x_T) with x_{t+1} = f(x_t, u_t, t).

    One forward sweep gives the path and its cost, one backward sweep the co-states λ_t = ∂J/∂x_t and with
    them the gradient with respect to every control, the start and all parameters.

    Parameters
    ----------
    dynamics : Plant or callable
        A function ``f(x, u)`` → next state stands for a :class:`Plant` of it; its sizes are those of the
        first start and controls.
    cost : Cost or callable
        Of every step; costs may be added. A function ``cost(x, u)`` stands for :class:`SmoothCost`.
    terminal : Cost or callable, optional
        Of the last state; nothing by default. A function ``terminal(x)`` likewise.

    Notes
    -----
    With start, horizon and limits it is an :class:`OptimalControl` (:meth:`problem`), which :func:`ddp`,
    :func:`ilqr` and :func:`shooting` solve.

    Examples
    --------
    >>> from rnn.systems.control import Energy
    >>> path = Trajectory(lambda h, u: 0.9 * h + u, Energy(0.1), lambda h: (h[0] - 1) ** 2)
    >>> found = path.gradient([0.0], np.zeros((3, 1)))
    >>> found.cost, found.gradient[:, 0].round(2), found.costates[:, 0].round(2)
    (1.0, array([-1.62, -1.8 , -2.  ]), array([-1.46, -1.62, -1.8 , -2.  ]))
    """

    def __init__(
        self, dynamics: Plant | Callable, cost: Cost | Callable, terminal: Cost | Callable | None = None
    ):
        self.plant = dynamics if isinstance(dynamics, Plant) else None
        if self.plant is None and not callable(dynamics):
            raise DataError(f"dynamics must be a Plant or a function, got {type(dynamics).__name__}")
        self.dynamics, self.cost = dynamics, _as_cost("cost", cost, terminal=False)
        self.terminal = None if terminal is None else _as_cost("terminal", terminal, terminal=True)
        self._kept: tuple[tuple, TrajectoryGraph] | None = None
        if self.plant is not None:
            self._check()

    def _check(self) -> None:
        assert self.plant is not None
        self.cost.check("cost", self.plant.states, self.plant.inputs)
        if self.terminal is not None:
            self.terminal.check("terminal", self.plant.states, 0)

    def __repr__(self) -> str:
        return f"Trajectory({self.plant or getattr(self.dynamics, '__name__', 'a function')})"

    # -- what goes in --------------------------------------------------------------------------------

    def arranged(self, start, inputs) -> tuple[np.ndarray, np.ndarray]:
        """Start (n,), or starts (S, n), and controls (T, m), checked."""
        start, inputs = np.atleast_1d(real("start", start)), real("inputs", inputs)
        if self.plant is None:
            inputs = inputs[:, None] if inputs.ndim == 1 else inputs
            if inputs.ndim == 2:
                self.plant = Plant(self.dynamics, start.shape[-1], inputs.shape[1])
                self._check()
        assert self.plant is not None
        if inputs.ndim == 1 and self.plant.inputs == 1:
            inputs = inputs[:, None]
        if inputs.ndim != 2 or inputs.shape[1] != self.plant.inputs or not len(inputs):
            raise ShapeError(f"inputs has shape {inputs.shape}, wanted (steps, {self.plant.inputs})")
        return self.started(start), inputs

    def started(self, start) -> np.ndarray:
        """(n,), or (S, n) for several starts."""
        assert self.plant is not None
        start, n = np.atleast_1d(real("start", start)), self.plant.states
        if start.shape[-1] != n or start.ndim > 2 or not start.size:
            raise ShapeError(f"start has shape {start.shape}, wanted {(n,)}, or (starts, {n}) for several")
        return start

    def laid_out(self, start: np.ndarray, inputs: np.ndarray) -> TrajectoryGraph:
        """The graph for starts and controls of these shapes; the last one is kept."""
        assert self.plant is not None
        shapes = start.shape, inputs.shape
        if self._kept is None or self._kept[0] != shapes:
            graph = TrajectoryGraph(self.plant, self.cost, self.terminal, start, inputs, parameters=True)
            self._kept = shapes, graph
        return self._kept[1]

    # -- what comes out ------------------------------------------------------------------------------

    def graph(self, start, inputs) -> FactorGraph:
        """The factor graph that everything runs on, with these values in it."""
        start, inputs = self.arranged(start, inputs)
        assert self.plant is not None
        return TrajectoryGraph(self.plant, self.cost, self.terminal, start, inputs, parameters=True).graph

    def messages(self, start, inputs, schedule=None) -> Messages:
        """A run of the graph: states and co-states of "x", gradients of "u", "start" and all parameters.

        Parameters
        ----------
        start : (n,) array, or (S, n) for several
        inputs : (T, m) array
        schedule : schedule, optional
            Such as :class:`msgpass.Checkpointed` for long paths.
        """
        start, inputs = self.arranged(start, inputs)
        return self.laid_out(start, inputs).run(start, inputs, schedule)

    def simulate(self, start, inputs) -> Rollout:
        """The path alone, and what every step costs; with several starts they are a leading axis."""
        start, inputs = self.arranged(start, inputs)
        m = self.laid_out(start, inputs).run(start, inputs, ForwardOnly())
        states = np.moveaxis(m.forward["x"], 0, -2)
        told = np.broadcast_to(inputs, (*states.shape[:-2], *inputs.shape))
        return Rollout(states, told, self.costs(states, told))

    def cost_of(self, start, inputs) -> float:
        """J alone; the mean over several starts."""
        start, inputs = self.arranged(start, inputs)
        return float(self.laid_out(start, inputs).run(start, inputs, ForwardOnly()).total)

    def gradient(self, start, inputs) -> TrajectoryGradient:
        """Path, cost, co-states and the gradient with respect to controls, start and parameters.

        Parameters
        ----------
        start : (n,) array, or (S, n)
            With several, J is the mean of their costs under the same controls.
        inputs : (T, m) array

        Raises
        ------
        NumericalError
            When the path blows up; it names the step.
        """
        start, inputs = self.arranged(start, inputs)
        m = self.laid_out(start, inputs).run(start, inputs)
        if not np.isfinite(m.total):
            raise NumericalError("the path is finite, but its cost is not; see the cost's values along it")
        states = np.moveaxis(m.forward["x"], 0, -2)
        return TrajectoryGradient(
            cost=float(m.total),
            costs=self.costs(states, np.broadcast_to(inputs, (*states.shape[:-2], *inputs.shape))),
            states=states,
            inputs=inputs,
            gradient=m.gradient["u"][:-1],
            costates=np.moveaxis(m.gradient["x"], 0, -2),
            parameters={name: g for name, g in m.parameters.items() if name != "start"},
            messages=m,
            plant=self.laid_out(start, inputs).plant,
        )

    def costs(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """(…, T + 1): what every step of paths (…, T + 1, n), (…, T, m) costs, the terminal cost last."""
        lead, T = states.shape[:-2], inputs.shape[-2]
        x = states[..., :-1, :].reshape(-1, states.shape[-1])
        u = inputs.reshape(-1, inputs.shape[-1])
        steps = np.broadcast_to(np.arange(T, dtype=float), (*lead, T)).reshape(-1)
        running = np.reshape(self.cost.value(x, u, steps), (*lead, T))
        last = states[..., -1, :].reshape(-1, states.shape[-1])
        end = np.zeros(len(last))
        if self.terminal is not None:
            end = self.terminal.value(last, np.zeros((len(last), 0)), np.full(len(last), float(T)))
        return np.concatenate([running, np.reshape(end, (*lead, 1))], axis=-1)

    # -- what is best --------------------------------------------------------------------------------

    def problem(self, start, horizon: int, lower=None, upper=None):
        """With a start, a horizon and limits, the :class:`OptimalControl` that solvers take."""
        from rnn.systems.control.optimal import OptimalControl

        if self.plant is None:
            raise DataError(
                "the sizes of a plain function are open; give Trajectory a Plant(f, states, inputs)"
            )
        return OptimalControl(
            self.plant, self.cost, self.terminal, start=start, horizon=horizon, lower=lower, upper=upper
        )

    def optimize(self, start, inputs, method: str = "lbfgs", lower=None, upper=None, **options):
        """Better controls, from ``inputs`` on, within limits.

        Parameters
        ----------
        start : (n,) array, or (S, n) for "lbfgs"
        inputs : (T, m) array
        method : {"lbfgs", "ddp", "ilqr"}
            :func:`shooting`, :func:`ddp` or :func:`ilqr`, which take the ``options``.
        lower, upper
            As for :class:`OptimalControl`.

        Returns
        -------
        ControlResult
        """
        from rnn.systems.control.ddp import ddp
        from rnn.systems.control.ilqr import ilqr
        from rnn.systems.control.shooting import shooting

        methods: dict[str, Callable] = {"lbfgs": shooting, "ddp": ddp, "ilqr": ilqr}
        if method not in methods:
            raise DataError(f"method must be 'lbfgs', 'ddp' or 'ilqr', got {method!r}")
        start, inputs = self.arranged(start, inputs)
        return methods[method](self.problem(start, len(inputs), lower, upper), inputs, **options)


def _as_cost(name: str, value, terminal: bool) -> Cost:
    if isinstance(value, Cost):
        return value
    if callable(value):
        return SmoothCost(value, terminal=terminal)
    raise DataError(
        f"{name} must be a QuadraticCost, SmoothCost, LeastSquares, a sum of them or a function, got "
        f"{type(value).__name__}"
    )
