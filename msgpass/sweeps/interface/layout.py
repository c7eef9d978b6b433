"""All slices of a component laid out: which program each runs, and where its messages and instances are.

Programs are found for the first slices, the last ones and one in between: a slice whose incoming interface
and whose factors are those of the slice before runs the same program, and so do all that follow it unchanged.
Python therefore sees each stretch of equal slices a few times, and NumPy lays out the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from msgpass.kernels.interface_types import Programs, Slices
from msgpass.sweeps.flattened import Flat, flat_of
from msgpass.sweeps.interface.program import Program, along, compile_slice, earlier, longest
from msgpass.sweeps.interface.slices import SINGLE, Key, Sliced, signatures, sliced, with_labels


@dataclass(frozen=True, eq=False)
class InterfaceLayout:
    """A component slice by slice.

    Attributes
    ----------
    flat : Flat
        Its variables by number.
    sliced : Sliced
        Its slices; labelled nodes have one family more each.
    labelled : tuple of str
    kinds : list of Program
    programs : Programs
    slices : Slices
    shape : tuple of int
        Of an aligned batch.
    """

    flat: Flat
    sliced: Sliced
    labelled: tuple[str, ...]
    kinds: list[Program]
    programs: Programs
    slices: Slices
    shape: tuple[int, ...]
    kept: dict = field(default_factory=dict, repr=False)

    @property
    def batch(self) -> int:
        """Members of an aligned batch, 1 without."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def largest(self) -> int:
        """Entries of the largest clique."""
        return max(kind.largest for kind in self.kinds)

    @cached_property
    def work(self) -> int:
        """Entries of all cliques of all slices."""
        each = np.array([kind.work for kind in self.kinds], np.int64)
        return int(each[self.slices.program].sum())

    @cached_property
    def entries(self) -> tuple[int, ...]:
        """Entries of a table of each family."""
        return tuple(int(np.prod(self.scope_sizes(f))) for f in range(len(self.sliced.scopes)))

    def scope_sizes(self, f: int) -> tuple[int, ...]:
        """States of the latent arguments of a family."""
        return tuple(self.sliced.sizes[k] for k, _ in self.sliced.scopes[f])

    @cached_property
    def part(self) -> np.ndarray:
        """Number of the independent part that each slice belongs to."""
        return np.concatenate([[0], np.cumsum(self.slices.closed)[:-1]])

    @cached_property
    def firsts(self) -> np.ndarray:
        """Number of the first variable of each node."""
        return np.array([self.flat.first[name] for name in self.sliced.nodes], np.int64)


def interface_layout(plan, k: int, block, schedule, labelled=()) -> InterfaceLayout | None:
    """Made once a plan, schedule and set of labelled nodes; None where the component is not sliced, or has an
    interface too large."""
    labelled = tuple(sorted(labelled))
    key = ("interface", k, schedule.max_size, labelled)
    if key not in plan.cache:
        found = sliced(block)
        plan.cache[key] = None if found is None else _laid_out(plan, k, block, found, schedule, labelled)
    return plan.cache[key]


def _laid_out(plan, k, block, found: Sliced, schedule, labelled) -> InterfaceLayout | None:
    if labelled:
        found = with_labels(found, labelled)
    made = _programs(found, schedule.max_size)
    if made is None:
        return None
    kinds, program = made
    shape = plan.graph.nodes[block.nodes[0]].shape
    laid = InterfaceLayout(
        flat_of(plan, k, block),
        found,
        labelled,
        kinds,
        flat_programs(kinds, found),
        _slices(kinds, program, found),
        shape,
    )
    if not labelled:
        plan.cache["how", k] = (
            f"slice by slice: {found.rows} slices, {len(kinds)} programs, largest table {laid.largest}"
        )
    return laid


def _programs(found: Sliced, max_size: float) -> tuple[list[Program], np.ndarray] | None:
    """(programs, that of each slice)."""
    of, described = signatures(found)
    known: dict = {}
    kinds: list[Program] = []
    program = np.zeros(found.rows, np.int64)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    incoming: tuple = ()
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), found.rows], strict=True):
        at = begin
        while at < end:
            key = incoming, int(of[at])
            if key not in known:
                families, done = described[of[at]]
                made = compile_slice(found, incoming, families, done, max_size)
                if made is None:
                    return None
                known[key] = len(kinds)
                kinds.append(made)
            program[at] = known[key]
            outgoing = earlier(kinds[known[key]].outgoing)
            if outgoing == incoming:
                program[at:end] = known[key]
                break
            incoming, at = outgoing, at + 1
    return kinds, program


def flat_programs(kinds: list[Program], found: Sliced) -> Programs:
    """Programs as arrays."""
    columns: dict[str, list] = {name: [] for name in Programs._fields}
    families, maps, length = len(found.scopes), [], 0

    def mapped(kind, scope, of):
        nonlocal length
        maps.append(kind.steps(scope, of))
        length += len(maps[-1])
        return length - len(maps[-1])

    def add_run(prefix, run, way):
        columns[prefix + "run"].append(run)
        columns[prefix + "along"].append(way)

    for kind in kinds:
        columns["cliques"].append(len(columns["residual"]))
        home: dict[Key, int] = {}
        for c in sorted(range(len(kind.cliques)), key=lambda c: -kind.entries(kind.cliques[c].scope)):
            home |= dict.fromkeys(kind.cliques[c].scope, c)
        lies, messages = 0, {-1: -kind.entries(kind.incoming)}
        for c, clique in enumerate(kind.cliques):
            columns["residual"].append(kind.entries(clique.residual))
            columns["separator"].append(kind.entries(clique.separator))
            columns["message"].append(lies)
            run = kind.run(clique)
            columns["run"].append(run)
            for name in ("inputs", "sinks", "variables"):
                columns[name].append(
                    len(columns[{"inputs": "family", "sinks": "sink", "variables": "node"}[name]])
                )
            messages[c] = lies
            lies += kind.entries(clique.separator)
            for what, number, scope in clique.inputs:
                factor, at = what == "factor", mapped(kind, clique.scope, scope)
                columns["family"].append(kind.families[number] if factor else -1)
                columns["place"].append(number if factor else messages[number])
                columns["sender"].append(-1 if factor else number)
                columns["size"].append(kind.entries(scope))
                columns["map"].append(at)
                columns["along"].append(along(maps[-1], run))
                if factor:
                    columns["sink"].append(kind.families[number])
                    columns["sink_place"].append(number)
                    columns["sink_size"].append(kind.entries(scope))
                    columns["sink_map"].append(at)
                    add_run("sink_", *longest(maps[-1], kind.trailing(clique)))
            stays = [i for i in (-2, -1) if columns["along"][i:][:1] == [0]]
            paired = run > 1 and len(clique.inputs) == 2 and len(stays) == 1
            columns["pair"].append(len(columns["family"]) + stays[0] if paired else -1)
            for key in clique.scope:
                last = key[1] == 0 or (key[1] == SINGLE and key not in kind.outgoing)
                if home[key] == c and last:
                    columns["sink"].append(families + key[0])
                    columns["sink_place"].append(-1)
                    columns["sink_size"].append(kind.sizes[key])
                    columns["sink_map"].append(mapped(kind, clique.scope, (key,)))
                    add_run("sink_", *longest(maps[-1], kind.trailing(clique)))
                columns["node"].append(key[0])
                columns["lag"].append(key[1])
                columns["states"].append(kind.sizes[key])
            columns["decided"].append(len(clique.residual))
    columns["cliques"].append(len(columns["residual"]))
    columns["inputs"].append(len(columns["family"]))
    columns["sinks"].append(len(columns["sink"]))
    columns["variables"].append(len(columns["node"]))
    arrays = {name: np.array(values, np.int64) for name, values in columns.items()}
    arrays["maps"] = np.concatenate(maps).astype(np.int32) if maps else np.zeros(0, np.int32)
    return Programs(**arrays)


def _slices(kinds: list[Program], program: np.ndarray, found: Sliced) -> Slices:
    def begins(each) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(np.array(each, np.int64)[program])])

    first = begins([len(kind.families) for kind in kinds])
    instances = np.zeros(int(first[-1]), np.int64)
    number = [np.full(found.rows, -1, np.int64) for _ in found.owner]
    for rows, owner in zip(number, found.owner, strict=True):
        rows[owner] = np.arange(len(owner))
    for p, kind in enumerate(kinds):
        at = np.flatnonzero(program == p)
        for place, f in enumerate(kind.families):
            instances[first[at] + place] = number[f][at]
    return Slices(
        program,
        begins([sum(kind.entries(c.separator) for c in kind.cliques) for kind in kinds]),
        first,
        begins([len(kind.cliques) for kind in kinds]),
        instances,
        np.array([not kind.outgoing for kind in kinds])[program],
    )
