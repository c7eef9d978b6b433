"""``conflicts``: which tasks pull apart, at which weights, and from which time steps that comes.

    g_a·g_b = Σ_t ½ (g_a(t)·g_b + g_a·g_b(t))

where g_a(t) is what step t says to the weights for task a. The terms of the sum are the steps' shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.schedule.base import Schedule
from rnn.bptt import bptt
from rnn.losses import OutputLoss
from rnn.multitask.gradients import ALL, TaskGradients
from rnn.networks import Network
from rnn.validation import one_of


class Conflict(NamedTuple):
    """One pair of tasks at one group of weights.

    Attributes
    ----------
    task, other, group : str
    cosine : float
        NaN where one of the gradients is zero.
    dot : float
    by_step : (T,) array
        Shares of ``dot``; negative where the step pulls the two apart.
    without_step : float
        The share of factors without a step, such as penalties.
    """

    task: str
    other: str
    group: str
    cosine: float
    dot: float
    by_step: np.ndarray
    without_step: float

    @property
    def conflicting(self) -> bool:
        """The gradients point away from each other."""
        return self.dot < 0

    def worst_steps(self, n: int = 3) -> list[int]:
        """Steps with the most negative shares, the worst first; fewer where fewer are negative."""
        order = np.argsort(self.by_step, kind="stable")[:n]
        return [int(t) for t in order if self.by_step[t] < 0]


@dataclass(frozen=True, repr=False)
class ConflictReport:
    """All pairs of tasks, overall and at each group of weights.

    Attributes
    ----------
    pairs : tuple of Conflict
        Overall (group "all") first, then by group; within each, the smallest cosine first.
    gradients : TaskGradients
    """

    pairs: tuple[Conflict, ...]
    gradients: TaskGradients = field(repr=False)

    def __getitem__(self, key) -> Conflict:
        """``report["a", "b"]``, or ``report["a", "b", "weight_hh_l0"]``."""
        task, other, group = (*key, ALL)[:3]
        self.gradients.keys(group)
        for one in self.pairs:
            if {one.task, one.other} == {task, other} and one.group == group:
                return one
        raise UnavailableError(
            f"there is no pair {task!r}, {other!r}; the tasks are {', '.join(self.gradients.tasks)}"
        )

    @property
    def conflicting(self) -> tuple[Conflict, ...]:
        """Those whose gradients point away from each other."""
        return tuple(one for one in self.pairs if one.conflicting)

    def to_frame(self, by: str = "group"):
        """A pandas frame.

        Parameters
        ----------
        by : {"group", "step"}
            A row a pair and group, or a row a pair, group and step.
        """
        from msgpass.optional import pandas

        if one_of("by", by, ("group", "step")) == "group":
            rows = [(p.group, p.task, p.other, p.cosine, p.dot, p.conflicting) for p in self.pairs]
            return pandas().DataFrame(
                rows, columns=["group", "task", "other", "cosine", "dot", "conflicting"]
            )
        shares = [
            (p.group, p.task, p.other, t, s) for p in self.pairs for t, s in enumerate(p.by_step.tolist())
        ]
        return pandas().DataFrame(shares, columns=["group", "task", "other", "step", "share"])

    def plot(self, figure=None):
        """Cosines by group on the left, shares of the steps on the right.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn.multitask.plot import plot_report

        return plot_report(self, figure)

    def __repr__(self) -> str:
        overall = [p for p in self.pairs if p.group == ALL]
        lines = [
            f"<ConflictReport: {len(self.gradients.tasks)} tasks, {len(self.gradients.names)} shared weights>"
        ]
        for pair in overall:
            word = "conflict" if pair.conflicting else "agree"
            steps = ", ".join(f"t={t}" for t in pair.worst_steps())
            lines.append(
                f"  {pair.task} × {pair.other}: {word}, cosine {pair.cosine:+.3f}"
                + (f"; pulled apart most at {steps}" if steps else "")
            )
            below = [p for p in self.pairs if p.group != ALL and p[:2] == pair[:2] and p.conflicting]
            lines += [f"    {p.group}: cosine {p.cosine:+.3f}" for p in below[:5]]
            if len(below) > 5:
                lines.append(f"    and {len(below) - 5} more groups")
        return "\n".join(lines)


def conflicts(
    net: Network,
    x,
    loss: OutputLoss,
    schedule: Schedule | None = None,
    *,
    names=None,
    groups: Mapping | None = None,
    **data,
) -> ConflictReport:
    """Which tasks pull apart, where, and when.

    Parameters
    ----------
    net, x, loss, schedule, names, groups, **data
        As for :func:`task_gradients`.

    Returns
    -------
    ConflictReport

    Notes
    -----
    Steps' shares take T local VJPs for each task and weight; ``task_gradients`` alone takes none.
    """
    return conflicts_of(bptt(net, x, loss, schedule, **data), names, groups)


def conflicts_of(m: Messages, names=None, groups: Mapping | None = None) -> ConflictReport:
    """The same of any run whose losses have tasks."""
    found = TaskGradients.of(m, names, groups)
    shares = {key: _shares(found, key) for key in found.names}
    pairs: list[Conflict] = []
    for group in (ALL, *found.groups):
        keys, cosines, dots = found.keys(group), found.cosines(group), found.dots(group)
        both = _summed([shares[key] for key in keys])
        here = [
            Conflict(
                a, b, group, float(cosines[i, j]), float(dots[i, j]), both[:-1, i, j], float(both[-1, i, j])
            )
            for i, a in enumerate(found.tasks)
            for j, b in enumerate(found.tasks)
            if i < j
        ]
        pairs += sorted(here, key=lambda p: np.inf if np.isnan(p.cosine) else p.cosine)
    return ConflictReport(tuple(pairs), found)


def _shares(found: TaskGradients, key: str) -> np.ndarray:
    """(T + 1, K, K) parts of g_a·g_b at one weight, by step; the last is that without a step."""
    whole = np.stack([g[key].ravel() for g in found.by_task.values()])
    rows = []
    for task in found.tasks:
        terms = found.messages.contributions(key, task=task)
        try:
            steps = [np.asarray(term).ravel() @ whole.T for term in terms]
            rest = np.asarray(terms.without_step).ravel()
        except UnsupportedError:  # read on several clocks: its steps have no common time
            steps, rest = [], found.by_task[task][key].ravel()
        rows.append(np.stack([*steps, rest @ whole.T]))
    one = np.stack(rows, axis=1)  # (T + 1, a, b): g_a(t)·g_b
    return (one + one.transpose(0, 2, 1)) / 2


def _summed(parts: list[np.ndarray]) -> np.ndarray:
    """Over weights; those of another number of steps than most have no place but the last."""
    lengths = [len(part) for part in parts]
    steps = max(set(lengths) - {1} or {1}, key=lambda n: (lengths.count(n), n))
    total = np.zeros((steps, *parts[0].shape[1:]))
    for part in parts:
        if len(part) == steps:
            total += part
        else:
            total[-1] += part.sum(axis=0)
    return total
