"""``m.convergence``: how a run of loopy belief propagation went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SHOWN = 8


class Names(Sequence):
    """Names of variables, each made when it is asked for: there may be a million. ``numbers`` may be a
    function that finds them.

    Examples
    --------
    >>> Names([0, 2], "abc".__getitem__)
    ('a', 'c')
    """

    def __init__(self, numbers, label: Callable[[int], str]):
        self._given, self._label = numbers, label

    @cached_property
    def _numbers(self):
        return self._given() if callable(self._given) else self._given

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, k):
        if isinstance(k, slice):
            return Names(self._numbers[k], self._label)
        return self._label(self._numbers[k])

    def __eq__(self, other) -> bool:
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))


@dataclass(frozen=True, eq=False)
class Convergence:
    """Whether messages came to rest.

    Attributes
    ----------
    converged : bool
        No message would change by more than the tolerance.
    iterations : int
        Sweeps; under "residual", messages computed over the messages of a sweep, rounded up.
    history : array
        Largest change of a log message in each iteration, up to a constant and before damping; infinite
        where a state became impossible.
    updates : int
        Messages that were computed and sent.
    tol : float
    moving : sequence of str
        Variables at which a message would still change by more than the tolerance.
    ties : sequence of str
        Under max-product, variables whose two best states are alike: the decoded assignment is then one of
        several, and need not be a best one.
    """

    converged: bool
    iterations: int
    history: np.ndarray
    updates: int
    tol: float
    moving: Sequence[str] = ()
    ties: Sequence[str] = ()

    def __bool__(self) -> bool:
        return self.converged

    def summary(self) -> str:
        """How it went, without names."""
        last = f"{self.history[-1]:.3g}" if len(self.history) else "none"
        how = "converged" if self.converged else "did not converge"
        return (
            f"{how} in {self.iterations} iterations of {self.updates} messages: largest change {last}, "
            f"tolerance {self.tol:g}"
        )

    def __str__(self) -> str:
        text = self.summary()
        if self.moving:
            text += f"; {len(self.moving)} variables still move: {_some(self.moving)}"
        return text + (f"; {len(self.ties)} variables tie: {_some(self.ties)}" if self.ties else "")

    __repr__ = __str__


def joined(parts: list[Convergence]) -> Convergence:
    """The report of a run over several components: the slowest and the largest of each."""
    if len(parts) == 1:
        return parts[0]
    history = np.zeros(max(len(p.history) for p in parts))
    for p in parts:
        history[: len(p.history)] = np.maximum(history[: len(p.history)], p.history)
    return Convergence(
        all(p.converged for p in parts),
        max(p.iterations for p in parts),
        history,
        sum(p.updates for p in parts),
        parts[0].tol,
        _chained([p.moving for p in parts]),
        _chained([p.ties for p in parts]),
    )


def _chained(parts: list[Sequence[str]]) -> Names:
    """Names of all parts, found when they are asked for."""
    return Names(lambda: [name for names in parts for name in names], str)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
