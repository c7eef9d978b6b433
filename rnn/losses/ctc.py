"""``CTC``: −log of the probability that a network's outputs, blanks and repetitions dropped, spell a target.

    −log Σ_{alignments a of the target} Π_t softmax(output_t)[a_t]

(Graves, Fernández, Gomez & Schmidhuber 2006). The sum over alignments is log Z of a chain of tables, one
state a place in the target; its forward and backward messages are Graves' α and β, and its marginals are
read from ``m.belief["alignment"]``.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from msgpass import FactorGraph, Table
from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.losses.alignment import EVIDENCE, needed, states, transitions
from rnn.losses.base import Arrays, OutputLoss
from rnn.losses.cross_entropy import as_labels
from rnn.losses.ranges import within
from rnn.readout import Linear
from rnn.validation import flag


class CTC(OutputLoss):
    """Connectionist temporal classification: targets that are shorter than the input and not aligned with it.

    Parameters
    ----------
    targets : list of B sequences of int, or array (B, U) padded with −1; unbatched, one sequence
        Labels without blanks; a target may be empty.
    reduction : {"sum", "mean"}
        The mean divides by the number of labels of all targets.
    readout : Linear, optional
        From the network's output to one number a class, the blank included.
    blank : int
        The class that is no label.
    zero_infinity : bool
        A target that is too long for its input has no alignment. By default that is an error; with
        ``zero_infinity`` it contributes nothing.
    task : str, optional
        Name of the task, where there are several: :class:`Several`.

    Notes
    -----
    Outputs go through log softmax here; outputs that are log probabilities already stay as they are. How many
    steps an input has, its ``lengths`` say. Torch's ``reduction="mean"`` divides each loss by its own
    target's length first, then by B.

    Examples
    --------
    >>> from rnn import CTC, LSTM, Linear, bptt
    >>> net, readout = LSTM(1, 4, random_state=0), Linear(4, 3, random_state=1)
    >>> x = np.zeros((6, 2, 1))
    >>> m = bptt(net, x, CTC([[1, 2, 2], [1]], readout=readout), lengths=[6, 4])
    >>> m.gradient["output"].shape, bool((m.gradient["output"][4:, 1] == 0).all())
    ((6, 2, 3), True)
    >>> bptt(net, x, CTC([[1, 2, 2], [1, 1, 1]], readout=readout), lengths=[6, 4])
    Traceback (most recent call last):
    ...
    msgpass.errors.DataError: target 1 needs 5 steps (3 labels and 2 blanks between equal ones), but its \
input has 4; give longer inputs, or zero_infinity=True to leave such targets out
    """

    name = "targets"

    def __init__(
        self,
        targets,
        reduction: str = "sum",
        readout: Linear | None = None,
        *,
        blank: int = 0,
        zero_infinity: bool = False,
        task: str | None = None,
    ):
        super().__init__(reduction, readout, task)
        if isinstance(blank, bool) or not isinstance(blank, int | np.integer) or blank < 0:
            raise DataError(f"blank is a class, a whole number ≥ 0, got {blank!r}")
        self.blank, self.zero_infinity = int(blank), flag("zero_infinity", zero_infinity)
        self.targets = _sequences(targets)
        self.longest = max(map(len, self.targets))

    @property
    def key(self) -> tuple:
        """The longest target gives the number of states."""
        return *super().key, self.longest

    def observed(self, layout: Layout, width: int, dtype: np.dtype) -> Arrays:
        """States of the alignments and where each sequence starts and ends."""
        if self.blank >= width:
            raise DataError(f"blank is {self.blank}, but there are {width} classes, from 0 to {width - 1}")
        if len(self.targets) != layout.batch:
            raise ShapeError(f"there are {len(self.targets)} targets and {layout.batch} sequences")
        for b, target in enumerate(self.targets):
            bad = (target >= width) | (target == self.blank) | (target < 0)
            within(
                f"target {b}",
                target,
                bad,
                f"labels are classes from 0 to {width - 1} other than blank {self.blank}",
            )
        steps = np.full(layout.batch, layout.steps) if layout.lengths is None else layout.lengths.copy()
        for b, target in enumerate(self.targets):
            if needed(target) > steps[b] and not self.zero_infinity:
                between = needed(target) - len(target)
                more = f" ({len(target)} labels and {between} blanks between equal ones)" if between else ""
                raise DataError(
                    f"target {b} needs {needed(target)} steps{more}, but its input has {steps[b]}; give "
                    "longer inputs, or zero_infinity=True to leave such targets out"
                )
            steps[b] *= needed(target) <= steps[b]
        symbols, open_ = states(self.targets, self.longest, self.blank)
        starts = np.array([3 * (self.longest - len(t)) for t in self.targets])
        number = sum(len(t) for t, n in zip(self.targets, steps, strict=True) if n)
        scale = 1 / max(1, number) if self.reduction == "mean" else 1.0
        return {
            self.named("targets"): symbols,
            self.named("open"): open_.astype(dtype),
            self.named("starts"): starts.astype(dtype),
            self.named("steps"): steps.astype(dtype),
            self.named("weight"): np.array(scale, dtype),
        }

    def part(self, rows: np.ndarray, steps: int, batch_first: bool) -> OutputLoss:
        """The same loss over some of the sequences."""
        found = copy(self)
        found.targets = [self.targets[k] for k in rows]
        return found

    def attach(self, graph: FactorGraph, h, arrays: Arrays, layout: Layout, width: int) -> None:
        """Add readout and the chain of alignments over the sequence ``h``."""
        output = self.read_out(graph, h, layout)
        clock, size = [layout.steps] * layout.batch, 3 * self.longest + 2
        name = self.named("targets")
        given = [graph.observe(name, arrays[name], states=width)]
        given += [graph.observe(self.named(n), arrays[self.named(n)]) for n in ("open", "starts", "steps")]
        rows = graph.sequence(self.named("log_evidence"), clock, shape=(size,))
        graph.factor(EVIDENCE, output.all, *given, out=rows[:], name=self.named("evidence"))
        z = graph.sequence(self.named("alignment"), clock, states=size)
        graph.factor(Table(rows[:]), z[:], name=self.named("alignment evidence"))
        if layout.steps > 1:
            entries = transitions(self.longest)
            move = Table.sparse(np.zeros(len(entries[0])), *entries)
            graph.factor(move, z[:-1], z[1:], name=self.named("alignment steps"))
        graph.weigh(z, graph.observe(self.named("weight"), arrays[self.named("weight")]), self.task)


def _sequences(targets) -> list[np.ndarray]:
    """One array of labels a sequence; −1 at the end of a padded one is cut off."""
    if isinstance(targets, np.ndarray) or not any(np.ndim(t) for t in targets):
        targets = np.atleast_2d(np.asarray(targets))
    found = []
    for b, target in enumerate(targets):
        own = as_labels(target, what=f"target {b}") if np.size(target) else np.zeros(0, np.int64)
        if own.ndim != 1:
            raise ShapeError(f"target {b} has shape {own.shape}; a target is one sequence of labels")
        used = np.flatnonzero(own >= 0)
        found.append(own[: used[-1] + 1] if used.size else own[:0])
    if not found:
        raise DataError("CTC needs at least one target")
    return found


def collapse(path, blank: int = 0) -> list[np.ndarray]:
    """Labels that a path of classes spells: repetitions are one label, blanks are dropped.

    Parameters
    ----------
    path : array of int (T,) or (T, B)
        Such as ``output.argmax(axis=-1)``; −1 is padding.

    Returns
    -------
    list of arrays, one a sequence

    Examples
    --------
    >>> collapse([1, 1, 0, 1, 2, 2, 0])
    [array([1, 1, 2])]
    """
    path = np.asarray(path)
    columns = path[:, None] if path.ndim == 1 else path
    found = []
    for column in columns.T:
        new = np.append(True, column[1:] != column[:-1])
        found.append(column[new & (column != blank) & (column >= 0)])
    return found
