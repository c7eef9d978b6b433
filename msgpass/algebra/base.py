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

Over tables, :class:`~msgpass.algebra.tables.TableAlgebra` has all of these but ``joint``, made from
``reduce``, and with them ``normalise`` (beliefs) and ``combine`` (the trace-back). ``potentials`` says what
an algebra crosses. One new file and a line in ``msgpass/algebra/__init__.py`` is a new algebra: the tree
sweep, checkpoints, lags and ``message`` come with it. Algebras over directed potentials (steps) are
:class:`Adjoint` and :class:`Tangent`, whose local rules are a value, a VJP and a JVP.
"""

from __future__ import annotations


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
