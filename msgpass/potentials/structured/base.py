"""What a factor with structure tells the schedules: messages, partition and gradients that cost no table.

The contract
------------
A structured potential relates discrete variables that have the same number K of states. ``parts`` of a run
(:meth:`Structured.arrays`) have a leading axis of instances, n or 1. Each potential implements

``links(arity, parts, states)``
    the factor as a chain of small log tables over a hidden state
    (:mod:`msgpass.kernels.structured_reference`), from which everything else follows: messages, partition,
    and an exact chain for JunctionTree, however long the factor;
``log_weight(states, parts)``
    its definition: log values of configurations;
``gradients(incoming, parts)`` and ``gradients_at(states, parts)``
    where it has parameters: ∂ log partition/∂part, and ∂ log value/∂part at configurations;

and may override ``reference_messages``, ``compiled_messages`` and ``log_partition`` with a form of its own. A
schedule calls

``log_messages(incoming, maximise, parts, compiled)``
    (n, arity, K) log messages of the variables → (n, arity, K) log messages to them, each free up to a
    constant. −∞ is an exact zero.
``log_partition(incoming, maximise, parts)``
    ⊕_x f(x) Π_i m_i(x_i), (n,), for the Bethe free energy; −∞ where the messages contradict the factor.

through :class:`msgpass.sweeps.structured_instances.StructuredInstances`, which fills in observed variables.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

import numpy as np

from msgpass.errors import GraphError, ProbabilityError, ShapeError, UnsupportedError
from msgpass.kernels import structured_reference as reference
from msgpass.kernels.structured import FEWEST, two_state_messages
from msgpass.nodes import Parameter, Slice
from msgpass.potentials.base import Potential, as_part, discrete_inputs, no_batch

ENTRIES = 1 << 20
"""Entries up to which a factor is written out as a table: 8 MB."""

Parts = dict[str, np.ndarray]


def log(weights) -> np.ndarray:
    """Logarithm with log 0 = −∞."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


def log_not(probability) -> np.ndarray:
    """log(1 − p)."""
    with np.errstate(divide="ignore"):
        return np.log1p(-probability)


class Structured(Potential):
    """Base of the factors with structure."""

    least = 2
    """Fewest variables."""
    binary = True
    """Over variables of two states (otherwise any number of states, the same for all)."""
    deterministic = True
    """Each configuration has one path of hidden states, so that the chain is right under max, too."""
    axes: ClassVar[dict[str, int]] = {}
    """Axes of each part in one instance; one more is the instance."""

    def __init__(self):
        self.parts = {}

    # -- what a potential says of itself -----------------------------------------------------------------

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Chain of log tables, each (n or 1, S, K, S')."""
        raise NotImplementedError

    def log_weight(self, states: np.ndarray, parts: Parts) -> np.ndarray:
        """Log values of configurations (n or 1, m, arity) → (n or 1, m)."""
        raise NotImplementedError

    def gradients(self, incoming: np.ndarray, parts: Parts) -> Parts:
        """∂ log partition/∂part of each instance, by role."""
        return {}

    def gradients_at(self, states: np.ndarray, parts: Parts) -> Parts:
        """∂ log value/∂part at configurations (n or 1, m, arity), by role: (n or 1, m, part's axes)."""
        return {}

    def link_gradients(self, i: int, arity: int, weights: np.ndarray, parts: Parts) -> Parts:
        """What expected counts (n, S, K, S') of link i say of the parts, by role, (n, part's axes)."""
        return {}

    def check_parts(self, factor) -> None:
        """Raise where a part's shape does not fit the factor."""

    # -- for everybody -----------------------------------------------------------------------------------

    def check(self, factor) -> None:
        """Discrete variables with the same states, enough of them, each once."""
        discrete_inputs(factor)
        no_batch(factor)
        kind, names = type(self).__name__, ", ".join(s.name for s in factor.args)
        if len(factor.args) < self.least:
            raise GraphError(
                f"factor {factor.name!r}: {kind} needs at least {self.least} variables, got {names}"
            )
        states = {s.name: s.node.states for s in factor.args}
        odd = next(
            (n for n, k in states.items() if k != (2 if self.binary else factor.args[0].node.states)), None
        )
        if odd is not None:
            wanted = "two states each" if self.binary else "the same number of states"
            raise ShapeError(
                f"factor {factor.name!r}: {kind} relates variables of {wanted}, but {odd} has {states[odd]}; "
                "relate others with a Table"
            )
        self.check_parts(factor)

    def stepped(self, factor) -> bool:
        """Instances have tables of their own."""
        return any(np.ndim(_value(p)) > self.axes[role] for role, p in self.parts.items())

    def arrays(self, factor=None, values: Any = None) -> Parts:
        """The parts of one run, each with a leading axis of instances (n or 1)."""
        found = {}
        for role, part in self.parts.items():
            array = values[part.name] if isinstance(part, Parameter) and values is not None else _value(part)
            self.check_value(role, array, part.name if isinstance(part, Parameter) else None)
            found[role] = array if array.ndim > self.axes[role] else array[None]
        return found

    def check_value(self, role: str, array: np.ndarray, name: str | None) -> None:
        """Raise where a part's numbers are out of range."""

    def log_messages(
        self, incoming, maximise: bool = False, parts: Parts | None = None, compiled: bool | None = None
    ) -> np.ndarray:
        """Log messages to the variables from those of the variables, (n, arity, K) each.

        Each is free up to a constant. ``compiled`` asks for the kernels or for NumPy; None chooses by size.
        """
        incoming, parts = np.asarray(incoming, float), self.arrays() if parts is None else parts
        if maximise and not self.deterministic:
            return self.enumerated(incoming, parts)
        if incoming.shape[0] * incoming.shape[1] >= FEWEST if compiled is None else compiled:
            return self.compiled_messages(incoming, maximise, parts)
        return self.reference_messages(incoming, maximise, parts)

    def enumerated(self, incoming, parts: Parts) -> np.ndarray:
        """Max-messages from the table."""
        table = self.as_table(incoming.shape[1], incoming.shape[2], parts)
        return reference.table_messages(incoming, table, True)

    def compiled_messages(self, incoming, maximise: bool, parts: Parts) -> np.ndarray:
        """By the kernel for two hidden states."""
        return two_state_messages(incoming, self.links(incoming.shape[1], parts), maximise)

    def reference_messages(self, incoming, maximise: bool, parts: Parts) -> np.ndarray:
        """By NumPy, not normalised: ⊕_x incoming[:, i] + out[:, i] is the partition at every i."""
        return reference.link_messages(incoming, self.links(incoming.shape[1], parts), maximise)

    def log_partition(self, incoming, maximise: bool = False, parts: Parts | None = None) -> np.ndarray:
        """⊕_x f(x) Π_i m_i(x_i) of every instance, (n,)."""
        incoming, parts = np.asarray(incoming, float), self.arrays() if parts is None else parts
        if maximise and not self.deterministic:
            joint = reference.table_joint(
                incoming, self.as_table(incoming.shape[1], incoming.shape[2], parts)
            )
            return joint.reshape(len(joint), -1).max(axis=1)
        return reference.link_partition(incoming, self.links(incoming.shape[1], parts), maximise)

    def as_table(self, arity: int, states: int = 2, parts: Parts | None = None) -> np.ndarray:
        """The factor written out: log tables (n or 1, K, …, K), up to 2²⁰ entries each.

        Examples
        --------
        >>> from msgpass import Parity
        >>> np.exp(Parity().as_table(2)[0]).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        parts = self.arrays() if parts is None else parts
        if states**arity > ENTRIES:
            raise UnsupportedError(
                f"{type(self).__name__} over {arity} variables would be a table of {states}^{arity} entries "
                f"({ENTRIES} at most). Flooding() never builds it, and is exact on a tree; "
                + ("JunctionTree() runs it as a chain" if self.deterministic else self.way_out)
            )
        grid = np.indices((states,) * arity).reshape(arity, -1).T[None]
        found = self.log_weight(grid, parts)
        return found.reshape(len(found), *(states,) * arity)

    way_out = "give the factor fewer variables"
    """What to do where neither a table nor a chain is right."""

    def of(self, parts: dict[str, Any]) -> Structured:
        """The same potential over other parts."""
        fresh = copy(self)
        fresh.parts = parts
        return fresh

    @property
    def default_name(self) -> str:
        """After its first parameter, or its kind in lower case."""
        return f"{next((p.name for p in self.parameters.values()), type(self).__name__.lower())} factor"


def _value(part) -> np.ndarray:
    return part.value if isinstance(part, Parameter) else part


def part_of(what: str, value, allow_minus_inf: bool = False) -> np.ndarray | Parameter:
    """A part: numbers, or a parameter of the graph."""
    part = as_part(what, value, allow_minus_inf=allow_minus_inf)
    if isinstance(part, Slice):
        raise GraphError(f"{what} are numbers or a parameter of the graph, not the slice {part.name}")
    return part


def check_shape(factor, role: str, part, *wanted: tuple[int, ...]) -> None:
    """A part's shape is one of these, or one of them for each instance."""
    if part.shape not in {*wanted, *((factor.n, *w) for w in wanted)}:
        own = " or ".join(map(str, wanted))
        raise ShapeError(
            f"factor {factor.name!r}: {role} has shape {part.shape}, wanted {own} over its "
            f"{len(factor.args)} variables, with a leading axis of {factor.n} for numbers of each instance"
        )


def check_probabilities(what: str, array: np.ndarray, name: str | None) -> None:
    """Numbers between 0 and 1."""
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        raise ProbabilityError(
            f"{what}{f' ({name})' if name else ''} are probabilities between 0 and 1, got "
            f"{array[bad].flat[0]:.6g}"
        )
