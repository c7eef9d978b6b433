"""``HiddenStates``: −log p(y | x) of a hidden Markov model whose parts a network gives, step by step.

    p(y, z | x) = start(z_0 | h_0) Π_t transition(z_t | z_{t−1}, h_t) Π_t emission(y_t | z_t, h_t), h = net(x)

(Bengio & Frasconi 1996 for networks as transitions; Tran, Bisk, Vaswani, Marcu & Knight 2016). The cotangents
of the tables are minus their expected counts, so that one sweep is the E-step and the gradient of an M-step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass import FactorGraph, Table
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.losses.base import Arrays, OutputLoss
from rnn.neural_hmm.emissions import Emission
from rnn.neural_hmm.steps import HELD, LOG_ROW, LOG_ROWS, density
from rnn.readout import LINEAR
from rnn.validation import float_dtype, generator, whole
from rnn.weights import checked, draw

PARTS = ("start", "transition", "emission")


class HiddenStates(OutputLoss):
    """Minus the log-likelihood of observations whose hidden states a network drives.

    Parameters
    ----------
    y : array
        What the emission takes, rows as the network's: symbols (T, B), or numbers (T, B, D). Missing data say
        nothing.
    head : Head
        The weights between the network's output and the model's three parts.
    reduction : {"sum", "mean"}
        Over sequences; the mean divides by the number of rows of which something is seen.
    task : str, optional
        Name of the task, where there are several: :class:`~rnn.Several`.
    """

    name = "y"

    def __init__(self, y, head: Head, reduction: str = "sum", *, task: str | None = None):
        super().__init__(reduction, None, task)
        if not isinstance(head, Head):
            raise DataError(f"head must be the Head of a NeuralHMM, got {type(head).__name__}")
        self.y, self.head = y, head

    @property
    def key(self) -> tuple:
        """What the head is belongs to the graph."""
        return *super().key, self.head.key

    @property
    def weights(self) -> Arrays:
        """The head's."""
        return {f"{self.named('hmm')}.{k}": w for k, w in self.head.weights.items()}

    def load_weights(self, weights: Arrays) -> None:
        """Take in what training found."""
        self.head.load_state_dict({k: weights[f"{self.named('hmm')}.{k}"] for k in self.head.weights})

    def reset(self, rng: np.random.Generator) -> None:
        """Draw the head anew."""
        self.head.reset(rng)

    def width(self, size: int, dtype: np.dtype) -> int:
        """The head reads the network's outputs."""
        if self.head.features != size:
            raise ShapeError(f"the head reads {self.head.features} features; the network has {size} outputs")
        if self.head.dtype != dtype:
            raise DataError(f"the head has dtype {self.head.dtype}, the network {dtype}; make both alike")
        return size

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """Data (T, B, D) without gaps, what of them is seen, the mask of a ragged batch."""
        y, seen = self.head.emission.prepare(self.y, dtype)
        D = self.head.emission.columns
        y, seen = (layout.hidden(layout.inward(self.named("y"), a, D), 0) for a in (y, seen))
        rows = int(np.count_nonzero(seen.any(axis=-1)))
        scale = 1 / max(1, rows) if self.reduction == "mean" else 1.0
        arrays = {self.named("y"): y, self.named("seen"): seen, self.named("weight"): np.array(scale, dtype)}
        if layout.present is not None:
            arrays["mask"] = layout.present[..., None].astype(dtype)
        return arrays

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add the tables over hidden states to the sequence ``h``."""
        T, B, K, named = layout.steps, layout.batch, self.head.states, self.named
        own = {k: graph.parameter(f"{named('hmm')}.{k}", w) for k, w in self.head.weights.items()}
        mask = None
        if layout.present is not None:
            mask = graph.nodes.get("mask") or graph.observe("mask", arrays["mask"])
        z = graph.sequence(named("states"), T, states=K, shape=(B,))

        def scores(part: str, size: int):
            """Scores of a part: rows of a sequence where the network gives them, else a parameter."""
            if part not in self.head.driven:
                return own[f"{part}.bias"]
            rows = graph.sequence(f"{named('hmm')}.{part}", T, shape=(B, size))
            both = own[f"{part}.weight"], own[f"{part}.bias"]
            graph.factor(LINEAR, h[:], *both, out=rows[:], name=f"{part} scores {named('hmm')}")
            return rows

        first = scores("start", K)
        driven = "start" in self.head.driven
        start = graph.variable(f"{named('hmm')}.log_start", shape=(B, K) if driven else (K,))
        graph.factor(LOG_ROW, first[0] if driven else first, out=start, name=f"{named('hmm')} start rows")
        graph.factor(Table(start), z[0], name=named("start"))
        if T > 1:
            self._link(graph, scores("transition", K * K), z, mask, T, B)
        numbers = scores("emission", K * self.head.emission.size)
        shared = "emission" not in self.head.driven
        rows = graph.sequence(f"{named('hmm')}.log_emission", T, shape=(B, K))
        data = [graph.observe(named(n), arrays[named(n)])[:] for n in ("y", "seen")]
        step = density(self.head.emission, K)
        graph.factor(
            step, numbers if shared else numbers[:], *data, out=rows[:], name=f"{named('hmm')} densities"
        )
        graph.factor(Table(rows[:]), z[:], name=named("emission"))
        graph.weigh(z, graph.observe(named("weight"), arrays[named("weight")]), self.task)

    def _link(self, graph: FactorGraph, scores, z, mask, T: int, B: int) -> None:
        """The transition: one table, or one a step."""
        name, K = self.named("hmm"), self.head.states
        if "transition" not in self.head.driven:
            table = graph.variable(f"{name}.log_transition", shape=(K, K))
            graph.factor(LOG_ROWS, scores, out=table, name=f"{name} rows")
            if mask is None:
                graph.factor(Table(table), z[:-1], z[1:], name=self.named("transition"))
                return
            rows: Any = table
        else:
            tables = graph.sequence(f"{name}.log_transition", T, shape=(B, K, K))
            graph.factor(LOG_ROWS, scores[:], out=tables[:], name=f"{name} rows")
            rows = tables[:]
        if mask is not None:
            held = graph.sequence(f"{name}.held", T, shape=(B, K, K))
            graph.factor(HELD, rows, mask[:], out=held[:], name=f"{name} padding")
            tables = held
        graph.factor(Table(tables[1:]), z[:-1], z[1:], name=self.named("transition"))


class Head:
    """Weights of a neural HMM's three parts: ``{part}.weight`` (·, features) where the network drives the
    part, and ``{part}.bias``, with K numbers for the start, K² for the transition (row = from), K · size for
    the emission."""

    def __init__(
        self,
        features: int,
        states: int,
        emission: Emission,
        driven=("transition", "emission"),
        *,
        dtype=np.float64,
        random_state=None,
    ):
        self.features, self.states = whole("features", features), whole("states", states)
        if not isinstance(emission, Emission):
            raise DataError(f"emission is a Categorical, Gaussian or Poisson, got {type(emission).__name__}")
        wrong = [p for p in driven if p not in PARTS] if not isinstance(driven, str) else [driven]
        if wrong:
            raise DataError(f"driven is a tuple of {', '.join(map(repr, PARTS))}, got {driven!r}")
        self.emission, self.driven, self.dtype = emission, tuple(driven), float_dtype(dtype)
        sizes = {"start": states, "transition": states**2, "emission": states * emission.size}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for part, size in sizes.items():
            if part in self.driven:
                self.shapes[f"{part}.weight"] = (size, features)
            self.shapes[f"{part}.bias"] = (size,)
        self.weights: dict[str, np.ndarray] = {}
        self.reset(random_state)

    @property
    def key(self) -> tuple:
        """Heads with equal keys have the same graph."""
        return self.states, self.features, self.driven, self.emission.key

    def reset(self, random_state=None) -> Head:
        """Draw all weights anew, uniform on (−1/√features, 1/√features); staying is likelier than leaving."""
        self.weights = draw(self.shapes, self.features**-0.5, self.dtype, generator(random_state))
        if self.weights:  # none where they come from a file
            self.weights["transition.bias"] += 2 * np.eye(self.states, dtype=self.dtype).ravel()
        return self

    def load_state_dict(self, state) -> Head:
        """Take in weights."""
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    def start_from(self, y, rng: np.random.Generator) -> None:
        """Set the emission's biases from data, so that the states differ."""
        filled, seen = self.emission.prepare(y, self.dtype)
        numbers = self.emission.start(np.where(seen != 0, filled, np.nan), self.states, rng)
        self.weights["emission.bias"] = numbers.ravel().astype(self.dtype)

    def __repr__(self) -> str:
        return f"Head({self.features}, {self.states}, {type(self.emission).__name__})"
