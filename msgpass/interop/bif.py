"""Bayesian networks in the interchange format BIF.

    network asia { }
    variable smoke { type discrete [ 2 ] { yes, no }; }
    variable lung { type discrete [ 2 ] { yes, no }; }
    probability ( smoke ) { table 0.5, 0.5; }
    probability ( lung | smoke ) {
      (yes) 0.1, 0.9;
      (no) 0.01, 0.99;
    }

pgmpy's reader passes over what it does not understand and fills rows that are missing with zeros; this one
names the line. ``from_pgmpy(BIFReader(path).get_model())`` gives the same graph for a file without mistakes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from msgpass.errors import DataError
from msgpass.interop.bif_reader import BIFReader
from msgpass.interop.directed import conditionals_of, network_graph
from msgpass.interop.numbers_file import read_text

_PLAIN = re.compile(r"[\w.<>=+\-\[\]/:%&*'!?$@^~`#]+")


def read_bif(path, parameters: bool = True):
    """Read a Bayesian network.

    Parameters
    ----------
    path : path
    parameters : bool
        The table of a variable x is the parameter "table of x".

    Returns
    -------
    FactorGraph
        States have the names of the file: ``run(graph, values={"smoke": "yes"})``.

    Raises
    ------
    DataError
        Names the line of what is wrong.
    """
    return parse_bif(read_text(path), path, parameters)


def parse_bif(text: str, path="BIF", parameters: bool = True):
    """A graph of the text of a file; ``path`` is what errors call it."""
    states, conditionals = BIFReader(text, path).read()
    return network_graph(states, conditionals, parameters)


def write_bif(graph, path, values: dict | None = None, name: str = "network") -> None:
    """Write a Bayesian network.

    Parameters
    ----------
    graph : FactorGraph
        Where every variable is the last one of one table whose rows sum to one; rows of sequences are
        variables such as "z[3]". States without names are called s0, s1, …
    path : path
    values : dict, optional
        Parameters of this file, such as what was learned.
    name : str
        Of the network.
    """
    found, conditionals = conditionals_of(graph, values, "a BIF file")
    states = {
        v: tuple(map(str, found.state_names.get(v, [f"s{k}" for k in range(n)])))
        for v, n in found.states.items()
    }
    for v, names in states.items():
        if len(set(names)) < len(names) or "" in names:
            raise DataError(
                f"a BIF file cannot hold the states of {v!r}, {', '.join(map(repr, found.state_names[v]))}: "
                "as text they must differ and not be empty"
            )
    lines = [f"network {_quoted(name)} {{", "}"]
    for v, names in states.items():
        own = ", ".join(map(_quoted, names))
        lines += [f"variable {_quoted(v)} {{", f"  type discrete [ {len(names)} ] {{ {own} }};", "}"]
    for one in conditionals:
        given = f" | {', '.join(map(_quoted, one.parents))}" if one.parents else ""
        lines.append(f"probability ( {_quoted(one.variable)}{given} ) {{")
        for place in np.ndindex(one.values.shape[:-1]):
            row = ", ".join(_quoted(states[p][k]) for p, k in zip(one.parents, place, strict=True))
            numbers = ", ".join(map(repr, one.values[place].tolist()))
            lines.append(f"  ({row}) {numbers};" if one.parents else f"  table {numbers};")
        lines.append("}")
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quoted(word: str) -> str:
    if '"' in word or "\n" in word:
        raise DataError(f"a BIF file cannot hold the name {word!r}: it has a quotation mark or a line break")
    comment = "//" in word or "/*" in word
    return word if _PLAIN.fullmatch(word) and not comment else f'"{word}"'
