"""The cliques of a run, and the messages between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msgpass.errors import UnavailableError


@dataclass(frozen=True, eq=False)
class Clique:
    """One clique of a junction tree.

    Attributes
    ----------
    number : int
    variables : tuple of str
        Those that the parent does not have come first.
    separator : tuple of str
        Those that the parent has, too.
    parent : int or None
    children : tuple of int
    """

    number: int
    variables: tuple[str, ...]
    separator: tuple[str, ...]
    parent: int | None
    children: tuple[int, ...]
    run: Any = field(repr=False)
    place: int = field(repr=False)

    @property
    def belief(self) -> np.ndarray:
        """Normalised log belief, an axis a variable (batch axes in front)."""
        return self._read(self.run.sweep.belief(self.place))

    @property
    def up(self) -> np.ndarray:
        """What it tells its parent about the separator: a normalised log table."""
        return self._read(self.run.sweep.up(self.place))

    @property
    def down(self) -> np.ndarray:
        """What its parent tells it about the separator: a normalised log table."""
        return self._read(self.run.sweep.down(self.place))

    def _read(self, logs: np.ndarray) -> np.ndarray:
        self.run.impossible()
        axes = tuple(range(1, logs.ndim))
        total = self.run.algebra.reduce(logs, axes) if axes else logs
        with np.errstate(invalid="ignore"):
            logs = logs - total.reshape(-1, *(1,) * len(axes))
        return logs.reshape(*self.run.layout.shape, *logs.shape[1:])


class Cliques(tuple):
    """All cliques of a run, children before parents; printed as a table."""

    def __repr__(self) -> str:
        lines = [f"{len(self)} cliques"]
        for c in self[:40]:
            above = "" if c.parent is None else f" → {c.parent} through ({', '.join(c.separator)})"
            lines.append(f"  {c.number}. ({', '.join(c.variables)}){above}")
        return "\n".join([*lines, *([f"  … and {len(self) - 40} more"] if len(self) > 40 else [])])


def cliques(x) -> Cliques:
    """Of all components that were run over a junction tree."""
    found: list[Clique] = []
    for run in x.runs.values():
        if not hasattr(run, "part_totals") or not hasattr(run.layout, "tree"):
            continue
        tree, label, start = run.layout.tree, run.layout.flat.label, len(found)
        children: list[list[int]] = [[] for _ in range(len(tree))]
        for c, p in enumerate(tree.parent.tolist()):
            if p >= 0:
                children[p].append(start + c)
        for c, p in enumerate(tree.parent.tolist()):
            own, shared = (tuple(label(v) for v in vs.tolist()) for vs in (tree[c], tree.separator(c)))
            above = None if p < 0 else start + p
            found.append(Clique(start + c, own, shared, above, tuple(children[c]), run, c))
    if not found:
        raise UnavailableError(
            "there are cliques of components that are no chain, run with JunctionTree(); "
            f"this run was {x.schedule!r}"
        )
    return Cliques(found)
