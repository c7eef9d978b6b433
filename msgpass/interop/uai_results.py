"""Results as the UAI competition has them.

    PR                           log₁₀ Z
    -3.7911
    MAR                          variables, then states and marginals of each
    2  2 0.25 0.75  3 0.2 0.3 0.5
    MPE                          variables, then their states
    2  1 2
    MMAP                         queried variables, then each with its state
    1  1 2

With several samples of evidence, their number stands in a line after the task. An observed variable's
marginal is a 1 at what was observed. Solvers that write better and better results put ``-BEGIN-`` between
them; the last one is read. MAP is what later competitions call MPE.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from msgpass.errors import DataError, GraphError
from msgpass.interop.numbers_file import NumbersFile, read_text
from msgpass.nodes import Parameter

_TASK = re.compile(r"(?:\s|#[^\n]*\n|//[^\n]*\n)*\w+")
TASKS = ("PR", "MAR", "MPE", "MAP", "MMAP")


def read_result(path):
    """Read a result file.

    Returns
    -------
    (str, list)
        The task, and one result a sample: log₁₀ Z; list of arrays of marginals; array of states; dict of
        variable to state.

    Raises
    ------
    DataError
        Names the line of what is wrong.
    """
    text = read_text(path)
    last = text.rfind("-BEGIN-")
    if last >= 0:  # line numbers stay those of the file
        task = _TASK.match(text)
        start = task.end() if task else 0
        between = text[start:last].count("\n")
        text = text[:start] + "\n" * between + " " + text[last + len("-BEGIN-") :]
    file = NumbersFile(path, text, TASKS, finite=False)
    read = _READ[file.head]
    start = file.at
    try:
        found = [read(file)]
        file.finish("the result")
        return file.head, found
    except DataError as problem:
        file.at = start
        try:
            several = file.whole("the number of samples", 1)
            found = [read(file) for _ in range(several)]
            file.finish("the last sample's result")
        except DataError:
            raise problem from None
        return file.head, found


def _read_pr(file):
    return float(file.reals(1, "log₁₀ Z")[0])


def _read_mar(file):
    found = []
    for i in range(file.whole("the number of variables")):
        found.append(
            file.reals(file.whole(f"the states of variable {i}", 1), f"the marginal of variable {i}")
        )
        if (found[-1] < 0).any():
            raise file.error(f"the marginal of variable {i} has the negative number {found[-1].min():g}")
    return found


def _read_mpe(file):
    return file.wholes(file.whole("the number of variables"), "a state")


def _read_mmap(file):
    n = file.whole("the number of queried variables")
    pairs = file.wholes(2 * n, "a variable and its state").reshape(n, 2)
    return {int(v): int(k) for v, k in pairs}


_READ = {"PR": _read_pr, "MAR": _read_mar, "MPE": _read_mpe, "MAP": _read_mpe, "MMAP": _read_mmap}


def write_result(path, task: str, runs, query=None) -> None:
    """Write what :func:`result_text` says."""
    Path(path).write_text(result_text(task, runs, query), encoding="utf-8")


def result_text(task: str, runs, query=None) -> str:
    """What one run found, or several (one a sample of evidence), as a result file has it.

    Parameters
    ----------
    task : "PR", "MAR", "MPE", "MAP" or "MMAP"
    runs : Messages, or list of Messages
        Of ``SumProduct`` for PR and MAR, of ``MaxProduct`` for the others.
    query : list of variables' names, for MMAP
        All others have been summed out or observed.
    """
    if task not in TASKS:
        raise DataError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    several = isinstance(runs, list | tuple)
    lines = [task, str(len(runs))] if several else [task]
    for m in runs if several else [runs]:
        lines.append(" ".join(_RESULTS[task](m, query)))
    return "\n".join(lines) + "\n"


def _pr(m, query):
    return [repr(float(m.total / np.log(10.0)))]


def _mar(m, query):
    found = marginals(m)
    words = [str(len(found))]
    for p in found:
        words += [str(len(p)), *map(repr, p.tolist())]
    return words


def _mpe(m, query):
    found = states_of(m)
    return [str(len(found)), *map(str, found.tolist())]


def _mmap(m, query):
    from msgpass.interop.tables import labels

    found = states_of(m)
    numbers = {name: k for k, name in enumerate(r for node in _nodes(m.graph) for r in labels(node))}
    if query is None or any(name not in numbers for name in query):
        raise GraphError(f"MMAP needs query=, names of variables of the graph, got {query!r}")
    return [str(len(query)), *(f"{numbers[name]} {found[numbers[name]]}" for name in query)]


_RESULTS = {"PR": _pr, "MAR": _mar, "MPE": _mpe, "MAP": _mpe, "MMAP": _mmap}


def _nodes(graph) -> list:
    return [node for node in graph.nodes.values() if not isinstance(node, Parameter)]


def marginals(m) -> list[np.ndarray]:
    """Marginals of all variables in the order of a ``.uai`` file; observed ones are a 1."""
    from msgpass.nodes import Observation

    found: list[np.ndarray] = []
    for node in _nodes(m.graph):
        if isinstance(node, Observation):
            found += list(np.eye(node.states)[np.ravel(m._x.values[node.name])])
        else:
            found += list(np.exp(np.atleast_2d(m.belief[node.name])))
    return found


def states_of(m) -> np.ndarray:
    """The best assignment in the order of a ``.uai`` file."""
    from msgpass.nodes import Observation

    parts = [
        m._x.values[n.name] if isinstance(n, Observation) else m.assignment[n.name] for n in _nodes(m.graph)
    ]
    return np.concatenate([np.ravel(np.asarray(p, np.int64)) for p in parts]) if parts else np.zeros(0, int)
