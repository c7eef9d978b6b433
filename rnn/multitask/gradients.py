"""``TaskGradients``: what each task says to the weights that tasks share, from one sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError, UnavailableError
from msgpass.schedule.base import Schedule
from rnn.bptt import bptt
from rnn.losses import OutputLoss
from rnn.networks import Network
from rnn.training.reach import reached
from rnn.training.surgery import shared_names
from rnn.training.vector import Vector

ALL = "all"
"""The group of all shared weights."""


@dataclass(frozen=True, repr=False)
class TaskGradients:
    """Gradients by task.

    Attributes
    ----------
    totals : dict
        Task → its loss.
    by_task : dict
        Task → {key: gradient}, of the shared weights.
    groups : dict
        Group → keys: how weights are taken together in ``cosines``; besides there is the group "all".
    messages : Messages
        Of the sweep.
    """

    totals: dict[str, float]
    by_task: dict[str, dict[str, np.ndarray]]
    groups: dict[str, tuple[str, ...]]
    messages: Messages = field(repr=False)

    @classmethod
    def of(cls, m: Messages, names=None, groups: Mapping | None = None) -> TaskGradients:
        """Of a run whose losses have tasks.

        Parameters
        ----------
        m : Messages
        names : list of str, optional
            Parameters; by default those that at least two tasks reach.
        groups : dict, optional
            Group → list of keys; by default each parameter is a group.
        """
        tasks = list(m.tasks)
        if not tasks:
            raise UnavailableError(
                "no loss of this run has a task; give losses task='name', such as Several(SquaredError(y, "
                "task='level'), CrossEntropy(c, task='kind'))"
            )
        reach = reached(m.graph)
        if names is None:
            known = [key for key in m.parameters if key in m.graph.nodes]
            names = shared_names({task: reach.get(task, set()) for task in tasks}, known)
            if not names:
                raise DataError("the tasks share no parameter, so there is nothing to compare; give names=")
        else:
            names = list(names)
        unknown = [key for key in names if key not in m.parameters]
        if unknown:
            raise UnavailableError(
                f"there is no parameter {unknown[0]!r}; there are {', '.join(m.parameters)}"
            )
        found = {task: m.tasks[task] for task in tasks}
        return cls(
            {task: float(one.total) for task, one in found.items()},
            {task: {key: one.parameters[key] for key in names} for task, one in found.items()},
            _groups(groups, names),
            m,
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names, in the order of the losses."""
        return tuple(self.by_task)

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the weights."""
        return tuple(next(iter(self.by_task.values())))

    def keys(self, group: str = ALL) -> tuple[str, ...]:
        """Of a group, or of one weight."""
        if group == ALL:
            return self.names
        if group in self.groups:
            return self.groups[group]
        if group in self.names:
            return (group,)
        raise UnavailableError(f"there is no group {group!r}; there are {', '.join((ALL, *self.groups))}")

    def matrix(self, group: str = ALL) -> np.ndarray:
        """(K, n): a row a task, the weights of a group end to end."""
        keys = self.keys(group)
        return np.stack([np.concatenate([found[k].ravel() for k in keys]) for found in self.by_task.values()])

    def dots(self, group: str = ALL) -> np.ndarray:
        """(K, K) inner products."""
        G = self.matrix(group)
        return G @ G.T

    def norms(self, group: str = ALL) -> np.ndarray:
        """(K,) lengths."""
        return np.linalg.norm(self.matrix(group), axis=1)

    def cosines(self, group: str = ALL) -> np.ndarray:
        """(K, K) cosines between tasks; NaN where a gradient is zero."""
        G = self.matrix(group)
        size = np.abs(G).max(axis=1, keepdims=True)
        G = G / np.where(size == 0, 1.0, size)
        lengths = np.linalg.norm(G, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.clip(G @ G.T / np.outer(lengths, lengths), -1, 1)

    def vector(self) -> Vector:
        """Where each weight lies in a row of ``matrix()``."""
        return Vector(next(iter(self.by_task.values())))

    def combined(self, surgery, count: int = 0) -> dict[str, np.ndarray]:
        """What a surgery makes of them, by key."""
        return self.vector().copies(surgery(self.matrix(), count).direction)

    def to_frame(self):
        """A pandas frame: group, task, other, cosine, dot."""
        from msgpass.optional import pandas

        rows = [
            (group, a, b, cosines[i, j], dots[i, j])
            for group in (ALL, *self.groups)
            for cosines, dots in ((self.cosines(group), self.dots(group)),)
            for i, a in enumerate(self.tasks)
            for j, b in enumerate(self.tasks)
            if i < j
        ]
        return pandas().DataFrame(rows, columns=["group", "task", "other", "cosine", "dot"])

    def __repr__(self) -> str:
        norms = self.norms()
        told = ", ".join(
            f"{t} {self.totals[t]:.4g} (‖g‖ {n:.3g})" for t, n in zip(self.tasks, norms, strict=True)
        )
        return f"<TaskGradients: {told}; {len(self.names)} shared weights>"


def _groups(groups, names) -> dict[str, tuple[str, ...]]:
    if groups is None:
        return {key: (key,) for key in names}
    found = {}
    for group, keys in dict(groups).items():
        keys = (keys,) if isinstance(keys, str) else tuple(keys)
        wrong = [key for key in keys if key not in names]
        if wrong or not keys or group == ALL:
            raise DataError(
                f"group {group!r} must be a list of shared weights ({', '.join(names)}) and not be called "
                f"'all', got {keys}"
            )
        found[group] = keys
    return found


def task_gradients(
    net: Network,
    x,
    loss: OutputLoss,
    schedule: Schedule | None = None,
    *,
    names=None,
    groups: Mapping | None = None,
    **data,
) -> TaskGradients:
    """Gradients of every task of a loss, from one sweep.

    Parameters
    ----------
    net, x, loss, schedule, **data
        As for :func:`rnn.bptt`; the loss is ``Several(…)`` of losses with tasks.
    names : list of str, optional
        Weights; by default those that at least two tasks reach.
    groups : dict, optional
        Group → keys; by default each weight by itself.

    Returns
    -------
    TaskGradients

    Examples
    --------
    >>> from rnn import RNN, Linear, Several, SquaredError
    >>> net = RNN(1, 4, random_state=0)
    >>> heads = [Linear(4, 1, random_state=k) for k in (1, 2)]
    >>> up, down = (
    ...     SquaredError(np.full((5, 1), y), readout=r, task=t)
    ...     for y, r, t in zip((1, -1), heads, ("up", "down"))
    ... )
    >>> found = task_gradients(net, np.ones((5, 1)), Several(up, down))
    >>> found.cosines().shape, found.names[0]
    ((2, 2), 'weight_ih_l0')
    """
    return TaskGradients.of(bptt(net, x, loss, schedule, **data), names, groups)
