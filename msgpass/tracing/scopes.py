"""Where a node of a sweep's program is computed: once, at each step, or for each row of a batch.

    shared before │ for each step: step before │ for each row: row │ step after │ shared after

What depends on shared inputs alone is computed once. Its cotangent is added up over all steps first, and
pulled back to the inputs once, afterwards.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from msgpass.tracing.derivatives import ancestors, pull_back
from msgpass.tracing.program import Program, inputs_of

SHARED, STEP, ROW = 0, 1, 2
SUM = -1
"""Number of the input that stands for cotangents which a loop has added up."""


class Place(NamedTuple):
    """Scope of a node, and whether it comes after the loop inside that scope."""

    scope: int
    after: bool


class Backward(NamedTuple):
    """The backward program of one step, by scope.

    Attributes
    ----------
    program : Program
        Its tape holds everything.
    leaves : dict of int → list of (int, int)
        Scope → (node of an input, node of its cotangent).
    sums : list of (int, int)
        (scope in which it is added to, node that is added), in the order of ``("in", SUM, i)``.
    """

    program: Program
    leaves: dict[int, list[tuple[int, int]]]
    sums: list[tuple[int, int]]


class Scopes:
    """Scopes of the nodes of a program whose inputs have one each."""

    def __init__(self, tape, inputs: list[int], innermost: int):
        self.tape, self.inputs, self.innermost = tape, inputs, innermost
        self.sums: list[int] = []  # scope of each sum after its loop
        self.places: dict[int, Place] = {}

    def place(self, node: int) -> Place:
        """Of a node; those of its arguments are made first."""
        waiting = [node]
        while waiting:
            k = waiting[-1]
            name, *args = self.tape.nodes[k]
            if k in self.places:
                waiting.pop()
            elif name in ("const", "bool"):
                self.places[k] = Place(SHARED, False)
            elif name == "in":
                self.places[k] = self._input(*args)
            elif open_ := [a for a in args if a not in self.places]:
                waiting.extend(open_)
            else:
                self.places[k] = max(self.places[a] for a in args)
        return self.places[node]

    def _input(self, k: int, i: int) -> Place:
        if k == SUM:
            return Place(self.sums[i], True)
        return Place(self.inputs[k] if k < len(self.inputs) else self.innermost, False)

    def scope(self, node: int) -> int:
        """Its scope alone."""
        return self.place(node).scope


def backward_of(program: Program, scopes: Scopes, wanted: list[int], vjp: Program | None) -> Backward:
    """Cotangents of the ``wanted`` inputs of one step from those of its outputs.

    ``vjp`` is the user's own rule as a program of the same tape, if there is one; it is not taken apart.
    """
    tape, n = program.tape, len(program.inputs)
    leaves: dict[int, list[tuple[int, int]]] = {SHARED: [], STEP: [], ROW: []}
    sums: list[tuple[int, int]] = []

    def added_up(node: int, cotangent: int, scope: int) -> int:
        sums.append((scope, cotangent))
        scopes.sums.append(scopes.scope(node))
        return tape.input(SUM, len(sums) - 1)

    if vjp is not None:
        for k, out in zip(wanted, vjp.outputs, strict=True):
            for node, cotangent in zip(program.inputs[k].ravel().tolist(), out.ravel().tolist(), strict=True):
                own = scopes.inputs[k]
                if cotangent and own < scopes.innermost:
                    leaves[own].append((node, added_up(node, cotangent, scopes.innermost)))
                elif cotangent:
                    leaves[own].append((node, cotangent))
        return Backward(program, leaves, sums)
    given = [inputs_of(tape, n + k, o.shape) for k, o in enumerate(program.outputs)]
    ends = {int(i) for k in wanted for i in program.inputs[k].flat}
    pending: dict[int, list[int]] = {}
    for scope in range(scopes.innermost, -1, -1):
        if scope == scopes.innermost:
            cotangents = program.seeds(given)
        else:
            now = [k for k in pending if scopes.scope(k) == scope]
            cotangents = {k: reduce(lambda a, b: tape.op("add", a, b), pending.pop(k)) for k in now}
        inside = ancestors(tape, cotangents, ends)
        here = {k for k in inside & ends if scopes.scope(k) == scope}
        uses = {
            a
            for k in inside
            if scopes.scope(k) == scope and tape.nodes[k][0] not in ("in", "const", "bool")
            for a in tape.nodes[k][1:]
        }
        lower = {k for k in uses | set(cotangents) if scopes.scope(k) < scope and k not in tape.values}
        lower = {k for k in lower if not ends.isdisjoint(ancestors(tape, [k], ends))}
        found = pull_back(tape, cotangents, here | lower)
        leaves[scope] = [(k, found[k]) for k in sorted(here) if k in found]
        for k in sorted(lower):
            if k in found:
                pending.setdefault(k, []).append(added_up(k, found[k], scope))
    return Backward(program, leaves, sums)
