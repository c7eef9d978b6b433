"""The source of a recurrence's two sweeps: a loop over sequences, steps and (of a batch) rows around the
traced program, all of whose numbers are locals.

Arrays come flat. ``sequences`` holds (first, last, instance of step 0, row of step 0, length) of each
sequence; its steps are those from first to last. A state that is read before its sequence starts
(or behind its end) is read from its edge; the two arrays are chosen by the step and not copied together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgpass.tracing.derivatives import ancestors
from msgpass.tracing.program import Program
from msgpass.tracing.scalar import EXPRESSIONS
from msgpass.tracing.scopes import ROW, SHARED, STEP, SUM, Backward, Place, Scopes


@dataclass(frozen=True)
class Input:
    """One input of the step: what it is, and where its row lies.

    Attributes
    ----------
    kind : {"state", "rows", "shared"}
        A state of the recurrence, an array with one row an instance, or one value for all.
    shift : int
        Of a state: its row at step i is i + shift.
    edge : bool
        It has an edge.
    size : int
        Numbers in a row.
    laned : bool
        Its rows are cut into the rows of the batch.
    """

    kind: str
    size: int
    shift: int = 0
    edge: bool = False
    laned: bool = False


@dataclass(frozen=True)
class Output:
    """One output: its row at step i is i + shift."""

    size: int
    shift: int


@dataclass(frozen=True)
class Layout:
    """All of a step, as the code needs it."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    rows: int  # of the batch; 1: the step is one straight line
    reverse: bool

    @property
    def innermost(self) -> int:
        """Scope of what is computed most often."""
        return ROW if self.rows > 1 else STEP

    def scopes(self, tape) -> Scopes:
        """Scopes of a program over these inputs."""
        of = [
            ROW if i.laned and self.rows > 1 else SHARED if i.kind == "shared" else STEP for i in self.inputs
        ]
        return Scopes(tape, of, self.innermost)


@dataclass
class Code:
    """Lines by place."""

    lines: dict[Place, list[str]] = field(default_factory=dict)

    def add(self, place: Place, *lines: str) -> None:
        """At the end of a place."""
        self.lines.setdefault(place, []).extend(lines)

    def at(self, scope: int, after: bool, depth: int) -> list[str]:
        """Lines of a place, indented."""
        return ["    " * depth + line for line in self.lines.get(Place(scope, after), [])]


def _offset(name: str, size: int, i: int, laned: bool, rows: int) -> str:
    if laned and rows > 1:
        width = size // rows
        place = f"{name} + b * {width}" if width > 1 else f"{name} + b"
    else:
        place = name
    return f"{place} + {i}" if i else place


class Writer:
    """Turns nodes into lines."""

    def __init__(self, layout: Layout, program: Program, scopes: Scopes, stored: dict[int, tuple[int, int]]):
        self.layout, self.tape, self.scopes, self.code = layout, program.tape, scopes, Code()
        self.stored = stored  # node → (output, number), of what has been computed by the forward sweep

    def leaf(self, k: int, i: int) -> str:
        """Where number i of input k is read."""
        layout, n = self.layout, len(self.layout.inputs)
        if k == SUM:
            return f"s{i}"
        if k >= n:
            k -= n
            place = _offset(f"q{k}", layout.outputs[k].size, i, True, layout.rows)
            return f"(C{k}[{place}] + L{k}[{place}])"
        given = layout.inputs[k]
        if given.kind == "shared" and not (given.laned and layout.rows > 1):
            return f"P{k}[{i}]"
        name = {"state": "A", "rows": "X", "shared": "P"}[given.kind]
        base = "0" if given.kind == "shared" else f"o{k}"
        return f"{name}{k}[{_offset(base, given.size, i, given.laned, layout.rows)}]"

    def term(self, k: int) -> str:
        """A node as it is used."""
        value = self.tape.values.get(k)
        if value is None:
            name, *args = self.tape.nodes[k]
            return f"s{args[1]}" if name == "in" and args[0] == SUM else f"v{k}"
        if isinstance(value, bool):
            return str(value)
        if value != value or value in (float("inf"), float("-inf")):
            return "np.nan" if value != value else "np.inf" if value > 0 else "(-np.inf)"
        return repr(value) if value >= 0 and not str(value).startswith("-") else f"({value!r})"

    def write(self, tops: Iterable[int]) -> None:
        """Lines for all that these need."""
        tops, stored = list(tops), set(self.stored)
        order = sorted(_needed(self.tape, tops, stored))
        for k in order:
            name, *args = self.tape.nodes[k]
            if k in self.tape.values or (name == "in" and args[0] == SUM):
                continue
            if k in stored:
                out, i = self.stored[k]
                place = _offset(f"q{out}", self.layout.outputs[out].size, i, True, self.layout.rows)
                text = f"H{out}[{place}]"
            elif name == "in":
                text = self.leaf(*args)
            else:
                text = EXPRESSIONS[name](*map(self.term, args))
            self.code.add(self.scopes.place(k), f"v{k} = {text}")


def _needed(tape, tops, stored) -> set[int]:
    """As `ancestors`, without the formula of ``as_if``."""
    seen: set[int] = set()
    waiting = list(tops)
    while waiting:
        k = waiting.pop()
        if k in seen:
            continue
        seen.add(k)
        name, *args = tape.nodes[k]
        if name not in ("in", "const", "bool") and k not in stored:
            waiting.extend(args[:1] if name == "as_if" else args)
    return seen


def _places(layout: Layout, targets: bool) -> list[str]:
    """Lines that find this step's rows."""
    lines = []
    for k, given in enumerate(layout.inputs):
        if given.kind == "rows":
            lines.append(f"o{k} = (j0 + i) * {given.size}")
        if given.kind != "state":
            continue
        lines.append(f"r = i + {given.shift}")
        inner = [f"A{k} = S{k}", f"o{k} = (base + r) * {given.size}"]
        outer = [f"A{k} = E{k}", f"o{k} = n * {given.size}"]
        if targets:
            inner.append(f"T{k} = D{k}")
            outer.append(f"T{k} = F{k}")
        if given.edge:
            lines.append("if r >= 0 and r < length:")
            lines += ["    " + line for line in inner]
            lines.append("else:")
            lines += ["    " + line for line in outer]
        else:
            lines += inner
    for k, out in enumerate(layout.outputs):
        lines.append(f"q{k} = (base + i + {out.shift}) * {out.size}")
    return lines


def _loops(layout: Layout, code: Code, backward: bool) -> list[str]:
    """Everything in its place."""
    lines = code.at(SHARED, False, 1)
    lines += [
        "    for n in range(sequences.shape[0]):",
        "        first, last, j0 = sequences[n, 0], sequences[n, 1], sequences[n, 2]",
        "        base, length = sequences[n, 3], sequences[n, 4]",
        "        for s in range(last - first):",
        f"            i = {'last - 1 - s' if layout.reverse != backward else 'first + s'}",
    ]
    lines += ["            " + line for line in _places(layout, backward)]
    lines += code.at(STEP, False, 3)
    if layout.rows > 1:
        lines += [f"            for b in range({layout.rows}):", *code.at(ROW, False, 4)]
        if not code.at(ROW, False, 4):
            lines.append("                pass")
    lines += code.at(STEP, True, 3)
    return [*lines, *code.at(SHARED, True, 1), "    return None"]


def arguments(layout: Layout, backward: bool) -> list[str]:
    """Names of the arrays that the sweep takes after ``sequences``.

    ``S`` states, ``E`` edges, ``X`` rows, ``P`` shared inputs; forward writes ``H``, the outputs. Backward
    reads ``H`` and ``C``, local cotangents, and adds to ``L``, what later steps say, and to the gradients
    ``D`` (of states, which are the ``L`` of that state), ``F`` (edges), ``GX`` and ``GP``.
    """
    names = []
    for k, given in enumerate(layout.inputs):
        match given.kind:
            case "state":
                names += [f"S{k}"] + ([f"E{k}"] if given.edge else [])
            case "rows":
                names.append(f"X{k}")
            case _:
                names.append(f"P{k}")
    names += [f"H{k}" for k in range(len(layout.outputs))]
    if backward:
        names += [f"{c}{k}" for k in range(len(layout.outputs)) for c in "CL"]
        for k, given in enumerate(layout.inputs):
            match given.kind:
                case "state":
                    names += [f"D{k}"] + ([f"F{k}"] if given.edge else [])
                case "rows":
                    names.append(f"G{k}")
                case _:
                    names.append(f"G{k}")
    return names


def forward_source(layout: Layout, program: Program) -> str:
    """The forward sweep."""
    scopes = layout.scopes(program.tape)
    writer = Writer(layout, program, scopes, {})
    writer.write(int(k) for o in program.outputs for k in o.flat)
    inner = Place(layout.innermost, False)
    for k, out in enumerate(program.outputs):
        for i, node in enumerate(out.ravel().tolist()):
            place = _offset(f"q{k}", layout.outputs[k].size, i, True, layout.rows)
            writer.code.add(inner, f"H{k}[{place}] = {writer.term(node)}")
    head = f"def forward(sequences, {', '.join(arguments(layout, False))}):"
    return "\n".join([head, *_loops(layout, writer.code, False)]) + "\n"


def backward_source(layout: Layout, made: Backward, scopes: Scopes) -> str:
    """The backward sweep."""
    program, inner = made.program, Place(layout.innermost, False)
    stored = {
        node: (k, i)
        for k, o in enumerate(program.outputs)
        for i, node in enumerate(o.ravel().tolist())
        if program.tape.nodes[node][0] not in ("in", "const", "bool") and scopes.place(node) == inner
    }
    writer = Writer(layout, program, scopes, stored)
    code = writer.code
    for i, scope in enumerate(scopes.sums):
        code.add(Place(scope, False), f"s{i} = 0.0")
    tops = [g for found in made.leaves.values() for _, g in found] + [g for _, g in made.sums]
    writer.write(tops)
    for i, (scope, node) in enumerate(made.sums):
        place = Place(scope, scope < layout.innermost)
        code.add(place, f"s{i} += {writer.term(node)}")
    for scope, found in made.leaves.items():
        place = Place(scope, scope < layout.innermost)
        for node, cotangent in found:
            _, k, i = program.tape.nodes[node]
            given = layout.inputs[k]
            name, base = {"state": ("T", f"o{k}"), "rows": ("G", f"o{k}"), "shared": ("G", "0")}[given.kind]
            target = f"{name}{k}[{_offset(base, given.size, i, given.laned, layout.rows)}]"
            code.add(place, f"{target} += {writer.term(cotangent)}")
    head = f"def backward(sequences, {', '.join(arguments(layout, True))}):"
    return "\n".join([head, *_loops(layout, code, True)]) + "\n"


def needed_operations(layout: Layout, made: Backward) -> int:
    """Nodes of the backward program, by which its compilation takes long."""
    tops = [g for found in made.leaves.values() for _, g in found] + [g for _, g in made.sums]
    return len(ancestors(made.program.tape, tops))
