"""``ConflictRecorder``: cosines between tasks over the time of training, as a callback of ``fit``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from msgpass.errors import UnavailableError
from msgpass.schedule.base import Schedule
from rnn.losses import OutputLoss
from rnn.multitask.gradients import ALL, TaskGradients, task_gradients
from rnn.training import Report
from rnn.validation import whole


class ConflictRecorder:
    """Writes down losses, lengths of gradients and cosines of every task while a network is trained.

    Parameters
    ----------
    x : array
        Data on which gradients are taken, such as those of the fit, or a batch of them.
    loss : OutputLoss
        The loss of the fit, or one with the same readouts: its readouts' weights are those of the moment.
    every : int
        Epochs between two records.
    groups : dict, optional
        Group → keys, as for :func:`task_gradients`.
    schedule, **data
        As for :func:`rnn.bptt`.

    Attributes
    ----------
    epochs : list of int
    tasks : tuple of str
    groups : tuple of str
        "all" first.

    Examples
    --------
    >>> from rnn import RNN, Linear, Several, SquaredError, fit
    >>> x, net = np.ones((5, 1)), RNN(1, 4, random_state=0)
    >>> heads = [Linear(4, 1, random_state=k) for k in (1, 2)]
    >>> loss = Several(
    ...     *(SquaredError(np.full((5, 1), y), readout=r, task=t) for y, r, t in zip((1, -1), heads, "ab"))
    ... )
    >>> recorder = ConflictRecorder(x, loss, every=5)
    >>> history = fit(net, x, loss, "adam", n_iter=10, tol=None, callbacks=recorder)
    >>> recorder.epochs, recorder.cosines().shape
    ([0, 5, 10], (3, 2, 2))
    """

    def __init__(
        self,
        x,
        loss: OutputLoss,
        every: int = 1,
        groups: Mapping | None = None,
        schedule: Schedule | None = None,
        **data,
    ):
        self.x, self.loss, self.every = x, loss, whole("every", every)
        self.given, self.schedule, self.data = groups, schedule, data
        self.epochs: list[int] = []
        self.tasks: tuple[str, ...] = ()
        self.groups: tuple[str, ...] = (ALL,)
        self._totals: list[list[float]] = []
        self._norms: dict[str, list[np.ndarray]] = {}
        self._cosines: dict[str, list[np.ndarray]] = {}

    def __call__(self, report: Report) -> None:
        """Told by ``fit`` after an epoch."""
        if report.epoch % self.every == 0:
            found = task_gradients(
                report.net, self.x, self.loss, self.schedule, groups=self.given, **self.data
            )
            self.record(report.epoch, found)

    def record(self, epoch: int, found: TaskGradients) -> None:
        """Write down gradients of any other loop of training."""
        self.tasks, self.groups = found.tasks, (ALL, *found.groups)
        self.epochs.append(int(epoch))
        self._totals.append(list(found.totals.values()))
        for group in self.groups:
            self._norms.setdefault(group, []).append(found.norms(group))
            self._cosines.setdefault(group, []).append(found.cosines(group))

    @property
    def totals(self) -> np.ndarray:
        """(records, K) losses."""
        return np.array(self._totals)

    def norms(self, group: str = ALL) -> np.ndarray:
        """(records, K) lengths of gradients."""
        return np.array(self._of(self._norms, group))

    def cosines(self, group: str = ALL) -> np.ndarray:
        """(records, K, K)."""
        return np.array(self._of(self._cosines, group))

    def _of(self, kept: dict, group: str) -> list:
        if not self.epochs:
            raise UnavailableError(
                "nothing was recorded yet; give the recorder to fit, as callbacks=recorder"
            )
        if group not in kept:
            raise UnavailableError(f"there is no group {group!r}; there are {', '.join(kept)}")
        return kept[group]

    def to_frame(self):
        """A pandas frame: epoch, group, task, other, cosine."""
        from msgpass.optional import pandas

        rows = [
            (epoch, group, a, b, cosines[i, j])
            for group in self.groups
            for epoch, cosines in zip(self.epochs, self.cosines(group), strict=True)
            for i, a in enumerate(self.tasks)
            for j, b in enumerate(self.tasks)
            if i < j
        ]
        return pandas().DataFrame(rows, columns=["epoch", "group", "task", "other", "cosine"])

    def plot(self, groups=None, figure=None):
        """Cosines over epochs: pairs overall, or the groups named.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn.multitask.plot import plot_recorder

        return plot_recorder(self, [ALL] if groups is None else list(groups), figure)

    def __repr__(self) -> str:
        return f"<ConflictRecorder: {len(self.epochs)} records of {', '.join(self.tasks) or 'no tasks yet'}>"
