"""The kinds of blocks: what one sweep runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgpass.plan.families import Family
from msgpass.potentials import SparseTable


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the plan that one sweep runs."""

    families: tuple[Family, ...]
    nodes: tuple[str, ...]
    gaussian = False

    @property
    def kind(self) -> str:
        """Class name."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(self.nodes) or '–'}; {', '.join(f.name for f in self.families)})"


@dataclass(frozen=True, eq=False, repr=False)
class TableChain(Block):
    """One discrete sequence linked step to step."""

    node: Any = None  # Sequence
    unaries: tuple[Family, ...] = ()
    pairs: tuple[tuple[Family, bool], ...] = ()  # (family, its table is written (later, earlier))

    @property
    def sparse(self) -> bool:
        """One sparse table links the steps."""
        return len(self.pairs) == 1 and isinstance(self.pairs[0][0].potential, SparseTable)


@dataclass(frozen=True, eq=False, repr=False)
class Tree(Block):
    """Latent variables joined by tables or by quadratics, without loops."""

    gaussian: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class GaussianChain(Tree):
    """One real sequence, linked step to step by one linear-Gaussian relation, with anything on single
    steps."""

    gaussian: bool = True
    node: Any = None  # Sequence
    unaries: tuple[Family, ...] = ()
    link: Any = None  # Family
    first: Any = None  # Family: the prior of the first state, where there is one


@dataclass(frozen=True, eq=False, repr=False)
class SwitchingChain(Block):
    """A chain of states that picks the matrices of a Gaussian chain."""

    states: Any = None  # TableChain
    node: Any = None  # the real Sequence
    unaries: tuple[Family, ...] = ()
    link: Any = None  # Family
    first: Any = None  # Family: the prior of the first state


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearTree(Tree):
    """Gaussian variables that noisy steps relate, perhaps beside quadratics: a tree once it is linearised."""

    sources: tuple[int | None, ...] = ()  # of each family: which argument is Gaussian, if it is a noisy step


@dataclass(frozen=True, eq=False, repr=False)
class Map(Block):
    """Steps that do not feed themselves: all instances at once."""

    logs: frozenset[str] = frozenset()  # what tables alone read: log values, which may be −∞


@dataclass(frozen=True, eq=False, repr=False)
class Recurrence(Block):
    """Steps that feed themselves across time, in the order in which one time step runs them."""

    direction: int = 1
    order: int = 1  # largest lag


@dataclass(frozen=True, eq=False, repr=False)
class Losses(Block):
    """One loss factor."""
