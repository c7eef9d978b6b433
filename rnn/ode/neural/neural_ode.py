"""``NeuralODE``: a trainable dy/dt = f(t, y, θ) from given starts, as a network; its steps are factors.

    y_n = step(y_{n−1}, t_n, h_n, θ)        a chain of fixed solver steps, ``steps`` between two save times
    saved_k = y_{n(k)}                      what losses read

Chen, Rubanova, Bettencourt & Duvenaud, *Neural Ordinary Differential Equations* (NeurIPS 2018); gradients
here are those of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Step, run
from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network, checked_loss
from rnn.ode.field import Field
from rnn.ode.integration import odeint
from rnn.ode.neural.explained import blown_up
from rnn.ode.neural.flow import explicit, flow
from rnn.ode.neural.mlp_field import MLPField
from rnn.ode.neural.named import drawn, named
from rnn.ode.neural.times import Steps, cut_times, read_times
from rnn.ode.parameters import TAKEN, Packing
from rnn.ode.problem import picking
from rnn.ode.solution import Solution
from rnn.ode.steps import SolverStep, explicit_function
from rnn.ode.tableau import Tableau
from rnn.validation import flag, float_dtype, generator, positive, real_array, whole

NAMES = (*TAKEN, "target", "labels", "count", "output", "share", "pooled")
"""Names that the graph has already."""


class NeuralODE(Network):
    """dy/dt = MLP([y, t]), or a function of your own, from initial values through given times.

    Parameters
    ----------
    size : int
        D, the numbers of a state.
    hidden_sizes : sequence of int
        Of the MLP, whose last layer is linear.
    activation : {"tanh", "softplus", "relu", "sigmoid", "silu"}
    time : bool
        The MLP reads t beside y.
    field : callable or Step, optional
        ``field(t, y, params)`` → dy/dt instead of the MLP: y comes as rows (B, D), params as a dict, t as a
        number, or (B, 1) where each sequence has times of its own. Also ``Step.from_jax(f)``,
        ``f(t, y, *arrays)``.
    initial : dict, optional
        The field's weights: name → array to start from, or a tuple of int, a shape to be drawn uniform on
        (−1/√D, 1/√D).
    method : str or Tableau
        An explicit one of :data:`rnn.ode.METHODS`.
    steps : int
        Solver steps between two save times.
    step : float, optional
        Longest step, instead of ``steps``.
    batch_first, dtype, random_state
        As for :class:`rnn.RNN`.

    Notes
    -----
    ``bptt(net, y0, loss, t=t)`` and ``fit(net, y0, loss, t=t)`` have the initial values (B, D), unbatched
    (D,), where other networks have inputs, and outputs (S, B, D), with ``batch_first`` (B, S, D): the states
    at the S save times, the first of which is the start. ``t`` is (S,), or like the outputs without their
    last axis, increasing in every sequence; then also ``lengths``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import SquaredError, bptt
    >>> net = NeuralODE(2, (16,), random_state=0)
    >>> t, y0 = np.array([0.0, 0.1, 0.5, 2.0]), np.ones((3, 2))
    >>> net(y0, t).shape
    (4, 3, 2)
    >>> m = bptt(net, y0, SquaredError(np.zeros((4, 3, 2))), t=t)
    >>> m.parameters["weight_0"].shape, m.gradient["y0"].shape
    ((16, 2), (3, 2))

    An oscillator of which the damping is learned:

    >>> damped = NeuralODE(
    ...     2,
    ...     field=lambda t, y, p: np.stack([y[..., 1], -y[..., 0] - p["c"] * y[..., 1]], axis=-1),
    ...     initial={"c": 0.1},
    ... )
    >>> damped.state_dict()
    {'c': array(0.1)}
    """

    counts = ("steps",)

    def __init__(
        self,
        size: int,
        hidden_sizes=(32,),
        activation: str = "tanh",
        *,
        time: bool = False,
        field: Callable | Step | None = None,
        initial: Mapping[str, Any] | None = None,
        method: str | Tableau = "rk4",
        steps: int = 1,
        step: float | None = None,
        batch_first: bool = False,
        dtype=np.float64,
        random_state=None,
    ):
        super().__init__()
        self.mlp = MLPField(size, hidden_sizes, activation, time)
        self.size = self.input_size = self.output_size = self.mlp.size
        self.hidden_sizes, self.activation, self.time = self.mlp.hidden_sizes, activation, self.mlp.time
        if field is not None and not callable(field) and not isinstance(field, Step):
            raise DataError(f"field must be a function f(t, y, params), got {type(field).__name__}")
        if field is None and initial is not None:
            raise DataError("initial= are the weights of a field= of your own; an MLP draws its own")
        self.field, self.initial = field, initial
        self.tableau, self.method = explicit(method), method
        self.steps, self.step = whole("steps", steps), None if step is None else positive("step", step)
        self.batch_first, self.dtype = flag("batch_first", batch_first), float_dtype(dtype)
        self._given = {} if field is None else named(initial or {}, NAMES, self.dtype)
        own = {n: v if isinstance(v, tuple) else v.shape for n, v in self._given.items()}
        self.shapes = self.mlp.shapes if field is None else own
        self.reset(random_state)

    # -- weights -------------------------------------------------------------------------------------

    def reset(self, random_state=None) -> NeuralODE:
        """Draw all weights anew; those that were given as values start from them."""
        rng = generator(random_state)
        if self.field is None:
            self.weights = self.mlp.draw(self.dtype, rng)
        else:
            self.weights = drawn(self._given, self.size**-0.5, self.dtype, rng)
        return self

    # -- graphs --------------------------------------------------------------------------------------

    def call(  # type: ignore[override]
        self, x, loss: OutputLoss | None = None, t=None, lengths=None
    ) -> Call:
        """One call's data in the graph's axes: ``x`` are the initial values."""
        y0 = real_array("the initial values", x, self.dtype)
        if y0.ndim not in (1, 2) or y0.shape[-1] != self.size or not y0.size:
            raise ShapeError(
                f"the initial values have shape {y0.shape}, wanted (B, {self.size}) or, unbatched, "
                f"({self.size},)"
            )
        if not np.isfinite(y0).all():
            raise DataError("the initial values hold NaN or an infinite number")
        shape = np.shape(t)
        saves = 1 if not shape else shape[1] if len(shape) == 2 and self.batch_first else shape[0]
        layout = Layout(saves, len(y0) if y0.ndim == 2 else 1, y0.ndim == 2, self.batch_first)
        layout = layout.with_lengths(lengths)
        times, own = read_times(t, layout)
        if saves < 2:
            raise ShapeError("t needs at least two times; the first is that of the initial values")
        steps = Steps.between(times, self.steps, self.step)
        plain = self.field is not None and not own
        at, h = ((a[:, 0] if plain else a[..., None]).astype(self.dtype) for a in (steps.t, steps.h))
        arrays = {
            "y0": y0 if y0.ndim == 2 else y0[None],
            "t": at,
            "h": h,
            "place": steps.at.astype(self.dtype),
        }
        if loss is not None:
            width = checked_loss(loss).width(self.size, self.dtype)
            arrays |= loss.observed(layout, width, self.dtype)
        return Call(layout, arrays, loss, (len(steps.t), plain))

    def cut(self, layout: Layout, name: str, value, rows: np.ndarray, steps: int | None):
        """Initial values have the batch as their only axis beside the numbers; times may be everyone's."""
        if name == "x":
            return np.asarray(value)[rows]
        if name == "t":
            return cut_times(layout, value, rows, steps)
        return super().cut(layout, name, value, rows, steps)

    def _factor(self, plain: bool, y0: np.ndarray) -> Step:
        """One solver step."""
        if self.field is None:
            return flow(self.tableau, self.mlp.field(), size=y0.size)
        if plain:
            return SolverStep(self.field, self.tableau).potential(self.weights, y0)
        field = Field.of(self.field, Packing.of(self.weights))
        if field.own is not None:
            return flow(self.tableau, field, size=y0.size)
        return Step(explicit_function(self.tableau, field), kernel="auto")

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call: ``y0``, ``t``, ``h``, the weights, ``y`` (N steps) and ``saved`` (S)."""
        graph, arrays, layout = FactorGraph(), call.arrays, call.layout
        count, plain = call.options
        own = [graph.parameter(name, w) for name, w in self.weights.items()]
        y0, t, h, place = (graph.observe(name, arrays[name]) for name in ("y0", "t", "h", "place"))
        y = graph.sequence("y", count, shape=(layout.batch, self.size))
        factor = self._factor(plain, arrays["y0"])
        graph.factor(factor, y.after(y0), t[:], h[:], *own, out=y[:], name="step")
        saved = graph.sequence("saved", layout.steps, shape=(layout.batch, self.size))
        graph.factor(picking(), y.all, y0, place[:], out=saved[:], name="pick")
        if call.loss is not None:
            width = call.loss.width(self.size, self.dtype)
            call.loss.attach(graph, saved, arrays, layout, width)
        return graph

    def graph(self, x, loss: OutputLoss | None = None, *, t=None, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on."""
        return self.build(self.call(x, loss, t, lengths))

    def explained(self, problem: NumericalError, values: Mapping) -> NumericalError:
        """With the time at which it happened."""
        return blown_up(problem, values["t"], values["h"])

    # -- values --------------------------------------------------------------------------------------

    def __call__(self, y0, t, lengths=None) -> np.ndarray:
        """States at the save times.

        Parameters
        ----------
        y0 : array (B, D), unbatched (D,)
        t : array (S,), or (S, B), with ``batch_first`` (B, S)
        lengths : array (B,) of int, optional
            Save times of each sequence.

        Returns
        -------
        ndarray (S, B, D), with ``batch_first`` (B, S, D), unbatched (S, D)
            0 beyond a sequence's length.
        """
        call = self.call(y0, t=t, lengths=lengths)
        values = {**self.weights, **call.arrays}
        try:
            m = run(self.kept(call), schedule=ForwardOnly(), values=values)
        except NumericalError as problem:
            raise self.explained(problem, values) from None
        return call.layout.outward(call.layout.hidden(m.forward["saved"], 0))

    def rate(self, t, y, params=None) -> np.ndarray:
        """dy/dt, as the solvers of :mod:`rnn.ode` take a field; with the present weights by default."""
        params = self.weights if params is None else params
        if self.field is None:
            return self.mlp(t, y, *(params[name] for name in self.shapes))
        return Field.of(self.field, Packing.of(params))(t, y, *(params[name] for name in self.shapes))

    def solve(self, y0, t, **options) -> Solution:
        """The same equation by :func:`rnn.ode.odeint`, adaptive by default: dense output, any method.

        Examples
        --------
        >>> net = NeuralODE(2, steps=8, random_state=0)
        >>> t, y0 = np.linspace(0, 1, 5), np.ones((3, 2))
        >>> solution = net.solve(y0, t, rtol=1e-8)
        >>> bool(np.abs(solution.y - net(y0, t)).max() < 1e-6)
        True
        """
        return odeint(self.rate, real_array("y0", y0, self.dtype), t, dict(self.weights), **options)

    def __repr__(self) -> str:
        if self.field is None:
            what = f"{self.size}, {self.hidden_sizes}, {self.activation!r}"
        else:
            what = f"{self.size}, field={getattr(self.field, '__name__', type(self.field).__name__)}"
        time = ", time=True" if self.time else ""
        pace = f"steps={self.steps}" if self.step is None else f"step={self.step:g}"
        return f"NeuralODE({what}{time}, method={self.tableau.name!r}, {pace}, dtype={self.dtype.name!r})"
