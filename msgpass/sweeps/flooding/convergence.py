"""``m.convergence``: how a run of loopy belief propagation went."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SHOWN = 8


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
    moving : tuple of str
        Variables at which a message would still change by more than the tolerance.
    ties : tuple of str
        Under max-product, variables whose two best states are alike: the decoded assignment is then one of
        several, and need not be a best one.
    """

    converged: bool
    iterations: int
    history: np.ndarray
    updates: int
    tol: float
    moving: tuple[str, ...] = ()
    ties: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return self.converged

    def __str__(self) -> str:
        last = f"{self.history[-1]:.3g}" if len(self.history) else "none"
        how = "converged" if self.converged else "did not converge"
        text = (
            f"{how} in {self.iterations} iterations of {self.updates} messages: largest change {last}, "
            f"tolerance {self.tol:g}"
        )
        if self.moving:
            text += f"; {len(self.moving)} variables still move: {_some(self.moving)}"
        return text + (f"; {len(self.ties)} variables tie: {_some(self.ties)}" if self.ties else "")

    __repr__ = __str__


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
