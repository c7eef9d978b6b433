"""``Recurrence``: any function of the state before, the input and weights, as a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Step, run
from msgpass.errors import DataError, ShapeError
from rnn.cells import held
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network, checked_loss
from rnn.starts import learned_start
from rnn.validation import UNDRAWN, flag, float_dtype, generator, one_of, real_array, whole


class Recurrence(Network):
    """h_t = f(h_{t−1}, x_t, θ…) for a function of your own.

    Parameters
    ----------
    f : callable or Step
        ``f(*states, x, *weights)`` → the new states, one array or a tuple. States come as rows (B, *shape),
        x as (B, I), weights as they are, in the order of ``weights``. Written in plain NumPy without
        assignment to parts of arrays, it is differentiated by autograd, one step at a time; see ``vjp``,
        and :meth:`from_jax` and :meth:`from_torch`.
    weights : dict
        Name → array to start from, or a tuple of int: a shape to be drawn, uniform on (−1/√H, 1/√H).
    input_size : int
    states : int or dict
        H for one state ``h``; or name → its number or shape of numbers. The first is the output.
    vjp, jvp, hvp : callable, optional
        f's own derivatives, as :class:`msgpass.Step` takes them: ``vjp(inputs, cotangent)`` → one cotangent
        an input, ``jvp(inputs, tangents)``, ``hvp(inputs, cotangent, tangents)``.
    vectorized : bool
        f and its derivatives also take a leading axis of steps, (n, B, *shape), on states and x. True for
        most functions of products from the right (``h @ W.T``) and numbers one by one, and faster: the
        gradients of the weights then come from all steps at once.
    batch_first : bool
    initial : {"zero", "learned"}
        Where no ``h0`` is given: zeros, or weights ``h0``, …, one row for the whole batch.
    dtype, random_state
        As for :class:`RNN`.

    Examples
    --------
    A leaky integrator with a rate of its own for each number:

    >>> import numpy as np
    >>> from rnn import SquaredError, bptt
    >>> def leaky(h, x, W, U, rate):
    ...     return h + (np.tanh(x @ U.T + h @ W.T) - h) / (1 + np.exp(-rate))
    >>> net = Recurrence(leaky, {"W": (4, 4), "U": (4, 2), "rate": np.zeros(4)}, 2, 4, random_state=0)
    >>> output, h_n = net(np.ones((7, 3, 2)))
    >>> output.shape, h_n.shape
    ((7, 3, 4), (3, 4))
    >>> bptt(net, np.ones((7, 3, 2)), SquaredError(np.zeros((7, 3, 4)))).parameters["rate"].shape
    (4,)
    """

    def __init__(
        self,
        f: Callable | Step,
        weights: Mapping[str, Any],
        input_size: int,
        states: int | Mapping[str, int | tuple[int, ...]],
        *,
        vjp: Callable | None = None,
        jvp: Callable | None = None,
        hvp: Callable | None = None,
        vectorized: bool = False,
        batch_first: bool = False,
        initial: str = "zero",
        dtype=np.float64,
        random_state=None,
    ):
        super().__init__()
        given = isinstance(f, Step)
        if given and (vjp or jvp or hvp):
            raise DataError("a Step has its own derivatives; give vjp=, jvp= and hvp= with a function")
        if not given and not callable(f):
            raise DataError(f"f must be a function f(*states, x, *weights) or a Step, got {type(f).__name__}")
        self.step = f if isinstance(f, Step) else Step(f, vjp, jvp, flag("vectorized", vectorized), hvp=hvp)
        self.f = self.step.f
        self.input_size, self.dtype = whole("input_size", input_size), float_dtype(dtype)
        self.batch_first = flag("batch_first", batch_first)
        self.initial = one_of("initial", initial, ("zero", "learned"))
        self.states = _state_shapes(states)
        self.output = next(iter(self.states))
        if len(self.states[self.output]) != 1:
            raise ShapeError(
                f"the first state, {self.output!r}, is the output and has one axis of numbers; put it first "
                "and others after it"
            )
        self.output_size = self.states[self.output][0]
        self._given = self._checked_weights(weights)
        self.shapes = {n: v if isinstance(v, tuple) else v.shape for n, v in self._given.items()}
        if self.initial == "learned":
            self.shapes |= {f"{name}0": shape for name, shape in self.states.items()}
        self.reset(random_state)

    @classmethod
    def from_jax(cls, f: Callable, weights, input_size, states, *, vectorized: bool = False, **options):
        """With f a JAX function, and its derivatives JAX's."""
        return cls(Step.from_jax(f, vectorized), weights, input_size, states, **options)

    @classmethod
    def from_torch(cls, f: Callable, weights, input_size, states, *, vectorized: bool = False, **options):
        """With f a function of torch tensors, and its derivatives torch's."""
        return cls(Step.from_torch(f, vectorized), weights, input_size, states, **options)

    # -- weights -------------------------------------------------------------------------------------

    def _checked_weights(self, weights) -> dict[str, Any]:
        if not isinstance(weights, Mapping):
            raise DataError(f"weights must be a dict from names to arrays, got {type(weights).__name__}")
        taken = {"x", "mask", "target", "labels", "count", "output", "y", "loss", "cell", *self.states}
        taken |= {f"{name}0" for name in self.states}
        found: dict[str, Any] = {}
        for name, value in weights.items():
            if not isinstance(name, str) or not name or name in taken:
                raise DataError(f"a weight cannot be called {name!r}; the graph has that name already")
            if isinstance(value, tuple) and all(isinstance(n, int | np.integer) for n in value):
                found[name] = tuple(whole(f"the shape of {name!r}", n) for n in value)
                continue
            array = np.array(real_array(f"weight {name!r}", value, self.dtype), order="C")
            if not np.isfinite(array).all():
                raise DataError(f"weight {name!r} holds NaN or an infinite value")
            found[name] = array
        return found

    def reset(self, random_state=None) -> Recurrence:
        """Draw anew what was given as a shape; the rest starts from what was given."""
        rng = generator(random_state)
        drawn: dict[str, np.ndarray] = {}
        if rng is not UNDRAWN:
            bound = self.output_size**-0.5
            drawn = {
                n: rng.uniform(-bound, bound, shape).astype(self.dtype) for n, shape in self.shapes.items()
            }
            drawn |= {n: v.copy() for n, v in self._given.items() if not isinstance(v, tuple)}
            drawn |= {
                f"{n}0": np.zeros(s, self.dtype) for n, s in self.states.items() if f"{n}0" in self.shapes
            }
        self.weights = drawn
        return self

    # -- graphs --------------------------------------------------------------------------------------

    def call(  # type: ignore[override]
        self, x, loss: OutputLoss | None = None, h0=None, lengths=None
    ) -> Call:
        """One call's data in the graph's axes."""
        x = real_array("x", x, self.dtype)
        layout = Layout.of(x, self.input_size, self.batch_first).with_lengths(lengths)
        arrays = {"x": layout.hidden(layout.inward("x", x, self.input_size), 0)}
        if layout.present is not None:
            arrays["mask"] = layout.present[..., None].astype(self.dtype)
        if h0 is not None:
            arrays |= self._starts(layout, h0)
        if loss is not None:
            arrays |= checked_loss(loss).observed(
                layout, loss.width(self.output_size, self.dtype), self.dtype
            )
        return Call(layout, arrays, loss)

    def _starts(self, layout: Layout, h0) -> dict[str, np.ndarray]:
        given = h0 if isinstance(h0, tuple) else (h0,)
        if len(given) != len(self.states):
            raise DataError(f"h0 has {len(given)} parts, but the states are {', '.join(self.states)}")
        found = {}
        for (name, shape), value in zip(self.states.items(), given, strict=True):
            array = real_array(f"{name}0", value, self.dtype)
            wanted = (layout.batch, *shape) if layout.batched else shape
            if array.shape != wanted:
                raise ShapeError(f"{name}0 has shape {array.shape}, wanted {wanted}")
            if not np.isfinite(array).all():
                raise DataError(f"{name}0 holds NaN or an infinite value")
            found[f"{name}0"] = array if layout.batched else array[None]
        return found

    def cut(self, layout: Layout, name: str, value, rows: np.ndarray, steps: int | None):
        """Initial states have the batch first."""
        if name != "h0":
            return super().cut(layout, name, value, rows, steps)
        return (
            tuple(np.asarray(v)[rows] for v in value) if isinstance(value, tuple) else np.asarray(value)[rows]
        )

    def graph(self, x, loss: OutputLoss | None = None, h0=None, *, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on: weights and states by their names."""
        return self.build(self.call(x, loss, h0, lengths))

    def build(self, call: Call) -> FactorGraph:
        """The graph of a call."""
        graph, arrays, layout = FactorGraph(), call.arrays, call.layout
        parameters = {k: graph.parameter(k, v) for k, v in self.weights.items() if k not in arrays}
        x = graph.observe("x", arrays["x"])
        mask = [graph.observe("mask", arrays["mask"])[:]] if "mask" in arrays else []
        states, before = [], []
        for name, shape in self.states.items():
            rows = layout.batch, *shape
            state, start = graph.sequence(name, layout.steps, shape=rows), f"{name}0"
            if start in parameters:
                edge: Any = learned_start(graph, parameters[start], layout.batch)
            else:
                edge = graph.observe(start, arrays.get(start, np.zeros(rows, self.dtype)))
            states.append(state)
            before.append(state.after(edge))
        step = held(self.step, len(states)) if mask else self.step
        own = [parameters[name] for name in self._given]
        graph.factor(step, *before, x[:], *mask, *own, out=tuple(s[:] for s in states), name="cell")
        if call.loss is not None:
            width = call.loss.width(self.output_size, self.dtype)
            call.loss.attach(graph, states[0], arrays, layout, width)
        return graph

    # -- values --------------------------------------------------------------------------------------

    def __call__(self, x, h0=None, lengths=None):
        """Outputs of all steps, and the last states.

        Parameters
        ----------
        x : array (T, B, I), with ``batch_first`` (B, T, I), unbatched (T, I)
        h0 : array (B, *shape), unbatched (*shape), optional
            A tuple with several states.
        lengths : array (B,) of int, optional
            Steps of each sequence; what x holds beyond them is not read.

        Returns
        -------
        output : ndarray (T, B, H), in the axes of ``x``
            The first state; 0 beyond a sequence's length.
        h_n : ndarray (B, *shape), or a tuple
            The states after each sequence's own last step.
        """
        call = self.call(x, h0=h0, lengths=lengths)
        m = run(self.kept(call), schedule=ForwardOnly(), values={**self.weights, **call.arrays})
        layout = call.layout
        last = tuple(m.forward[n][-1] if layout.batched else m.forward[n][-1, 0] for n in self.states)
        output = layout.outward(layout.hidden(m.forward[self.output], 0))
        return output, last if len(last) > 1 else last[0]

    def __repr__(self) -> str:
        name = getattr(self.f, "__name__", type(self.f).__name__)
        states = ", ".join(f"{n}: {s[0] if len(s) == 1 else s}" for n, s in self.states.items())
        numbers = sum(prod(s) for s in self.shapes.values())
        return f"Recurrence({name}, {self.input_size} → {{{states}}}, {numbers} weights, {self.dtype.name})"


def _state_shapes(states) -> dict[str, tuple[int, ...]]:
    if not isinstance(states, Mapping):
        return {"h": (whole("states", states),)}
    if not states:
        raise DataError("states must name at least one state")
    found = {}
    for name, shape in states.items():
        if not isinstance(name, str) or not name or name in ("x", "mask"):
            raise DataError(f"a state cannot be called {name!r}")
        axes = shape if isinstance(shape, tuple | list) else (shape,)
        found[name] = tuple(whole(f"the shape of state {name!r}", n) for n in axes)
    return found
