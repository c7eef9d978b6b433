"""The result of a run: every directed message, beliefs, the total, and what arrives at each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.nodes import Parameter, Sequence
from msgpass.sweeps import readings


class Reading(Mapping):
    """A lazy mapping from names to arrays, made when they are asked for."""

    def __init__(
        self,
        what: str,
        names: Callable[[], list[str]],
        read: Callable[[str], Any],
        explain: Callable[[str], str | None] = lambda _: None,
    ):
        self._what, self._names, self._read, self._explain = what, names, read, explain
        self._kept: dict[str, Any] = {}

    def __getitem__(self, key):
        name = getattr(key, "name", key)
        if name not in self._kept:
            names = self._names()
            if name not in names:
                why = self._explain(name)
                if why is not None:
                    raise UnsupportedError(why)
                raise UnavailableError(
                    f"there is no {self._what} of {name!r}; there is one of "
                    f"{', '.join(names) or 'nothing in this graph'}"
                )
            self._kept[name] = self._read(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, key) -> bool:
        return getattr(key, "name", key) in self._names()

    def __repr__(self) -> str:
        return f"<{self._what}: {', '.join(self._names())}>"


class TaskMessages(NamedTuple):
    """One task's share of a run."""

    total: float
    parameters: dict[str, np.ndarray]
    gradient: dict[str, np.ndarray]


class Messages:
    """What :func:`msgpass.run` returns.

    Attributes
    ----------
    total : float
        log Z, best score, or loss (with Tangent: value and directional derivative).
    forward, backward : mapping from a sequence's name to an array, first axis time
        ``forward`` holds what slices up to and including t say, ``backward`` what later slices say: log
        tables for discrete
        variables, (h, precision) for Gaussian ones, values and cotangents for real ones.
    belief : mapping from a variable's or a factor's name
        Normalised log marginals (max-marginals with the best at 0; Gaussian: mean and cov); of a factor its
        joint belief.
    parameters : mapping
        ∂total/∂parameter: expected counts, sufficient statistics, gradients.
    gradient : mapping
        ∂total/∂ any real variable, parameter or observation.
    assignment : mapping
        Under MaxProduct, the best state of every discrete variable.
    tasks : mapping from a task's name to its own total, parameters and gradient
    """

    def __init__(self, execution):
        self._x = execution
        graph = execution.plan.graph
        kinds = graph.nodes
        sequences = lambda: [n for n, v in kinds.items() if isinstance(v, Sequence)]  # noqa: E731
        self.forward = Reading("forward message", sequences, lambda n: readings.forward(execution, n))
        self.backward = Reading("backward message", sequences, lambda n: readings.backward(execution, n))
        self.belief = Reading(
            "belief",
            lambda: readings.believed(execution),
            lambda n: readings.believe(execution, n),
            lambda n: readings.no_belief(execution, n),
        )
        self.parameters = Reading(
            "parameter message",
            lambda: [n for n, v in kinds.items() if isinstance(v, Parameter)],
            lambda n: readings.parameter(execution, n),
        )
        self.gradient = Reading(
            "gradient",
            lambda: readings.real_names(execution),
            lambda n: readings.gradient(execution, n),
            lambda n: readings.no_gradient(execution, n),
        )
        self.assignment = Reading(
            "assignment",
            lambda: readings.discrete_names(execution),
            lambda n: readings.assignment(execution, n),
        )
        self.tasks = Reading("task", lambda: [t for t in execution.tasks if t is not None], self._task)

    @property
    def graph(self):
        """The graph that was run."""
        return self._x.plan.graph

    @property
    def total(self):
        """log Z, best score, or loss."""
        return self._x.total

    @property
    def schedule(self):
        """The schedule of this run."""
        return self._x.schedule

    def message(self, source, target):
        """One directed message between a factor instance and a variable instance.

        Parameters
        ----------
        source, target : ``f[t]`` and ``z[t]`` (or a single variable or factor), in either order
            factor → variable, or variable → factor.

        Returns
        -------
        array
            A log table; (h, precision) of a Gaussian variable; a value along a step's arrow and a cotangent
            against it.
        """
        return readings.message(self._x, source, target)

    def _task(self, name: str) -> TaskMessages:
        x = readings.full(self._x)
        store, blocks = x.stores[name][0], x.plan.blocks
        total = sum(v for k, (v, _) in x.losses.items() if blocks[k].families[0].potential.task == name)
        gradient = {n: store.complete(n) for n in readings.real_names(x)}
        return TaskMessages(total, {n: gradient[n] for n in self.parameters}, gradient)

    def to_frame(self):
        """Tidy pandas frame: one row a variable, step, index and quantity."""
        from msgpass.frames import messages_frame

        return messages_frame(self)

    def plot(self, name: str | None = None):
        """Matplotlib figure of forward and backward messages and beliefs over time."""
        from msgpass.plot import plot_messages

        return plot_messages(self, name)

    def __repr__(self) -> str:
        blocks = ", ".join(
            f"{b.kind}({', '.join(b.nodes) or b.families[0].name})" for b in self._x.plan.blocks
        )
        algebras = ", ".join(dict.fromkeys(a.name for a in self._x.algebras))
        return f"<Messages: total {self.total!r}; {algebras} under {self._x.schedule!r}; {blocks}>"
