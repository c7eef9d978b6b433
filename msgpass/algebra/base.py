"""The contract of an algebra, and how to add one.

A factor instance is oriented, ins → out. An algebra over undirected potentials (tables, quadratics)
implements

``unit(size, dtype)``
    the message that says nothing;
``add(a, b)``
    the message that says both (in logarithms: a sum);
``forward(potential, ins)``
    the message at ``out`` from the messages at ``ins``; ``out`` is the potential's last variable;
``backward(potential, ins, at_out)``
    the messages at each of ``ins``, from what ``out`` and the other ins say;
``joint(potential, ins, at_out)``
    the normalised belief of the instance, from which the message at a shared parameter is read;
``close(message)``
    what a complete message at a root adds to ``total``.

One new file with these six functions and a line in ``msgpass/algebra/__init__.py`` is a new algebra: the tree
sweep, the
chain sweep, checkpoints, lags and ``message`` come with it. Algebras over directed potentials (steps) are
:class:`Adjoint` and :class:`Tangent`, whose local rules are a value, a VJP and a JVP.
"""

from __future__ import annotations

from typing import Any, Protocol

Message = Any


class UndirectedAlgebra(Protocol):
    """What the tree and chain sweeps need; see the module's text."""

    name: str

    def unit(self, size: int, dtype) -> Message: ...

    def add(self, a: Message, b: Message) -> Message: ...

    def forward(self, potential, ins: list[Message]) -> Message: ...

    def backward(self, potential, ins: list[Message], at_out: Message) -> list[Message]: ...

    def joint(self, potential, ins: list[Message], at_out: Message): ...

    def close(self, message: Message) -> float: ...


class Algebra:
    """Base of the public algebra classes: equal when of one kind and parameters, printed by name."""

    potentials: frozenset[str] = frozenset()
    """What its messages cross: "table", "quadratic", "step"."""

    @property
    def name(self) -> str:
        """Class name."""
        return type(self).__name__

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{self.name}()"
