"""Array programs whose batch rows are independent, laid out for `lane_machine`.

Each node of a program is one of four kinds:

=========  ===========================================================================================
shared     depends on shared inputs alone: computed once a sweep, in NumPy
uniform    depends on what a step has once for all rows, such as its time: every lane holds the same
laned      its first axis is the batch: a row a lane
partial    a sum over the batch, of which a lane holds its own row's part; it goes linear ways alone
=========  ===========================================================================================

What a program does otherwise (rows that read each other) raises `TracingError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from msgpass.errors import TracingError
from msgpass.kernels import lane_machine as machine
from msgpass.tracing.whole.evaluate import value_of
from msgpass.tracing.whole.program import Node, Program

KINDS = "shared", "uniform", "laned", "partial"
MOST_NUMBERS = 1 << 19
"""Numbers of work memory a thread."""
FEW = 4
"""Rows of an outer product up to which its sum over steps is kept by lane."""


@dataclass
class Buffer:
    """A stretch of memory: numbers, and whether it outlives the step."""

    size: int
    lasting: bool = False
    offset: int = -1
    last: int = -1


@dataclass
class Total:
    """A sum over all steps and rows, and how it becomes a part of an output's cotangent.

    Attributes
    ----------
    output : int
    buffer : Buffer
        Of (rows, columns in whole panels), or with a lane axis behind.
    shape : tuple
        Of the sum.
    panels : int
        Columns of a row in memory; 0 where lanes are to be added up.
    turned : tuple
        Its axes in the order of the sum's, or none.
    chain : tuple of Node
        What is done to it afterwards, innermost first.
    """

    output: int
    buffer: Buffer
    shape: tuple[int, ...]
    panels: int
    turned: tuple[int, ...]
    chain: tuple[Node, ...]


@dataclass
class Layout:
    """Buffers, instructions, and what memory holds before a sweep."""

    program: Program
    kinds: tuple[str, ...]
    rows: int
    lanes: int
    buffers: list[Buffer] = field(default_factory=list)
    lines: list[tuple] = field(default_factory=list)
    tables: list[np.ndarray] = field(default_factory=list)
    spread: list[tuple[Buffer, Node, bool]] = field(default_factory=list)
    matrices: list[tuple[Buffer, Node, tuple[int, ...]]] = field(default_factory=list)
    inputs: dict[int, Buffer] = field(default_factory=dict)
    outputs: dict[int, Buffer | None] = field(default_factory=dict)
    totals: list[Total] = field(default_factory=list)
    size: int = 0


class Lowering:
    """One program laid out; ``wanted`` says what is to become of each output: "row" (a laned one), "step" (a
    sum over rows, a step) or "total" (a sum over everything)."""

    def __init__(self, program: Program, kinds, rows: int, lanes: int, wanted):
        self.layout = Layout(program, tuple(kinds), rows, lanes)
        self.rows, self.lanes = rows, lanes
        self.kind: dict[int, str] = {}
        self.made: dict[int, Buffer] = {}
        self.rowed: dict[tuple[int, bool], Buffer] = {}
        self.joined: dict[int, list[tuple[Node, int, int]]] = {}
        self.table_at: dict[bytes, int] = {}
        self.table_size = 0
        self.scratch: Buffer | None = None
        contracted = {id(root) for k, o in enumerate(program.outputs) if wanted[k] == "total"
                      for root, _ in roots(o) if root.op == "einsum"}  # fmt: skip
        self.late = {n.number for n in program.nodes if id(n) in contracted}
        for node in program.nodes:
            self.place(node)
        for k, (out, what) in enumerate(zip(program.outputs, wanted, strict=True)):
            self.output(k, out, what)
        self.assign()

    # -- kinds ---------------------------------------------------------------------------------------

    def width(self, node: Node) -> int:
        """Numbers a lane."""
        return prod(node.shape[1:]) if self.kind[node.number] == "laned" else prod(node.shape)

    def place(self, node: Node) -> None:
        """Kind and instructions of a node whose arguments are placed."""
        if node.op == "input":
            kind = self.layout.kinds[node.data]
            self.kind[node.number] = kind
            if kind != "shared":
                made = self.buffer(self.width(node), True)
                self.made[node.number] = self.layout.inputs[node.data] = made
            return
        if all(self.kind[a.number] == "shared" for a in node.args):
            self.kind[node.number] = "shared"
            return
        kinds = {self.kind[a.number] for a in node.args} - {"shared"}
        if "late" in kinds:
            self.kind[node.number] = "late"
            return
        rule = getattr(self, f"_{node.op}", self._elementwise)
        if "joined" in kinds and node.op != "gather":
            raise self.fail(node)
        rule(node, kinds)

    def fail(self, node: Node) -> TracingError:
        """It cannot be done by lanes."""
        return TracingError(
            f"{node.op} to shape {node.shape} does not treat the {self.rows} rows of the batch alike"
        )

    # -- operands ------------------------------------------------------------------------------------

    def buffer(self, width: int, lasting: bool = False) -> Buffer:
        """Of so many numbers a lane."""
        made = Buffer(width * self.lanes, lasting)
        self.layout.buffers.append(made)
        return made

    def line(self, code, out, a, b=None, c=None, n=0, p=0, q=0) -> None:
        """One instruction."""
        b, c = a if b is None else b, a if c is None else c
        self.layout.lines.append((code, out, a, b, c, n, p, q))

    def table(self, places: np.ndarray) -> int:
        """Offset of a table of places."""
        places = np.ascontiguousarray(places, np.int64).reshape(-1)
        key = places.tobytes()
        if key not in self.table_at:
            self.table_at[key] = self.table_size
            self.table_size += len(places)
            self.layout.tables.append(places)
        return self.table_at[key]

    def operand(self, node: Node, laned: bool) -> Buffer:
        """Where a node lies, as a row of the batch or as a whole."""
        kind = self.kind[node.number]
        if kind == "shared":
            key = node.number, laned
            if key not in self.rowed:
                if laned and not alike(node):
                    raise self.fail(node)
                width = prod(node.shape[1:]) if laned else prod(node.shape)
                self.rowed[key] = self.buffer(width, True)
                self.layout.spread.append((self.rowed[key], node, laned))
            return self.rowed[key]
        if kind not in ("laned", "uniform", "partial") or (kind == "laned") != laned:
            raise self.fail(node)
        return self.made[node.number]

    def new(self, node: Node, kind: str) -> Buffer:
        """A node's own buffer."""
        self.kind[node.number] = kind
        self.made[node.number] = self.buffer(self.width(node))
        return self.made[node.number]

    def alias(self, node: Node, kind: str, arg: Node) -> None:
        """The same numbers."""
        self.kind[node.number] = kind
        self.made[node.number] = self.made[arg.number]

    # -- rules ---------------------------------------------------------------------------------------

    def _elementwise(self, node: Node, kinds: set[str]) -> None:
        if node.op not in machine.ELEMENTWISE:
            raise self.fail(node)
        kind = "laned" if "laned" in kinds else "partial" if "partial" in kinds else "uniform"
        if kind == "laned" and (kinds != {"laned"} or node.shape[:1] != (self.rows,)):
            raise self.fail(node)
        if kind == "partial":
            own = [self.kind[a.number] == "partial" for a in node.args]
            linear = {"add": all(own), "subtract": all(own), "negative": True,
                      "multiply": sum(own) == 1, "divide": own[0] and not own[-1]}  # fmt: skip
            if not linear.get(node.op, False):
                raise self.fail(node)
        args = [self.operand(a, kind == "laned") for a in node.args]
        out = self.new(node, kind)
        self.line(machine.ELEMENTWISE[node.op], out, *args, n=out.size)

    def _broadcast(self, node: Node, kinds: set[str]) -> None:
        (x,), shape = node.args, node.shape
        kind = self.kind[x.number]
        lead = len(shape) - len(x.shape)
        if kind == "laned":
            if lead or shape[0] != self.rows:
                raise self.fail(node)
            places = np.arange(prod(x.shape[1:])).reshape(x.shape[1:])
            self.pick(node, "laned", x, np.broadcast_to(places, shape[1:]))
            return
        if shape[:1] == (self.rows,) and (lead or x.shape[0] == 1) and kind == "uniform":
            own = x.shape if lead else x.shape[1:]
            places = np.broadcast_to(np.arange(prod(own)).reshape(own), shape[1:])
            self.pick(node, "laned", x, places)
            return
        places = np.broadcast_to(np.arange(prod(x.shape)).reshape(x.shape), shape)
        self.pick(node, kind, x, places)

    def pick(self, node: Node, kind: str, x: Node, places: np.ndarray, source: Buffer | None = None) -> None:
        """Entries of x by place."""
        source = self.made[x.number] if source is None else source
        flat = places.reshape(-1)
        if source.size == flat.size * self.lanes and np.array_equal(flat, np.arange(flat.size)):
            self.kind[node.number], self.made[node.number] = kind, source
            return
        out = self.new(node, kind)
        self.line(machine.GATHER, out, source, n=flat.size, p=self.table(flat))

    def _reshape(self, node: Node, kinds: set[str]) -> None:
        (x,) = node.args
        kind = self.kind[x.number]
        if kind == "laned" and node.shape[:1] != (self.rows,):
            raise self.fail(node)
        self.alias(node, kind, x)

    def by_row(self, places: np.ndarray, width: int) -> np.ndarray | None:
        """The first row's places, where the others' are the same in their own rows."""
        if places.shape[:1] != (self.rows,):
            return None
        flat = places.reshape(self.rows, -1)
        if flat.shape[1] and (flat[0].max() >= width or flat[0].min() < 0):
            return None
        return flat[0] if (flat == flat[0] + width * np.arange(self.rows)[:, None]).all() else None

    def _gather(self, node: Node, kinds: set[str]) -> None:
        (x,) = node.args
        kind = self.kind[x.number]
        if kind == "joined":
            self._gather_joined(node, x)
        elif kind == "laned":
            places = self.by_row(node.data, self.width(x))
            if places is None:
                raise self.fail(node)
            self.pick(node, "laned", x, places)
        else:
            self.pick(node, kind, x, node.data)

    def _gather_joined(self, node: Node, x: Node) -> None:
        """Entries of several arrays end to end."""
        if node.shape[:1] != (self.rows,):
            raise self.fail(node)
        data = node.data.reshape(self.rows, -1)
        found = np.full(data.shape[1], -1)
        start, width = 0, 0
        for part in x.args:
            laned = self.kind[part.number] == "laned"
            size, own = prod(part.shape), prod(part.shape[1:]) if laned else prod(part.shape)
            here = (data[0] >= start) & (data[0] < start + size)
            step = own if laned else 0
            if (data[:, here] != data[0, here] + step * np.arange(self.rows)[:, None]).any():
                raise self.fail(node)
            if laned and (data[0, here] - start >= own).any():
                raise self.fail(node)
            found[here] = data[0, here] - start + width
            start, width = start + size, width + own
        source = self.buffer(width)
        at = 0
        for part in x.args:
            own = self.operand(part, self.kind[part.number] == "laned")
            self.line(machine.COPY, source, own, n=own.size, p=at)
            at += own.size
        self.pick(node, "laned", x, found, source)

    def _join(self, node: Node, kinds: set[str]) -> None:
        if "laned" in kinds:
            if "partial" in kinds:
                raise self.fail(node)
            self.kind[node.number] = "joined"
            return
        kind = "partial" if "partial" in kinds else "uniform"
        if kind == "partial" and (
            kinds != {"partial"} or any(self.kind[a.number] == "shared" for a in node.args)
        ):
            raise self.fail(node)
        args = [self.operand(a, False) for a in node.args]
        out, at = self.new(node, kind), 0
        for own in args:
            self.line(machine.COPY, out, own, n=own.size, p=at)
            at += own.size

    def _scatter(self, node: Node, kinds: set[str]) -> None:
        (x,) = node.args
        kind, places = self.kind[x.number], node.data
        if kind == "laned":
            if node.shape[:1] != (self.rows,):
                raise self.fail(node)
            found = self.by_row(places.reshape(x.shape), prod(node.shape[1:]))
            if found is None:
                raise self.fail(node)
            places = found
        out = self.new(node, kind)
        table = self.table(places)
        self.line(machine.SCATTER, out, self.made[x.number], n=places.size, p=table, q=out.size // self.lanes)

    def _reduce(self, node: Node, code: int) -> None:
        (x,), axes = node.args, node.data
        kind = self.kind[x.number]
        shape = x.shape
        if kind == "laned":
            if 0 in axes:
                if code != machine.SUM:
                    raise self.fail(node)
                kind = "partial"
            axes, shape = tuple(a - 1 for a in axes if a), shape[1:]
        if kind == "partial" and code != machine.SUM:
            raise self.fail(node)
        places = np.arange(prod(shape)).reshape(shape)
        rest = [a for a in range(len(shape)) if a not in axes]
        count = prod(shape[a] for a in axes)
        places = places.transpose(*rest, *axes).reshape(-1, count)
        if count == 1:
            self.kind[node.number], self.made[node.number] = kind, self.made[x.number]
            return
        out = self.new(node, kind)
        self.line(code, out, self.made[x.number], n=len(places), p=self.table(places), q=count)

    def _sum(self, node: Node, kinds: set[str]) -> None:
        self._reduce(node, machine.SUM)

    def _amax(self, node: Node, kinds: set[str]) -> None:
        self._reduce(node, machine.MOST)

    def _cumsum(self, node: Node, kinds: set[str]) -> None:
        raise self.fail(node)

    def _einsum(self, node: Node, kinds: set[str]) -> None:
        left, out = node.data.split("->")
        one, two = left.split(",")
        a, b = node.args
        if node.number in self.late:
            self.kind[node.number] = "late"
            return
        if kinds != {"laned"} or not out:
            raise self.fail(node)
        if self.kind[a.number] == "shared" or self.kind[b.number] == "shared":
            if self.kind[a.number] == "shared":
                one, two, a, b = two, one, b, a
            self._matrix(node, one, two, out, a, b)
            return
        if out[0] != one[0] or out[0] != two[0] or one[0] in one[1:] + two[1:]:
            raise self.fail(node)
        self._rowwise(node, one[1:], two[1:], out[1:], a, b)

    def _matrix(self, node: Node, one: str, two: str, out: str, a: Node, b: Node) -> None:
        """Laned times shared."""
        if out[0] != one[0] or one[0] in two:
            raise self.fail(node)
        one, out = one[1:], out[1:]
        inner = [c for c in one if c in two]
        free, own = [c for c in one if c not in two], [c for c in two if c not in one]
        if any(c in out for c in inner) or sorted(out) != sorted(free + own):
            raise self.fail(node)
        size = dict(zip(one, a.shape[1:], strict=True)) | dict(zip(two, b.shape, strict=True))
        source = self.turned(self.made[a.number], one, free + inner, size)
        matrix = Buffer(-(-b_size(b) // self.lanes) * self.lanes, True)
        self.layout.buffers.append(matrix)
        self.layout.matrices.append((matrix, b, tuple(two.index(c) for c in inner + own)))
        made = self.buffer(prod(size[c] for c in out))
        counts = [prod(size[c] for c in part) for part in (inner, own, free)]
        self.line(machine.PRODUCT, made, source, matrix, n=counts[0], p=counts[1], q=counts[2])
        self.kind[node.number] = "laned"
        self.made[node.number] = self.turned(made, free + own, list(out), size)

    def turned(self, source: Buffer, letters, wanted, size) -> Buffer:
        """The same with its axes in another order."""
        if list(letters) == list(wanted):
            return source
        places = np.arange(prod(size[c] for c in letters)).reshape([size[c] for c in letters])
        places = places.transpose([list(letters).index(c) for c in wanted]).reshape(-1)
        out = self.buffer(len(places))
        self.line(machine.GATHER, out, source, n=len(places), p=self.table(places))
        return out

    def _rowwise(self, node: Node, one: str, two: str, out: str, a: Node, b: Node) -> None:
        """Products of each row's own arrays."""
        letters = list(dict.fromkeys(out + one + two))
        size = dict(zip(one, a.shape[1:], strict=True)) | dict(zip(two, b.shape[1:], strict=True))
        shape = [size[c] for c in letters]
        full = []
        for own, arg in ((one, a), (two, b)):
            places = np.arange(prod(size[c] for c in own)).reshape([size[c] for c in own])
            places = places.transpose(sorted(range(len(own)), key=lambda k: letters.index(own[k])))
            places = places.reshape([size[c] if c in own else 1 for c in letters])
            table = self.table(np.broadcast_to(places, shape))
            full.append(self.buffer(prod(shape)))
            self.line(machine.GATHER, full[-1], self.made[arg.number], n=prod(shape), p=table)
        product = self.buffer(prod(shape))
        self.line(machine.MULTIPLY, product, *full, n=product.size)
        count = prod(shape[len(out) :])
        made = self.new(node, "laned")
        places = np.arange(prod(shape)).reshape(-1, count)
        self.line(machine.SUM, made, product, n=len(places), p=self.table(places), q=count)

    # -- outputs -------------------------------------------------------------------------------------

    def output(self, k: int, out: Node, what: str) -> None:
        """Where an output is to be found."""
        kind = self.kind[out.number]
        if kind == "shared":
            if what != "row" and _zero(out):
                self.layout.outputs[k] = None
                return
            if what != "row":
                raise self.fail(out)
        if what == "total":
            self.layout.outputs[k] = None
            for root, chain in roots(out):
                if not _zero(root):
                    self.total(k, root, chain)
            return
        if what == "step" and kind not in ("partial",):
            raise self.fail(out)
        found = self.operand(out, what == "row")
        found.lasting = True
        self.layout.outputs[k] = found

    def total(self, k: int, root: Node, chain: tuple[Node, ...]) -> None:
        """Add a root up over steps."""
        if root.number not in self.late:
            if self.kind[root.number] != "partial":
                raise self.fail(root)
            own = self.made[root.number]
            into = self.sum_of(k, own.size, root.shape, 0, (), chain)
            self.line(machine.GAIN, into, own, n=own.size)
            return
        left, out = root.data.split("->")
        one, two = left.split(",")
        a, b = root.args
        if any(self.kind[x.number] != "laned" for x in (a, b)) or one[0] != two[0] or one[0] in out:
            raise self.fail(root)
        one, two = one[1:], two[1:]
        if any(c not in one + two for c in out):
            raise self.fail(root)
        rows, columns = [c for c in out if c in one], [c for c in out if c in two]
        inner = [c for c in one if c in two]
        if set(inner) & set(out) or set(one + two) != set(rows + columns + inner):
            raise self.fail(root)
        turned = prod(root.shape[out.index(c)] for c in columns) < prod(
            root.shape[out.index(c)] for c in rows
        )
        if turned:
            rows, columns, one, two, a, b = columns, rows, two, one, b, a
        size = dict(zip(one, a.shape[1:], strict=True)) | dict(zip(two, b.shape[1:], strict=True))
        left_at = self.turned(self.made[a.number], one, inner + rows, size)
        right_at = self.turned(self.made[b.number], two, inner + columns, size)
        n, p, q = (prod(size[c] for c in part) for part in (rows, columns, inner))
        order = tuple(rows + columns)
        shape = tuple(size[c] for c in order)
        back = tuple(order.index(c) for c in out)
        if n <= FEW and q == 1:
            into = self.sum_of(k, n * p * self.lanes, shape, 0, back, chain)
            self.line(machine.OUTER_LANES, into, left_at, right_at, n=n, p=p)
            return
        whole = -(-p // self.lanes) * self.lanes
        into = self.sum_of(k, n * whole, shape, whole, back, chain)
        if self.scratch is None or self.scratch.size < whole * self.lanes:
            self.scratch = self.buffer(whole, True)
        self.line(machine.OUTER, into, left_at, right_at, self.scratch, n=n, p=p, q=q)

    def sum_of(self, k: int, size: int, shape, panels: int, turned, chain) -> Buffer:
        """The sum into which roots with the same way to the same output go."""
        sign = [(n.op, n.data if not isinstance(n.data, np.ndarray) else n.data.tobytes(), n.shape,
                 [a.number for a in n.args[1:]]) for n in chain]  # fmt: skip
        for known in self.layout.totals:
            other = [(n.op, n.data if not isinstance(n.data, np.ndarray) else n.data.tobytes(), n.shape,
                      [a.number for a in n.args[1:]]) for n in known.chain]  # fmt: skip
            if (known.output, known.shape, known.panels, known.turned) == (k, shape, panels, turned) and (
                sign == other
            ):
                return known.buffer
        buffer = Buffer(-(-size // self.lanes) * self.lanes, True)
        self.layout.buffers.append(buffer)
        self.layout.totals.append(Total(k, buffer, shape, panels, turned, chain))
        return buffer

    # -- memory --------------------------------------------------------------------------------------

    def assign(self) -> None:
        """Offsets; buffers of the step alone share memory where one ends before the other begins."""
        layout, end = self.layout, 0
        kept: list[tuple] = []
        needed: set[int] = set()
        for line in reversed(layout.lines):
            if line[1].lasting or id(line[1]) in needed:
                needed.update(map(id, line[2:5]))
                kept.append(line)
        layout.lines = kept[::-1]
        for at, line in enumerate(layout.lines):
            for buffer in line[1:5]:
                buffer.last = at
        for buffer in layout.buffers:
            if buffer.lasting:
                buffer.offset, end = end, end + buffer.size
        free: dict[int, list[int]] = {}
        for at, (_, out, *others) in enumerate(layout.lines):
            if isinstance(out, Buffer) and out.offset < 0:
                if free.get(out.size):
                    out.offset = free[out.size].pop()
                else:
                    out.offset, end = end, end + out.size
            done = {id(x): x for x in (out, *others[:3])}
            for buffer in done.values():
                if not buffer.lasting and buffer.last == at:
                    free.setdefault(buffer.size, []).append(buffer.offset)
        layout.size = end
        if end > MOST_NUMBERS:
            raise TracingError(f"a row of the batch takes {end // self.lanes} numbers of work memory")

    @property
    def code(self) -> np.ndarray:
        """The table of instructions."""
        lines = [
            (code, out.offset, a.offset, b.offset, c.offset, n, p, q)
            for code, out, a, b, c, n, p, q in self.layout.lines
        ]
        return np.array(lines, np.int64).reshape(-1, 8)

    @property
    def tables(self) -> np.ndarray:
        """All tables of places."""
        return np.concatenate([np.zeros(1, np.int64)[:0], *self.layout.tables])


def b_size(node: Node) -> int:
    """Numbers of a node."""
    return prod(node.shape)


def _zero(node: Node) -> bool:
    return node.op == "constant" and not node.data.any()


def alike(node: Node) -> bool:
    """A shared array is the same in every row of the batch."""
    if node.op == "constant":
        return bool((node.data == node.data[:1]).all())
    if node.op == "broadcast":
        (x,) = node.args
        return len(x.shape) < len(node.shape) or x.shape[0] == 1 or alike(x)
    if node.op == "reshape" and node.shape[:1] == (1,):
        return True
    elementwise = node.op in machine.ELEMENTWISE
    return elementwise and all(alike(a) for a in node.args)


def roots(node: Node) -> list[tuple[Node, tuple[Node, ...]]]:
    """The sums over the batch that an output is added up from, each with what is done to it afterwards."""
    found: list[tuple[Node, tuple[Node, ...]]] = []
    waiting: list[tuple[Node, tuple[Node, ...]]] = [(node, ())]
    while waiting:
        top, chain = waiting.pop()
        if top.op == "add":
            waiting += [(a, chain) for a in top.args]
        elif top.op in ("reshape", "gather", "negative"):
            waiting.append((top.args[0], (top, *chain)))
        else:
            found.append((top, chain))
    return found


def finished(total: Total, memory: np.ndarray, lanes: int) -> np.ndarray:
    """A sum as its output has it."""
    flat = memory[total.buffer.offset : total.buffer.offset + total.buffer.size]
    count = prod(total.shape)
    if total.panels:
        columns = count // (total.buffer.size // total.panels)
        value = flat.reshape(-1, total.panels)[:, :columns]
    else:
        value = flat[: count * lanes].reshape(-1, lanes).sum(axis=1)
    value = value.reshape(total.shape)
    if total.turned:
        value = value.transpose(total.turned)
    for node in total.chain:
        value = value_of(node, [value])
    return value


def shared_values(program: Program, given: dict[int, np.ndarray], dtype) -> dict[int, Any]:
    """Nodes that depend on shared inputs alone, once a sweep."""
    values: dict[int, Any] = {}
    for node in program.nodes:
        if node.op == "input":
            if node.data in given:
                values[node.number] = np.asarray(given[node.data], dtype).reshape(node.shape)
        elif node.op == "constant":
            values[node.number] = node.data
        elif all(a.number in values for a in node.args):
            values[node.number] = value_of(node, [values[a.number] for a in node.args])
    return values
