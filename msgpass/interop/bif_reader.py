"""What a BIF file says, block after block; every complaint has its line."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

import numpy as np

from msgpass.errors import DataError
from msgpass.interop.directed import TOLERANCE, Conditional

_COMMENT = re.compile(r'("[^"\n]*")|/\*.*?\*/|//[^\n]*', re.DOTALL)
_BLOCK = re.compile(r'\s*(network|variable|probability)\b((?:"[^"]*"|[^{"}])*)\{')
_TYPE = re.compile(r'\s*type\s+discrete\s*\[\s*(\d+)\s*\]\s*\{((?:"[^"]*"|[^}"])*)\}\s*;?')
_PROPERTY = re.compile(r'\s*property\b(?:"[^"]*"|[^;"}])*;')
_NAME = re.compile(r'"([^"]*)"|([^\s,|()"]+)')
_STATE = re.compile(r'\s*(?:"([^"]*)"|([^",]*?))\s*(?:,|$)')
_ENTRY = re.compile(r'(?:"[^"]*"|[^;"])*')
_ROW = re.compile(r'\s*\(((?:"[^"]*"|[^)"])*)\)')


class BIFReader:
    """A cursor over the text of a file.

    Parameters
    ----------
    text : str
    path : path
        What errors call it.
    """

    def __init__(self, text: str, path):
        # Comments become blanks, so that places stay places of the file.
        self.text = _COMMENT.sub(lambda m: m.group(1) or re.sub(r"[^\n]", " ", m.group()), text)
        self.path, self.at = path, 0
        self.states: dict[str, tuple[str, ...]] = {}
        self.found: dict[str, Conditional] = {}

    def error(self, problem: str, at: int) -> DataError:
        """An error with the line of a place."""
        line = self.text.count("\n", 0, at) + 1
        return DataError(f"{self.path}, line {line}: {problem}")

    def skip(self, at: int) -> int:
        """The next place that is not blank."""
        found = re.compile(r"\s*").match(self.text, at)
        return found.end() if found else at

    def read(self) -> tuple[dict[str, tuple[str, ...]], list[Conditional]]:
        """Names of states of every variable, and one conditional distribution each, in the same order."""
        blocks = []
        while (self.skip(self.at)) < len(self.text):
            block = _BLOCK.match(self.text, self.at)
            if block is None:
                start = self.skip(self.at)
                word = self.text[start:].split(None, 1)[0]
                raise self.error(
                    f"wanted network, variable or probability with a block in braces, got {word!r}", start
                )
            self.at = block.end()
            if block[1] == "probability":  # variables may be declared further down
                end = self.end(block)
                blocks.append((block, end))
                self.at = end + 1
            elif block[1] == "variable":
                self.variable(block)
            else:
                self.properties(block)
        for block, end in blocks:
            self.probability(block, end)
        missing = [name for name in self.states if name not in self.found]
        if missing:
            raise self.error(f"no probability block of {', '.join(map(repr, missing))}", len(self.text))
        if not self.states:
            raise self.error("holds no variable", 0)
        self.acyclic(dict(zip(self.found, (block.start(1) for block, _ in blocks), strict=True)))
        return self.states, [self.found[name] for name in self.states]

    def acyclic(self, places: dict[str, int]) -> None:
        """No variable is its own ancestor; ``places`` are those of the blocks."""
        try:
            TopologicalSorter({one.variable: one.parents for one in self.found.values()}).prepare()
        except CycleError as problem:
            ring = problem.args[1]
            at = min(places[name] for name in ring)
            raise self.error(f"the network has the cycle {' → '.join(ring)}", at) from None

    def end(self, block) -> int:
        """Where a block without inner braces closes."""
        end = self.text.find("}", self.at)
        opened = self.text.find("{", self.at, end)
        if end < 0 or opened >= 0:
            raise self.error(f"the {block[1]} block is not closed by }}", block.start(1))
        return end

    def properties(self, block) -> None:
        """Properties, which are left out, and the end of a block."""
        while found := _PROPERTY.match(self.text, self.at):
            self.at = found.end()
        self.at = self.skip(self.at)
        if self.text[self.at : self.at + 1] != "}":
            got = self.text[self.at : self.at + 20].split("\n")[0]
            raise self.error(f"wanted a property or }} in the {block[1]} block, got {got!r}", self.at)
        self.at += 1

    def variable(self, block) -> None:
        """A name and the names of its states."""
        names = _names(block[2])
        if len(names) != 1:
            raise self.error(f"wanted one name after variable, got {block[2].strip()!r}", block.start(1))
        name = names[0]
        if name in self.states:
            raise self.error(f"variable {name!r} is declared twice", block.start(1))
        while found := _PROPERTY.match(self.text, self.at):
            self.at = found.end()
        found = _TYPE.match(self.text, self.at)
        if found is None:
            raise self.error(
                f"wanted type discrete [ n ] {{ states }}; of variable {name!r}", self.skip(self.at)
            )
        states = _states(found[2])
        if len(states) != int(found[1]) or len(set(states)) < len(states) or "" in states:
            raise self.error(
                f"wanted {found[1]} states of variable {name!r} with names that differ, got {list(states)}",
                found.start(2),
            )
        self.states[name] = states
        self.at = found.end()
        self.properties(block)

    # -- tables ------------------------------------------------------------------------------------------

    def probability(self, block, end: int) -> None:
        """One conditional distribution, by rows or as one table with the variable slowest."""
        head = block[2].strip()
        if not (head.startswith("(") and head.endswith(")")):
            raise self.error(f"wanted probability ( x | parents ), got {head!r}", block.start(1))
        name, *parents = (self.known(n, block.start(1)) for n in _names(head[1:-1]) or [""])
        if name in self.found or name in parents or len(set(parents)) < len(parents):
            twice = f"{name!r} has two blocks" if name in self.found else "a variable is named twice"
            raise self.error(f"probability: {twice}", block.start(1))
        shape = (*(len(self.states[p]) for p in parents), len(self.states[name]))
        values, given = np.zeros(shape), np.zeros(shape[:-1], bool)
        rest, default, at = None, None, block.end()
        while at < end:
            at = self.skip(at)
            if at >= end:
                break
            entry = _ENTRY.match(self.text, at, end)
            stop = entry.end() if entry else end
            if stop >= end and not self.text.startswith("property", at):
                raise self.error(f"wanted ; after {self.text[at:stop].strip()[:40]!r}", at)
            text = self.text[at:stop]
            if row := _ROW.match(text):
                place = self.place(_states(row[1]), parents, at)
                if given[place]:
                    raise self.error(f"the row ({row[1].strip()}) of {name!r} is given twice", at)
                values[place] = self.numbers(text[row.end() :], shape[-1], name, at)
                given[place] = True
            elif text.startswith("table"):
                rest = self.numbers(text[len("table") :], values.size, name, at, shape[-1])
            elif text.startswith("default"):
                default = self.numbers(text[len("default") :], shape[-1], name, at)
            elif not text.startswith("property"):
                raise self.error(
                    f"wanted table, default or a row (states) of {name!r}, got {text[:40]!r}", at
                )
            at = stop + 1
        if rest is not None:
            values, given = rest.reshape(shape[-1], *shape[:-1]), np.ones(shape[:-1], bool)
            values = np.moveaxis(values, 0, -1)
        elif default is not None:
            values[~given], given = default, np.ones(shape[:-1], bool)
        if not given.all():
            missing = np.unravel_index(int(np.argmin(given)), given.shape) if parents else ()
            lost = ", ".join(self.states[p][k] for p, k in zip(parents, missing, strict=True))
            raise self.error(f"the table of {name!r} has no row ({lost})", block.start(1))
        self.found[name] = Conditional(name, tuple(parents), values)

    def known(self, name: str, at: int) -> str:
        """The variable that is meant."""
        if name in self.states:
            return name
        alike = [n for n in self.states if n.lower() == name.lower()]  # some files change case
        if len(alike) != 1:
            raise self.error(f"probability of {name!r}, which is no variable of the file", at)
        return alike[0]

    def place(self, states, parents, at: int) -> tuple[int, ...]:
        """Where a row stands in the table."""
        if len(states) != len(parents):
            raise self.error(
                f"the row ({', '.join(states)}) names {len(states)} states, wanted one of each of "
                f"{', '.join(parents) or 'no parent'}",
                at,
            )
        for state, parent in zip(states, parents, strict=True):
            if state not in self.states[parent]:
                raise self.error(
                    f"{parent!r} has no state {state!r}; its states are {', '.join(self.states[parent])}", at
                )
        return tuple(self.states[p].index(s) for s, p in zip(states, parents, strict=True))

    def numbers(self, text: str, count: int, name: str, at: int, card: int | None = None) -> np.ndarray:
        """So many numbers; probabilities, each column of ``card`` (all by default) summing to one."""
        try:
            found = np.array([float(word) for word in text.replace(",", " ").split()])
        except ValueError:
            wrong = next(w for w in text.replace(",", " ").split() if not _is_number(w))
            raise self.error(f"wanted numbers of {name!r}, got {wrong!r}", at) from None
        if len(found) != count:
            raise self.error(f"wanted {count} numbers of {name!r}, got {len(found)}", at)
        rows = found.reshape(card or count, -1).sum(axis=0)
        if not (found >= 0).all() or not np.abs(rows - 1).max() <= TOLERANCE:
            what = (
                "a negative number" if (found < 0).any() else f"a sum of {rows[np.argmax(abs(rows - 1))]:g}"
            )
            raise self.error(f"probabilities of {name!r} are ≥ 0 and sum to 1, got {what}", at)
        return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _names(text: str) -> list[str]:
    return [m[1] if m[1] is not None else m[2] for m in _NAME.finditer(text)]


def _states(text: str) -> tuple[str, ...]:
    if '"' not in text:
        return (
            tuple(part.strip() for part in text.split(","))
            if "," in text or not text.split()
            else (tuple(text.split()))
        )
    return tuple(m[1] if m[1] is not None else m[2] for m in _STATE.finditer(text.strip()) if m[0])
