"""``Network``: what ``bptt``, ``fit`` and the estimators need of a model with weights and a graph.

A subclass sets ``shapes`` and ``dtype``, has an ``output_size``, and implements

    call(x, loss=None, **data)   one call's data, checked and in the graph's axes: a Call
    build(call)                  the graph of a call

Everything else comes with it: weights by key, state dicts, graphs that are kept by shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError, NumericalError, UnsupportedError
from rnn.layout import Layout
from rnn.losses import OutputLoss
from rnn.weights import Shapes, checked

KEPT_GRAPHS = 8
"""Graphs that a network keeps, the latest used: each holds the data that it was built with."""

Self = TypeVar("Self", bound="Network")


@dataclass(frozen=True)
class Call:
    """One call's data.

    Attributes
    ----------
    layout : Layout
    arrays : dict
        Data by their names in the graph, checked but for NaN, which the graph looks for.
    loss : OutputLoss or None
    options : tuple
        What else the graph depends on.
    """

    layout: Layout
    arrays: dict[str, np.ndarray]
    loss: OutputLoss | None = None
    options: tuple = field(default=())

    @property
    def key(self) -> tuple:
        """Calls with equal keys have the same graph but for the values of its data."""
        names = tuple(self.arrays)
        loss = None if self.loss is None else self.loss.key
        return self.layout.steps, self.layout.batch, names, loss, self.options


class Network(ABC):
    """A model with weights by key; a subclass says how they are drawn, what its data are and its graph."""

    shapes: Shapes
    weights: dict[str, np.ndarray]
    dtype: np.dtype
    input_size: int
    output_size: int
    dropout: float = 0.0
    """Above 0, ``call`` takes ``random_state`` and draws what is dropped out."""
    counts: tuple[str, ...] = ()
    """Settings that are whole numbers and no sizes of arrays, which a file may hold without such an array."""

    def __init__(self) -> None:
        self.weights = {}
        self._graphs: OrderedDict[tuple, FactorGraph] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the graphs, which are made anew."""
        return {k: v for k, v in self.__dict__.items() if k != "_graphs"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._graphs = OrderedDict()

    # -- what a subclass says ------------------------------------------------------------------------

    @abstractmethod
    def reset(self: Self, random_state=None) -> Self:
        """Draw all weights anew."""

    @abstractmethod
    def call(self, x, loss: OutputLoss | None = None, **data) -> Call:
        """One call's data, checked and in the graph's axes."""

    @abstractmethod
    def build(self, call: Call) -> FactorGraph:
        """The graph of a call, with its loss if it has one."""

    def cut(self, layout: Layout, name: str, value, rows: np.ndarray, steps: int | None):
        """Data of some of the sequences, and their first ``steps``: of ``x``, or what ``call`` takes beside.

        By default ``x`` has the layout's axes, ``lengths`` one, initial states the batch as their second.
        """
        if isinstance(value, tuple | list) and name != "lengths":
            # The parts of an input may differ in length, and layout's is that of the outputs.
            return tuple(self.cut(layout, name, v, rows, None) for v in value)
        array = np.asarray(value)
        if name == "x":
            return array[rows, :steps] if layout.batch_first else array[:steps, rows]
        if name == "lengths":
            return array[rows]
        if name == "h0":
            return array[:, rows]
        raise UnsupportedError(
            f"{name!r} cannot be cut into batches; leave batch_size and a share for validation out"
        )

    def explained(self, problem: NumericalError, values: Mapping) -> NumericalError:
        """What went wrong in a run, said better where the network can; ``values`` are the run's."""
        return problem

    # -- weights -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the weights, by torch's keys."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self: Self, state: Mapping) -> Self:
        """Take in weights, from a torch module's ``state_dict()`` too.

        Raises
        ------
        DataError
            Missing or unknown keys; entries that are not finite numbers.
        ShapeError
            An entry of another shape.
        """
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    def save(self, path) -> None:
        """Write settings and weights to a safetensors file, for :func:`rnn.load` and for torch."""
        from rnn.keeping import save

        save(self, path)

    # -- graphs --------------------------------------------------------------------------------------

    def problem(self, x, loss: OutputLoss | None = None, **data) -> tuple[FactorGraph, dict[str, np.ndarray]]:
        """The kept graph of data and loss, and the values of a run of it."""
        call = self.call(x, loss, **data)
        weights = {} if loss is None else loss.weights
        return self.kept(call), {**self.weights, **weights, **call.arrays}

    def kept(self, call: Call) -> FactorGraph:
        """The graph for data of these shapes, to be run with new values: built once, with its plan."""
        graph = self._graphs.get(call.key)
        if graph is None:
            graph = self._graphs[call.key] = self.build(call)
            if len(self._graphs) > KEPT_GRAPHS:
                self._graphs.popitem(last=False)
        else:
            self._graphs.move_to_end(call.key)
        return graph


def checked_loss(loss) -> OutputLoss:
    """A loss, and nothing else."""
    if not isinstance(loss, OutputLoss):
        raise DataError(
            f"loss must be SquaredError(target) or CrossEntropy(labels), got {type(loss).__name__}"
        )
    return loss
